import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Refused } from "../api/client";
import { refusal, signIn } from "../session";
import { Field, Form } from "../ui/form";
import { t } from "../words/index";

/** Asks for a key, and keeps none that the service refuses. */
export function SignIn(): JSX.Element {
  const busy = useSignal(false);
  const wrong = useSignal<string | null>(null);
  const submit = async (_: FormData, form: HTMLFormElement): Promise<void> => {
    const field = form.elements.namedItem("key") as HTMLInputElement;
    busy.value = true;
    wrong.value = null;
    refusal.value = null;
    try {
      await signIn(field.value.trim());
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      wrong.value = refused.status === 0 ? t("unreachable") : t("keyRefused", { detail: refused.problem?.detail ?? `HTTP ${refused.status}` });
      field.select();
    } finally {
      busy.value = false;
    }
  };
  const said = wrong.value ?? (refusal.value ? t("keyEnded", { detail: refusal.value }) : null);
  return (
    <main class="sign-in" id="content">
      <Form class="panel" onSend={submit}>
        <h1 class="wordmark">Ninety</h1>
        <p class="muted">{t("welcome")}</p>
        <Field label={t("keyLabel")}>
          <input name="key" type="password" required autoFocus autoComplete="off" spellcheck={false} placeholder="nty_…" aria-describedby="key-hint" aria-invalid={wrong.value !== null} />
        </Field>
        <p id="key-hint" class="muted small">{t("keyHint")}</p>
        {said && <p class="failure-title" role="alert">■ {said}</p>}
        <button class="primary" type="submit" disabled={busy.value}>{t("signIn")}</button>
      </Form>
    </main>
  );
}

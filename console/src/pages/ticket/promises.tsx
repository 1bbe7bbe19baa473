// What somebody was told, by an instant: kept or broken like any other promise.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../../api/client";
import type { Schemas } from "../../api/client";
import { now, serverNow } from "../../live/clock";
import { useReading } from "../../live/reading";
import { can } from "../../session";
import { Form } from "../../ui/form";
import { Choice, Panel, When } from "../../ui/parts";
import { attempt } from "../../ui/toast";
import { duration, spoken } from "../../words/format";
import { t, word } from "../../words/index";
import type { Desk, Whole } from "./state";

type PromiseOut = Schemas["PromiseOut"];
const SPANS = [900, 3600, 14_400, 86_400] as const;
const MARKS: Record<string, [string, string]> = { open: ["waiting", "○"], kept: ["kept", "✓"], broken: ["late", "■"], withdrawn: ["none", "×"] };

export function Promises(props: { ticket: Whole; desk: Desk }): JSX.Element | null {
  const path = { ticket_id: props.ticket.id };
  const reading = useReading(
    `promises ${path.ticket_id}`,
    async () => (await ok(api.GET("/v1/tickets/{ticket_id}/promises", { params: { path } }))).items,
    (event) => event.ticketid === path.ticket_id && /^(promise|sla)\./.test(event.type),
  );
  const after = useSignal("3600");
  const may = can("tickets:write");
  const make = async (_: FormData, form: HTMLFormElement): Promise<void> => {
    const field = form.elements.namedItem("text") as HTMLInputElement;
    const due_at = new Date(serverNow() + Number(after.value) * 1000).toISOString();
    const made = await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/promises", { params: { path, header: once() }, body: { text: field.value, due_at } })));
    if (made) form.reset();
    await reading.reload();
  };
  const keep = async (promise: PromiseOut): Promise<void> => {
    await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/promises/{promise_id}/keep", { params: { path: { ...path, promise_id: promise.id }, header: once() } })));
    await reading.reload();
  };
  const promises = reading.data.value ?? [];
  if (!may && !promises.length) return null;
  return (
    <Panel title={t("promises")}>
      <ul class="clocks">
        {promises.map((promise) => {
          const [tone, mark] = MARKS[promise.state] ?? ["none", ""];
          const due = Date.parse(promise.due_at);
          return (
            <li key={promise.id} class="clock">
              <span class={`tone-${tone}`}><span class="mark" aria-hidden="true">{mark}</span> {word(promise.state)}</span>
              {promise.state === "open" && <span class="push count">{now.value < due ? duration((due - now.value + 999) / 1000) : `+${duration((now.value - due) / 1000)}`}</span>}
              <span class="clock-line" dir="auto">{promise.text}</span>
              <span class="muted small clock-line"><When at={promise.due_at} />{promise.kept_at && <> · {t("keptAt")} <When at={promise.kept_at} /></>}</span>
              {may && promise.state === "open" && <button type="button" onClick={() => void keep(promise)}>✓ {t("keep")}</button>}
            </li>
          );
        })}
      </ul>
      {may && (
        <details>
          <summary>{t("newPromise")}</summary>
          <Form class="promise-form" onSend={make}>
            <input name="text" required maxLength={500} aria-label={t("promiseText")} placeholder={t("promiseText")} />
            <Choice label={t("within")} value={after.value} options={SPANS.map((each) => [String(each), spoken(each)] as const)} onChoose={(value) => (after.value = value)} />
            <button type="submit">{t("promise")}</button>
          </Form>
        </details>
      )}
    </Panel>
  );
}

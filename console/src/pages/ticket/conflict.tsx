import type { JSX } from "preact";
import { agentName } from "../../live/people";
import { t, word } from "../../words/index";
import type { Desk } from "./state";
import { author } from "./thread";

/** Somebody else was faster: what they changed, and what was not done for it. */
export function ConflictNote(props: { desk: Desk }): JSX.Element | null {
  const { conflict, reading } = props.desk;
  const found = conflict.value;
  const ticket = reading.data.value;
  if (!found || !ticket) return null;
  const shown = (name: string, value: unknown): string => (name === "assignee_id" ? agentName(value as string | null) || t("nobody") : word(String(value ?? "–")));
  return (
    <div class="notice" role="alert">
      <p><strong>▲ {t("changedMeanwhile")}</strong></p>
      <ul>
        {found.fields.map((field) => <li key={field.name}>{word(field.name.replace("_id", ""))}: {shown(field.name, field.before)} → <strong>{shown(field.name, field.after)}</strong></li>)}
        {found.messages.map((message) => <li key={message.id}>{author(message, ticket)}: <q dir="auto">{message.body}</q></li>)}
      </ul>
      <p>{t("notApplied")}</p>
      <p class="row">
        {Object.keys(found.patch).length > 0 && <button type="button" onClick={() => void props.desk.change(found.patch)}>{t("applyAnyway")}</button>}
        <button type="button" class="quiet" onClick={() => (conflict.value = null)}>{t("close")}</button>
      </p>
    </div>
  );
}

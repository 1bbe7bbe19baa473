// What was said, in order. What the customer does not see looks plainly different.
import type { JSX } from "preact";
import type { Message } from "../../api/wire";
import { agentName } from "../../live/people";
import { Empty, When } from "../../ui/parts";
import { named } from "../../words/format";
import { t, word } from "../../words/index";
import type { Whole } from "./state";

export function Thread(props: { ticket: Whole }): JSX.Element {
  const messages = props.ticket.messages ?? [];
  if (!messages.length) return <Empty title={t("noMessages")} />;
  return (
    <ol class="thread" aria-label={t("conversation")}>
      {messages.map((message) => <Said key={message.id} message={message} ticket={props.ticket} />)}
    </ol>
  );
}

export function author(message: Message, ticket: Whole): string {
  const { kind, id } = message.author;
  if (kind === "customer") return named(ticket.customer);
  return (kind === "agent" && id && agentName(id)) || word(kind);
}

function Said(props: { message: Message; ticket: Whole }): JSX.Element {
  const { message, ticket } = props;
  const internal = message.visibility === "internal";
  return (
    <li class={`message from-${message.author.kind} ${internal ? "internal" : ""}`}>
      <p class="message-head">
        <strong dir="auto">{author(message, ticket)}</strong>
        {message.author.kind === "bot" && <span class="muted small">{t("automatic")}</span>}
        {internal && <span class="internal-mark">✎ {t("internal")}</span>}
        <span class="muted small push"><When at={message.created_at} precise />{message.edited_at && ` · ${t("edited")}`}</span>
      </p>
      {message.deleted_at ? <p class="muted">{t("deleted")}</p> : <p class="message-body" dir="auto">{message.body}</p>}
    </li>
  );
}

// What happened to the ticket, newest first, in words.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok } from "../../api/client";
import type { StreamEvent } from "../../api/wire";
import { agentName } from "../../live/people";
import { useReading } from "../../live/reading";
import { Loaded } from "../../ui/loaded";
import { When } from "../../ui/parts";
import { instant } from "../../words/format";
import { t, word } from "../../words/index";

export function History(props: { ticketId: string }): JSX.Element {
  const open = useSignal(false);
  return (
    <details class="side-part" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>{t("history")}</summary>
      {open.value && <Events id={props.ticketId} />}
    </details>
  );
}

/** What the type alone does not say. */
function detail(event: StreamEvent): string {
  switch (event.type) {
    case "ticket.status_changed": return `${word(event.data.before)} → ${word(event.data.after)}`;
    case "ticket.overload_offered": return event.data.choices.map((each) => word(`offer_${each}`)).join(", ");
    case "ticket.overload_chosen": return `${word(`offer_${event.data.choice}`)}${event.data.call_back_by ? ` · ${t("dueAt", { time: instant(event.data.call_back_by) })}` : ""}`;
    case "ticket.outlook_worsened": return t("likelyLater", { time: instant(event.data.p95, true), before: instant(event.data.told_before, true) });
    case "promise.made": return t("dueAt", { time: instant(event.data.due_at) });
    case "sla.at_risk": case "sla.breached": case "sla.met": case "sla.cancelled": return word(event.data.metric);
    default: return "";
  }
}

function Events(props: { id: string }): JSX.Element {
  const params = { path: { ticket_id: props.id }, query: { limit: 200 } };
  const reading = useReading(`audit ${props.id}`, async () => (await ok(api.GET("/v1/tickets/{ticket_id}/events", { params }))).items, (event) => event.ticketid === props.id);
  return (
    <Loaded of={reading}>
      {(found) => (
        <ol class="audit">
          {found.map((event) => (
            <li key={event.id}>
              <When at={event.time} precise /> <span>{[word(event.type), detail(event)].filter(Boolean).join(": ")}</span>{" "}
              <span class="muted small">{event.actorkind === "agent" ? agentName(event.actorid ?? null) : word(event.actorkind)}</span>
            </li>
          ))}
        </ol>
      )}
    </Loaded>
  );
}

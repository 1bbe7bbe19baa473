// Time that is left, counted down once a second in the place where it stands; only its text changes.
import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import type { Ticket } from "../api/wire";
import { now } from "../live/clock";
import { standing, type Standing } from "../live/tickets";
import { absolute, duration, spoken } from "../words/format";
import { t } from "../words/index";

const MARK: Record<Standing, string> = { waiting: "", risk: "▲", late: "■", none: "" };

export function useStanding(ticket: Ticket): { value: Standing } {
  return useComputed(() => standing(ticket, now.value));
}

export function Due(props: { ticket: Ticket }): JSX.Element {
  const { ticket } = props;
  const due = ticket.due_at ? Date.parse(ticket.due_at) : null;
  // Made anew where the instant changes, so that the text follows.
  return due === null ? <span class="due due-none" title={t("noDue")}>–</span> : <Countdown key={`${due}${ticket.at_risk_at}`} due={due} ticket={ticket} />;
}

function Countdown(props: { due: number; ticket: Ticket }): JSX.Element {
  const { due, ticket } = props;
  const state = useComputed(() => standing(ticket, now.value));
  const mark = useComputed(() => MARK[state.value]);
  const text = useComputed(() => (now.value >= due ? `+${duration((now.value - due) / 1000)}` : duration((due - now.value + 999) / 1000)));
  const said = useComputed(() => {
    const time = spoken(Math.abs(now.value - due) / 1000);
    const words = { waiting: t("state_waiting"), risk: t("state_risk"), late: "", none: "" }[state.value];
    return now.value >= due ? t("late", { time }) : `${words}, ${t("dueIn", { time })}`;
  });
  return (
    <span class={`due due-${state.value}`} title={absolute(due)}>
      <span class="mark" aria-hidden="true">{mark}</span>
      <span aria-hidden="true" class="count">{text}</span>
      <span class="hidden">{said}</span>
    </span>
  );
}

/** How long since an instant, counted up. */
export function Since(props: { at: string }): JSX.Element {
  const began = Date.parse(props.at);
  const text = useComputed(() => duration((now.value - began) / 1000));
  return <span class="count" title={absolute(props.at)}>{text}</span>;
}

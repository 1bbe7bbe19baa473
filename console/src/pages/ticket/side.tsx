// Beside the conversation: what is promised and why, whose ticket it is, and what happened to it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok, once } from "../../api/client";
import type { Clock } from "../../api/wire";
import { myAgent } from "../../actions";
import { now } from "../../live/clock";
import { agentName } from "../../live/people";
import { useReading } from "../../live/reading";
import { href } from "../../router";
import { can } from "../../session";
import { Fields } from "../../ui/fields";
import { Panel, Tag, When } from "../../ui/parts";
import { attempt } from "../../ui/toast";
import { duration, named, spoken } from "../../words/format";
import { t, word } from "../../words/index";
import { Files } from "./files";
import { History } from "./history";
import { Outlook } from "./outlook";
import { Participants } from "./participants";
import { Promises } from "./promises";
import { Satisfaction } from "./satisfaction";
import type { Desk, Whole } from "./state";

export function Side(props: { ticket: Whole; desk: Desk }): JSX.Element {
  const { ticket, desk } = props;
  return (
    <aside class="ticket-side" aria-label={t("details")}>
      <Panel title={t("clocks")}>
        <ul class="clocks">{(ticket.clocks ?? []).filter((clock) => clock.target_seconds !== null).map((clock) => <ClockRow key={clock.id} clock={clock} />)}</ul>
        {can("sla:read") && <Explain ticket={ticket} />}
      </Panel>
      <Outlook id={ticket.id} />
      <Promises ticket={ticket} desk={desk} />
      <Satisfaction id={ticket.id} />
      <CustomerCard ticket={ticket} />
      <Panel>
        <Fields of={ticket.custom_fields ?? {}} />
        <Participants ticketId={ticket.id} />
        <Files ticketId={ticket.id} />
        <More ticket={ticket} desk={desk} />
        <History ticketId={ticket.id} />
      </Panel>
    </aside>
  );
}

const STATES: Record<string, [string, string]> = {
  running: ["waiting", "○"], paused: ["waiting", "‖"], met: ["kept", "✓"], breached: ["late", "■"], cancelled: ["none", "×"], stopped: ["none", "·"],
};

function ClockRow(props: { clock: Clock }): JSX.Element {
  const { clock } = props;
  const due = clock.due_at ? Date.parse(clock.due_at) : null;
  const open = clock.stopped_at === null && clock.ended_reason === null && clock.state !== "cancelled";
  const late = clock.breached_at !== null || (open && due !== null && clock.state === "running" && now.value >= due);
  const [tone, mark] = late ? ["late", "■"] : clock.at_risk && open ? ["risk", "▲"] : (STATES[clock.state] ?? ["none", ""]);
  const left = due === null ? "" : now.value >= due ? `+${duration((now.value - due) / 1000)}` : duration((due - now.value + 999) / 1000);
  return (
    <li class="clock">
      <span class={`tone-${tone}`}><span class="mark" aria-hidden="true">{mark}</span> <strong>{word(clock.metric)}</strong></span>
      <span class="push count">{open && clock.state === "running" ? left : spoken(clock.elapsed_seconds)}</span>
      <span class="muted small clock-line">
        {late ? t("state_late") : word(clock.state)} · {clock.target_seconds === null ? "" : t("ofTarget", { target: spoken(clock.target_seconds) })}
        {clock.hours === "business" && ` · ${t("businessHours")}`}
        {clock.due_at && <> · <When at={clock.due_at} precise /></>}
        {clock.ended_reason && ` · ${word(clock.ended_reason)}`}
      </span>
    </li>
  );
}

function Explain(props: { ticket: Whole }): JSX.Element {
  const open = useSignal(false);
  return (
    <details onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>{t("why")}</summary>
      {open.value && <Explanation id={props.ticket.id} />}
    </details>
  );
}

function Explanation(props: { id: string }): JSX.Element {
  const reading = useReading(
    `explain ${props.id}`,
    () => ok(api.GET("/v1/tickets/{ticket_id}/explain", { params: { path: { ticket_id: props.id } } })),
    (event) => event.ticketid === props.id,
  );
  const found = reading.data.value;
  if (!found) return <p class="muted">{reading.failure.value?.message ?? t("loading")}</p>;
  return (
    <div class="explain">
      <ol class="tried">
        {found.policies.map((policy) => (
          <li key={policy.id} class={policy.taken ? "taken" : "muted"}>{policy.taken ? "✓" : policy.matches ? "○" : "×"} {policy.name} <span class="small">v{policy.version}</span></li>
        ))}
      </ol>
      {found.clocks.map((each) => (
        <div key={each.clock.id}>
          <h3>{word(each.clock.metric)}</h3>
          <ol class="arithmetic">{each.arithmetic.map((line, at) => <li key={at}>{line}</li>)}</ol>
        </div>
      ))}
    </div>
  );
}

function CustomerCard(props: { ticket: Whole }): JSX.Element | null {
  const { customer } = props.ticket;
  const id = props.ticket.customer_id;
  const reading = useReading(`customer ${id} ${props.ticket.id}`, async () => {
    const [segments, tickets] = await Promise.all([
      can("segments:read") ? ok(api.GET("/v1/customers/{customer_id}/segments", { params: { path: { customer_id: id } } })) : { items: [] },
      ok(api.GET("/v1/tickets", { params: { query: { customer_id: [id], sort: "-created_at", limit: 6 } } })),
    ]);
    return { segments: segments.items, tickets: tickets.items.filter((ticket) => ticket.id !== props.ticket.id) };
  });
  if (!customer) return null;
  const facts = [customer.email, customer.external_id, customer.region, customer.language].filter(Boolean);
  return (
    <Panel title={t("customer")}>
      <p dir="auto">{can("customers:read") ? <a href={href("customers", id)}>{named(customer)}</a> : named(customer)}</p>
      <p class="muted small" dir="auto">{facts.join(" · ")}</p>
      <Fields of={customer.attributes ?? {}} />
      <p>{reading.data.value?.segments.map((each) => <Tag key={each.segment_id}>{each.name}</Tag>)}</p>
      {reading.data.value && reading.data.value.tickets.length > 0 && (
        <>
          <h3>{t("earlier")}</h3>
          <ul class="earlier">
            {reading.data.value.tickets.map((each) => (
              <li key={each.id}><a href={href("tickets", each.id)} dir="auto">{each.subject}</a> <span class="muted small">{word(each.status)} · <When at={each.created_at} /></span></li>
            ))}
          </ul>
        </>
      )}
    </Panel>
  );
}

/** Followers, links and merging. */
function More(props: { ticket: Whole; desk: Desk }): JSX.Element {
  const path = { ticket_id: props.ticket.id };
  const mine = myAgent();
  const reading = useReading(
    `more ${path.ticket_id}`,
    async () => {
      const [followers, links] = await Promise.all([ok(api.GET("/v1/tickets/{ticket_id}/followers", { params: { path } })), ok(api.GET("/v1/tickets/{ticket_id}/links", { params: { path } }))]);
      return { followers: followers.items, links: links.items };
    },
    (event) => event.ticketid === path.ticket_id && /^ticket\.(un)?(followed|linked)/.test(event.type),
  );
  const followed = reading.data.value?.followers.some((each) => each.agent_id === mine);
  const follow = async (): Promise<void> => {
    if (!mine) return;
    const params = { path: { ...path, agent_id: mine } };
    await attempt(() => (followed ? ok(api.DELETE("/v1/tickets/{ticket_id}/followers/{agent_id}", { params })) : ok(api.PUT("/v1/tickets/{ticket_id}/followers/{agent_id}", { params }))));
    await reading.reload();
  };
  const merge = async (): Promise<void> => {
    const wanted = Number(window.prompt(t("mergePrompt")));
    if (!wanted) return;
    await attempt(async () => {
      const into = await ok(api.GET("/v1/tickets/by-number/{number}", { params: { path: { number: wanted } } }));
      await ok(api.POST("/v1/tickets/{ticket_id}/merge", { params: { path, header: once() }, body: { into: into.id } }));
    });
    await props.desk.reading.reload();
  };
  return (
    <section class="side-part">
      <p class="row">
        {mine && <button type="button" onClick={() => void follow()}>{followed ? t("unfollow") : t("follow")}</button>}
        {can("tickets:write") && !props.ticket.merged_into && <button type="button" onClick={() => void merge()}>{t("merge")}</button>}
      </p>
      {reading.data.value && reading.data.value.followers.length > 0 && <p class="muted small">{t("followers")}: {reading.data.value.followers.map((each) => agentName(each.agent_id)).join(", ")}</p>}
      <ul>
        {reading.data.value?.links.map((link) => {
          const other = link.source_id === path.ticket_id ? link.target_id : link.source_id;
          return <li key={link.id}><span class="muted">{word(link.kind)}</span> <a href={href("tickets", other)}>{t("ticket")}</a></li>;
        })}
      </ul>
    </section>
  );
}

// Every promise to a customer that somebody gave a time for, whoever's ticket it is on: the next one due first.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { myAgent } from "../actions";
import { api, ok, once } from "../api/client";
import type { Schemas } from "../api/client";
import type { Ticket } from "../api/wire";
import { now } from "../live/clock";
import { agentName, people } from "../live/people";
import { useReading } from "../live/reading";
import { href, route, setParams } from "../router";
import { can } from "../session";
import { Loaded } from "../ui/loaded";
import { Choice, Empty, Panel, When } from "../ui/parts";
import { attempt } from "../ui/toast";
import { duration, named } from "../words/format";
import { t, word } from "../words/index";

type Given = Schemas["PromiseOut"];
const STATES = ["open", "broken", "kept", "withdrawn"] as const;
const MOST = 200;

interface Found {
  promises: Given[];
  tickets: Map<string, Ticket>;
  more: boolean;
}

async function find(state: string, mine: boolean): Promise<Found> {
  const me = myAgent();
  const query = { state: [state as Given["state"]], limit: MOST, sort: (state === "open" ? "due_at" : "-due_at") as "due_at", ...(mine && me ? { agent_id: [me] } : {}) };
  const { items, next_cursor } = await ok(api.GET("/v1/promises", { params: { query } }));
  const ids = [...new Set(items.map((each) => each.ticket_id))];
  const about = { ids: ids.join(","), include: "customer", limit: MOST } as never;
  const tickets = ids.length ? ((await ok(api.GET("/v1/tickets", { params: { query: about } }))).items as Ticket[]) : [];
  return { promises: items, tickets: new Map(tickets.map((each) => [each.id, each])), more: next_cursor !== null };
}

export function PromiseList(): JSX.Element {
  const { params } = route.value;
  const state = STATES.find((each) => each === params.get("state")) ?? "open";
  const mine = params.get("whose") === "me";
  const reading = useReading(`promises ${state} ${mine}`, () => find(state, mine), (event) => /^(promise|sla)\./.test(event.type), 500);
  useEffect(() => void people(), []);
  return (
    <div class="page">
      <div class="page-head">
        <h1>{t("promises")}</h1>
        <Choice label={t("status")} value={state} options={STATES} onChoose={(value) => setParams({ state: value })} />
        {myAgent() && <Choice label={t("who")} value={mine ? "me" : ""} options={[["", t("all")], ["me", t("mine")]]} onChoose={(value) => setParams({ whose: value })} />}
      </div>
      <Panel class="flush">
        <Loaded of={reading} lines={8}>
          {({ promises, tickets, more }) => promises.length ? (
            <div class="table-wrap" tabIndex={0} role="region" aria-label={t("promises")}>
              <table>
                <thead><tr><th scope="col" class="col-due">{t("due")}</th><th scope="col">{t("promiseText")}</th><th scope="col">{t("subject")}</th><th scope="col">{t("customer")}</th><th scope="col">{t("promisedWho")}</th><th scope="col"><span class="hidden">{t("change")}</span></th></tr></thead>
                <tbody>{promises.map((each) => <Row key={each.id} promise={each} ticket={tickets.get(each.ticket_id)} />)}</tbody>
              </table>
              {more && <p class="muted more-note">{t("firstOnes", { n: MOST })}</p>}
            </div>
          ) : <Empty title={t(state === "open" ? "noPromises" : "noneSuch")}>{t("noPromisesHint")}</Empty>}
        </Loaded>
      </Panel>
    </div>
  );
}

function Row(props: { promise: Given; ticket: Ticket | undefined }): JSX.Element {
  const { promise, ticket } = props;
  const busy = useSignal(false);
  const due = Date.parse(promise.due_at);
  const late = promise.state === "broken" || (promise.state === "open" && now.value >= due);
  const tone = late ? "late" : promise.state === "kept" ? "kept" : "waiting";
  const keep = async (): Promise<void> => {
    busy.value = true;
    await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/promises/{promise_id}/keep", { params: { path: { ticket_id: promise.ticket_id, promise_id: promise.id }, header: once() } })));
    busy.value = false;
  };
  const left = now.value >= due ? `+${duration((now.value - due) / 1000)}` : duration((due - now.value + 999) / 1000);
  return (
    <tr>
      <td class="col-due"><span class={`due tone-${tone}`}><span class="mark" aria-hidden="true">{late ? "■" : promise.state === "kept" ? "✓" : ""}</span>{promise.state === "open" ? <span class="count">{left}</span> : <When at={promise.kept_at ?? promise.due_at} />}</span></td>
      <td dir="auto">{promise.text}{promise.withdrawn_reason && <span class="muted small"> {promise.withdrawn_reason}</span>}</td>
      <td><a href={href("tickets", promise.ticket_id)} dir="auto">{ticket?.subject ?? t("ticket")}</a></td>
      <td dir="auto">{named(ticket?.customer)}</td>
      <td>{promise.made_by.kind === "agent" ? agentName(promise.made_by.id) : word(promise.made_by.kind)}</td>
      <td>{can("tickets:write") && promise.kept_at === null && promise.withdrawn_at === null && <button type="button" disabled={busy.value} onClick={() => void keep()}>✓ {t("keep")}</button>}</td>
    </tr>
  );
}

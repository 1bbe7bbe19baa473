// What a replay came to: before and after, by metric and segment, and the tickets that change.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { api, ok } from "../api/client";
import type { Schemas } from "../api/client";
import type { Ticket } from "../api/wire";
import { usePolling, useReading } from "../live/reading";
import { href } from "../router";
import { Figures } from "../ui/figures";
import { Loaded } from "../ui/loaded";
import { Empty, Panel } from "../ui/parts";
import { attempt } from "../ui/toast";
import { number, percent, spoken } from "../words/format";
import { t, word } from "../words/index";
import { Progress } from "./what-if";

type Change = Schemas["SimulatedTicket"];
const AT_ONCE = 25;

export function Found(props: { id: string }): JSX.Element {
  const path = { simulation_id: props.id };
  const reading = useReading(`simulation ${props.id}`, () => ok(api.GET("/v1/sla-simulations/{simulation_id}", { params: { path } })));
  usePolling(reading, (found) => found.state !== "done");
  return (
    <Loaded of={reading}>
      {(found) => (
        <>
          <Panel title={t("beforeAfter")}>
            <p role="status"><Progress of={found} /></p>
            {found.tickets_unknown > 0 && <p class="muted small">{t("notReplayed", { n: found.tickets_unknown })}</p>}
            {found.metrics.length ? (
              <>
                <Compared label={t("beforeAfter")} first={t("clocks")} rows={found.metrics.map((each) => [word(each.metric), each])} />
                <h3>{t("segments")}</h3>
                <Compared label={t("segments")} first={t("segment")} rows={found.segments.map((each) => [`${each.segment ?? t("none")} · ${word(each.metric)}`, each])} />
              </>
            ) : found.state === "done" && <Empty title={t("noFigures")}>{t("noReplaysHint")}</Empty>}
          </Panel>
          {found.state === "done" && <Changes id={found.id} />}
        </>
      )}
    </Loaded>
  );
}

function Compared(props: { label: string; first: string; rows: [string, Schemas["SimulatedMetric"]][] }): JSX.Element {
  const both = (name: string): string[] => [`${name}, ${t("before")}`, t("after")];
  const change = (before: number | null, after: number | null, shown: (value: number) => string): JSX.Element | string => {
    if (after === null) return "–";
    const by = before === null ? 0 : after - before;
    return <>{shown(after)} {by !== 0 && <span class="muted small">({by > 0 ? "+" : "−"}{shown(Math.abs(by))})</span>}</>;
  };
  const share = (value: number): string => percent(value, 1);
  return (
    <Figures
      label={props.label}
      heads={[props.first, t("clocksOf"), ...both(t("attainment")), ...both(t("breaches")), ...both(t("plotMean"))]}
      rows={props.rows.map(([name, { before, after }]) => [
        name, number(after.clocks), percent(before.attainment, 1), change(before.attainment, after.attainment, share), number(before.breached), change(before.breached, after.breached, number),
        before.mean_seconds === null ? "–" : spoken(before.mean_seconds), change(before.mean_seconds, after.mean_seconds, spoken),
      ])}
    />
  );
}

interface Page {
  changes: Change[];
  tickets: Map<string, Ticket>;
  next: string | null;
}

async function page(id: string, cursor?: string): Promise<Page> {
  const params = { path: { simulation_id: id }, query: { limit: AT_ONCE, ...(cursor ? { cursor } : {}) } };
  const { items, next_cursor: next } = await ok(api.GET("/v1/sla-simulations/{simulation_id}/tickets", { params }));
  const query = { ids: items.map((each) => each.ticket_id).join(","), limit: AT_ONCE } as never;
  const tickets = items.length ? ((await ok(api.GET("/v1/tickets", { params: { query } }))).items as Ticket[]) : [];
  return { changes: items, tickets: new Map(tickets.map((each) => [each.id, each])), next };
}

/** The tickets of which a clock would have another target, deadline, time or end. */
function Changes(props: { id: string }): JSX.Element {
  const more = useSignal<Page[]>([]);
  const reading = useReading(`changes ${props.id}`, () => page(props.id));
  const fetch = async (cursor: string): Promise<void> => {
    const found = await attempt(() => page(props.id, cursor));
    if (found) more.value = [...more.value, found];
  };
  return (
    <Panel title={t("changedTickets")}>
      <Loaded of={reading}>
        {(first) => {
          const pages = [first, ...more.value];
          const next = pages.at(-1)?.next;
          return first.changes.length ? (
            <>
              <Figures
                label={t("changedTickets")} heads={[t("ticket"), t("clocks"), t("breaches"), t("after")]}
                rows={pages.flatMap(({ changes, tickets }) => changes.map((each) => [
                  <a key={each.ticket_id} href={href("tickets", each.ticket_id)}>{tickets.get(each.ticket_id)?.subject ?? t("ticket")}</a>,
                  each.metrics.map(word).join(", "), each.breaches_before, each.breaches_after,
                ]))}
              />
              {next && <p><button type="button" onClick={() => void fetch(next)}>{t("more")}</button></p>}
            </>
          ) : <Empty title={t("nothingChanges")}>{t("noReplaysHint")}</Empty>;
        }}
      </Loaded>
    </Panel>
  );
}

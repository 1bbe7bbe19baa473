// The queue: every ticket that fits the filters, which are in the address.
import { signal, useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { change, myAgent, takeNext } from "../actions";
import { people } from "../live/people";
import { byUrgency, type Filter, TicketList } from "../live/tickets";
import { focusedTicket, useKeys } from "../keys";
import { route } from "../router";
import { Empty, Failure, Panel, Skeleton } from "../ui/parts";
import { Presence } from "../ui/presence";
import { type Column, TicketTable } from "../ui/ticket-table";
import { attempt } from "../ui/toast";
import { t } from "../words/index";
import { Fresh } from "./board";
import { BulkBar } from "./queue-bulk";
import { Filters, FILTERS } from "./queue-filters";
import { Picker, picking } from "../ui/picker";

const COLUMNS: readonly Column[] = ["select", "due", "number", "subject", "customer", "priority", "channel", "segment", "who", "status"];
const OPEN = "new,open";

function filterOf(params: URLSearchParams): Filter {
  const filter: Filter = {};
  for (const name of FILTERS) {
    const value = params.get(name);
    if (value) filter[name] = value;
  }
  // Spam is closed; what is searched for may be.
  if (filter["status"] === "any") delete filter["status"];
  else filter["status"] ??= filter["q"] || filter["spam"] ? undefined : OPEN;
  if (filter["snoozed"] === "any" || filter["spam"]) delete filter["snoozed"];
  else filter["snoozed"] ??= "false";
  return filter;
}

export function Queue(): JSX.Element {
  const { params } = route.value;
  const name = params.toString();
  const list = useMemo(() => {
    const sort = params.get("sort") ?? (params.get("q") ? undefined : "due_at");
    return new TicketList(filterOf(params), sort, sort === "due_at" ? byUrgency : null);
  }, [name]);
  const chosen = useMemo(() => signal<ReadonlySet<string>>(new Set()), [name]);
  const search = useRef<HTMLInputElement>(null);
  const toggle = (id: string): void => {
    const next = new Set(chosen.value);
    if (!next.delete(id)) next.add(id);
    chosen.value = next;
  };
  useEffect(() => {
    list.start();
    void people();
    return () => list.stop();
  }, [list]);
  const targets = (): string[] => {
    const focused = focusedTicket();
    return chosen.value.size ? [...chosen.value] : focused ? [focused] : [];
  };
  const act = async (ids: string[], patch: Parameters<typeof change>[1]): Promise<void> => {
    if (!ids.length) return;
    await attempt(() => change(ids, patch));
    list.touch(...ids);
    chosen.value = new Set();
  };
  const next = (): void => void attempt(() => takeNext());
  const take = (): void => void (myAgent() && act(targets(), { assignee_id: myAgent() }));
  useKeys({
    x: () => {
      const id = focusedTicket();
      if (id) toggle(id);
    },
    "=": take,
    u: next,
    "/": () => search.current?.focus(),
    a: () => picking("assign", targets(), act),
    p: () => picking("priority", targets(), act),
    s: () => picking("status", targets(), act),
    Escape: () => (chosen.value = new Set()),
  });
  const shown = useComputed(() => list.order.value.length);
  return (
    <div class="queue">
      <div class="page-head">
        <h1>{t("queue")}</h1>
        <span class="muted" role="status">{list.state.value === "ready" ? t("count", { n: shown.value }) : ""}{list.complete.value ? "" : "+"}</span>
        <Fresh list={list} />
        <Presence />
        <button type="button" class="primary push" onClick={next}>{t("next")} <kbd>u</kbd></button>
      </div>
      <Filters search={search} />
      <Panel class="flush">
        {list.failure.value && list.state.value === "loading" ? (
          <Failure of={list.failure.value} retry={() => void list.load()} />
        ) : list.state.value === "loading" ? (
          <Skeleton lines={10} />
        ) : shown.value ? (
          <TicketTable list={list} columns={COLUMNS} selection={{ ids: chosen, toggle }} label={t("queue")} />
        ) : (
          <Empty title={t("noneFound")}>{t("noneFoundHint")}</Empty>
        )}
      </Panel>
      {chosen.value.size > 0 && (
        <BulkBar
          count={chosen.value.size}
          onAll={() => (chosen.value = new Set(list.order.value))}
          onClear={() => (chosen.value = new Set())}
          onChange={(patch) => void act([...chosen.value], patch)}
        />
      )}
      <Picker />
    </div>
  );
}

// One ticket: what was said, what is promised, and the next answer.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { api, ok, once } from "../../api/client";
import { myAgent, takeNext } from "../../actions";
import { people } from "../../live/people";
import { useKeys } from "../../keys";
import { go, href, route } from "../../router";
import { ofPage } from "../../ui/open";
import { Failure, Skeleton } from "../../ui/parts";
import { Picker, picking } from "../../ui/picker";
import { attempt } from "../../ui/toast";
import { t } from "../../words/index";
import { Composer } from "./composer";
import { ConflictNote } from "./conflict";
import { Head } from "./head";
import { Side } from "./side";
import { type Desk, useDesk } from "./state";
import { Thread } from "./thread";

export function TicketPage(): JSX.Element {
  const id = route.value.id ?? "";
  return <OneTicket key={id} id={id} />;
}

function OneTicket(props: { id: string }): JSX.Element {
  const desk = useDesk(props.id);
  const field = useRef<HTMLTextAreaElement>(null);
  const internal = useSignal(false);
  useEffect(() => void people(), []);
  const { data, failure } = desk.reading;
  const write = (note: boolean): void => {
    internal.value = note;
    // The field may belong to the other kind until the page is drawn again.
    setTimeout(() => field.current?.focus());
  };
  const actions = actionsOf(desk);
  const pick = (what: "assign" | "priority" | "status") => (): void => picking(what, [desk.id], async (_, patch) => void (await desk.change(patch)));
  useKeys({
    r: () => write(false), n: () => write(true), "=": actions.take, a: pick("assign"), p: pick("priority"), s: pick("status"),
    e: () => void actions.resolveAndNext(), u: () => void actions.next(), Escape: () => go(href("queue")),
  });
  const commands = [
    { name: t("k_reply"), run: () => write(false) },
    { name: t("k_note"), run: () => write(true) },
    { name: t("handOff"), run: () => void actions.handOff() },
    { name: t("k_resolve"), run: () => void actions.resolveAndNext() },
  ];
  useEffect(() => {
    ofPage.value = commands;
    return () => void (ofPage.value = []);
  }, [props.id]);
  if (failure.value && !data.value) return <Failure of={failure.value} retry={() => void desk.reading.reload()} />;
  const ticket = data.value;
  if (!ticket) return <Skeleton lines={9} />;
  return (
    <div class="ticket">
      <div class="ticket-main">
        <Head ticket={ticket} desk={desk} actions={actions} />
        <ConflictNote desk={desk} />
        <Thread ticket={ticket} />
        <Composer desk={desk} ticket={ticket} field={field} internal={internal} />
      </div>
      <Side ticket={ticket} desk={desk} />
      <Picker />
    </div>
  );
}

export interface Actions {
  take: () => void;
  next: () => Promise<void>;
  resolveAndNext: () => Promise<void>;
  handOff: () => Promise<void>;
}

function actionsOf(desk: Desk): Actions {
  const next = async (): Promise<void> => void (await attempt(() => takeNext(desk.id)));
  return {
    take: () => {
      const mine = myAgent();
      if (mine) void desk.change({ assignee_id: mine });
    },
    next,
    resolveAndNext: async () => {
      if (await desk.change({ status: "resolved" })) await next();
    },
    handOff: async () => {
      const params = { path: { ticket_id: desk.id }, header: once() };
      await attempt(() => ok(api.POST("/v1/tickets/{ticket_id}/handoff", { params })));
      await desk.reading.reload();
    },
  };
}

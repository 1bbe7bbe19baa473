// What can be done to tickets from a list. Each action names its tickets by id: rows may have moved meanwhile.
import { api, ok, once } from "./api/client";
import type { Schemas } from "./api/client";
import type { Ticket } from "./api/wire";
import { presence, readPresence, sayPresence } from "./live/presence";
import { go, href } from "./router";
import { me } from "./session";
import { say } from "./ui/toast";
import { t } from "./words/index";

export type Patch = Schemas["TicketPatch"];
const AT_ONCE = 200;

export const myAgent = (): string | null => me.value?.agent?.id ?? null;

/** Changes tickets, 200 in one request, and says how that went. */
export async function change(ids: readonly string[], patch: Patch): Promise<void> {
  let done = 0;
  const refused: string[] = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const tickets = ids.slice(at, at + AT_ONCE).map((id) => ({ ...patch, id }));
    const { items } = await ok(api.POST("/v1/tickets/bulk", { params: { header: once() }, body: { tickets } }));
    for (const item of items) {
      if (item.status < 300) done += 1;
      else refused.push(item.problem?.detail ?? String(item.status));
    }
  }
  if (refused.length) say(t("notDone", { n: refused.length, detail: refused[0] ?? "" }), true);
  else say(t("done", { n: done }));
}

/** Goes to the ticket to be answered next, and says why it is that one: first what is this agent's and waits, then what
 * the service gives them. Whoever asks for work is there, so that is said first where it was not. */
export async function takeNext(after?: string): Promise<void> {
  if (!myAgent()) return say(t("noAgent"), true);
  const id = (await waitingForMe(after)) ?? (await claimed());
  if (id) go(href("tickets", id));
  else if (after) go(href("queue"));
}

async function waitingForMe(after?: string): Promise<string | undefined> {
  const query = { status: ["new", "open"], assignee_id: "me", snoozed: false, sort: "due_at", limit: 20 } as never;
  const { items } = (await ok(api.GET("/v1/tickets", { params: { query } }))) as { items: Ticket[] };
  return items.find((ticket) => ticket.id !== after && ticket.due_at !== null)?.id;
}

async function claimed(): Promise<string | undefined> {
  await readPresence();
  if (presence.value?.state !== "online") await sayPresence("online");
  const { items, because } = await ok(api.POST("/v1/tickets/claim", { params: { header: once() }, body: {} }));
  say(items[0]?.reason ?? because ?? "");
  return items[0]?.ticket_id;
}

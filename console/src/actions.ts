// What can be done to tickets from a list. Each action names its tickets by id: rows may have moved meanwhile.
import { api, ok, once } from "./api/client";
import type { Schemas } from "./api/client";
import type { Ticket } from "./api/wire";
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

/** The ticket that this agent should answer next: the most urgent one of nobody's, taken; null where there is none. */
export async function takeNext(after?: string): Promise<string | null> {
  const mine = myAgent();
  const query = { status: ["new", "open"], sort: "due_at", limit: 20 } as never;
  const page = (await ok(api.GET("/v1/tickets", { params: { query } }))) as { items: Ticket[] };
  const waiting = page.items.filter((ticket) => ticket.id !== after && ticket.due_at !== null && (!ticket.assignee_id || ticket.assignee_id === mine));
  for (const ticket of waiting) {
    if (ticket.assignee_id === mine || !mine) return ticket.id;
    const header = { "If-Match": `"${ticket.version}"` };
    const answer = await api.PATCH("/v1/tickets/{ticket_id}", { params: { path: { ticket_id: ticket.id }, header }, body: { assignee_id: mine } });
    // Somebody else was faster: the next one.
    if (answer.response.ok) return ticket.id;
    if (answer.response.status !== 412) await ok(Promise.resolve(answer));
  }
  return null;
}

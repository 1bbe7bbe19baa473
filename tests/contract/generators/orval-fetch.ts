import * as api from "./api/api";
import { tour, type Answer } from "./tour";

function told<T, U>(result: { status: number; headers: Headers; data: T | api.Problem }, of: (data: T) => U): Answer<U> {
  const { status, headers, data } = result;
  const answer = { status, header: (name: string) => headers.get(name) };
  return status < 400 ? { ...answer, data: of(data as T) } : { ...answer, problem: data as api.Problem };
}

void tour("orval-fetch", (url, key) => {
  // What it generates calls paths: the service's place is given to fetch.
  const plain = globalThis.fetch;
  globalThis.fetch = (path, options) => plain(`${url}${path}`, options);
  const headers = { Authorization: `Bearer ${key}` };
  return {
    open: async (body, key) =>
      told<api.OpenedTicketOut, api.OpenedTicketOut>(
        await api.createTicket(body, {}, { headers: { ...headers, ...(key ? { "Idempotency-Key": key } : {}) } }), (data) => data),
    answer: async (id, body) =>
      told<api.MessageOut, { ticket: string }>(await api.createMessage(id, { body }, { headers }), (data) => ({ ticket: data.ticket_id })),
    list: async (limit, tag, cursor) =>
      told<api.TicketPage, { items: api.ListedTicketOut[]; next: string | null }>(
        (await api.listTickets({ limit, tag, cursor }, { headers })) as never,
        (data) => ({ items: data.items, next: data.next_cursor })),
    read: async (id) => told<api.TicketOut, api.TicketOut>((await api.getTicket(id, {}, { headers })) as never, (data) => data),
    resolve: async (id, etag) =>
      told<api.TicketOut, api.TicketOut>(
        await api.updateTicket(id, { status: "resolved" }, { headers: { ...headers, "If-Match": etag } }), (data) => data),
  };
});

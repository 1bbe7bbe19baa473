import { createClient } from "./api/client";
import * as api from "./api";
import { tour, type Answer } from "./tour";

interface Result<T> { data?: T | undefined; error?: unknown; response?: Response | undefined }

function told<T, U>({ data, error, response }: Result<T>, of: (data: T) => U): Answer<U> {
  const { status = 0, headers } = response ?? {};
  const answer: Answer<U> = { status, header: (name) => headers?.get(name) ?? null };
  return data === undefined ? { ...answer, problem: error as api.Problem } : { ...answer, data: of(data) };
}

void tour("hey-api", (baseUrl, auth) => {
  const client = createClient({ baseUrl, auth });
  return {
    open: async (body, key) =>
      told(await api.createTicket({ client, body, ...(key ? { headers: { "Idempotency-Key": key } } : {}) }), (data) => data),
    answer: async (ticket_id, body) =>
      told(await api.createMessage({ client, path: { ticket_id }, body: { body } }), (data) => ({ ticket: data.ticket_id })),
    list: async (limit, tag, cursor) =>
      told(await api.listTickets({ client, query: { limit, tag, cursor } }), (data) => {
        if (typeof data === "string") throw new Error("not JSON");
        return { items: data.items, next: data.next_cursor };
      }),
    read: async (ticket_id) => told(await api.getTicket({ client, path: { ticket_id } }), (data) => data),
    resolve: async (ticket_id, etag) =>
      told(
        await api.updateTicket({ client, path: { ticket_id }, headers: { "If-Match": etag }, body: { status: "resolved" } }),
        (data) => data,
      ),
  };
});

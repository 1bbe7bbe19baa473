import axios, { type AxiosResponse } from "axios";
import * as api from "./api/api";
import { tour, type Answer } from "./tour";

async function told<T, U>(asked: Promise<AxiosResponse<T>>, of: (data: T) => U): Promise<Answer<U>> {
  try {
    const { status, headers, data } = await asked;
    return { status, header: (name) => headers[name.toLowerCase()] ?? null, data: of(data) };
  } catch (failed) {
    if (!axios.isAxiosError<api.Problem>(failed) || !failed.response) throw failed;
    return { status: failed.response.status, header: () => null, problem: failed.response.data };
  }
}

void tour("orval-axios", (url, key) => {
  axios.defaults.baseURL = url;
  axios.defaults.headers.common["Authorization"] = `Bearer ${key}`;
  // Repeating a parameter is taken as well as commas; brackets with numbers are not.
  const paramsSerializer = { indexes: null as null };
  const client = api.getNinety();
  return {
    open: (body, key) => told(client.createTicket(body, {}, { headers: key ? { "Idempotency-Key": key } : {} }), (data) => data),
    answer: (id, body) => told(client.createMessage(id, { body }), (data) => ({ ticket: data.ticket_id })),
    list: (limit, tag, cursor) =>
      told(client.listTickets({ limit, tag, cursor }, { paramsSerializer }), (data) => {
        if (typeof data === "string") throw new Error("not JSON");
        return { items: data.items, next: data.next_cursor };
      }),
    read: (id) => told(client.getTicket(id), (data) => data),
    resolve: (id, etag) => told(client.updateTicket(id, { status: "resolved" }, { headers: { "If-Match": etag } }), (data) => data),
  };
});

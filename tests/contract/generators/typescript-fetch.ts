import { Configuration, ResponseError, TicketsApi, type ApiResponse, type Problem } from "./api";
import { tour, type Answer } from "./tour";

async function told<T, U>(asked: Promise<ApiResponse<T>>, of: (data: T) => U): Promise<Answer<U>> {
  try {
    const answer = await asked;
    return { status: answer.raw.status, header: (name) => answer.raw.headers.get(name), data: of(await answer.value()) };
  } catch (failed) {
    if (!(failed instanceof ResponseError)) throw failed;
    const { status, headers } = failed.response;
    return { status, header: (name) => headers.get(name), problem: (await failed.response.json()) as Problem };
  }
}

void tour("typescript-fetch", (basePath, accessToken) => {
  const api = new TicketsApi(new Configuration({ basePath, accessToken }));
  return {
    open: ({ subject, customer, tags }, idempotencyKey) =>
      told(
        api.createTicketRaw({ ticketIn: { subject, customer: customer && { externalId: customer.external_id }, tags }, idempotencyKey }),
        (data) => data,
      ),
    answer: (ticketId, body) => told(api.createMessageRaw({ ticketId, messageIn: { body } }), (data) => ({ ticket: data.ticketId })),
    list: (limit, tag, cursor) =>
      told(api.listTicketsRaw({ limit, tag, cursor }), (data) => ({ items: data.items, next: data.nextCursor })),
    read: (ticketId) => told(api.getTicketRaw({ ticketId }), (data) => data),
    resolve: (ticketId, ifMatch) => told(api.updateTicketRaw({ ticketId, ifMatch, ticketPatch: { status: "resolved" } }), (data) => data),
  };
});

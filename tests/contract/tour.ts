// A tour through the generated TypeScript client: tour.ts URL KEY. Types are checked strictly.
import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Ticket = components["schemas"]["TicketOut"];
const [url, key] = process.argv.slice(2);
assert(url && key, "tour.ts URL KEY");
const client: Client<paths> = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

async function opened(subject: string): Promise<Ticket> {
  const { data, error } = await client.POST("/v1/tickets", {
    body: { subject, customer: { external_id: "ts-tour" }, tags: ["ts-tour"] },
  });
  assert(data, error?.detail);
  assert.equal(data.status, "new");
  return data;
}

async function askedTwice(): Promise<void> {
  const once = () =>
    client.POST("/v1/tickets", {
      params: { header: { "Idempotency-Key": "ts-tour-1" } },
      body: { subject: "Once", customer: { external_id: "ts-twice" } },
    });
  const [first, second] = [await once(), await once()];
  assert.equal(second.response.status, 201);
  assert.deepEqual(second.data, first.data);
  assert.equal(second.response.headers.get("Idempotency-Replayed"), "true");
}

async function refused(): Promise<void> {
  const { data, error, response } = await client.POST("/v1/tickets", { body: { subject: "" } });
  assert.equal(data, undefined);
  assert.equal(response.status, 422);
  assert.equal(error?.code, "invalid");
  assert.deepEqual(error?.errors?.map((each) => each.pointer), ["/subject"]);
}

async function answered(ticket: Ticket): Promise<void> {
  const { data, error } = await client.POST("/v1/tickets/{ticket_id}/messages", {
    params: { path: { ticket_id: ticket.id } },
    body: { body: "It is on its way." },
  });
  assert(data, error?.detail);
  assert.equal(data.ticket_id, ticket.id);
}

async function listed(expected: Set<string>): Promise<void> {
  const found = new Set<string>();
  let cursor: string | null = null;
  do {
    const { data, error }: { data?: components["schemas"]["TicketPage"]; error?: components["schemas"]["Problem"] } =
      await client.GET("/v1/tickets", {
        params: { query: { limit: 2, tag: ["ts-tour"], ...(cursor === null ? {} : { cursor }) } },
      });
    assert(data, error?.detail);
    assert(data.items.length <= 2);
    data.items.forEach((ticket) => found.add(ticket.id));
    cursor = data.next_cursor;
  } while (cursor !== null);
  assert.deepEqual(found, expected);
}

async function resolved(ticket: Ticket): Promise<void> {
  const path = { ticket_id: ticket.id };
  const before = await client.GET("/v1/tickets/{ticket_id}", { params: { path } });
  const etag = before.response.headers.get("ETag");
  assert(etag);
  const resolve = () =>
    client.PATCH("/v1/tickets/{ticket_id}", {
      params: { path, header: { "If-Match": etag } },
      body: { status: "resolved" },
    });
  const [first, late] = [await resolve(), await resolve()];
  assert.equal(first.data?.status, "resolved");
  assert.equal(late.response.status, 412);
  assert.equal(late.error?.code, "precondition_failed");
}

const tickets = [await opened("Lost card 0"), await opened("Lost card 1"), await opened("Lost card 2")];
const [ticket] = tickets;
assert(ticket);
await askedTwice();
await refused();
await answered(ticket);
await listed(new Set(tickets.map((each) => each.id)));
await resolved(ticket);
console.log("TypeScript: opened, asked twice, refused, answered, listed by pages, resolved under its ETag");

// The tour through a generated client: what each does of its own stands in the adapter beside this file.
import assert from "node:assert/strict";

export interface Answer<T> {
  status: number;
  header: (name: string) => string | null;
  data?: T;
  problem?: { code: string; errors?: { pointer: string }[] | null };
}
interface Ticket {
  id: string;
  status: string;
}
export interface Opening {
  subject: string;
  customer?: { external_id: string };
  tags?: string[];
}
export interface Client {
  open(body: Opening, key?: string): Promise<Answer<Ticket>>;
  answer(id: string, body: string): Promise<Answer<{ ticket: string }>>;
  list(limit: number, tag: string[], cursor?: string): Promise<Answer<{ items: Ticket[]; next: string | null }>>;
  read(id: string): Promise<Answer<Ticket>>;
  resolve(id: string, etag: string): Promise<Answer<Ticket>>;
}

export async function tour(name: string, of: (url: string, key: string) => Client): Promise<void> {
  const [url, key] = process.argv.slice(2);
  assert(url && key, "URL KEY");
  const client = of(url, key);
  const ids: string[] = [];
  for (const subject of ["Lost card 0", "Lost card 1", "Lost card 2"]) {
    const { data, status } = await client.open({ subject, customer: { external_id: name }, tags: [name] });
    assert.deepEqual([status, data?.status], [201, "new"]);
    ids.push(data?.id ?? "");
  }
  const once = () => client.open({ subject: "Once", customer: { external_id: `${name}-twice` } }, `${name}-1`);
  const [first, second] = [await once(), await once()];
  assert.equal(second.data?.id, first.data?.id);
  assert.equal(second.header("Idempotency-Replayed"), "true");

  const refused = await client.open({ subject: "" });
  assert.deepEqual([refused.status, refused.problem?.code, refused.problem?.errors?.[0]?.pointer], [422, "invalid", "/subject"]);

  const [id] = ids;
  assert(id);
  assert.equal((await client.answer(id, "It is on its way.")).data?.ticket, id);

  const found = new Set<string>();
  let cursor: string | null | undefined;
  do {
    const { data }: Answer<{ items: Ticket[]; next: string | null }> = await client.list(2, [name], cursor ?? undefined);
    assert(data && data.items.length <= 2);
    data.items.forEach((ticket) => found.add(ticket.id));
    cursor = data.next;
  } while (cursor);
  assert.deepEqual(found, new Set(ids));

  const etag = (await client.read(id)).header("ETag");
  assert(etag);
  assert.equal((await client.resolve(id, etag)).data?.status, "resolved");
  const late = await client.resolve(id, etag);
  assert.deepEqual([late.status, late.problem?.code], [412, "precondition_failed"]);
}

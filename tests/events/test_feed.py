"""The export: everything, in order, once, also while others write for seconds; and to each what they may know.
`NINETY_FEED_EVENTS=100000` writes so many beside it, in transactions that stay open for up to three seconds."""

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from pydantic import TypeAdapter

from app.db import Database
from app.events import catalogue, feed
from tests.conftest import Person
from tests.events.streaming import feed_of
from tests.sla.scenes import Sql
from tests.tickets.verified import good

EVENT: TypeAdapter[Any] = TypeAdapter(catalogue.Event)
Open = Callable[..., Awaitable[dict[str, Any]]]
_WRITE = """INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)
    SELECT 'ticket.erased', now(), 'system', $1::uuid, '{}' FROM generate_series(1, $2) RETURNING id"""


async def _writer(url: str, transactions: int, rows: int, longest: float, rng: random.Random) -> set[int]:
    """Transactions that stay open for a while, some of which come to nothing; the ids of what was committed."""
    connection = await asyncpg.connect(url)
    written: set[int] = set()
    try:
        for _ in range(transactions):
            transaction = connection.transaction()
            await transaction.start()
            ids = {row["id"] for row in await connection.fetch(_WRITE, uuid4(), rows)}
            await asyncio.sleep(rng.uniform(0, longest))
            if rng.random() < 0.1:
                await transaction.rollback()
            else:
                await transaction.commit()
                written |= ids
    finally:
        await connection.close()
    return written


async def read_beside_writers(
    db: Database, url: str, writers: int, transactions: int, rows: int, longest: float
) -> int:
    """Read the feed while writers stay open, and compare with what they committed; how much that was."""
    rng = random.Random(6)
    async with db.transaction() as tx:
        after = await feed.end(tx)
    tasks = [asyncio.create_task(_writer(url, transactions, rows, longest, rng)) for _ in range(writers)]
    all_written = asyncio.gather(*tasks)
    seen: list[feed.Position] = []
    # The oldest running transaction may be somebody else's on this server: what is held back by it comes later.
    async with asyncio.timeout(120):
        while not all_written.done() or len(seen) < len(set().union(*all_written.result())):
            async with db.transaction() as tx:
                page = await feed.read(tx, after, 700)
            assert page is not None
            seen += [feed.position_of(row) for row in page.rows]
            after = page.next
            await asyncio.sleep(0 if page.more else 0.01)
    written = set().union(*all_written.result())
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen))
    assert {position.id for position in seen} == written
    return len(written)


async def test_nothing_is_skipped_and_nothing_comes_twice_beside_writers_that_stay_open(
    db: Database, database_url: str
) -> None:
    if events := int(os.environ.get("NINETY_FEED_EVENTS", "0")):
        # A tenth comes to nothing.
        written = await read_beside_writers(db, database_url, 30, 36, events // 900, 3.0)
    else:
        written = await read_beside_writers(db, database_url, 6, 12, 20, 0.3)
    assert written > max(500, events)


async def test_an_event_is_what_its_schema_says_and_the_pages_are_the_whole(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    await client.post(f"{path}/messages", json={"body": "Yes."})
    await client.post(f"{path}/messages", json={"body": "Between us.", "visibility": "internal"})
    await client.patch(path, json={"priority": "high", "tags": ["vip"], "subject": "Other words"})
    await client.patch(path, json={"status": "resolved"})
    items = await feed_of(client, limit=3)
    assert len(items) == await sql.fetchval("SELECT count(*) FROM events")
    assert items == await feed_of(client, limit=5000)
    for item in items:
        again = EVENT.dump_json(EVENT.validate_json(json.dumps(item), strict=False), by_alias=True)
        assert json.loads(again) == item
    of_ticket = await feed_of(client, f"&ticket_id={ticket['id']}")
    assert of_ticket == [item for item in items if item["ticket_id"] == ticket["id"]]
    [updated] = [item for item in of_ticket if item["type"] == "ticket.updated"]
    assert updated["data"]["changed"] == ["priority", "subject", "tags"]
    assert updated["data"]["after"]["priority"] == "high"
    assert "Other words" not in json.dumps(items)
    versions = [(item["type"], item["ticket_version"]) for item in of_ticket]
    current = (await client.get(path)).json()["version"]
    assert versions[0] == ("ticket.created", 1)
    assert ("ticket.status_changed", current) in versions
    [note] = [item for item in of_ticket if item["data"].get("visibility") == "internal"]
    assert note["ticket_version"] is None


async def test_filters_and_ndjson_are_the_same_events(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for _ in range(3):
        await open_ticket()
    every = await feed_of(client)
    wanted = [item for item in every if item["type"] in ("ticket.created", "message.created")]
    assert await feed_of(client, "&types=ticket.created,message.created", limit=2) == wanted
    answer = await client.get("/v1/events?limit=5000", headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == every
    assert "link" not in answer.headers
    first = await client.get("/v1/events?limit=2", headers={"Accept": "application/x-ndjson"})
    assert (await client.get(first.links["next"]["url"])).json()["items"] == every[2:4]
    assert f"after={first.headers['next-position']}" in first.headers["link"]
    after = every[4]["position"]
    assert await feed_of(client, f"&after={after}") == every[5:]


async def test_what_no_filter_fits_still_goes_on(client: httpx.AsyncClient, sql: Sql, open_ticket: Open) -> None:
    """A page looks at so much and no more: it is empty, and says where to go on."""
    await sql.fetch(_WRITE, uuid4(), feed.STRETCH + 10)
    await open_ticket()
    first = (await client.get("/v1/events?types=ticket.created")).json()
    assert (first["items"], first["has_more"]) == ([], True)
    second = (await client.get(f"/v1/events?types=ticket.created&after={first['next_position']}")).json()
    assert [item["type"] for item in second["items"]] == ["ticket.created"]
    assert not second["has_more"]


async def test_a_position_that_was_never_given_is_refused(client: httpx.AsyncClient) -> None:
    for wrong in (
        "x",
        "1.0",
        "1.0.0.0",
        "0.0.0",
        "2.0.0",
        "1.ffffffffffffffff.0",
        "-1.0.0",
        "1.0.ffffffffffffffff",
        "1.0.0 ",
    ):
        for path in ("/v1/events", "/v1/events/stream"):
            answer = await client.get(path, params={"after": wrong})
            assert answer.status_code == 422, (wrong, answer.text)
            assert answer.json()["errors"][0]["pointer"] == "/query/after"


async def test_customers_are_told_of_their_own_tickets_and_nothing_internal(
    client: httpx.AsyncClient, open_ticket: Open, person: Callable[..., Awaitable[Person]]
) -> None:
    customer = await person("customer")
    mine = await open_ticket(customer={"id": str(customer.id)})
    theirs = await open_ticket(customer={"external_id": "canary"})
    for ticket in (mine, theirs):
        path = f"/v1/tickets/{ticket['id']}"
        await client.post(f"{path}/messages", json={"body": "Note.", "visibility": "internal"})
        await client.post(f"{path}/messages", json={"body": "Answer."})
        await client.patch(path, json={"priority": "urgent"})
    for query in ("", f"&ticket_id={mine['id']}", "&types=message.created,ticket.created,ticket.status_changed"):
        items = await feed_of(customer.http, query)
        assert [item["type"] for item in items] == [
            "ticket.created", "message.created", "message.created", "ticket.status_changed",
        ]  # fmt: skip
        assert {item["ticket_id"] for item in items} == {mine["id"]}
        assert items[0]["data"]["policy_id"] is None
        assert "internal" not in json.dumps(items)
    assert await feed_of(customer.http, f"&ticket_id={theirs['id']}") == []
    assert await feed_of(customer.http, "&types=sla.at_risk,ticket.updated,api_key.created") == []


async def test_who_may_not_read_keys_is_not_told_of_them(person: Callable[..., Awaitable[Person]]) -> None:
    service = await person("service", scopes=["events:read"])
    both = await person("service", scopes=["events:read", "keys:read"])
    assert "api_key.created" not in {item["type"] for item in await feed_of(service.http)}
    assert "api_key.created" in {item["type"] for item in await feed_of(both.http)}


async def test_an_erased_customers_events_are_still_what_the_document_says(client: httpx.AsyncClient) -> None:
    customer = good(await client.post("/v1/customers", json={"name": "N"}))
    segment = good(await client.post("/v1/segments", json={"key": "s", "name": "S"}))
    whose = {"customer_id": customer["id"], "reason": "R"}
    good(await client.post("/v1/api-keys", json={"name": "k", "role": "customer", "customer_id": customer["id"]}))
    good(await client.post(f"/v1/segments/{segment['id']}/overrides", json={**whose, "effect": "include"}))
    good(await client.post("/v1/sla-exceptions", json={**whose, "scope": "customer", "effect": "exclude"}))
    good(await client.post("/v1/tickets", json={"subject": "S", "customer": {"id": customer["id"]}}))
    good(await client.post(f"/v1/customers/{customer['id']}/erase"))
    items = good(await client.get("/v1/events?limit=200"))["items"]
    assert {"api_key.created", "sla_exception.granted", "segment_override.created"} <= {each["type"] for each in items}
    for each in items:
        EVENT.validate_json(json.dumps(each))

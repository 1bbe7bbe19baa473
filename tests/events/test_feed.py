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
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import TypeAdapter

from app.db import Database
from app.events import catalogue, feed
from tests.conftest import Person
from tests.support.sla import Sql
from tests.support.streams import feed_of
from tests.support.verification import good

EVENT: TypeAdapter[Any] = TypeAdapter(catalogue.AuditEntry)
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
    assert of_ticket == [item for item in items if item.get("ticketid") == ticket["id"]]
    [updated] = [item for item in of_ticket if item["type"] == "ticket.updated"]
    assert updated["data"]["changed"] == ["priority", "subject", "tags"]
    assert updated["data"]["after"]["priority"] == "high"
    assert "Other words" not in json.dumps(items)
    versions = [(item["type"], item.get("ticketversion")) for item in of_ticket]
    current = (await client.get(path)).json()["version"]
    assert versions[0] == ("ticket.created", 1)
    assert ("ticket.status_changed", current) in versions
    [note] = [item for item in of_ticket if item["data"].get("visibility") == "internal"]
    assert "ticketversion" not in note


@pytest.mark.parametrize("by_lines", ["application/jsonl", "application/x-ndjson"])
async def test_filters_and_lines_are_the_same_events(
    client: httpx.AsyncClient, open_ticket: Open, by_lines: str
) -> None:
    for _ in range(3):
        await open_ticket()
    every = await feed_of(client)
    wanted = [item for item in every if item["type"] in ("ticket.created", "message.created")]
    assert await feed_of(client, "&types=ticket.created,message.created", limit=2) == wanted
    answer = await client.get("/v1/events?limit=5000", headers={"Accept": by_lines})
    assert answer.headers["content-type"] == by_lines
    assert [json.loads(line) for line in answer.text.splitlines()] == every
    assert "link" not in answer.headers
    first = await client.get("/v1/events?limit=2", headers={"Accept": by_lines})
    assert (await client.get(first.links["next"]["url"])).json()["items"] == every[2:4]
    assert f"after={first.headers['next-position']}" in first.headers["link"]
    after = every[4]["position"]
    assert await feed_of(client, f"&after={after}") == every[5:]


async def test_positions_sort_as_text_in_the_order_of_the_feed(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for _ in range(3):
        await open_ticket()
    places = [item["position"] for item in await feed_of(client)]
    assert places == sorted(places)
    assert str(feed.Position(1, 0x10, 2)) > str(feed.Position(1, 0xF, 0xFFF))


async def test_the_newest_come_first_where_asked_and_page_towards_older_ones(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    first = await open_ticket()
    await sql.fetch(_WRITE, uuid4(), feed.STRETCH + 10)
    await open_ticket()
    every = await feed_of(client, limit=5000)
    back, query = [], "order=desc&limit=5000"
    while True:
        answer = (await client.get(f"/v1/events?{query}")).json()
        back += answer["items"]
        if not answer["has_more"]:
            break
        query = f"order=desc&limit=5000&after={answer['next_position']}"
    assert back == every[::-1]
    newest = (await client.get("/v1/events?order=desc&limit=3&types=ticket.created")).json()
    assert newest["items"][0] == [item for item in every if item["type"] == "ticket.created"][-1]
    of_first = (await client.get(f"/v1/events?order=desc&ticket_id={first['id']}")).json()["items"]
    assert of_first == [item for item in every if item.get("ticketid") == first["id"]][::-1]


async def test_from_and_to_bound_when_an_event_was_written(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for _ in range(3):
        await open_ticket()
    every = await feed_of(client)
    start, end = every[2]["recordedat"], every[-2]["recordedat"]
    for order in ("asc", "desc"):
        found = (await client.get("/v1/events", params={"from": start, "to": end, "order": order})).json()["items"]
        wanted = [item for item in every if start <= item["recordedat"] < end]
        assert found == (wanted if order == "asc" else wanted[::-1])
        assert wanted


async def test_a_batch_is_what_the_official_sdk_parses(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Yes."})
    accept = {"Accept": "application/cloudevents-batch+json"}
    answer = await client.get("/v1/events?limit=5000", headers=accept)
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    items = answer.json()
    assert items == await feed_of(client)
    for item in items:
        event = JSONFormat().read(CloudEvent, json.dumps(item).encode())
        assert event.get_type() == item["type"]
        assert event.get_attributes().get("ticketid") == item.get("ticketid")


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
        assert {item["ticketid"] for item in items} == {mine["id"]}
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
    context = {"customer_id": customer["id"], "reason": "R"}
    good(await client.post("/v1/api-keys", json={"name": "k", "role": "customer", "customer_id": customer["id"]}))
    good(await client.post(f"/v1/segments/{segment['id']}/overrides", json={**context, "effect": "include"}))
    good(await client.post("/v1/sla-exceptions", json={**context, "scope": "customer", "effect": "exclude"}))
    good(await client.post("/v1/tickets", json={"subject": "S", "customer": {"id": customer["id"]}}))
    good(await client.post(f"/v1/customers/{customer['id']}/erase"))
    items = good(await client.get("/v1/events?limit=200"))["items"]
    assert {"api_key.created", "sla_exception.granted", "segment_override.created"} <= {each["type"] for each in items}
    for each in items:
        EVENT.validate_json(json.dumps(each))


async def test_the_audit_and_the_feed_are_one_event(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]]
) -> None:
    customer = await person("customer")
    body = {"subject": "S", "description": "D", "customer": {"id": str(customer.id)}}
    ticket = good(await client.post("/v1/tickets", json=body))
    path = f"/v1/tickets/{ticket['id']}"
    good(await client.patch(path, json={"priority": "high", "status": "pending"}))
    for who in (client, customer.http):
        audit = good(await who.get(f"{path}/events?limit=200"))["items"]
        feed = good(await who.get("/v1/events", params={"ticket_id": ticket["id"], "limit": 200}))["items"]
        assert audit == feed
        assert len(audit) >= 3

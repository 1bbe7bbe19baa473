"""A log with a past, whose server changes, and what everybody who follows it makes of one new ticket."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import httpx

from tests.support.sla import Sql
from tests.support.verification import Body, good

# Of each reader, whether it has made something of a ticket.
SEEN = {
    "webhooks": "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE about_id = $1)",
    "search": "SELECT EXISTS (SELECT FROM ticket_search WHERE ticket_id = $1)",
    "segments": """SELECT EXISTS (
        SELECT FROM segment_members m JOIN tickets t ON t.customer_id = m.customer_id WHERE t.id = $1)""",
}
_PAST = """INSERT INTO events (type, occurred_at, recorded_at, actor_kind, subject_id, data)
    SELECT 'ticket.erased', now() - interval '2 days', now() - interval '2 days', 'system', $1::uuid, '{}'
    FROM generate_series(1, $2::int)"""


async def give_readers(http: httpx.AsyncClient, url: str = "https://hooks.example.com/in") -> None:
    """All three that keep a position: webhooks, the search index, and figures of segments."""
    good(await http.post("/v1/webhooks", json={"url": url, "types": ["ticket.created"]}))
    rule = {"field": "customer.open_tickets", "op": "gte", "value": 1}
    good(await http.post("/v1/segments", json={"key": "asking", "name": "Asking", "rule": rule}))


async def write_past(sql: Sql, events: int) -> None:
    """In an earlier transaction than all that follow."""
    await sql.execute(_PAST, uuid4(), events)


async def new_ticket(http: httpx.AsyncClient) -> Body:
    return good(await http.post("/v1/tickets", json={"subject": "New", "customer": {"external_id": uuid4().hex}}))


async def unseen(sql: Sql, ticket: Body) -> list[str]:
    """Which readers have made nothing of it yet."""
    return [name for name, statement in SEEN.items() if not await sql.fetchval(statement, UUID(ticket["id"]))]


async def stand_at_the_end(sql: Sql) -> None:
    """Readers that have read all there is, which for a million events would take them a while."""
    await sql.execute(
        "INSERT INTO event_readers (name, xid, event_id, epoch)"
        " SELECT reader, e.xid, e.id, e.epoch FROM unnest($1::text[]) AS reader,"
        " (SELECT * FROM events ORDER BY epoch DESC, xid DESC, id DESC LIMIT 1) AS e"
        " ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, event_id = excluded.event_id, epoch = excluded.epoch",
        list(SEEN),
    )


async def seconds_until_seen(sql: Sql, ticket: Body, since: float, seconds: float = 30) -> dict[str, float]:
    """Of each reader, how long after `since` (monotonic) it had made something of the ticket."""
    took: dict[str, float] = {}
    async with asyncio.timeout(seconds):
        while len(took) < len(SEEN):
            missing = await unseen(sql, ticket)
            took |= {name: time.monotonic() - since for name in SEEN if name not in missing and name not in took}
            await asyncio.sleep(0.01)
    return took


async def first_new(http: httpx.AsyncClient, after: str, fits: Callable[[Body], bool], query: str = "") -> int:
    """Pages of the feed from `after` until an event fits."""
    pages = 0
    while True:
        pages += 1
        page = good(await http.get(f"/v1/events?after={after}{query}"))
        if any(map(fits, page["items"])):
            return pages
        assert page["has_more"], "it is not in the feed"
        after = page["next_position"]

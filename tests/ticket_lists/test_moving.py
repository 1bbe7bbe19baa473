"""Whoever follows the cursors sees every ticket that matched throughout, in every order, also those that others move
meanwhile to where the walk has been."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import Database
from app.ticket_lists.clauses import OWN_SOURCES, SOURCES
from app.ticket_lists.listing import OwnTickets, Tickets
from app.ticket_lists.schemas import TicketOrder
from app.tickets.clock_lists import CLOCKS
from app.web.bounded_listing import BoundedListing, ScanLimits
from app.web.paging import Key
from tests.support.sla import Sql
from tests.support.world import World

_ORDERS = sorted({order.value for order in TicketOrder} - {"relevance"})
_REACHES = {"stock": ScanLimits(), "tiny": ScanLimits(scan=4, long_stretch=6, selective_enough=3)}
_START = datetime(2026, 1, 1, tzinfo=UTC)
_MOVES = (
    "priority = 'urgent'", "priority = 'low'", "status = 'resolved'", "status = 'open'",
    "due_at = '2026-01-01'", "due_at = NULL", "subject = 'Other'",
)  # fmt: skip
_INSERT = """INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, tags, custom_fields,
    created_at, updated_at, due_at, product)
    SELECT gen_random_uuid(), 'S', 'open', (ARRAY['low', 'normal', 'high'])[1 + n % 3], 'question', 'web', $1, '{}',
        '{}', $2::timestamptz + n * interval '1 minute', $2::timestamptz + n * interval '1 minute',
        CASE WHEN n % 4 > 0 THEN $2::timestamptz + (n * 7 % 13) * interval '1 hour' END, 'moved'
    FROM generate_series(1, $3) AS n"""
_moves = st.lists(st.lists(st.tuples(st.integers(0, 13), st.sampled_from(_MOVES)), max_size=4), max_size=8)


async def _fill(sql: Sql, customer: UUID, count: int = 14) -> list[UUID]:
    await sql.execute("TRUNCATE tickets CASCADE")
    await sql.execute(_INSERT, customer, _START, count)
    return [row["id"] for row in await sql.fetch("SELECT id FROM tickets ORDER BY created_at")]


async def _move(sql: Sql, id_: UUID, change: str) -> None:
    await sql.execute(f"UPDATE tickets SET {change}, updated_at = clock_timestamp() WHERE id = $1", id_)


def _listing(reach: str, own: bool) -> Tickets:
    return OwnTickets("own", OWN_SOURCES, _REACHES[reach]) if own else Tickets("all", SOURCES, _REACHES[reach])


async def _seen(
    db: Database,
    listing: BoundedListing,
    order: str,
    where: dict[str, object],
    writes: Callable[[int], Any],
    limit: int = 3,
) -> list[UUID]:
    """All pages, with a write after each."""
    found: list[UUID] = []
    after: Key | None = None
    for turn in range(200):
        async with db.transaction() as tx:
            rows, after = await listing.fetch(tx, where, order, limit, after)
        assert len(rows) <= limit
        assert len({row["id"] for row in rows}) == len(rows)
        found += [row["id"] for row in rows]
        if after is None:
            return found
        await writes(turn)
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("order", _ORDERS)
async def test_what_matched_throughout_and_moved_is_seen(world: World, order: str) -> None:
    sql, loop, db = world.sql, asyncio.get_running_loop(), world.app.state.db
    customer = UUID(world.customer)

    async def check(moves: Sequence[Sequence[tuple[int, str]]], reach: str, own: bool, product: bool) -> None:
        ids = await _fill(sql, customer)

        async def write(turn: int) -> None:
            for index, change in moves[turn] if turn < len(moves) else ():
                await _move(sql, ids[index], change)

        where: dict[str, object] = {"product": ("moved",)} if product else {}
        where |= {"customer_id": (customer,)} if own else {}
        found = await _seen(db, _listing(reach, own), order, where, write)
        assert set(found) == set(ids)
        if not any(moves):
            assert len(found) == len(ids)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_moves, st.sampled_from(sorted(_REACHES)), st.booleans(), st.booleans())
    def checked(moves: Any, reach: str, own: bool, product: bool) -> None:
        asyncio.run_coroutine_threadsafe(check(moves, reach, own, product), loop).result(60)

    await asyncio.to_thread(checked)


@pytest.mark.parametrize("order", ["-updated_at", "priority", "due_at", "-due_at"])
async def test_what_was_being_moved_when_the_walk_began_and_is_committed_later_is_seen(
    world: World, order: str
) -> None:
    ids = await _fill(world.sql, UUID(world.customer))
    other = await asyncpg.connect(world.app.state.settings.database_url)
    transaction = other.transaction()
    try:
        await transaction.start()
        for id_ in ids:
            change = "priority = 'urgent', due_at = '2025-01-01', updated_at = clock_timestamp()"
            await other.execute(f"UPDATE tickets SET {change} WHERE id = $1", id_)
        await asyncio.sleep(0.05)

        async def write(turn: int) -> None:
            if turn == 1:
                await transaction.commit()

        found = await _seen(world.app.state.db, _listing("stock", False), order, {}, write)
        assert set(found) == set(ids)
    finally:
        await other.close()


async def test_two_of_thirty_that_move_between_two_pages_are_not_missed(world: World) -> None:
    """As it was reported, over HTTP; what never moved comes once, and the list comes to an end."""
    ids = await _fill(world.sql, UUID(world.customer), 30)
    params = {"sort": "-updated_at", "limit": "10"}
    found: list[str] = []
    for turn in range(10):
        page = (await world.admin.get("/v1/tickets", params=params)).json()
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
        if turn == 0:
            for id_ in ids[:2]:
                await _move(world.sql, id_, "subject = 'Other'")
    assert sorted(found) == sorted(map(str, ids))


async def test_a_ticket_that_came_meanwhile_is_no_reason_to_go_on_for_ever(world: World) -> None:
    ids = await _fill(world.sql, UUID(world.customer))

    async def write(_turn: int) -> None:
        await world.sql.execute(
            "INSERT INTO tickets SELECT (jsonb_populate_record(t, jsonb_build_object('id', $1::uuid, 'number', "
            "t.number + 100000, 'created_at', clock_timestamp(), 'updated_at', clock_timestamp()))).* "
            "FROM tickets t ORDER BY number DESC LIMIT 1", uuid4(),
        )  # fmt: skip

    found = await _seen(world.app.state.db, _listing("stock", False), "-updated_at", {}, write)
    assert set(ids) <= set(found)
    assert timedelta(0) < timedelta(seconds=len(found))


@pytest.mark.parametrize("order", ["due_at", "-due_at", "started_at"])
async def test_a_clock_whose_deadline_moves_while_the_list_is_read_is_seen(world: World, order: str) -> None:
    sql, db = world.sql, world.app.state.db
    ids = await _fill(sql, UUID(world.customer))
    await sql.execute(
        "INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, target_seconds, warn_at_percent, bot_counts,"
        " warnings, due_at) SELECT id, id, 'first_response', 1, created_at, 60, '{}', false, '{}',"
        " created_at + number % 7 * interval '1 hour' FROM tickets"
    )

    async def write(turn: int) -> None:
        for id_, due in ((ids[turn], "2025-01-01"), (ids[-1 - turn], "2027-01-01")) if turn < 7 else ():
            async with sql.transaction():
                await sql.execute(f"UPDATE sla_clocks SET due_at = '{due}' WHERE id = $1", id_)
                await _move(sql, id_, "subject = 'Other'")

    found = await _seen(db, CLOCKS, order, {"has_target": True, "open": True}, write)
    assert set(found) == set(ids)

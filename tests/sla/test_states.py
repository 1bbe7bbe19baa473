"""A clock's state is said twice, by the core and by SQL. They must say the same."""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from app.db import Database, Query
from app.sla import clocks
from app.sla.core.clock import ClockState
from app.sla.tables import sla_clocks
from tests.support.sla import Sql

_INSERT = """
    INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, target_seconds, promised_seconds, warn_at_percent,
        warnings, bot_counts, due_at, stopped_at, ended_at, ended_reason, pauses)
    VALUES ($1, $2::text::uuid, 'first_response', $3, $4, $5, $5, '{}', '{}', false, $6, $7, $8, $9, $10)
"""
_STATES = Query(
    select(
        sla_clocks,
        func.clock_timestamp().label("now"),
        *(is_.label(f"is_{state}") for state, is_ in clocks.IS_STATE.items()),
    )
)
_MICROSECOND = timedelta(microseconds=1)


def _every_kind_of_clock(now: datetime) -> list[tuple[Any, ...]]:
    """Deadlines before, at and after the end, or `now`, by a microsecond and by more."""
    rows: list[tuple[Any, ...]] = []
    offsets = [timedelta(hours=-1), -_MICROSECOND, timedelta(0), _MICROSECOND, timedelta(hours=1)]
    for target, offset, how in product(
        [None, 1, 100, 100_000], offsets, ["runs", "paused", "answered", "gave up", "resolved"]
    ):
        ended_at = None if how in ("runs", "paused") else now - timedelta(seconds=30)
        # A deadline within microseconds of now would pass between the two readings of the clock.
        apart = offset if ended_at or abs(offset) > _MICROSECOND else timedelta(minutes=5)
        started_at = (ended_at or now) + apart - timedelta(seconds=target or 200)
        if ended_at and ended_at < started_at:
            continue
        due_at = started_at + timedelta(seconds=target) if target else None
        reason = {"gave up": "closed_by_customer", "resolved": "resolved_without_response"}.get(how)
        # Held up by a pause unless the deadline came before it.
        pauses = [now - timedelta(minutes=1)] if how == "paused" and started_at < now - timedelta(minutes=1) else []
        if pauses and due_at and due_at >= pauses[0]:
            due_at = None
        stopped_at = ended_at if how == "answered" else None
        rows.append((started_at, target, due_at, stopped_at, ended_at, reason, pauses))
    return rows


async def test_the_states_in_sql_are_those_of_the_core(db: Database, sql: Sql, open_ticket: Any) -> None:
    ticket = await open_ticket()
    now = await sql.fetchval("SELECT clock_timestamp()")
    made = _every_kind_of_clock(now)
    await sql.executemany(_INSERT, [(uuid7(), ticket["id"], n, *row) for n, row in enumerate(made, start=2)])
    async with db.transaction() as tx:
        rows = await tx.rows(_STATES)
    assert len(rows) == len(made) + 2
    for row in rows:
        in_sql = [state for state in ClockState if row[f"is_{state}"]]
        assert in_sql == [clocks.as_clock(row, {}).state(row["now"])], dict(row)
    assert {state for row in rows for state in ClockState if row[f"is_{state}"]} == set(ClockState)


async def test_every_state_can_be_asked_for_and_the_answers_share_nothing(
    client: Any, sql: Sql, open_ticket: Any
) -> None:
    ticket = await open_ticket()
    now = await sql.fetchval("SELECT clock_timestamp()")
    made = _every_kind_of_clock(now)
    await sql.executemany(_INSERT, [(uuid7(), ticket["id"], n, *row) for n, row in enumerate(made, start=2)])
    found: list[str] = []
    for state in ClockState:
        items = (await client.get(f"/v1/sla-clocks?state={state}&limit=200")).json()["items"]
        assert {item["state"] for item in items} <= {state}
        found += [item["id"] for item in items]
    every = (await client.get("/v1/sla-clocks?limit=200")).json()["items"]
    assert sorted(found) == sorted(item["id"] for item in every)
    assert len(every) == sum(row[1] is not None for row in made) + 1

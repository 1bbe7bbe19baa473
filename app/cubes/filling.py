"""The facts in the worker's hands: it reads of which tickets changed, and fills in the past from the clocks, the newest
first. Until that is done, reports on what is not filled yet read the clocks."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import DateTime, bindparam, delete, func, literal_column, select, update

from app.cubes import facts
from app.cubes.facts import READER, instant_of, slot_at
from app.cubes.tables import (
    ALL_FILLED,
    NOTHING_FILLED,
    report_cubes,
    report_deltas,
    report_facts,
    report_filling,
    report_zones,
)
from app.db import Database, Query, Row, Transaction
from app.events import reader
from app.sla.tables import sla_clocks

_BATCH = 4_000
# So many clocks of the past get their facts at once.
_PIECE = 20_000
_c = sla_clocks.c
_FILLED_FROM = Query(select(report_filling.c.filled_from))
_FILLED = Query(update(report_filling), ["filled_from"])
_NEWEST = Query(
    select(func.clock_timestamp().label("now"), select(func.max(_c.started_at)).scalar_subquery().label("latest"))
)
_BEFORE = Query(
    select(_c.started_at)
    .where(_c.ended_at.is_not(None), _c.started_at < bindparam("until", type_=DateTime(timezone=True)))
    .order_by(_c.started_at.desc())
    .offset(literal_column(str(_PIECE - 1)))
    .limit(literal_column("1"))
)
_COUNT = Query(select(func.count().label("facts")).select_from(report_facts))
_UNFILL_ZONES = Query(update(report_zones), ["filled_from"])
_EMPTY = [Query(delete(report_deltas)), Query(delete(report_cubes)), Query(delete(report_facts))]


async def run_once(db: Database) -> bool:
    """Follow the log by a batch and fill a piece of the past; whether there may be more."""
    if await db.run(_begin):
        return True
    more = await follow_once(db)
    return await db.run(_fill_piece) or more


async def follow_once(db: Database) -> bool:
    """Make the facts agree with what a batch of the log changed; whether there may be more."""
    return await db.run(lambda tx: reader.read_on(tx, READER, _BATCH, _follow))


async def rebuild(db: Database) -> None:
    """Forget all facts and cubes: the worker makes them anew. Until then reports read the clocks."""

    async def unit(tx: Transaction) -> None:
        await reader.hold(tx, READER)
        tx.write(_UNFILL_ZONES, filled_from=NOTHING_FILLED)
        tx.write(_FILLED, filled_from=NOTHING_FILLED)

    await db.run(unit)


async def filled_from(tx: Transaction) -> int:
    """The quarter of an hour from which on there are facts."""
    row = await tx.row(_FILLED_FROM)
    assert row is not None  # its one row is a migration's
    slot: int = row["filled_from"]
    return slot


async def count(db: Database) -> int:
    """How many facts there are."""
    async with db.transaction() as tx:
        row = await tx.row(_COUNT)
    assert row is not None
    facts_: int = row["facts"]
    return facts_


async def _begin(tx: Transaction) -> bool:
    """Where nothing is filled: forget what there was, and begin with the present; whether it did."""
    if await filled_from(tx) != NOTHING_FILLED:
        return False
    await reader.hold(tx, READER)
    if await filled_from(tx) != NOTHING_FILLED:
        return True
    for query in _EMPTY:
        await tx.rows(query)
    await reader.begin_now(tx, READER)
    newest = await tx.row(_NEWEST)
    assert newest is not None
    tx.write(_FILLED, filled_from=slot_at(max(newest["now"], newest["latest"] or newest["now"])) + 1)
    return True


async def _follow(tx: Transaction, events: Sequence[Row], _: UUID | None) -> None:
    ids = sorted({event["ticket_id"] for event in events if event["ticket_id"]})
    if ids:
        await facts.converge(tx, ids, await filled_from(tx))


async def _fill_piece(tx: Transaction) -> bool:
    until = await filled_from(tx)
    if until in (ALL_FILLED, NOTHING_FILLED):
        return False
    # Nobody follows the log meanwhile: what changes after this is in events that are still to be read.
    await reader.hold(tx, READER)
    until = await filled_from(tx)
    if until in (ALL_FILLED, NOTHING_FILLED):
        return False
    before = await tx.row(_BEFORE, until=instant_of(until))
    since = slot_at(before["started_at"]) if before else ALL_FILLED
    await facts.add(tx, since, until)
    tx.write(_FILLED, filled_from=since)
    return since != ALL_FILLED

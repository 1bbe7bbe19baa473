"""Whoever makes something of events has a position in the log, and the position commits with what was made of the
events before it. `read_on` is the one way to read on: it moves the position, also from an epoch that has no more to
give into the next.

Any number of workers may turn one reader; each batch is one worker's."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import Uuid, bindparam, cast, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from app.db import Query, Row, Transaction
from app.events import feed
from app.events.tables import event_readers

log = structlog.get_logger("ninety.reader")

_r = event_readers.c
_named = _r.name == bindparam("reader")
_position = select(_r.epoch, _r.xid, _r.event_id, _r.within).where(_named)
_CLAIM, _HOLD = Query(_position.with_for_update(skip_locked=True)), Query(_position.with_for_update())
_BEGIN = Query(insert(event_readers).on_conflict_do_nothing(), ["name", "xid", "event_id"])
_now = insert(event_readers)
_BEGIN_NOW = Query(
    _now.on_conflict_do_update(
        index_elements=["name"],
        set_={**{name: _now.excluded[name] for name in ("epoch", "xid", "event_id")}, "within": null()},
    ),
    ["name", "epoch", "xid", "event_id"],
)
_moved = update(event_readers).where(_named).values(moved_at=func.clock_timestamp())
_ADVANCE = Query(_moved.values(within=cast(null(), Uuid)), ["epoch", "xid", "event_id"])
_END = Query(delete(event_readers).where(_named))
_STAY = Query(_moved, ["within"])


class Part(NamedTuple):
    """How far a batch was worked off, where not all of it was: `events` of it whole, and of the next one, which
    concerns very many things, everything up to `within`."""

    events: int
    within: UUID | None = None


# What is made of the next events: given how far the first of them was worked off before; None is all of it.
Work = Callable[[Transaction, list[Row], UUID | None], Awaitable[Part | None]]


async def hold(tx: Transaction, reader: str) -> None:
    """Nobody reads on until this transaction ends."""
    await tx.locked_rows(_BEGIN, name=reader, xid=0, event_id=0)
    await tx.locked_rows(_HOLD, reader=reader)


async def begin_now(tx: Transaction, reader: str) -> None:
    """A reader that is about to work from what is stored needs no more of the log than what was not committed yet."""
    end = await feed.end(tx)
    await tx.locked_rows(_BEGIN_NOW, name=reader, epoch=end.epoch, xid=end.xid, event_id=end.id)


async def read_on(tx: Transaction, reader: str, limit: int, work: Work) -> bool:
    """Have `work` done with the next events, at most `limit`, which are this transaction's alone, and move on behind
    what was done; whether there may be more. A reader of this name begins with the first event there is."""
    position = await _claim(tx, reader)
    if position is None:
        return False  # another worker has it
    after = feed.Position(position["epoch"], position["xid"], position["event_id"])
    page, within = await feed.read(tx, after, limit), position["within"]
    if page is None:
        # Begin anew, rather than miss anything.
        log.warning("position_unknown", reader=reader, position=str(after))
        page, within = await feed.read(tx, feed.START, limit), None
        assert page is not None
    part = await work(tx, page.rows, within) if page.rows else None
    _move(tx, reader, after, page, part)
    return page.more or part is not None


async def _claim(tx: Transaction, reader: str) -> Row | None:
    position = await tx.locked_row(_CLAIM, reader=reader)
    if position is None:
        await tx.rows(_BEGIN, name=reader, xid=0, event_id=0)
        position = await tx.locked_row(_CLAIM, reader=reader)
    return position


def _move(tx: Transaction, reader: str, after: feed.Position, page: feed.Page, part: Part | None) -> None:
    if part and part.within:
        stay(tx, reader, part.within)
        return
    to = feed.position_of(page.rows[part.events - 1]) if part else page.next
    # Where nothing came, the end of what is served is no news.
    if page.rows or to.epoch != after.epoch:
        tx.write(_ADVANCE, reader=reader, epoch=to.epoch, xid=to.xid, event_id=to.id)


def stay(tx: Transaction, reader: str, within: UUID) -> None:
    """Everything up to `within` is done."""
    tx.write(_STAY, reader=reader, within=within)


async def within(tx: Transaction, reader: str) -> UUID | None:
    """How far a reader that works through what is stored has come; None where there is none of this name."""
    position = await tx.locked_row(_HOLD, reader=reader)
    return position["within"] if position else None


async def end(tx: Transaction, reader: str) -> None:
    """It has read all there is."""
    await tx.locked_rows(_END, reader=reader)

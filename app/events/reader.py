"""Whoever makes something of events has a position in the log, and the position commits with what was made of the
events before it.

Any number of workers may turn one reader; each batch is one worker's."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Uuid, bindparam, cast, null, select, update
from sqlalchemy.dialects.postgresql import insert

from app.db import Query, Row, Transaction
from app.events import feed
from app.events.tables import event_readers

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
_ADVANCE = Query(
    update(event_readers).where(_named).values(within=cast(null(), Uuid)), ["epoch", "xid", "event_id"]
)  # fmt: skip
_STAY = Query(update(event_readers).where(_named), ["within"])


@dataclass(frozen=True, slots=True)
class Batch:
    """`within`: how far the first event was worked off before, where it concerns very many things."""

    events: list[Row]
    within: UUID | None


async def hold(tx: Transaction, reader: str) -> None:
    """Nobody reads on until this transaction ends."""
    await tx.locked_rows(_BEGIN, name=reader, xid=0, event_id=0)
    await tx.locked_rows(_HOLD, reader=reader)


async def begin_now(tx: Transaction, reader: str) -> None:
    """A reader that is about to work from what is stored needs no more of the log than what was not committed yet."""
    end = await feed.end(tx)
    await tx.locked_rows(_BEGIN_NOW, name=reader, epoch=end.epoch, xid=end.xid, event_id=end.id)


async def claim(tx: Transaction, reader: str, batch: int) -> Batch | None:
    """The next events, which are this transaction's alone; None where another worker has them. A reader of this name
    begins with the first event there is."""
    position = await tx.locked_row(_CLAIM, reader=reader)
    if position is None:
        await tx.rows(_BEGIN, name=reader, xid=0, event_id=0)
        position = await tx.locked_row(_CLAIM, reader=reader)
    if position is None:
        return None
    after, within = feed.Position(position["epoch"], position["xid"], position["event_id"]), position["within"]
    page = await feed.read(tx, after, batch)
    if page is None:
        # A position that this log cannot have given: begin anew, rather than miss anything.
        page, within = await feed.read(tx, feed.START, batch), None
    assert page is not None
    return Batch(page.rows, within)


def advance(tx: Transaction, reader: str, last: Row) -> None:
    """Everything up to this event is done."""
    tx.write(_ADVANCE, reader=reader, epoch=last["epoch"], xid=last["xid"], event_id=last["id"])


def stay(tx: Transaction, reader: str, within: UUID) -> None:
    """Of the next event, everything up to `within` is done."""
    tx.write(_STAY, reader=reader, within=within)

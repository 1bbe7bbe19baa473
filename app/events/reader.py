"""Whoever makes something of events has a position in the log, and the position commits with what was made of the
events before it.

An id is given at insert and seen at commit, so readers go by (xid, id) and stay below the oldest transaction that still
runs: nothing is skipped, however long somebody's transaction takes. Any number of workers may turn one reader; each
batch is one worker's."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, bindparam, cast, func, literal, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.db import Query, Row, Transaction
from app.events.tables import Xid8, event_readers, events

_r, _e = event_readers.c, events.c
_named = _r.name == bindparam("reader")
_oldest_running = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8())
# A position that no transaction of this server can have left is that of a dump, restored elsewhere.
_CLAIM = Query(
    select(_r.xid, _r.event_id, _r.within, (_r.xid >= _oldest_running).label("foreign"))
    .where(_named)
    .with_for_update(skip_locked=True)
)
_BEGIN = Query(insert(event_readers).on_conflict_do_nothing(), ["name", "xid", "event_id"])
# Just below the oldest transaction that runs: a position of its own would look like one of another server.
_before_now = cast(cast(cast(cast(_oldest_running, Text), BigInteger) - 1, Text), Xid8())
_begin_now = insert(event_readers).values(xid=_before_now, event_id=literal(2**63 - 1, BigInteger))
_BEGIN_NOW = Query(
    _begin_now.on_conflict_do_update(
        index_elements=["name"],
        set_={"xid": _begin_now.excluded.xid, "event_id": _begin_now.excluded.event_id, "within": null()},
    ),
    ["name", "xid", "event_id"],
)
_AFTER = Query(
    select(_e.id, _e.xid, _e.type, _e.subject_id, _e.ticket_id)
    .where(
        tuple_(_e.xid, _e.id) > tuple_(bindparam("xid", type_=Xid8()), bindparam("event_id", type_=_e.id.type)),
        _e.xid < _oldest_running,
    )
    .order_by(_e.xid, _e.id)
    .limit(bindparam("batch"))
)
_ADVANCE = Query(update(event_readers).where(_named).values(within=cast(null(), Uuid)), ["xid", "event_id"])
_STAY = Query(update(event_readers).where(_named), ["within"])


@dataclass(frozen=True, slots=True)
class Batch:
    """`within`: how far the first event was worked off before, where it concerns very many things."""

    events: list[Row]
    within: UUID | None


async def begin_now(tx: Transaction, reader: str) -> None:
    """A reader that is about to work from what is stored needs no more of the log than what was not committed yet."""
    await tx.locked_rows(_BEGIN_NOW, name=reader)


async def claim(tx: Transaction, reader: str, batch: int) -> Batch | None:
    """The next events, which are this transaction's alone; None where another worker has them. A reader of this name
    begins with the first event there is."""
    position = await tx.locked_row(_CLAIM, reader=reader)
    if position is None:
        await tx.rows(_BEGIN, name=reader, xid=0, event_id=0)
        position = await tx.locked_row(_CLAIM, reader=reader)
    if position is None:
        return None
    xid, event_id, within = position["xid"], position["event_id"], position["within"]
    if position["foreign"]:
        xid, event_id, within = 0, 0, None
    return Batch(await tx.rows(_AFTER, xid=xid, event_id=event_id, batch=batch), within)


def advance(tx: Transaction, reader: str, last: Row) -> None:
    """Everything up to this event is done."""
    tx.write(_ADVANCE, reader=reader, xid=last["xid"], event_id=last["id"])


def stay(tx: Transaction, reader: str, within: UUID) -> None:
    """Of the next event, everything up to `within` is done."""
    tx.write(_STAY, reader=reader, within=within)

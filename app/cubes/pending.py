"""Which tickets have changed since the facts were brought up to date: whoever adds facts up leaves these out and looks
at their clocks instead, so that what is told is exact however far the reader is behind."""

from uuid import UUID

from sqlalchemy import bindparam, literal_column, select, tuple_

from app.cubes.facts import READER
from app.db import Query, Transaction
from app.events.tables import event_readers, events

# So many events are looked at; behind more, the facts are of no use.
MOST = 20_000
_e, _r = events.c, event_readers.c
_position = [
    select(column).where(_r.name == bindparam("reader")).scalar_subquery() for column in (_r.epoch, _r.xid, _r.event_id)
]
_order = (_e.epoch, _e.xid, _e.id)
_CHANGED = Query(
    select(_e.ticket_id)
    .where(tuple_(*_order) > tuple_(*_position))
    .order_by(*_order)
    .limit(literal_column(str(MOST + 1)))
)


async def pending_tickets(tx: Transaction) -> list[UUID] | None:
    """None where they are more than `MOST` events. The transaction must read a snapshot."""
    rows = await tx.rows(_CHANGED, reader=READER)
    if len(rows) > MOST:
        return None
    return sorted({row["ticket_id"] for row in rows if row["ticket_id"]})

"""Customers who were to confirm a ticket and have not: when they are to be reminded, the ticket is back in the queue,
and an event says so."""

from sqlalchemy import bindparam, func, literal_column, select, update

from app.db import Database, Query, Transaction
from app.events import log
from app.sla.core.enums import DONE, Status
from app.tickets.changes import TicketChange, save
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import REMINDER, promises

_BATCH = 100
_p = promises.c
# In the words of the index that holds them.
_open = (
    (_p.text == literal_column(f"'{REMINDER}'"))
    & _p.reminded_at.is_(None)
    & _p.kept_at.is_(None)
    & _p.withdrawn_at.is_(None)
)
_due = _open & (_p.due_at <= func.clock_timestamp())
_DUE = Query(select(_p.ticket_id).where(_due).order_by(_p.due_at).limit(bindparam("most", _BATCH)))
_TAKE = Query(
    update(promises)
    .where(_p.ticket_id == bindparam("ticket_id"), _due)
    .values(reminded_at=func.clock_timestamp())
    .returning(_p.id)
)


async def run_once(db: Database) -> bool:
    """Whether there may be more."""
    return await db.run(_remind)


async def _remind(tx: Transaction) -> bool:
    rows = await tx.rows(_DUE)
    for ticket_id in sorted({row["ticket_id"] for row in rows}):
        locked = await lock_ticket(tx, SYSTEM, ticket_id)
        # Kept, or taken by another worker, while we waited for the ticket.
        taken = await tx.locked_rows(_TAKE, ticket_id=ticket_id)
        if not taken or locked.state.status in DONE:
            continue
        change = TicketChange(locked, log.SYSTEM)
        change.record("ticket.reminder_due", {}, subject_id=taken[0]["id"], internal=True)
        change.wake(because="reminder")
        if change.status in (Status.pending, Status.on_hold):
            change.set_status(Status.open)
        save(tx, change)
    return len(rows) == _BATCH

"""Snoozing: a ticket is out of the queue until an instant or until its customer writes. No clock stops for it."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, func, select

from app.auth.dependencies import Actor
from app.db import Database, Query, Transaction
from app.errors import Conflict, Forbidden, Invalid
from app.events import log
from app.sla.core.enums import DONE
from app.sla.schemas.types import TEN_YEARS
from app.tickets.changes import TicketChange, save
from app.tickets.rows import TicketRow
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets

_BATCH = 100
_until = tickets.c.snoozed_until
_DUE = Query(
    select(tickets.c.id)
    .where(_until.is_not(None), _until <= func.clock_timestamp())
    .order_by(_until)
    .limit(bindparam("most", _BATCH))
    .with_for_update(skip_locked=True, key_share=True)
)


class TicketDone(Conflict):
    """What is resolved or closed is in no queue that it could be out of for a while."""

    code = "ticket_done"
    title = "The ticket is resolved or closed"


async def snooze(
    tx: Transaction, actor: Actor, ticket_id: UUID, until: datetime | None, reason: str | None
) -> TicketRow:
    """`until` None: back at once. The ticket as it is then."""
    if actor.is_customer:
        raise Forbidden("what agents work on next is theirs to say")
    locked = await lock_ticket(tx, actor, ticket_id)
    change = TicketChange(locked, log.actor_ref(actor))
    if until is None:
        change.wake(because="agent")
        return save(tx, change, touch=False)
    if locked.state.status in DONE:
        raise TicketDone("reopen it first")
    if not locked.now < until <= locked.now + timedelta(seconds=TEN_YEARS):
        raise Invalid.at("/until", "out_of_range", "an instant in the future, ten years from now at most")
    # The reason stays out of the log, as a message's text does.
    change.record("ticket.snoozed", {"until": until}, internal=True)
    change.values |= {"snoozed_until": until, "snooze_reason": reason}
    return save(tx, change)


async def run_once(db: Database) -> bool:
    """Wake what is due; whether there may be more."""
    return await db.run(_wake_due)


async def _wake_due(tx: Transaction) -> bool:
    due = sorted(row["id"] for row in await tx.locked_rows(_DUE))
    for id_ in due:
        change = TicketChange(await lock_ticket(tx, SYSTEM, id_), log.SYSTEM)
        change.wake(because="time")
        save(tx, change)
    return len(due) == _BATCH

"""Spam: a ticket that nobody should have written is closed and is in no figure, goal or queue; and back, exactly."""

from uuid import UUID

from sqlalchemy import bindparam, update

from app.auth.dependencies import Actor
from app.db import Query, Transaction
from app.errors import Conflict, Forbidden
from app.events import log
from app.sla.core.clock import EndedReason
from app.sla.core.enums import Status
from app.sla.core.timeline import ClocksEnded, ClocksRevived
from app.sla.tables import sla_clocks
from app.tickets import quality
from app.tickets.changes import TicketChange, save
from app.tickets.merging import put_back
from app.tickets.rows import TicketRow
from app.tickets.store import lock_ticket

_MARK_CLOCKS = Query(update(sla_clocks).where(sla_clocks.c.ticket_id == bindparam("of_ticket")), ["spam"])


class MergedTicket(Conflict):
    """A ticket that was merged is judged with the one that it went into."""

    code = "ticket_merged"
    title = "The ticket was merged"


async def mark_spam(tx: Transaction, actor: Actor, ticket_id: UUID) -> TicketRow:
    """Close it and end its clocks. Repeatable. The ticket as it is then."""
    _check(actor)
    locked = await lock_ticket(tx, actor, ticket_id)
    if locked.ticket["merged_into"]:
        raise MergedTicket(f"it went into {locked.ticket['merged_into']}: mark that one")
    if locked.ticket["spam_at"]:
        return locked.ticket
    change = TicketChange(locked, log.actor_ref(actor))
    change.record("ticket.marked_spam", {}, internal=True)
    change.values |= {"spam_at": locked.now, "status_before_spam": change.status}
    change.add(ClocksEnded(locked.now, EndedReason.spam))
    change.close_unresolved()
    ticket = save(tx, change)
    await _mark_rows(tx, ticket_id, spam=True)
    return ticket


async def unmark_spam(tx: Transaction, actor: Actor, ticket_id: UUID) -> TicketRow:
    """It is as it was, and whoever waited has waited since their own start. Repeatable. The ticket as it is then."""
    _check(actor)
    locked = await lock_ticket(tx, actor, ticket_id, every_clock=True)
    marked_at = locked.ticket["spam_at"]
    if marked_at is None:
        return locked.ticket
    change = TicketChange(locked, log.actor_ref(actor))
    change.record("ticket.unmarked_spam", {"marked_at": marked_at}, internal=True)
    change.values |= {"spam_at": None, "status_before_spam": None}
    revived = ClocksRevived(locked.now, marked_at, EndedReason.spam)
    was = locked.ticket["status_before_spam"]
    assert was is not None  # it was written with `spam_at`
    ticket = await put_back(tx, change, revived, Status(was))
    await _mark_rows(tx, ticket_id, spam=False)
    return ticket


async def _mark_rows(tx: Transaction, ticket_id: UUID, *, spam: bool) -> None:
    # By itself: writes that leave together must not touch the same rows.
    await tx.flush()
    tx.write(_MARK_CLOCKS, of_ticket=ticket_id, spam=spam)
    quality.mark_spam(tx, ticket_id, spam=spam)


def _check(actor: Actor) -> None:
    if actor.is_customer:
        raise Forbidden("what is spam is the staff's to say")

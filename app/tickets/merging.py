"""Merging: a ticket goes into another one of the same customer, which alone goes on. What they write on either is
shown on that one, so another customer's would be shown to somebody else."""

from uuid import UUID

from app.auth.guard import Actor
from app.db import Transaction
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.sla.core.timeline import Merged, StatusSet
from app.sla.core.words import AuthorKind, Status
from app.tickets.store import Locked, apply, lock_ticket, update_ticket


class CannotMerge(Conflict):
    """A ticket is merged once, into another one that is neither closed nor merged itself."""

    code = "cannot_merge"
    title = "These tickets cannot be merged"


async def merge(tx: Transaction, actor: Actor, source_id: UUID, target_id: UUID) -> dict[str, object]:
    """Close the source; its unfinished clocks are cancelled, and the target's do not see its messages. The source as it
    is then."""
    if actor.is_customer:
        raise Forbidden("agents merge tickets")
    if source_id == target_id:
        raise CannotMerge("a ticket is not merged into itself")
    # In the order of their ids, as everybody locks two tickets.
    locked = {id_: await _lock(tx, actor, id_, source_id) for id_ in sorted((source_id, target_id))}
    source, target = locked[source_id], locked[target_id]
    if source.ticket["customer_id"] != target.ticket["customer_id"]:
        detail = "another customer's ticket: link them as duplicates, or merge the customers first"
        raise Invalid.at("/into", "customers_differ", detail)
    if source.ticket["merged_into"]:
        raise CannotMerge("it was merged before")
    if target.ticket["merged_into"] or target.ticket["status"] == Status.closed:
        raise CannotMerge("the ticket to merge into is closed")
    who = log.by(actor)
    data = {"into": target_id, "number": target.ticket["number"]}
    # Customers see neither: the other ticket may be somebody else's once two customers are told apart again.
    log.record(tx, who, "ticket.merged", source_id, source.now, data, ticket_id=source_id, internal=True)
    data = {"from": source_id, "number": source.ticket["number"]}
    log.record(tx, who, "ticket.absorbed", target_id, target.now, data, ticket_id=target_id, internal=True)
    before = source.ticket["status"]
    changes = {"changes": {"status": {"before": before, "after": Status.closed}}}
    entries: list[Merged | StatusSet] = [Merged(source.now)]
    values: dict[str, object] = {"merged_into": target_id}
    if before != Status.closed:
        log.record(tx, who, "ticket.status_changed", source_id, source.now, changes, ticket_id=source_id)
        entries.append(StatusSet(source.now, Status.closed, AuthorKind(actor.kind)))
        values |= {"status": Status.closed, "closed_at": source.now}
    after = apply(tx, who, source, entries)
    update_ticket(tx, target, target.state, {})
    return update_ticket(tx, source, after, values)


async def _lock(tx: Transaction, actor: Actor, id: UUID, source_id: UUID) -> Locked:
    try:
        return await lock_ticket(tx, actor, id)
    except NotFound:
        if id == source_id:
            raise
        raise Invalid.at("/into", "unknown", "there is no ticket with this id") from None

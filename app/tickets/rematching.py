"""The policy and the exceptions that a ticket stands under: those in force for it now."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Transaction, Values
from app.events import log
from app.segments import service as segments
from app.sla import broad_exceptions, policies
from app.sla.core.enums import Priority
from app.sla.core.policy import Scope, SlaException
from app.sla.core.timeline import Covered, Excepted
from app.sla.coverage import coverage_columns, coverage_data, exceptions_data, match_policy
from app.sla.customer_context import CustomerContext, load_contexts
from app.sla.sweep import sweep_ticket
from app.tickets.changes import TicketChange
from app.tickets.store import LoadedTicket


async def current_coverage(
    tx: Transaction, revision: int, ticket: Mapping[str, Any], at: datetime, context: CustomerContext | None = None
) -> Covered:
    """The entry that puts a ticket of these attributes under the policy that is in force for it. The customer's
    context is read where it is not given and some policy reads it."""
    in_force = await policies.in_force(tx, revision)
    if context is None and policies.facts_in_use(tx):
        context = await customer_context(tx, ticket["customer_id"])
    policy = match_policy(in_force, ticket, context.facts if context else {})
    return Covered(at, policy, Priority(ticket["priority"]))


async def rematch(tx: Transaction, change: TicketChange, because: str) -> None:
    """Put it under the policy that is in force for a ticket of the attributes that it has by now."""
    cover = await current_coverage(tx, change.loaded.revision, change.ticket, change.now)
    await apply_coverage(tx, change, cover, because)


async def rematch_with_exceptions(
    tx: Transaction, change: TicketChange, because: str, context: CustomerContext | None = None
) -> None:
    """`rematch`, and with the exceptions that are granted to its customer now. Of a customer who was erased, what is
    promised stays as long as it is in force: no figure changes by an erasure, then or later."""
    loaded = change.loaded
    context = context or await customer_context(tx, loaded.ticket["customer_id"])
    await renew_exceptions(tx, change, because, context)
    in_force = await policies.in_force(tx, loaded.revision)
    if context.erased and change.ticket["policy_id"] in {policy.id for policy in in_force}:
        return
    cover = await current_coverage(tx, loaded.revision, change.ticket, change.now, context)
    await apply_coverage(tx, change, cover, because)


async def renew_exceptions(
    tx: Transaction, change: TicketChange, because: str, context: CustomerContext | None = None
) -> None:
    """Those that are granted to its customer now, under the policy that it stands under."""
    loaded = change.loaded
    context = context or await customer_context(tx, loaded.ticket["customer_id"])
    broad = await broad_exceptions.IN_FORCE.at(tx, loaded.revision)
    of_segments = await _of_segments(tx, broad) if context.erased else frozenset()
    granted = _granted(loaded, context.applicable_exceptions(broad), context, of_segments)
    if granted != loaded.state.exceptions:
        await grant_exceptions(tx, change, granted)
        data = {"applied": change.values["exceptions"], "because": because}
        change.record("sla.exceptions_applied", data, who=log.SYSTEM, internal=True)


async def grant_exceptions(tx: Transaction, change: TicketChange, granted: tuple[SlaException, ...]) -> None:
    """From now on these exceptions and no others are granted to it; the caller tells of them."""
    await _record_due_alerts(tx, change)
    change.add(Excepted(change.now, granted))
    change.values["exceptions"] = exceptions_data(granted)


async def _of_segments(tx: Transaction, broad: Iterable[SlaException]) -> frozenset[UUID]:
    """Those that some segment's customers have: exceptions, and not to be judged at all."""
    unjudged = (segment.id for segment in (await segments.IN_FORCE.now(tx)).values() if not segment.judged)
    return frozenset([*unjudged, *(each.id for each in broad if each.scope is Scope.segment)])


def _granted(
    loaded: LoadedTicket, reaching: list[SlaException], context: CustomerContext, of_segments: Collection[UUID]
) -> tuple[SlaException, ...]:
    """The ticket's own, and those that reach its customer now. One that is over stays with what it reached, as long as
    its scope does. So do those `of_segments`, where nobody knows who belonged to them."""
    held, now = loaded.state.exceptions, loaded.now
    ids = {each.id for each in reaching}
    kept = [
        each
        for each in held
        if each.scope is Scope.ticket
        or each.id in ids
        or each.id in of_segments
        or (each.scope is Scope.customer and each.over(now) and context.covers(each))
    ]
    known = {each.id for each in held}
    return (*kept, *(each for each in reaching if each.id not in known and each.begun(now) and not each.over(now)))


async def customer_context(tx: Transaction, customer_id: UUID) -> CustomerContext:
    """What is known of the customer now, for all of their tickets."""
    return (await load_contexts(tx, [customer_id]))[customer_id]


async def apply_coverage(tx: Transaction, change: TicketChange, cover: Covered, because: str) -> None:
    """Put it under another cover; nothing where it is the same. Call it before what happens under it: the log is
    replayed in its order."""
    columns, loaded = coverage_columns(cover), change.loaded
    before: Values = loaded.ticket
    if cover.priority is loaded.state.priority and all(before[name] == columns[name] for name in columns):
        return
    await _record_due_alerts(tx, change)
    data = {**coverage_data(cover), "because": because}
    change.record("sla.policy_applied", data, who=log.SYSTEM, internal=True)
    change.add(cover)
    change.values |= columns


async def _record_due_alerts(tx: Transaction, change: TicketChange) -> None:
    """Record breaches and warnings that are already due, also of a clock that ended late and may run on: they belong to
    the terms that clocks have had until now."""
    loaded = change.loaded
    if loaded.optimistic:
        change.needs_locks = True
    elif loaded.unswept:
        await sweep_ticket(tx, loaded.id)

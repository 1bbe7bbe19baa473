"""The engine: a ticket's clocks as a fold over its timeline.

`advance` takes what is known and one more entry and returns what is known then. Live requests call it with stored
clocks, imports and `verify` start from nothing; there is no second way to arrive at a clock. It refuses to know the
database, the time of day, and who may do what."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from app.sla.core.clock import Clock, EndedReason
from app.sla.core.policy import Metric, Policy, Priority
from app.sla.core.timeline import DONE, AuthorKind, Covered, Entry, Opened, Said, Status, StatusSet


@dataclass(frozen=True, slots=True)
class TicketClocks:
    """All that the clocks need to know of a ticket."""

    status: Status = Status.new
    priority: Priority = Priority.normal
    policy: Policy | None = None
    clocks: tuple[Clock, ...] = ()


def advance(ticket: TicketClocks, entry: Entry) -> TicketClocks:
    match entry:
        case Covered(_, policy, priority):
            clocks = tuple(c if c.ended_at else c.covered(policy, priority) for c in ticket.clocks)
            return replace(ticket, policy=policy, priority=priority, clocks=clocks)
        case Opened(at, by, status):
            return _opened(replace(ticket, status=status), at, by)
        case Said(at, author, public):
            return _said(ticket, at, author) if public else ticket
        case StatusSet(at, status, by):
            return _status_set(ticket, at, status, by)


def replay(entries: Iterable[Entry]) -> TicketClocks:
    """The clocks of a ticket from nothing but its timeline."""
    ticket = TicketClocks()
    for entry in entries:
        ticket = advance(ticket, entry)
    return ticket


def awaits_answer(ticket: TicketClocks) -> bool:
    """Whether a customer who writes now starts a clock: none of theirs runs, and none was ever answered."""
    return not any(clock.answered or clock.ended_at is None for clock in _cycles(ticket))


def _cycles(ticket: TicketClocks) -> list[Clock]:
    return [clock for clock in ticket.clocks if clock.metric is Metric.first_response]


def _opened(ticket: TicketClocks, at: datetime, by: AuthorKind) -> TicketClocks:
    if by is AuthorKind.customer:
        ticket = _customer_waits(ticket, at)
    if ticket.status in DONE:
        # Written down when it was over: nobody waited, and nobody ever will.
        return _end_running(ticket, lambda clock: clock.end(at, EndedReason.resolved_without_response))
    return ticket


def _said(ticket: TicketClocks, at: datetime, author: AuthorKind) -> TicketClocks:
    if author is AuthorKind.customer:
        # On a resolved ticket nobody waits yet: it is the reopening that starts a clock.
        return ticket if ticket.status in DONE else _customer_waits(ticket, at)
    return _end_running(ticket, lambda clock: clock.stop(at) if _answers(author, clock) else clock)


def _answers(author: AuthorKind, clock: Clock) -> bool:
    return author is AuthorKind.agent or (author is AuthorKind.bot and clock.bot_counts)


def _status_set(ticket: TicketClocks, at: datetime, status: Status, by: AuthorKind) -> TicketClocks:
    reopened = ticket.status in DONE and status not in DONE
    ticket = replace(ticket, status=status)
    if status in DONE:
        customer = by is AuthorKind.customer
        reason = EndedReason.closed_by_customer if customer else EndedReason.resolved_without_response
        return _end_running(ticket, lambda clock: clock.end(at, reason))
    # An agent who reopens by status starts no clock: nobody is waiting.
    return _customer_waits(ticket, at) if reopened and by is AuthorKind.customer else ticket


def _customer_waits(ticket: TicketClocks, at: datetime) -> TicketClocks:
    """Start `first_response` unless it runs or was answered: an answered one is final, one that ended unanswered is
    followed by the next cycle."""
    if not awaits_answer(ticket):
        return ticket
    clock = Clock(Metric.first_response, len(_cycles(ticket)) + 1, at).covered(ticket.policy, ticket.priority)
    return replace(ticket, clocks=(*ticket.clocks, clock))


def _end_running(ticket: TicketClocks, end: Callable[[Clock], Clock]) -> TicketClocks:
    if all(clock.ended_at for clock in ticket.clocks):
        return ticket
    return replace(ticket, clocks=tuple(clock if clock.ended_at else end(clock) for clock in ticket.clocks))

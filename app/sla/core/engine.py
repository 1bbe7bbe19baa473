"""The engine: a ticket's clocks as a fold over its timeline.

`advance` takes what is known and one more entry and returns what is known then. Live requests call it with stored
clocks, imports and `verify` start from nothing; there is no second way to arrive at a clock. It refuses to know the
database, the time of day, and who may do what.

Of the clocks that have ended it needs the last one of each metric: whether it was answered, and its cycle."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from app.sla.core.clock import Clock, EndedReason
from app.sla.core.policy import NO_RELIEF, OnReopen, Policy, SlaException, relief, terms
from app.sla.core.timeline import (
    Covered,
    Entry,
    Excepted,
    HandedOff,
    Merged,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
)
from app.sla.core.words import DONE, RESPONSES, AuthorKind, Metric, Priority, Status


class TicketClocks(NamedTuple):
    """All that the clocks need to know of a ticket."""

    status: Status = Status.new
    priority: Priority = Priority.normal
    policy: Policy | None = None
    exceptions: tuple[SlaException, ...] = ()
    # Of one metric in the order of their cycles.
    clocks: tuple[Clock, ...] = ()


_ANSWERED = RESPONSES | {Metric.periodic_update}
_OVER_WHEN_DONE = _ANSWERED | {Metric.resolution}


def advance(ticket: TicketClocks, entry: Entry) -> TicketClocks:
    return _STEPS[type(entry)](ticket, entry)


def replay(entries: Iterable[Entry]) -> TicketClocks:
    """The clocks of a ticket from nothing but its timeline."""
    ticket = TicketClocks()
    for entry in entries:
        ticket = _STEPS[type(entry)](ticket, entry)
    return ticket


def _covered(ticket: TicketClocks, entry: Covered) -> TicketClocks:
    policy, priority, at = entry.policy, entry.priority, entry.at
    ticket = ticket._replace(policy=policy, priority=priority)
    if not ticket.clocks:
        return ticket
    ticket = _each_running(
        ticket, None, lambda clock: clock.covered(terms(policy, clock.metric, priority), ticket.status, at)
    )
    return _updates_due(ticket, at)


def _excepted(ticket: TicketClocks, entry: Excepted) -> TicketClocks:
    ticket = ticket._replace(exceptions=entry.exceptions)
    return _each_running(
        ticket, None, lambda clock: clock.relieved(relief(entry.exceptions, clock.metric, clock.started_at, entry.at))
    )


def _opened(ticket: TicketClocks, entry: Opened) -> TicketClocks:
    ticket = ticket._replace(status=entry.status)
    if entry.by is AuthorKind.customer:
        ticket = _start(ticket, Metric.first_response, entry.at)
    ticket = _start(ticket, Metric.resolution, entry.at)
    if ticket.status in DONE:
        # Written down when it was over: nobody waited, and nobody ever will.
        return _done(ticket, entry.at, EndedReason.resolved_without_response)
    return _updates_due(ticket, entry.at)


def _said(ticket: TicketClocks, entry: Said) -> TicketClocks:
    if not entry.public:
        return ticket
    if entry.author is AuthorKind.customer:
        # On a resolved ticket nobody waits yet: it is the reopening that starts a clock.
        return ticket if ticket.status in DONE else _customer_waits(ticket, entry.at)
    if entry.author is AuthorKind.system:
        return ticket
    agent = entry.author is AuthorKind.agent
    ticket = _each_running(
        ticket, _ANSWERED, lambda clock: clock.stop(entry.at) if agent or clock.terms.bot_counts else clock
    )
    return _updates_due(ticket, entry.at)


def _status_set(ticket: TicketClocks, entry: StatusSet) -> TicketClocks:
    before, status, at = ticket.status, entry.status, entry.at
    ticket = ticket._replace(status=status)
    customer = entry.by is AuthorKind.customer
    if status in DONE and before not in DONE:
        ticket = _done(
            ticket, at, EndedReason.closed_by_customer if customer else EndedReason.resolved_without_response
        )
    ticket = _each_running(ticket, None, lambda clock: clock.in_status(status, at))
    if before not in DONE or status in DONE:
        return ticket
    ticket = _updates_due(_resolution_again(ticket, at), at)
    # An agent who reopens by status starts no response clock: nobody is waiting.
    return _customer_waits(ticket, at) if customer else ticket


def _promised(ticket: TicketClocks, entry: Promised) -> TicketClocks:
    return _start(ticket, Metric.promise, entry.at, entry.due_at)


def _promise_over(ticket: TicketClocks, entry: PromiseOver) -> TicketClocks:
    def over(clock: Clock) -> Clock:
        if clock.cycle != entry.cycle:
            return clock
        return clock.stop(entry.at) if entry.kept else clock.end(entry.at, EndedReason.withdrawn)

    return _each_running(ticket, {Metric.promise}, over)


def _handed_off(ticket: TicketClocks, entry: HandedOff) -> TicketClocks:
    """Whoever asks for a person waits for one, also where a bot's answer counted. On a resolved ticket it is the
    reopening that starts the clock."""
    return ticket if ticket.status in DONE else _customer_waits(ticket, entry.at)


def _merged(ticket: TicketClocks, entry: Merged) -> TicketClocks:
    return _each_running(ticket, None, lambda clock: clock.end(entry.at, EndedReason.merged))


_STEPS: dict[type, Callable[[TicketClocks, Any], TicketClocks]] = {
    Covered: _covered,
    Excepted: _excepted,
    Opened: _opened,
    Said: _said,
    StatusSet: _status_set,
    Promised: _promised,
    PromiseOver: _promise_over,
    HandedOff: _handed_off,
    Merged: _merged,
}


def _customer_waits(ticket: TicketClocks, at: datetime) -> TicketClocks:
    """A customer who writes starts a clock unless one of theirs runs: that of the first answer until one was given (an
    answered one is final, one that ended unanswered is followed by the next cycle), then that of the next answer."""
    for clock in ticket.clocks:
        if clock.ended_at is None and clock.metric in RESPONSES:
            return ticket
    first = _last(ticket, Metric.first_response)
    return _start(ticket, Metric.next_response if first and first.answered else Metric.first_response, at)


def _updates_due(ticket: TicketClocks, at: datetime) -> TicketClocks:
    """The next update is due to the customer, where the policy promises any. Without a promise there is no interval to
    keep, and nothing is measured."""
    if terms(ticket.policy, Metric.periodic_update, ticket.priority).seconds is None:
        return ticket
    last = _last(ticket, Metric.periodic_update)
    if ticket.status in DONE or (last and last.ended_at is None):
        return ticket
    return _start(ticket, Metric.periodic_update, at)


def _done(ticket: TicketClocks, at: datetime, reason: EndedReason) -> TicketClocks:
    def over(clock: Clock) -> Clock:
        return clock.stop(at) if clock.metric is Metric.resolution else clock.end(at, reason)

    return _each_running(ticket, _OVER_WHEN_DONE, over)


def _resolution_again(ticket: TicketClocks, at: datetime) -> TicketClocks:
    last = _last(ticket, Metric.resolution)
    if last is None or last.ended_at is None:
        return ticket
    if last.stopped_at is None or (ticket.policy and ticket.policy.on_reopen is OnReopen.new_cycle):
        return _start(ticket, Metric.resolution, at)
    new_terms = terms(ticket.policy, Metric.resolution, ticket.priority)
    granted = relief(ticket.exceptions, Metric.resolution, last.started_at, at)
    resumed = last.resumed(new_terms, granted, ticket.status, at)
    return ticket._replace(clocks=tuple(resumed if clock is last else clock for clock in ticket.clocks))


def _start(ticket: TicketClocks, metric: Metric, at: datetime, promised_until: datetime | None = None) -> TicketClocks:
    last = _last(ticket, metric)
    its_terms = terms(ticket.policy, metric, ticket.priority)
    clock = Clock.started(
        metric,
        last.cycle + 1 if last else 1,
        at,
        its_terms,
        promised_until,
        (at,) if ticket.status in its_terms.pause_on else (),
        relief(ticket.exceptions, metric, at, at) if ticket.exceptions else NO_RELIEF,
    )
    return ticket._replace(clocks=(*ticket.clocks, clock))


def _last(ticket: TicketClocks, metric: Metric) -> Clock | None:
    for clock in reversed(ticket.clocks):
        if clock.metric is metric:
            return clock
    return None


def _each_running(
    ticket: TicketClocks, metrics: Iterable[Metric] | None, change: Callable[[Clock], Clock]
) -> TicketClocks:
    clocks = ticket.clocks
    for index, clock in enumerate(clocks):
        if clock.ended_at is None and (metrics is None or clock.metric in metrics):
            changed = change(clock)
            if changed is not clock:
                clocks = (*clocks[:index], changed, *clocks[index + 1 :])
    return ticket if clocks is ticket.clocks else ticket._replace(clocks=clocks)

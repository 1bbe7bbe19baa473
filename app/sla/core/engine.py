"""The engine: a ticket's clocks as a fold over its timeline.

`advance` takes what is known and one more entry and returns what is known then. Live requests call it with stored
clocks, imports and `verify` start from nothing; there is no second way to arrive at a clock. It refuses to know the
database, the time of day, and who may do what.

Of the clocks that have ended it needs the last one of each metric: whether it was answered, and its cycle. Only
`ClocksRevived` needs all of them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.sla.core.clock import Clock, EndedReason
from app.sla.core.enums import DONE, RESPONSES, AuthorKind, Metric, Priority, Status
from app.sla.core.policy import NO_RELIEF, OnReopen, Policy, SlaException, relief, terms
from app.sla.core.timeline import (
    ClocksEnded,
    ClocksRevived,
    Covered,
    Entry,
    Excepted,
    HandedOff,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
    WaitMoved,
)


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


def newly_ended(before: TicketClocks, after: TicketClocks) -> Iterator[Clock]:
    """The clocks that ended on the way from one state to a later one."""
    for index, clock in enumerate(after.clocks):
        if clock.ended_at and (index >= len(before.clocks) or before.clocks[index].ended_at is None):
            yield clock


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
        ticket,
        None,
        lambda clock: clock.relieved(relief(entry.exceptions, clock.metric, clock.started_at, entry.at), entry.at),
    )


def _opened(ticket: TicketClocks, entry: Opened) -> TicketClocks:
    ticket = ticket._replace(status=entry.status)
    if entry.by is AuthorKind.customer:
        ticket = _start(ticket, Metric.first_response, entry.at)
    ticket = _start(ticket, Metric.resolution, entry.at)
    if ticket.status in DONE:
        # Written down when it was over: nobody waited, and nobody ever will.
        return _done(ticket, entry.at, EndedReason.resolved_without_response, None)
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
        ticket,
        _ANSWERED,
        lambda clock: clock.stop(entry.at, entry.author_id) if agent or clock.terms.bot_counts else clock,
    )
    return _updates_due(ticket, entry.at)


def _status_set(ticket: TicketClocks, entry: StatusSet) -> TicketClocks:
    before, status, at = ticket.status, entry.status, entry.at
    ticket = ticket._replace(status=status)
    customer = entry.by is AuthorKind.customer
    if status in DONE and before not in DONE:
        reason = EndedReason.closed_by_customer if customer else EndedReason.resolved_without_response
        ticket = _done(ticket, at, reason, None if customer else entry.by_id)
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
        return clock.stop(entry.at, entry.by_id) if entry.kept else clock.end(entry.at, EndedReason.withdrawn)

    return _each_running(ticket, {Metric.promise}, over)


def _handed_off(ticket: TicketClocks, entry: HandedOff) -> TicketClocks:
    """Whoever asks for a person waits for one, also where a bot's answer counted. On a resolved ticket it is the
    reopening that starts the clock."""
    return ticket if ticket.status in DONE else _customer_waits(ticket, entry.at)


def _clocks_ended(ticket: TicketClocks, entry: ClocksEnded) -> TicketClocks:
    return _each_running(ticket, None, lambda clock: clock.end(entry.at, entry.reason))


def _clocks_revived(ticket: TicketClocks, entry: ClocksRevived) -> TicketClocks:
    # A clock that an exception excludes ends with the reason `exception`, whatever ended it.
    reasons = (entry.reason, EndedReason.exception)
    clocks = tuple(
        clock.revived() if clock.ended_at == entry.ended_at and clock.ended_reason in reasons else clock
        for clock in ticket.clocks
    )
    return ticket._replace(clocks=clocks)


def _wait_moved(ticket: TicketClocks, entry: WaitMoved) -> TicketClocks:
    """The response clock that runs is the one that started at `since`; another one ends as `merged`."""
    running = running_response(ticket.clocks)
    if running and running.started_at == entry.since:
        return ticket
    if running:
        ticket = _each_running(ticket, RESPONSES, lambda clock: clock.end(entry.at, EndedReason.merged))
    return _customer_waits(ticket, entry.since, entry.at) if entry.since else ticket


_STEPS: dict[type, Callable[[TicketClocks, Any], TicketClocks]] = {
    Covered: _covered,
    Excepted: _excepted,
    Opened: _opened,
    Said: _said,
    StatusSet: _status_set,
    Promised: _promised,
    PromiseOver: _promise_over,
    HandedOff: _handed_off,
    ClocksEnded: _clocks_ended,
    ClocksRevived: _clocks_revived,
    WaitMoved: _wait_moved,
}


def running_response(clocks: Iterable[Clock]) -> Clock | None:
    """The clock for which the customer waits: there is one at most."""
    return next((clock for clock in clocks if clock.ended_at is None and clock.metric in RESPONSES), None)


def _customer_waits(ticket: TicketClocks, at: datetime, now: datetime | None = None) -> TicketClocks:
    """A customer who writes starts a clock unless one of theirs runs: that of the first answer until one was given (an
    answered one is final, one that ended unanswered is followed by the next cycle), then that of the next answer."""
    if running_response(ticket.clocks):
        return ticket
    first = _last(ticket, Metric.first_response)
    metric = Metric.next_response if first and first.answered else Metric.first_response
    return _start(ticket, metric, at, now=now)


def _updates_due(ticket: TicketClocks, at: datetime) -> TicketClocks:
    """The next update is due to the customer, where the policy promises any. Without a promise there is no interval to
    keep, and nothing is measured."""
    if terms(ticket.policy, Metric.periodic_update, ticket.priority).seconds is None:
        return ticket
    last = _last(ticket, Metric.periodic_update)
    if ticket.status in DONE or (last and last.ended_at is None):
        return ticket
    return _start(ticket, Metric.periodic_update, at)


def _done(ticket: TicketClocks, at: datetime, reason: EndedReason, resolver_id: UUID | None) -> TicketClocks:
    def over(clock: Clock) -> Clock:
        return clock.stop(at, resolver_id) if clock.metric is Metric.resolution else clock.end(at, reason)

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


def _start(
    ticket: TicketClocks,
    metric: Metric,
    at: datetime,
    promised_until: datetime | None = None,
    *,
    now: datetime | None = None,
) -> TicketClocks:
    """A clock from `at` on; `now` is when that becomes known, where it is later."""
    now = now or at
    last = _last(ticket, metric)
    its_terms = terms(ticket.policy, metric, ticket.priority)
    clock = Clock.started(
        metric,
        last.cycle + 1 if last else 1,
        at,
        its_terms,
        promised_until,
        (now,) if ticket.status in its_terms.pause_on else (),
        relief(ticket.exceptions, metric, at, now) if ticket.exceptions else NO_RELIEF,
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

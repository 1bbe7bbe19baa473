"""The numbered cases at the end of the SLA semantics: what answers, and when it is late. Each was somebody's shipped
bug; the numbers are theirs."""

from functools import reduce

import pytest

from app.sla.core.clock import ClockState, EndedReason
from app.sla.core.engine import advance, replay
from app.sla.core.enums import AuthorKind, Metric, Status
from app.sla.core.policy import OnReopen
from app.sla.core.timeline import Entry
from tests.sla.core.builders import (
    BOT,
    CUSTOMER,
    FIRST,
    MICROSECOND,
    NEXT,
    RESOLUTION,
    SYSTEM,
    UPDATE,
    at,
    covered,
    of,
    only_clock,
    opened,
    policy,
    promise,
    said,
    status,
    target,
    ticket,
)


@pytest.mark.parametrize("done", [Status.resolved, Status.closed])
def test_case_01_a_reply_that_resolves_is_an_answer_and_a_status(done: Status) -> None:
    after = ticket(opened(), said(30), status(30, done))
    clock = only_clock(after)
    assert (clock.stopped_at, clock.ended_reason, clock.state(at(30))) == (at(30), None, ClockState.met)
    assert only_clock(after, RESOLUTION).stopped_at == at(30)
    assert after.status is done


def test_case_01_a_reply_to_the_next_message_that_resolves_answers_it_too() -> None:
    after = ticket(opened(), said(10), said(20, CUSTOMER), said(30), status(30, Status.resolved))
    clock = only_clock(after, NEXT)
    assert (clock.started_at, clock.stopped_at, clock.ended_reason) == (at(20), at(30), None)


def test_case_01_a_reply_that_waits_for_the_customer_answers_and_pauses() -> None:
    after = ticket(opened(), said(30), status(30, Status.pending))
    resolution = only_clock(after, RESOLUTION)
    assert only_clock(after).stopped_at == at(30)
    assert (resolution.state(at(99)), resolution.elapsed(at(99)).seconds) == (ClockState.paused, 30)


def test_case_07_a_reply_exactly_at_the_deadline_is_in_time() -> None:
    before = ticket(opened())
    assert only_clock(before).state(at(90)) is ClockState.running
    assert (only_clock(before).breached(at(90)), only_clock(before).breached(at(90) + MICROSECOND)) == (False, True)
    clock = only_clock(advance(before, said(90)))
    assert not clock.breached(at(10**6))
    assert clock.state(at(90)) is ClockState.met
    assert clock.state(at(10**6)) is ClockState.met


def test_case_08_a_reply_after_the_deadline_is_a_breach_at_the_deadline() -> None:
    clock = only_clock(ticket(opened(), said(90.000001)))
    assert clock.state(at(90.000001)) is ClockState.breached
    assert (clock.due_at, clock.stopped_at) == (at(90), at(90) + MICROSECOND)


@pytest.mark.parametrize(("seconds", "state"), [(600, ClockState.met), (600.000001, ClockState.breached)])
@pytest.mark.parametrize("done", [Status.resolved, Status.closed])
def test_case_09_resolved_late_is_a_breach_at_the_deadline(seconds: float, state: ClockState, done: Status) -> None:
    cover = covered(policy(target(RESOLUTION, 600)))
    clock = only_clock(ticket(cover, opened(), said(5), status(seconds, done), target=None), RESOLUTION)
    assert (clock.state(at(10**6)), clock.due_at, clock.answered) == (state, at(600), True)


def test_case_09_resolved_late_by_the_time_that_was_not_paused() -> None:
    cover = covered(policy(target(RESOLUTION, 600)))
    entries: list[Entry] = [cover, opened(), status(100, Status.pending), status(1100, Status.open)]
    late = replay([*entries, status(1600.000001, Status.resolved)])
    assert only_clock(late, RESOLUTION).state(at(10**6)) is ClockState.breached
    assert only_clock(late, RESOLUTION).due_at == at(1600)
    in_time = replay([*entries, status(1600, Status.resolved)])
    assert only_clock(in_time, RESOLUTION).state(at(10**6)) is ClockState.met


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, ClockState.cancelled),
        (89, ClockState.cancelled),
        (90, ClockState.cancelled),
        (90.000001, ClockState.breached),
    ],
)
@pytest.mark.parametrize(
    ("by", "reason"),
    [
        (AuthorKind.agent, EndedReason.resolved_without_response),
        (AuthorKind.bot, EndedReason.resolved_without_response),
        (AuthorKind.system, EndedReason.resolved_without_response),
        (AuthorKind.customer, EndedReason.closed_by_customer),
    ],
)
def test_case_10_resolved_without_a_reply_is_never_met(
    seconds: float, state: ClockState, by: AuthorKind, reason: EndedReason
) -> None:
    clock = only_clock(ticket(opened(), status(seconds, Status.resolved, by)))
    assert (clock.state(at(10**6)), clock.ended_reason, clock.answered) == (state, reason, False)


@pytest.mark.parametrize(("seconds", "state"), [(120, ClockState.cancelled), (120.000001, ClockState.breached)])
def test_case_10_resolved_without_the_next_reply_or_update_is_never_met(seconds: float, state: ClockState) -> None:
    cover = covered(policy(target(NEXT, 100), target(UPDATE, 110)))
    entries: list[Entry] = [cover, opened(), said(10), said(20, CUSTOMER), status(seconds, Status.resolved)]
    found = replay(entries)
    for clock in (only_clock(found, NEXT), of(found, UPDATE)[-1]):
        assert (clock.due_at, clock.state(at(10**6)), clock.answered) == (at(120), state, False)
        assert clock.ended_reason is EndedReason.resolved_without_response


def test_case_11_three_messages_before_one_reply_are_one_wait_from_the_first() -> None:
    first = only_clock(ticket(opened(), said(10, CUSTOMER), said(50, CUSTOMER), said(60)))
    assert (first.cycle, first.started_at, first.stopped_at) == (1, at(0), at(60))
    cover = covered(policy(target(NEXT, 45)))
    asked = [said(100, CUSTOMER), said(120, CUSTOMER), said(140, CUSTOMER)]
    after = ticket(cover, opened(), said(10), *asked, said(145.000001), said(160, CUSTOMER), target=None)
    exchange, running = of(after, NEXT)
    assert (exchange.cycle, exchange.started_at, exchange.due_at) == (1, at(100), at(145))
    assert (exchange.stopped_at, exchange.state(at(200))) == (at(145.000001), ClockState.breached)
    assert (running.cycle, running.started_at, running.due_at) == (2, at(160), at(205))


@pytest.mark.parametrize("metric", [FIRST, NEXT, UPDATE, RESOLUTION])
@pytest.mark.parametrize("seconds", [1, 15, 45, 90])
def test_case_17_short_targets_are_exact(seconds: int, metric: Metric) -> None:
    cover = covered(policy(target(metric, seconds, warn_at=(50,))))
    entries: list[Entry] = [opened()] if metric is not NEXT else [opened(-5), said(-1), said(0, CUSTOMER)]
    clock = only_clock(ticket(cover, *entries, target=None), metric)
    if metric is UPDATE:
        assert clock.started_at == at(0)
    assert clock.due_at == at(seconds)
    assert clock.warnings() == (at(seconds / 2),)
    assert clock.state(clock.due_at) is ClockState.running
    assert clock.state(clock.due_at + MICROSECOND) is ClockState.breached


def test_case_20_what_is_replayed_from_history_is_what_happened_live() -> None:
    cover = covered(policy(target(FIRST, 90), target(RESOLUTION, 600), on_reopen=OnReopen.new_cycle))
    entries: list[Entry] = [cover, opened(), said(5, SYSTEM), said(80, CUSTOMER), said(91), status(95, Status.resolved)]
    live = reduce(advance, entries[1:], replay(entries[:1]))
    assert live == replay(entries)
    assert only_clock(live).state(at(91)) is ClockState.breached
    assert only_clock(live, RESOLUTION).state(at(10**6)) is ClockState.met


def test_case_22_of_many_first_replies_only_the_first_counts() -> None:
    after = ticket(opened(), *(said(20 + n) for n in range(10)))
    assert only_clock(after).stopped_at == at(20)
    assert [clock.metric for clock in after.clocks] == [FIRST, RESOLUTION]


def test_case_23_marking_twice_is_marking_once() -> None:
    clock = only_clock(ticket(opened()))
    assert clock.next_at(after=at(90)) == at(90)
    assert clock.next_at(after=at(90) + MICROSECOND) is None


def test_case_27_whatever_comes_after_an_answer_leaves_it_answered() -> None:
    # Of the author nothing but the kind, at that instant, reaches the engine: who leaves later takes nothing along.
    answered = only_clock(ticket(opened(), said(10)))
    later: list[Entry] = [
        said(20, SYSTEM),
        said(30, BOT),
        said(40),
        status(50, Status.on_hold),
        status(60, Status.open),
    ]
    assert only_clock(ticket(opened(), said(10), *later)) == answered
    assert (answered.stopped_at, answered.state(at(10**6))) == (at(10), ClockState.met)


def test_case_29_a_bot_answers_then_hands_over_and_the_wait_runs_from_the_customer() -> None:
    handed_over = only_clock(ticket(opened(), said(1, BOT), said(60)))
    assert (handed_over.started_at, handed_over.elapsed(at(999)).seconds) == (at(0), 60)
    counted = ticket(covered(promise((None, 90), bot_counts=True)), opened(), said(1, BOT), said(60), target=None)
    assert only_clock(counted).stopped_at == at(1)


def test_case_29_a_bot_in_a_later_exchange_moves_neither_the_wait_nor_the_updates() -> None:
    targets = target(FIRST, 90), target(NEXT, 90), target(UPDATE, 600)
    entries: list[Entry] = [opened(), said(10), said(20, CUSTOMER), said(30, BOT), said(70)]
    human = ticket(covered(policy(*targets)), *entries, target=None)
    assert (only_clock(human, NEXT).started_at, only_clock(human, NEXT).stopped_at) == (at(20), at(70))
    assert [clock.started_at for clock in of(human, UPDATE)] == [at(0), at(10), at(70)]
    counts = ticket(covered(policy(*targets, bot_counts=True)), *entries, target=None)
    assert only_clock(counts, NEXT).stopped_at == at(30)
    assert [clock.started_at for clock in of(counts, UPDATE)] == [at(0), at(10), at(30), at(70)]

"""What was in doubt between the core and the semantics, as it was settled."""

from datetime import UTC, datetime, timedelta

import pytest

from app.sla.core.clock import Clock, ClockState
from app.sla.core.engine import replay
from app.sla.core.enums import Priority, Status
from app.sla.core.goal import Cohort, judge_mean
from app.sla.core.policy import Effect, SlaException, Target, Terms
from app.sla.core.timeline import Covered, Entry, Excepted, Opened, Promised
from tests.sla.core.builders import (
    BOT,
    CUSTOMER,
    FIRST,
    MICROSECOND,
    NEXT,
    OFFICE,
    PROMISE,
    RESOLUTION,
    added_up,
    at,
    covered,
    granted,
    only_clock,
    opened,
    policy,
    said,
    status,
    target,
)


def test_a_bot_counts_where_the_policy_says_so_even_without_a_target() -> None:
    cover = covered(policy(target(NEXT, 90), bot_counts=True))
    assert only_clock(replay([cover, opened(), said(10, BOT)])).stopped_at == at(10)


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([Status.pending, Status.resolved], ClockState.running),
        ([Status.resolved, Status.pending], ClockState.paused),
    ],
)
def test_a_promise_sees_the_status_of_a_resolved_ticket_and_of_a_reopened_one(
    statuses: list[Status], state: ClockState
) -> None:
    cover = covered(policy(target(PROMISE, 1, frozenset({Status.pending}))))
    entries: list[Entry] = [status(20 + n, word) for n, word in enumerate(statuses)]
    clock = only_clock(replay([cover, opened(), Promised(at(10), at(500)), *entries]), PROMISE)
    assert clock.state(at(30)) is state


@pytest.mark.parametrize(
    ("before", "during", "due"),
    [((), (granted(Effect.extend, 60),), 1150), ((granted(Effect.extend, 60),), (), 1090)],
)
def test_a_resolution_that_runs_on_takes_what_was_granted_or_taken_back_meanwhile(
    before: tuple[SlaException, ...], during: tuple[SlaException, ...], due: int
) -> None:
    cover = covered(policy(target(RESOLUTION, 100)))
    entries: list[Entry] = [
        cover,
        Excepted(at(0), before),
        opened(),
        status(10, Status.resolved),
        Excepted(at(20), during),
    ]
    assert only_clock(replay([*entries, status(1000, Status.open)]), RESOLUTION).due_at == at(due)


def test_a_clock_paused_from_its_start_to_its_end_has_a_first_deadline() -> None:
    cover = covered(policy(target(FIRST, 90, frozenset({Status.new}))))
    clock = only_clock(replay([cover, opened(), said(10)]))
    assert clock.due_at == at(100)
    assert clock.original_due_at == clock.due_at


def test_what_is_paused_after_an_instant_is_not_counted_at_it() -> None:
    clock = only_clock(replay([covered(None), opened(), status(10, Status.pending)]), RESOLUTION)
    assert clock.paused_time(at(5)) == timedelta(0)


_FRIDAY = datetime(2026, 3, 6, 16, 59, tzinfo=UTC)


def _office() -> Clock:
    cover = Covered(_FRIDAY, policy(target(FIRST, 60, business=True), calendar=OFFICE), Priority.normal)
    return only_clock(replay([cover, Opened(_FRIDAY, CUSTOMER)]))


def test_a_mean_that_is_exactly_the_target_at_closing_is_crossed_at_the_next_opening() -> None:
    cohort = Cohort(0, timedelta(0), 1, timedelta(0), added_up([_office()], _FRIDAY))
    assert judge_mean(cohort, 60, _FRIDAY).crosses_at == datetime(2026, 3, 9, 9, tzinfo=UTC)


def test_an_uneven_mean_that_is_exact_crosses_now_as_an_even_one_does() -> None:
    uneven = Clock(FIRST, 1, at(0), Terms(90, pause_on=frozenset({Status.pending})))
    paused = uneven.in_status(Status.pending, at(10)).in_status(Status.open, at(20))
    cohort = Cohort(0, timedelta(0), 1, timedelta(0), added_up([paused], at(100)))
    even = judge_mean(Cohort(0, timedelta(0), 1, timedelta(seconds=90)), 90, at(100))
    assert even.crosses_at == at(100)
    now = at(100)
    assert cohort.total(now + MICROSECOND, now) > 90_000_000
    assert judge_mean(cohort, 90, now).crosses_at == now


def test_a_resolution_runs_on_under_the_terms_of_the_day_and_of_its_priority() -> None:
    first = policy(target(RESOLUTION, 100))
    urgent = Target(RESOLUTION, Priority.urgent, 50)
    later = policy(target(RESOLUTION, 1000), urgent)
    entries: list[Entry] = [covered(first), opened(), status(10, Status.resolved)]
    cover = covered(later, 20, Priority.urgent)
    resumed = only_clock(replay([*entries, cover, status(30, Status.open)]), RESOLUTION)
    assert (resumed.target_seconds, resumed.due_at) == (50, at(70))


def test_a_resolution_that_runs_on_takes_no_exception_of_another_metric() -> None:
    cover = covered(policy(target(RESOLUTION, 100)))
    other = Excepted(at(0), (granted(Effect.extend, 60, FIRST),))
    entries: list[Entry] = [cover, other, opened(), status(10, Status.resolved), status(30, Status.open)]
    assert only_clock(replay(entries), RESOLUTION).due_at == at(120)


def test_two_freezes_both_stop_the_time() -> None:
    both = (
        granted(Effect.freeze, None, starts=10, expires=20),
        granted(Effect.freeze, None, starts=50, expires=80, number=2),
    )
    clock = only_clock(replay([covered(policy(target(FIRST, 90))), Excepted(at(0), both), opened()]))
    assert clock.due_at == at(130)

"""The judge of means against exact fractions: what the floor is at any instant, counted clock by clock."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import Clock
from app.sla.core.enums import Status
from app.sla.core.goal import Cohort, Judgement, judge_mean
from app.sla.core.policy import NO_TERMS, Relief, Terms
from tests.sla.core.builders import CALENDARS, FIRST, MICROSECOND, OFFICE, RESOLUTION, START, added_up, at

_waits = st.integers(0, 400_000_000).map(lambda count: timedelta(microseconds=count))
_targets = st.integers(1, 300)


@dataclass(frozen=True)
class Waits:
    """Waits that are over, and instants since which somebody waits."""

    answered: list[timedelta]
    running_since: list[datetime]

    def cohort(self, now: datetime) -> Cohort:
        running = sum((now - since for since in self.running_since), timedelta())
        return Cohort(len(self.answered), sum(self.answered, timedelta()), len(self.running_since), running)

    def total(self, now: datetime) -> timedelta:
        return sum((*self.answered, *(now - since for since in self.running_since)), timedelta())

    def floor(self, now: datetime) -> Fraction:
        every = [*self.answered, *(now - since for since in self.running_since)]
        return Fraction(sum(wait // MICROSECOND for wait in every), 1_000_000 * len(every))


def _uneven_clock(calendar: BusinessCalendar | None, opened: int, changes: list[int]) -> Clock:
    clock = Clock(FIRST, 1, at(opened), Terms(calendar=calendar, pause_on=frozenset({Status.pending})))
    for n, seconds in enumerate(accumulate(changes, initial=opened)):
        clock = clock.in_status(Status.open if n % 2 else Status.pending, at(seconds))
    return clock


NOW = at(400)
_started = _waits.map(lambda wait: NOW - wait)
_cohorts = st.builds(Waits, st.lists(_waits, max_size=8), st.lists(_started, max_size=8))
_nonempty = _cohorts.filter(lambda waits: bool(waits.answered or waits.running_since))


@given(_nonempty, _targets)
def test_the_judgement_is_the_exact_mean_against_the_target(waits: Waits, target: int) -> None:
    status = judge_mean(waits.cohort(NOW), target, NOW)
    exact = waits.floor(NOW)
    assert status.judgement is (Judgement.missed if exact > target else Judgement.met)
    assert status.mean_floor_seconds is not None
    assert math.isclose(status.mean_floor_seconds, exact, rel_tol=1e-12, abs_tol=1e-12)
    count = len(waits.answered) + len(waits.running_since)
    assert math.isclose(status.slack_seconds, count * (target - exact), rel_tol=1e-9, abs_tol=1e-6)


@given(_nonempty, _targets)
def test_it_crosses_at_the_instant_the_floor_passes_the_target(waits: Waits, target: int) -> None:
    crosses = judge_mean(waits.cohort(NOW), target, NOW).crosses_at
    if waits.floor(NOW) > target or not waits.running_since:
        assert crosses is None
        return
    assert crosses is not None
    assert crosses >= NOW
    assert waits.floor(crosses + MICROSECOND) > target
    if crosses > NOW:
        assert waits.floor(crosses - MICROSECOND) <= target
    missed = judge_mean(waits.cohort(crosses + MICROSECOND), target, crosses + MICROSECOND)
    assert missed.judgement is Judgement.missed


@given(_nonempty, _targets, _waits)
def test_waiting_can_only_raise_the_floor(waits: Waits, target: int, more: timedelta) -> None:
    now, later = judge_mean(waits.cohort(NOW), target, NOW), judge_mean(waits.cohort(NOW + more), target, NOW + more)
    assert now.mean_floor_seconds is not None
    assert later.mean_floor_seconds is not None
    assert later.mean_floor_seconds >= now.mean_floor_seconds
    if now.judgement is Judgement.missed:
        assert later.judgement is Judgement.missed


@given(st.integers(1, 50), _targets)
def test_a_mean_of_exactly_the_target_is_met(count: int, target: int) -> None:
    exactly = Waits([timedelta(seconds=target)] * count, [])
    status = judge_mean(exactly.cohort(NOW), target, NOW)
    assert (status.judgement, status.slack_seconds, status.mean_answered_seconds) == (Judgement.met, 0, target)
    over = Waits([*exactly.answered, timedelta(seconds=target) + MICROSECOND], [])
    assert judge_mean(over.cohort(NOW), target, NOW).judgement is Judgement.missed


def test_a_running_clock_that_makes_the_mean_exact_crosses_now() -> None:
    waits = Waits([timedelta(seconds=60)], [NOW - timedelta(seconds=120)])
    status = judge_mean(waits.cohort(NOW), 90, NOW)
    assert (status.judgement, status.crosses_at) == (Judgement.met, NOW)


def test_case_30_a_mean_with_unanswered_tickets_in_it() -> None:
    """Answered ones alone look fine; who still waits has already broken it."""
    waits = Waits([timedelta(seconds=10)] * 3, [START])
    status = judge_mean(waits.cohort(NOW), 90, NOW)
    assert (status.mean_answered_seconds, status.mean_floor_seconds) == (10, 107.5)
    assert (status.judgement, status.crosses_at) == (Judgement.missed, None)


_uneven = st.builds(
    _uneven_clock,
    st.sampled_from([None, *CALENDARS]),
    st.integers(0, 10**6),
    st.lists(st.integers(0, 10**5), max_size=4),
)


@given(
    st.lists(_uneven, min_size=1, max_size=4),
    st.lists(_waits, max_size=3),
    st.lists(_started, max_size=2),
    st.integers(1, 10**6),
)
def test_with_pauses_and_business_hours_it_crosses_where_the_floor_passes_the_target(
    uneven: list[Clock], answered: list[timedelta], even: list[datetime], target: int
) -> None:
    """The last instant within it: where it is used up at the end of a day, that is where the next one begins."""
    waits = Waits(answered, even)
    budget = target * timedelta(seconds=1) * (len(uneven) + len(even) + len(answered))

    def total(now: datetime) -> timedelta:
        return sum((clock.elapsed(now) for clock in uneven), waits.total(now))

    now = max(NOW, *(instant for clock in uneven for instant in (clock.started_at, *clock.pauses)))
    running = sum((now - since for since in even), timedelta())
    cohort = Cohort(len(answered), sum(answered, timedelta()), len(uneven) + len(even), running, added_up(uneven, now))
    status = judge_mean(cohort, target, now)
    assert status.judgement is (Judgement.missed if total(now) > budget else Judgement.met)
    if status.crosses_at is None:
        assert total(now) > budget or (not even and all(clock.paused for clock in uneven))
        return
    assert total(status.crosses_at) <= budget
    assert total(status.crosses_at + MICROSECOND) > budget


@given(
    st.lists(_uneven, max_size=4),
    st.lists(st.lists(st.integers(0, 10**6), unique=True, min_size=2, max_size=4).map(sorted), min_size=1, max_size=4),
    st.sampled_from([None, *CALENDARS]),
    st.integers(0, 10**6),
)
def test_added_up_they_have_waited_at_any_later_instant_as_long_as_one_by_one(
    uneven: list[Clock], frozen: list[list[int]], calendar: BusinessCalendar | None, later: int
) -> None:
    """Also those whose time will stop, or go on, at an instant yet to come."""
    clocks = [
        *uneven,
        *(
            Clock(FIRST, 1, START, Terms(calendar=calendar), relief=Relief(frozen=tuple(map(at, spans))))
            for spans in frozen
        ),
    ]
    now = max(NOW, *(instant for clock in clocks for instant in (clock.started_at, *clock.pauses)))
    for instant in (now, now + later * MICROSECOND, now + timedelta(seconds=later)):
        waited = sum(clock.elapsed(instant) // MICROSECOND for clock in clocks)
        assert added_up(clocks, now).wait(instant) == waited


def test_what_is_paused_for_good_never_crosses() -> None:
    paused = Clock(RESOLUTION, 1, START, NO_TERMS[RESOLUTION]).in_status(Status.pending, at(10))
    cohort = Cohort(0, timedelta(), 1, timedelta(), added_up([paused], NOW))
    assert judge_mean(cohort, 11, NOW).crosses_at is None
    assert judge_mean(cohort, 10, NOW).judgement is Judgement.met
    assert judge_mean(cohort, 9, NOW).judgement is Judgement.missed


def test_those_that_run_on_evenly_and_unevenly_use_up_what_is_left_together() -> None:
    """400 + 390 + 390 of 3 · 500 are used up, and all three run on; a fourth one is paused at 10 s."""
    terms = Terms(pause_on=frozenset({Status.pending}))
    paused = Clock(FIRST, 1, START, terms).in_status(Status.pending, at(10))
    again = paused.in_status(Status.open, at(20))
    cohort = Cohort(0, timedelta(), 3, timedelta(seconds=400), added_up([again, again], NOW))
    assert judge_mean(cohort, 500, NOW).crosses_at == at(400) + timedelta(seconds=320) / 3 - timedelta(microseconds=1)
    with_paused = Cohort(0, timedelta(), 4, timedelta(seconds=400), added_up([again, again, paused], NOW))
    assert judge_mean(with_paused, 395, NOW).crosses_at == at(530)


def test_business_hours_cross_on_the_calendar() -> None:
    """Monday 09:30 to 17:00 are 27000 s; two such clocks, one answered after 3000 s: 3 · 20000 are used up at 28500."""
    clock = Clock(FIRST, 1, START, Terms(calendar=OFFICE))
    cohort = Cohort(1, timedelta(seconds=3000), 2, timedelta(), added_up([clock, clock], NOW))
    assert judge_mean(cohort, 20_000, NOW).crosses_at == datetime(2026, 3, 3, 9, 25, tzinfo=UTC)


def test_with_nothing_to_judge_there_is_no_judgement() -> None:
    status = judge_mean(Cohort(0, timedelta(), 0, timedelta()), 90, NOW)
    assert status.judgement is Judgement.no_data
    assert (status.mean_answered_seconds, status.mean_floor_seconds, status.crosses_at) == (None, None, None)


def test_a_crossing_beyond_the_calendar_is_none_at_all() -> None:
    ten_years = 315_360_000
    status = judge_mean(Cohort(10**6, timedelta(), 1, timedelta()), ten_years, NOW)
    assert (status.judgement, status.crosses_at) == (Judgement.met, None)
    assert status.slack_seconds == ten_years * (10**6 + 1)

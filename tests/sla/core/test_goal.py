"""The judge of means against exact fractions: what the floor is at any instant, counted clock by clock."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.goal import Cohort, Judgement, judge_mean
from tests.sla.core.builders import MICROSECOND, START, at

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

    def floor(self, now: datetime) -> Fraction:
        every = [*self.answered, *(now - since for since in self.running_since)]
        return Fraction(sum(wait // MICROSECOND for wait in every), 1_000_000 * len(every))


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


def test_with_nothing_to_judge_there_is_no_judgement() -> None:
    status = judge_mean(Cohort(0, timedelta(), 0, timedelta()), 90, NOW)
    assert status.judgement is Judgement.no_data
    assert (status.mean_answered_seconds, status.mean_floor_seconds, status.crosses_at) == (None, None, None)


def test_a_crossing_beyond_the_calendar_is_none_at_all() -> None:
    ten_years = 315_360_000
    status = judge_mean(Cohort(10**6, timedelta(), 1, timedelta()), ten_years, NOW)
    assert (status.judgement, status.crosses_at) == (Judgement.met, None)
    assert status.slack_seconds == ten_years * (10**6 + 1)

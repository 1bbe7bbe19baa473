"""Shares of waits against what a percentile is by definition: the smallest wait that so many percent do not exceed."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.calendar import LATEST, BusinessCalendar
from app.sla.core.clock import Clock
from app.sla.core.enums import Status
from app.sla.core.goal import Judgement
from app.sla.core.policy import Terms
from app.sla.core.share import ClocksAgainstTarget, Share
from tests.sla.core.builders import CALENDARS, FIRST, MICROSECOND, OFFICE, START, at

_percents = st.one_of(
    st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9, 100.0]), st.integers(1, 10_000).map(lambda n: n / 100)
)


@given(st.lists(st.integers(0, 200), max_size=300), st.integers(0, 200), _percents)
def test_a_percentile_is_within_the_target_exactly_where_so_many_waits_are(
    waits: list[int], target: int, percent: float
) -> None:
    share = Share(len(waits), sum(wait > target for wait in waits), percent)
    if not waits:
        assert (share.judgement, share.within, share.budget_used) == (Judgement.no_data, None, None)
        return
    wanted = Fraction(round(percent * 100), 10_000)
    percentile = next(
        wait for wait in sorted(waits) if Fraction(sum(other <= wait for other in waits), len(waits)) >= wanted
    )
    assert share.judgement is (Judgement.met if percentile <= target else Judgement.missed)
    within = Fraction(sum(wait <= target for wait in waits), len(waits))
    assert share.within == pytest.approx(float(100 * within))
    assert (share.judgement is Judgement.met) == (within >= wanted)
    if wanted < 1:
        assert share.budget_used == pytest.approx(float((1 - within) / (1 - wanted)))
    else:
        assert share.budget_used is None


@pytest.mark.parametrize(
    ("count", "percent", "allowed"),
    [
        (10, 80, 2),
        (9, 80, 1),
        (4, 80, 0),
        (1000, 99.9, 1),
        (999, 99.9, 0),
        (7, 100, 0),
        (1, 50, 0),
        (2, 50, 1),
        (0, 80, 0),
    ],
)
def test_so_many_may_be_missed_and_no_more(count: int, percent: float, allowed: int) -> None:
    share = Share(count, allowed, percent)
    assert share.allowed == allowed
    assert share.judgement is (Judgement.met if count else Judgement.no_data)
    if count > allowed:
        assert Share(count, allowed + 1, percent).judgement is Judgement.missed


def _clock(calendar: BusinessCalendar | None, opened: int, changes: list[int]) -> Clock:
    clock = Clock(FIRST, 1, at(opened), Terms(calendar=calendar, pause_on=frozenset({Status.pending})))
    for n, seconds in enumerate(accumulate(changes, initial=opened)):
        clock = clock.in_status(Status.open if n % 2 else Status.pending, at(seconds))
    return clock


@given(
    st.builds(
        _clock,
        st.sampled_from([None, *CALENDARS]),
        st.integers(0, 10**6),
        st.lists(st.integers(0, 10**5), max_size=4),
    ),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
)
def test_a_clock_passes_the_target_at_the_last_instant_within_it(clock: Clock, target: int, later: int) -> None:
    now, most = clock.started_at + timedelta(seconds=later), timedelta(seconds=target)
    passing = ClocksAgainstTarget(most, now)
    passing.add(clock)
    assert passing.waits == [clock.elapsed(now)]
    if clock.elapsed(now) > most:
        assert passing.misses == 1
    # The instant at which a policy of so many seconds would be due.
    due_at = clock._replace(terms=replace(clock.terms, seconds=target)).due_at
    assert passing.misses == int(due_at is not None and due_at < now)
    if passing.misses or due_at is None or due_at >= LATEST:
        assert passing.instants == []
        return
    assert passing.instants == [due_at]
    assert due_at >= now
    assert clock.elapsed(due_at) == most


def test_what_is_used_up_at_closing_is_passed_while_closed() -> None:
    """By the instant, as the deadline of a policy is: nobody may wait all night within the target."""
    closing = START.replace(hour=17, minute=0)
    clock = Clock(FIRST, 1, closing - timedelta(seconds=60), Terms(calendar=OFFICE))
    passing = ClocksAgainstTarget(timedelta(seconds=60), closing - timedelta(seconds=1))
    passing.add(clock)
    assert passing.instants == [closing]
    passing = ClocksAgainstTarget(timedelta(seconds=60), closing + timedelta(minutes=30))
    passing.add(clock)
    assert (passing.misses, passing.instants) == (1, [])
    assert not passing.is_late(clock.stop(closing))
    assert passing.is_late(clock.stop(closing + MICROSECOND))
    assert passing.is_late(clock.stop(closing + timedelta(hours=17)))


def test_a_wait_of_exactly_the_target_is_within_it_and_passes_it_now() -> None:
    clock = Clock(FIRST, 1, at(0), Terms(calendar=OFFICE))
    passing = ClocksAgainstTarget(timedelta(seconds=60), at(60))
    passing.add(clock)
    assert (passing.misses, passing.instants) == (0, [at(60)])
    late = ClocksAgainstTarget(timedelta(seconds=60), at(60) + MICROSECOND)
    late.add(clock)
    assert (late.misses, late.instants) == (1, [])


def test_what_is_not_used_up_within_the_calendar_is_never_passed() -> None:
    passing = ClocksAgainstTarget(timedelta(days=70_000), at(60))
    passing.add(Clock(FIRST, 1, at(0), Terms(calendar=OFFICE)))
    assert passing.instants == []

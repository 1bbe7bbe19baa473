"""Shares of waits against what a percentile is by definition: the smallest wait that so many percent do not exceed."""

from datetime import timedelta
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import Clock
from app.sla.core.goal import Judgement
from app.sla.core.policy import Terms
from app.sla.core.share import Passing, Share
from app.sla.core.words import Status
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
        assert (share.judgement, share.within, share.spent) == (Judgement.no_data, None, None)
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
        assert share.spent == pytest.approx(float((1 - within) / (1 - wanted)))
    else:
        assert share.spent is None


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
    passing = Passing(most, now)
    passing.add(clock)
    assert passing.waits == [clock.elapsed(now)]
    assert passing.misses == int(clock.elapsed(now) > most)
    far = now + timedelta(days=30_000)
    if passing.misses or clock.elapsed(far) <= most:
        assert passing.instants == []
        return
    [instant] = passing.instants
    assert instant >= now
    assert clock.elapsed(instant) == most
    assert clock.elapsed(instant + MICROSECOND) == most + MICROSECOND


def test_what_is_used_up_at_closing_is_passed_when_the_business_opens_again() -> None:
    """A wait that reaches the target at five in the evening is within it all night."""
    closing = START.replace(hour=17, minute=0)
    clock = Clock(FIRST, 1, closing - timedelta(seconds=60), Terms(calendar=OFFICE))
    passing = Passing(timedelta(seconds=60), closing - timedelta(seconds=1))
    passing.add(clock)
    assert passing.instants == [closing + timedelta(hours=16)]


def test_a_wait_of_exactly_the_target_is_within_it_and_passes_it_now() -> None:
    clock = Clock(FIRST, 1, at(0), Terms(calendar=OFFICE))
    passing = Passing(timedelta(seconds=60), at(60))
    passing.add(clock)
    assert (passing.misses, passing.instants) == (0, [at(60)])
    late = Passing(timedelta(seconds=60), at(60) + MICROSECOND)
    late.add(clock)
    assert (late.misses, late.instants) == (1, [])


def test_what_is_not_used_up_within_the_calendar_is_never_passed() -> None:
    passing = Passing(timedelta(days=70_000), at(60))
    passing.add(Clock(FIRST, 1, at(0), Terms(calendar=OFFICE)))
    assert passing.instants == []

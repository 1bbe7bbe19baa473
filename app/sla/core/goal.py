"""A goal judges an aggregate: the mean of all waits in a window, those still waiting included.

An unanswered ticket counts with the time it has waited so far. Waiting can only raise that floor, so a goal that it
breaks is definitely missed, and the instant at which it will break can be told beforehand. (Averages over answered
tickets only, which is what most systems report, get better while nobody answers.)"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.sla.core.calendar import LATEST, BusinessCalendar
from app.sla.core.clock import Clock

_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000


class Judgement(StrEnum):
    met = "met"
    missed = "missed"
    no_data = "no_data"


class NonLinearClocks:
    """Running clocks whose time does not simply pass (business hours, pauses), added up as of `now`. From then on all
    that matters of most is by which calendar they run, or that they pause: however many they are, a later instant costs
    as much as there are calendars."""

    __slots__ = ("_now", "_others", "_paces", "_wait", "count")

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._wait = 0
        self._paces: dict[BusinessCalendar | None, int] = {}
        # Those that pause or go on at an instant yet to come.
        self._others: list[Clock] = []
        self.count = 0

    def add(self, clock: Clock) -> None:
        self.count += 1
        later = [(start, until) for start, until in clock.runs() if until is None or until > self._now]
        goes_on = len(later) == 1 and later[0][0] <= self._now and later[0][1] is None
        if later and not goes_on:
            self._others.append(clock)
            return
        self._wait += clock.elapsed(self._now) // _MICROSECOND
        if goes_on:
            calendar = clock.terms.calendar
            self._paces[calendar] = self._paces.get(calendar, 0) + 1

    def wait(self, at: datetime) -> int:
        """All their waits at `at`, which is not before `now`, in microseconds."""
        total = self._wait + sum(clock.elapsed(at) // _MICROSECOND for clock in self._others)
        for calendar, count in self._paces.items():
            passed = calendar.elapsed(self._now, at) if calendar else at - self._now
            total += passed // _MICROSECOND * count
        return total


@dataclass(frozen=True, slots=True)
class Cohort:
    """The clocks that started in the window. `running_wait` is the sum of the waits, at the instant of judgement, of
    those `running` whose time runs evenly; `uneven` are the others."""

    answered: int
    answered_wait: timedelta
    running: int
    running_wait: timedelta
    uneven: NonLinearClocks | None = None

    def total(self, at: datetime, now: datetime) -> int:
        """All waits together at `at`, if nothing more is answered from `now` on; in microseconds, which do not overflow
        as a timedelta does."""
        evenly = (at - now) // _MICROSECOND * (self.running - (self.uneven.count if self.uneven else 0))
        waits = self.uneven.wait(at) if self.uneven else 0
        return (self.answered_wait + self.running_wait) // _MICROSECOND + evenly + waits

    def budget_used(self, target_seconds: int, now: datetime) -> float | None:
        """The share of what may be waited that has been waited: 1 is all of it. None where nobody asked."""
        count = self.answered + self.running
        return self.total(now, now) / (count * target_seconds * _SECOND) if count else None


@dataclass(frozen=True, slots=True)
class MeanStatus:
    judgement: Judgement
    mean_answered_seconds: float | None
    mean_floor_seconds: float | None
    slack_seconds: float
    crosses_at: datetime | None


def judge_mean(cohort: Cohort, target_seconds: int, now: datetime) -> MeanStatus:
    """With n waits of which k are running and S the sum of all now, the mean passes the target T at
    now + (n·T − S) / k if nothing more is answered. A mean of exactly T is met."""
    count = cohort.answered + cohort.running
    total = cohort.total(now, now)
    budget = count * target_seconds * _SECOND
    slack = budget - total
    missed = slack < 0
    judgement = Judgement.no_data if count == 0 else Judgement.missed if missed else Judgement.met
    return MeanStatus(
        judgement=judgement,
        mean_answered_seconds=cohort.answered_wait.total_seconds() / cohort.answered if cohort.answered else None,
        mean_floor_seconds=total / _SECOND / count if count else None,
        slack_seconds=slack / _SECOND,
        crosses_at=None if missed else _crossing(cohort, budget, now),
    )


def _crossing(cohort: Cohort, budget: int, now: datetime) -> datetime | None:
    """When all waits together have used up the `budget`; None where that never comes."""
    if not cohort.running:
        return None
    if not cohort.uneven:
        try:
            return now + timedelta(microseconds=(budget - cohort.total(now, now)) / cohort.running)
        except OverflowError:
            return None  # after the year 9999
    # Waiting never makes the sum smaller, so that the last instant within the budget can be found by halving.
    low, high = 0, (LATEST - now) // _MICROSECOND
    if cohort.total(LATEST, now) <= budget:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cohort.total(now + middle * _MICROSECOND, now) > budget else (middle, high)
    return now + low * _MICROSECOND

"""A goal judges an aggregate: the mean of all waits in a window, those still waiting included.

An unanswered ticket counts with the time it has waited so far. Waiting can only raise that floor, so a goal that it
breaks is definitely missed, and the instant at which it will break can be told beforehand. (Averages over answered
tickets only, which is what most systems report, get better while nobody answers.)"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000


class Judgement(StrEnum):
    met = "met"
    missed = "missed"
    no_data = "no_data"


@dataclass(frozen=True, slots=True)
class Cohort:
    """The clocks that started in the window. `running_wait` is the sum of their waits at the instant of judgement."""

    answered: int
    answered_wait: timedelta
    running: int
    running_wait: timedelta


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
    total = cohort.answered_wait + cohort.running_wait
    # In whole microseconds, which do not overflow as a timedelta does.
    slack = count * target_seconds * _SECOND - total // _MICROSECOND
    missed = slack < 0
    judgement = Judgement.no_data if count == 0 else Judgement.missed if missed else Judgement.met
    return MeanStatus(
        judgement=judgement,
        mean_answered_seconds=_mean(cohort.answered_wait, cohort.answered),
        mean_floor_seconds=_mean(total, count),
        slack_seconds=slack / _SECOND,
        crosses_at=_crossing(now, slack, cohort.running) if cohort.running and not missed else None,
    )


def _crossing(now: datetime, slack: int, running: int) -> datetime | None:
    try:
        return now + timedelta(microseconds=slack / running)
    except OverflowError:
        return None  # after the year 9999


def _mean(total: timedelta, count: int) -> float | None:
    return total.total_seconds() / count if count else None

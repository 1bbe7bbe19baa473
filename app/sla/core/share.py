"""A goal for a share of the waits in a window: at least so many percent within the target ("80 % within 20 s"). A
percentile says the same: p90 is within the target exactly where at least 90 % of the waits are (nearest rank).

Who still waits counts as within the target until the wait passes it, and is a miss from then on. Waiting can only add
misses: a goal that they break is definitely missed, and the instant at which it will break can be told beforehand."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.sla.core.calendar import LATEST
from app.sla.core.clock import Clock
from app.sla.core.goal import Judgement

_WHOLE = 10_000


@dataclass(frozen=True, slots=True)
class Share:
    """Of `count` waits `misses` are longer than the target; `percent`, in steps of 0.01, must not be."""

    count: int
    misses: int
    percent: float

    @property
    def allowed(self) -> int:
        """The most misses with which the goal is met."""
        needed = -(-self.count * self._hundredths // _WHOLE)
        return self.count - needed

    @property
    def judgement(self) -> Judgement:
        if not self.count:
            return Judgement.no_data
        return Judgement.missed if self.misses > self.allowed else Judgement.met

    @property
    def within(self) -> float | None:
        """The percent of the waits that are within the target."""
        return 100 * (self.count - self.misses) / self.count if self.count else None

    @property
    def budget_used(self) -> float | None:
        """The share of what may be missed that is missed: 1 is all of it. None where there is nothing to spend."""
        budget = self.count * (_WHOLE - self._hundredths)
        return self.misses * _WHOLE / budget if budget else None

    @property
    def _hundredths(self) -> int:
        return round(self.percent * 100)


class ClocksAgainstTarget:
    """Running clocks whose time does not simply pass, against a target: what each has waited at `now`, and when those
    that are within the target pass it if they are not answered."""

    __slots__ = ("_now", "_target", "instants", "misses", "waits")

    def __init__(self, target: timedelta, now: datetime) -> None:
        self._target = target
        self._now = now
        self.waits: list[timedelta] = []
        self.instants: list[datetime] = []
        self.misses = 0

    def add(self, clock: Clock) -> None:
        self.waits.append(clock.elapsed(self._now))
        # By the instant, as deadlines are: used up at closing, the target is passed while the business is closed.
        covers = clock.reaches(self._target, clock.relief.frozen)
        if covers is None:
            return
        if covers < self._now:
            self.misses += 1
        elif covers < LATEST:
            self.instants.append(covers)

    def is_late(self, clock: Clock) -> bool:
        """Whether an answered clock was answered after the instant at which the target was used up."""
        covers = clock.reaches(self._target, clock.relief.frozen)
        return covers is not None and clock.stopped_at is not None and clock.stopped_at > covers

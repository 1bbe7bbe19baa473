"""How well the formulas would have met the past: each hour is foretold from what was known when it began, and held
against what came. Pure; seconds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

from app.sla.core.staffing import MOST_AGENTS, Demand

HOUR = 3600
_DAY, _WEEK = 24, 168
# Nothing is foretold before so many tickets are known by their handling, and so many who gave up by their patience.
NEEDED = 30
# Of those online, so large a part may have been at work.
_PARTS = tuple(part / 20 for part in range(6, 21))


@dataclass(slots=True)
class Learnt:
    """Of waits that ended, and of tickets whose handling is done: sums and how many."""

    wait: float = 0.0
    gone: int = 0
    handling: float = 0.0
    handled: int = 0

    @property
    def handling_mean(self) -> float | None:
        return self.handling / self.handled if self.handled >= NEEDED else None

    @property
    def patience(self) -> float | None:
        """None where too few gave up to know it: then the formulas have nobody give up."""
        return self.wait / self.gone if self.gone >= NEEDED else None

    def add(self, other: "Learnt") -> None:
        self.wait += other.wait
        self.gone += other.gone
        self.handling += other.handling
        self.handled += other.handled


@dataclass(slots=True)
class Hour:
    """What began in it (`arrivals`; of the `waits` that have ended since, the sum), how many agents were online on
    average, and what could be learnt in it."""

    arrivals: int = 0
    waits: int = 0
    wait: float = 0.0
    online: float = 0.0
    learnt: Learnt = field(default_factory=Learnt)


@dataclass(frozen=True, slots=True)
class Foretold:
    """The mean wait of an hour: what the formulas said, what the same hour before had been, and what came. Seconds."""

    model: float
    before: float | None
    came: float
    arrivals: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean absolute errors over `hours`, of the formulas and of "as at this hour before", over the same ones; `mean` is
    what came on average. `answerless` are hours for which the formulas have no finite wait. `part` is the part of those
    online that made the formulas fit best."""

    hours: int
    mean: float
    error: float
    error_before: float
    answerless: int
    part: float


def accuracy(hours: Sequence[Hour], first: int) -> Iterator[Accuracy | None]:
    """Of the hours from `first` on; those before are learnt from only. One after another, so that others have their
    turn; the last one is the whole, None where no hour could be judged."""
    learnt = Learnt()
    errors = dict.fromkeys(_PARTS, 0.0)
    judged: list[Foretold] = []
    answerless = 0
    part = 1.0
    for number, hour in enumerate(hours):
        if hour.arrivals and hour.waits and hour.online > 0 and learnt.handling_mean and number >= first:
            demand = Demand(hour.arrivals / HOUR, learnt.handling_mean, learnt.patience)
            said = foretold_waits(demand, hour.online)
            came = hour.wait / hour.waits
            if said[part] < inf:
                judged.append(Foretold(said[part], _before(hours, number), came, hour.arrivals))
            else:
                answerless += 1
            for each, wait in said.items():
                errors[each] += min(abs(wait - came), HOUR)
            # The largest of equals.
            part = min(reversed(_PARTS), key=errors.__getitem__)
        learnt.add(hour.learnt)
        yield None
    compared = [each for each in judged if each.before is not None]
    yield _accuracy(compared, answerless, part) if compared else None


def foretold_waits(demand: Demand, online: float) -> Mapping[float, float]:
    """The mean wait for each part of those online that may have been at work. Between two whole numbers of agents, one
    at least, it is in proportion."""
    waits: dict[int, float] = {}

    def wait(agents: int) -> float:
        if agents not in waits:
            waits[agents] = demand.mean_wait(min(agents, MOST_AGENTS))
        return waits[agents]

    found = {}
    for part in _PARTS:
        agents = max(online * part, 1.0)
        whole, rest = int(agents), agents % 1
        found[part] = wait(whole) * (1 - rest) + (wait(whole + 1) * rest if rest else 0.0)
    return found


def _before(hours: Sequence[Hour], number: int) -> float | None:
    """The mean wait at this hour of the nearest day before, of the last seven, on which somebody came."""
    for back in range(_DAY, _WEEK + 1, _DAY):
        if number >= back and hours[number - back].waits:
            return hours[number - back].wait / hours[number - back].waits
    return None


def _accuracy(judged: Sequence[Foretold], answerless: int, part: float) -> Accuracy:
    count = len(judged)
    return Accuracy(
        count,
        sum(each.came for each in judged) / count,
        sum(abs(each.model - each.came) for each in judged) / count,
        sum(abs((each.before or 0.0) - each.came) for each in judged) / count,
        answerless,
        part,
    )


def planned(counts: Sequence[int], quantile: float) -> int:
    """Of how many came in the same intervals before, one at least, the nearest rank: as many are planned for."""
    return sorted(counts)[max(ceil(quantile * len(counts) - 1e-9), 1) - 1]


def covered(counts: Sequence[int], period: int, quantile: float, needed: int) -> tuple[int, int]:
    """Of the intervals in which somebody came or was planned for: how many had no more arrivals than would have been
    planned, from those a whole number of periods before, and how many could be judged, by `needed` before at least."""
    within = judged = 0
    for number in range(needed * period, len(counts)):
        plan = planned(counts[number % period : number : period], quantile)
        if plan or counts[number]:
            judged += 1
            within += counts[number] <= plan
    return within, judged

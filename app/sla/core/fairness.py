"""Whether a group of tickets is served worse than another by more than is allowed: only where chance does not explain
it, however often one looks. Pure. Two shares are compared by Newcombe's interval with Wilson scores (Newcombe 1998,
method 10), of which the lower end counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import permutations
from math import sqrt
from statistics import NormalDist

# One look in so long. By chance one look too many says `unfair` in so many days, at most and on average.
LOOK_EVERY = timedelta(hours=1)
FALSE_ALARM_IN = timedelta(days=90)
_LOOKS = FALSE_ALARM_IN // LOOK_EVERY
_MOST_NEEDED = 1 << 24


@dataclass(frozen=True, slots=True)
class Attainment:
    """`within` of `count` waits are within the target."""

    count: int
    within: int

    @property
    def share(self) -> float:
        return self.within / self.count


@dataclass(frozen=True, slots=True)
class Gap:
    """How far `group` is behind `best`, in points: as counted, and at least, where chance has had its due. `needed` is
    the smallest number of the group's waits at which, with these shares, it could be said; None where never."""

    group: str
    best: str
    points: float
    at_least: float
    needed: int | None


@lru_cache(maxsize=64)
def critical_value(groups: int) -> float:
    """Of a standard normal distribution, one-sided: each pair of groups may say `unfair` by chance in its part of all
    pairs and looks."""
    return NormalDist().inv_cdf(1 - 1 / (_LOOKS * max(groups * (groups - 1), 1)))


def wilson(share: float, count: int, z: float) -> tuple[float, float]:
    """The interval of a share."""
    squared = z * z / count
    middle = share + squared / 2
    half = z * sqrt(share * (1 - share) / count + squared / (4 * count))
    return max((middle - half) / (1 + squared), 0.0), min((middle + half) / (1 + squared), 1.0)


def difference(one: tuple[float, int], other: tuple[float, int], z: float) -> tuple[float, float]:
    """The interval of the first share less the second; each is a share and of how many."""
    (share1, count1), (share2, count2) = one, other
    (low1, high1), (low2, high2) = wilson(share1, count1, z), wilson(share2, count2, z)
    between = share1 - share2
    return (
        between - sqrt((share1 - low1) ** 2 + (high2 - share2) ** 2),
        between + sqrt((high1 - share1) ** 2 + (share2 - low2) ** 2),
    )


def gaps(groups: Mapping[str, Attainment], allowed_points: float) -> list[Gap]:
    """Of each group with waits, against the one that it is most surely behind; the worst first."""
    known = {name: group for name, group in groups.items() if group.count}
    z = critical_value(len(known))
    worst: dict[str, Gap] = {}
    for best, group in permutations(known, 2):
        one, other = known[best], known[group]
        low, _ = difference((one.share, one.count), (other.share, other.count), z)
        if group not in worst or low * 100 > worst[group].at_least:
            points = 100 * (one.within * other.count - other.within * one.count) / (one.count * other.count)
            worst[group] = Gap(group, best, points, 100 * low, None)
    return sorted(
        (_with_needed(gap, known, allowed_points, z) for gap in worst.values()),
        key=lambda gap: (-gap.at_least, gap.group),
    )


def unfair(found: Iterable[Gap], allowed_points: float) -> list[Gap]:
    return [gap for gap in found if gap.at_least > allowed_points]


def _with_needed(gap: Gap, known: Mapping[str, Attainment], allowed_points: float, z: float) -> Gap:
    best, share = known[gap.best], known[gap.group].share

    def can_be_said(count: int) -> bool:
        low, _ = difference((best.share, best.count), (share, count), z)
        return 100 * low > allowed_points

    if not can_be_said(_MOST_NEEDED):
        return gap
    low, high = 0, _MOST_NEEDED
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if can_be_said(middle) else (middle, high)
    return Gap(gap.group, gap.best, gap.points, gap.at_least, high)

"""Waits by buckets that are at most two percent wide, so that a wait known by its bucket is told to one percent. Whole
microseconds, from nothing to ten years; every wait up to 49 microseconds has a bucket of its own."""

from bisect import bisect_right
from collections.abc import Mapping

_TEN_YEARS = 10 * 365 * 86_400 * 1_000_000


def _bounds() -> tuple[int, ...]:
    found = [0, 1]
    while found[-1] <= _TEN_YEARS:
        found.append(found[-1] * 101 // 99 + 1)
    return tuple(found)


# Where each bucket begins.
BOUNDS = _bounds()


def bucket(us: int) -> int:
    """In SQL: `width_bucket(us, BOUNDS) - 1`."""
    return bisect_right(BOUNDS, us) - 1


def representative(number: int) -> float:
    """The microseconds that are at most one percent off every wait of a bucket. The last one has no end, and is told by
    where it begins."""
    low = BOUNDS[number]
    high = BOUNDS[number + 1] - 1 if number + 1 < len(BOUNDS) else low
    return 2 * low * high / (low + high) if low else 0.0


def rank(percent: int, count: int) -> int:
    """Nearest rank, from 1: of the smallest wait that at least so many percent are no longer than."""
    return max(1, -(-percent * count // 100))


def bucket_of_rank(counts: Mapping[int, int], nth: int) -> tuple[int, int]:
    """Which bucket holds the `nth` shortest wait, and the how-manieth it is there."""
    before = 0
    for number in sorted(counts):
        if before + counts[number] >= nth:
            return number, nth - before
        before += counts[number]
    raise ValueError("there are not so many waits")

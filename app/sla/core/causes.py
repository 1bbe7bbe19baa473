"""Why a mean wait changed: what each cause did to it (Shapley 1953), over replays of the queue in which each cause is
as it is now or as it was on a usual day. Pure and exact: what the causes do adds up to what the replay says, and what
the replay does not explain is the rest."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial
from typing import TypeAlias, TypeVar

from app.sla.core.replayed_queue import WHOLE, Cause, QueueWindow, hybrid_mean

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""Work that pauses after each replay, so that others have their turn."""
Effects: TypeAlias = dict[Cause, Fraction]
_CAUSES = tuple(Cause)
_TIMES = [
    Fraction(factorial(n) * factorial(len(_CAUSES) - 1 - n), factorial(len(_CAUSES))) for n in range(len(_CAUSES))
]
_SCALES = (100, 10_000)
# A cause is named where it does more than so many times what usual days do to one another.
BEYOND = 2


@dataclass(frozen=True, slots=True)
class Explanation:
    """`effects` and `rest` add up to `change`, the observed one. `spread` is how large an effect is between usual days;
    None where there is one usual day only. `scale` is what handling times were multiplied by, in thousandths."""

    change: Fraction
    effects: Effects
    rest: Fraction
    spread: Fraction | None
    scale: int

    @property
    def ranked(self) -> list[Cause]:
        """What changed the mean most in the direction in which it changed, first."""
        sign = -1 if self.change < 0 else 1
        return sorted(self.effects, key=lambda cause: -sign * self.effects[cause])

    @property
    def named(self) -> list[Cause]:
        """Those beyond what is usual, the largest first; none within normal variation, or where that is unknown."""
        if self.spread is None:
            return []
        return [cause for cause in self.ranked if abs(self.effects[cause]) > BEYOND * self.spread]


def shapley(value: Callable[[frozenset[Cause]], Fraction]) -> Effects:
    """`value` of the causes that are as they are now."""
    effects = {}
    for cause in _CAUSES:
        others = [other for other in _CAUSES if other is not cause]
        effects[cause] = sum(
            (
                _TIMES[size] * (value(frozenset(some) | {cause}) - value(frozenset(some)))
                for size in range(len(_CAUSES))
                for some in combinations(others, size)
            ),
            Fraction(0),
        )
    return effects


def between(before: QueueWindow, after: QueueWindow, scale: int = WHOLE) -> Steps[Effects]:
    """The effects between two windows: 32 replays."""
    means = {}
    for size in range(len(_CAUSES) + 1):
        for some in combinations(_CAUSES, size):
            now = frozenset(some)
            means[now] = hybrid_mean({cause: after if cause in now else before for cause in _CAUSES}, scale)
            yield
    return shapley(means.__getitem__)


def fitting_scale(windows: Sequence[QueueWindow], observed: Fraction) -> Steps[int]:
    """The scale of handling times with which the windows, replayed, have the mean that was observed, as near as
    thousandths and a tenth to ten times allow."""
    low, high = _SCALES
    while high - low > 1:
        middle = (low + high) // 2
        replayed = Fraction(0)
        for window in windows:
            replayed += hybrid_mean(dict.fromkeys(_CAUSES, window), middle)
            yield
        if replayed / len(windows) <= observed:
            low = middle
        else:
            high = middle
    return low


def explained(
    before: Sequence[QueueWindow], after: QueueWindow, usual: Fraction, change: Fraction
) -> Steps[Explanation]:
    """Of a change of the mean against usual windows, one at least, whose mean is `usual`."""
    scale = yield from fitting_scale(before, usual)
    effects: Effects = dict.fromkeys(_CAUSES, Fraction(0))
    for window in before:
        for cause, effect in (yield from between(window, after, scale)).items():
            effects[cause] += effect / len(before)
    spread = (yield from _spread(before, scale)) if len(before) > 1 else None
    return Explanation(change, effects, change - sum(effects.values(), Fraction(0)), spread, scale)


def _spread(windows: Sequence[QueueWindow], scale: int) -> Steps[Fraction]:
    """The largest effect of any cause on one of the windows, each explained by the others."""
    sums = [dict.fromkeys(_CAUSES, Fraction(0)) for _ in windows]
    for one, other in combinations(range(len(windows)), 2):
        for cause, effect in (yield from between(windows[one], windows[other], scale)).items():
            sums[other][cause] += effect
            sums[one][cause] -= effect
    return max(abs(effect) for each in sums for effect in each.values()) / (len(windows) - 1)


def at_once(steps: Steps[T]) -> T:
    """What the steps come to."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result

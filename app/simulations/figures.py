"""What a simulation counts, before and after: sums, so that batches add up. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.sla.clocks import key
from app.sla.core.clock import Clock, ClockState

# As they are kept: clocks, met, breached, answered, and the answered waits in whole microseconds.
Sums = list[int]
_NAMES = ("clocks", "met", "breached", "answered")
_MICROSECOND = timedelta(microseconds=1)
BEFORE, AFTER = "before", "after"
_SIDES = (BEFORE, AFTER)


@dataclass(slots=True)
class Figures:
    """By metric, segment (`""` is none) and side."""

    sums: dict[str, dict[str, dict[str, Sums]]] = field(default_factory=dict)

    def add(self, segment: str | None, sides: Sequence[str], clocks: Iterable[Clock], now: datetime) -> None:
        """To one side, or to both where nothing differs."""
        for clock in clocks:
            if clock.relief.excluded:
                continue
            state, answered = clock.state(now), clock.answered
            counted = (
                1, state is ClockState.met, state is ClockState.breached, answered,
                clock.elapsed(now) // _MICROSECOND if answered else 0,
            )  # fmt: skip
            of_sides = self._of(clock.metric.value, segment or "")
            for side in sides:
                sums = of_sides[side]
                for place, count in enumerate(counted):
                    sums[place] += count

    def _of(self, metric: str, segment: str) -> dict[str, Sums]:
        segments = self.sums.setdefault(metric, {})
        if segment not in segments:
            segments[segment] = {side: [0] * 5 for side in _SIDES}
        return segments[segment]


def shown(stored: Mapping[str, Mapping[str, Mapping[str, Sums]]]) -> dict[str, Any]:
    """In all, and by segment."""
    metrics, segments = [], []
    for metric, by_segment in sorted(stored.items()):
        total = {
            side: [sum(parts) for parts in zip(*(sums[side] for sums in by_segment.values()), strict=True)]
            for side in _SIDES
        }
        metrics.append({"metric": metric, **_sides(total)})
        segments += [
            {"metric": metric, "segment": segment or None, **_sides(sums)}
            for segment, sums in sorted(by_segment.items())
        ]
    return {"metrics": metrics, "segments": segments}


def _sides(sums: Mapping[str, Sums]) -> dict[str, Any]:
    return {side: _figures(sums[side]) for side in _SIDES}


def _figures(sums: Sums) -> dict[str, Any]:
    judged = sums[1] + sums[2]
    return {
        **dict(zip(_NAMES, sums, strict=False)),
        "attainment": 100 * sums[1] / judged if judged else None,
        "mean_seconds": sums[4] / sums[3] / 1_000_000 if sums[3] else None,
    }


def changed(before: Iterable[Clock], after: Iterable[Clock], now: datetime) -> list[str]:
    """The metrics of which a clock has another target, deadline, time or end, or is there on one side only."""
    sides = [{key(clock): _seen(clock, now) for clock in clocks} for clocks in (before, after)]
    keys = sides[0].keys() | sides[1].keys()
    return sorted({metric for metric, cycle in keys if sides[0].get((metric, cycle)) != sides[1].get((metric, cycle))})


def _seen(clock: Clock, now: datetime) -> tuple[object, ...]:
    return (
        clock.target_seconds, clock.due_at, clock.stopped_at, clock.ended_at, clock.relief.excluded,
        clock.elapsed(now),
    )  # fmt: skip

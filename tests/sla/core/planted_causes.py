"""Simulated days of a support desk in which a cause is planted, or none. What explains a day sees what the service
records: arrivals, kinds, bots, handling times, who was online. What it does not see: the time after each ticket that
nobody records."""

import random
from collections.abc import Mapping
from fractions import Fraction

from app.sla.core.causes import Explanation, at_once, explained
from app.sla.core.replayed_queue import BotTurn, Cause, Job, Kind, QueueWindow, waits

_SECOND = 1_000_000
_DAY = 8 * 3600 * _SECOND
# Kind, share, mean handling in seconds.
_KINDS = ((Kind("chat", 1), 0.5, 240), (Kind("phone", 0), 0.3, 300), (Kind("email", 1), 0.2, 420))
_TICKETS, _AGENTS, _DEFLECTED = 520, 7, 0.2

LARGE: tuple[tuple[Cause, Mapping[str, float]], ...] = (
    (Cause.volume, {"volume": 1.2}),
    (Cause.staffing, {"away": 2}),
    (Cause.handling, {"handling": 1.2}),
    (Cause.mix, {"mix": 0.3}),
    (Cause.bots, {"deflected": 0.0}),
)
SMALL: tuple[tuple[Cause, Mapping[str, float]], ...] = (
    (Cause.volume, {"volume": 1.08}),
    (Cause.staffing, {"away": 1}),
    (Cause.handling, {"handling": 1.08}),
    (Cause.mix, {"mix": 0.15}),
    (Cause.bots, {"deflected": 0.12}),
)
USUAL: tuple[tuple[Cause | None, Mapping[str, float]], ...] = ((None, {}),)


def _day(
    draw: random.Random, *, volume: float = 1, away: float = 0, handling: float = 1, mix: float = 0,
    deflected: float = _DEFLECTED,
) -> tuple[QueueWindow, Fraction]:  # fmt: skip
    """The day as it was recorded, and the mean wait as it was."""
    opened = sorted(int(draw.random() * _DAY) for _ in range(round(_TICKETS * volume)))
    shares = [share + (mix if kind.name == "email" else -mix / 2) for kind, share, _ in _KINDS]
    kinds, bots, jobs = [], [], []
    known: dict[str, list[int]] = {}
    for at in opened:
        kind, _, mean = draw.choices(_KINDS, shares)[0]
        took = int(draw.gammavariate(4, mean * handling / 4) * _SECOND)
        kinds.append(kind)
        known.setdefault(kind.name, []).append(took)
        bots.append(BotTurn(draw.random() < deflected, 0))
        if not bots[-1].deflected:
            jobs.append(Job(at, at, kind.rank, took * 105 // 100 + 5 * _SECOND))
    servers = [(int(draw.uniform(0, 300) * _SECOND), _DAY + 3600 * _SECOND) for _ in range(_AGENTS - int(away))]
    waited = waits(jobs, servers)
    return QueueWindow(opened, kinds, bots, known, servers), Fraction(sum(waited), len(waited))


def explain_days(
    days: int, planted: tuple[tuple[Cause | None, Mapping[str, float]], ...], seed: int
) -> list[tuple[Cause | None, Explanation]]:
    """Each day against five usual ones of its own, with what was planted in it, by turns."""
    draw = random.Random(seed)
    found = []
    for number in range(days):
        cause, changed = planted[number % len(planted)]
        usual = [_day(draw) for _ in range(5)]
        mean = sum((each for _, each in usual), Fraction(0)) / 5
        window, observed = _day(draw, **changed)
        steps = explained([each for each, _ in usual], window, mean, observed - mean)
        found.append((cause, at_once(steps)))
    return found

"""How long somebody who comes now is likely to wait for the first answer, told by how long others did. Pure.

A table that backs off: the last waits of those who found as many ahead of them, as many hands free and had the same
priority; where those are too few, of coarser keys, and of the next shorter queues. Who gave up is censored, not left
out: all that is known of them is that their answer would have taken longer (Kaplan and Meier)."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from math import nan
from typing import NamedTuple
from uuid import UUID

from app.sla.core.calendar import LATEST
from app.sla.core.enums import Priority

# So many waits of a key are remembered, and so many it takes to say anything.
REMEMBERED, NEEDED = 1_500, 60
SAID = (0.5, 0.8, 0.95)

# The first number ahead of each class: 0, 1, 2, 3, 4-5, 6-7, 8-10, 11-14, 15-20, 21 and more.
AHEAD = (0, 1, 2, 3, 4, 6, 8, 11, 15, 21)
MOST_AHEAD = AHEAD[-1]
NOBODY_ONLINE, MOST_HANDS = 0, 2


def ahead_class(ahead: int) -> int:
    return bisect_right(AHEAD, ahead) - 1


def idle_class(online: int, hands_free: int) -> int:
    """Nobody online, no hand free, one, two or more."""
    return 1 + min(max(hands_free, 0), MOST_HANDS) if online else NOBODY_ONLINE


class Key(NamedTuple):
    """Classes of what somebody met; None is any."""

    priority: Priority | None = None
    ahead: int | None = None
    idle: int | None = None


def learned_under(priority: Priority, ahead: int, idle: int) -> tuple[Key, ...]:
    """The keys under which a wait is remembered, from fine to coarse."""
    return Key(priority, ahead, idle), Key(None, ahead, idle), Key(None, ahead), Key()


def asked_for(priority: Priority, ahead: int, idle: int) -> tuple[Key, ...]:
    """The keys by which a wait is foretold: the first of which enough is known. Of a queue that was never seen as long,
    the longest that was."""
    *known, whole = learned_under(priority, ahead, idle)
    return (*known, *(Key(None, shorter) for shorter in reversed(range(ahead))), whole)


class Wait(NamedTuple):
    """How long somebody waited, and whether it was for an answer: otherwise they gave up then."""

    seconds: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of answers that come within so many seconds, at each wait after which one came."""

    seconds: Sequence[float]
    shares: Sequence[float]

    def by(self, share: float) -> float | None:
        """Seconds within which this share of the answers comes; where that was never seen, the longest wait of all.
        None where nobody was ever answered."""
        if not self.seconds:
            return None
        return self.seconds[min(bisect_left(self.shares, share - 1e-12), len(self.seconds) - 1)]

    def within(self, seconds: float) -> float:
        """The share of the answers that comes within so many seconds."""
        place = bisect_right(self.seconds, seconds)
        return self.shares[place - 1] if place else 0.0


def curve(waits: Iterable[Wait]) -> Curve:
    """After Kaplan and Meier. Who gave up at the instant of an answer would still have been waiting."""
    ordered = sorted(waits, key=lambda wait: (wait.seconds, not wait.answered))
    longer, shares = 1.0, dict[float, float]()
    for waiting, wait in zip(range(len(ordered), 0, -1), ordered, strict=True):
        if wait.answered:
            longer *= 1 - 1 / waiting
            shares[wait.seconds] = 1 - longer
    return Curve(tuple(shares), tuple(shares.values()))


@dataclass(frozen=True, slots=True)
class Outlook:
    """`by` are the seconds within which an answer comes, as sure as SAID. The more are ahead, the later: nobody is told
    that a longer queue is a shorter wait, however the few that met it fared."""

    by: tuple[float, ...]
    curves: tuple[Curve, ...]

    def within(self, seconds: float) -> float:
        return min(each.within(seconds) for each in self.curves)


def outlook(curves: Sequence[Curve | None]) -> Outlook | None:
    """Of the curves of each class of queues up to somebody's own, which is the last. None where that is not known, or
    nobody was ever answered."""
    if not (curves[-1] and curves[-1].seconds):
        return None
    known = tuple(each for each in curves if each and each.seconds)
    return Outlook(tuple(max(each.by(share) or 0.0 for each in known) for share in SAID), known)


@dataclass(slots=True)
class Table:
    """Learn a wait only once its end is known: whoever is asked at an instant knows nothing of what comes after it."""

    waits: dict[Key, deque[Wait]] = field(default_factory=dict)

    def learn(self, priority: Priority, ahead: int, idle: int, wait: Wait) -> None:
        for key in learned_under(priority, ahead, idle):
            self.waits.setdefault(key, deque(maxlen=REMEMBERED)).append(wait)

    def curve(self, priority: Priority, ahead: int, idle: int) -> Curve | None:
        """None where too little is known."""
        for key in asked_for(priority, ahead, idle):
            if len(found := self.waits.get(key, ())) >= NEEDED:
                return curve(found)
        return None

    def outlook(self, priority: Priority, ahead: int, idle: int) -> Outlook | None:
        """Of this queue and of each that is shorter. None where too little is known."""
        return outlook([self.curve(priority, each, idle) for each in range(ahead + 1)])


class Stay(NamedTuple):
    """Somebody in the queue: who has the nearer deadline comes first, and who has none last. `wait` is None while they
    wait, and where nothing is to be learnt of it."""

    id: UUID
    priority: Priority
    started_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    wait: Wait | None

    @property
    def place(self) -> tuple[datetime, UUID]:
        return self.due_at or LATEST, self.id


@dataclass(slots=True)
class Queue:
    """Who waits, as one after the other comes."""

    places: list[tuple[datetime, UUID]] = field(default_factory=list)
    ends: list[tuple[datetime, tuple[datetime, UUID]]] = field(default_factory=list)

    def enter(self, together: Sequence[Stay]) -> list[int]:
        """How many are ahead of each, as a class, of all who come at one instant, which is never before the last."""
        now = together[0].started_at
        while self.ends and self.ends[0][0] <= now:
            self.places.remove(heappop(self.ends)[1])
        for stay in together:
            if stay.due_at and (stay.ended_at is None or stay.ended_at > now):
                insort(self.places, stay.place)
                heappush(self.ends, (stay.ended_at or LATEST, stay.place))
        return [ahead_class(bisect_left(self.places, stay.place)) for stay in together]


class Told(NamedTuple):
    """What was said by when, as sure as SAID, and what came."""

    by: tuple[float, ...]
    wait: Wait


def came(told: Iterable[Told]) -> tuple[float, ...]:
    """The share that came within what was said, for each of SAID: the nearer to what was said, the better. Who gave up
    before that counts for as long as they waited."""
    some = list(told)
    parts = ([Wait(wait.seconds / max(by[place], 1e-6), wait.answered) for by, wait in some] for place in range(3))
    return tuple(curve(part).within(1.0) for part in parts)


def pinball(told: Iterable[Told]) -> float:
    """The mean loss in seconds of all that was said to those who were answered; the least is the best. NaN where that
    was nobody."""
    losses = [
        max(share * (wait.seconds - said), (share - 1) * (wait.seconds - said))
        for by, wait in told
        if wait.answered
        for share, said in zip(SAID, by, strict=True)
    ]
    return sum(losses) / len(losses) if losses else nan

"""A queue replayed: who would have waited how long, had this or that been as on another day. Pure and deterministic:
nothing is drawn. Instants are whole microseconds from the start of each window, so that windows can be exchanged."""

import heapq
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple


class Cause(StrEnum):
    """What may be as on another day: when and how many tickets came in, who was online, how long each took, of which
    kinds they were, and what bots took away or held up."""

    volume = "volume"
    staffing = "staffing"
    handling = "handling"
    mix = "mix"
    bots = "bots"


class Kind(NamedTuple):
    """`rank` 0 is answered first."""

    name: str
    rank: int


class BotTurn(NamedTuple):
    """Whether a bot kept the ticket from the staff, and else how long it had it first."""

    deflected: bool
    delay: int


class Job(NamedTuple):
    opened: int
    ready: int
    rank: int
    handling: int


@dataclass(frozen=True, slots=True)
class QueueWindow:
    """What came in and who was there. The lists are in order of opening; `handling` is what is known, by kind;
    `servers` from when until when somebody could take one ticket at a time."""

    opened: Sequence[int]
    kinds: Sequence[Kind]
    bots: Sequence[BotTurn]
    handling: Mapping[str, Sequence[int]]
    servers: Sequence[tuple[int, int]]


WHOLE = 1000
"""A scale of handling times is in thousandths."""


def waits(jobs: Sequence[Job], servers: Sequence[tuple[int, int]]) -> list[int]:
    """Nobody is interrupted; the lowest rank first, then who was ready first. Who has been free longest takes it. Who
    is never taken waits until the last one leaves, at least no time."""
    events = [(job.ready, 0, number) for number, job in enumerate(jobs)]
    events += [(start, 1, number) for number, (start, _) in enumerate(servers)]
    heapq.heapify(events)
    ends = [end for _, end in servers]
    last = max(ends, default=0)
    waited = [max(last - job.opened, 0) for job in jobs]
    queue: list[tuple[int, int, int]] = []
    free: deque[int] = deque()
    while events:
        at, comes_free, number = heapq.heappop(events)
        if comes_free:
            free.append(number)
        else:
            heapq.heappush(queue, (jobs[number].rank, at, number))
        while queue and free:
            server = free.popleft()
            if ends[server] <= at:
                continue
            taken = heapq.heappop(queue)[2]
            waited[taken] = at - jobs[taken].opened
            heapq.heappush(events, (at + jobs[taken].handling, 1, server))
    return waited


def hybrid_jobs(windows: Mapping[Cause, QueueWindow], scale: int = WHOLE) -> list[Job]:
    """The jobs of a day that is made of several: the i-th of n takes what stands at i·len//n of each list, so that
    "all from one day" is that day."""
    opened, kinds = windows[Cause.volume].opened, windows[Cause.mix].kinds
    bots, handling = windows[Cause.bots].bots, windows[Cause.handling].handling
    count = len(opened)
    if not (kinds and bots and any(handling.values())):
        return []
    taken = [kinds[number * len(kinds) // count] for number in range(count)]
    of_kind = Counter(kind.name for kind in taken)
    every = [each for known in handling.values() for each in known]
    seen: Counter[str] = Counter()
    jobs = []
    for number, (at, kind) in enumerate(zip(opened, taken, strict=True)):
        known = handling.get(kind.name) or every
        place = seen[kind.name] * len(known) // of_kind[kind.name]
        seen[kind.name] += 1
        turn = bots[number * len(bots) // count]
        if not turn.deflected:
            jobs.append(Job(at, at + turn.delay, kind.rank, known[place] * scale // WHOLE))
    return jobs


def hybrid_mean(windows: Mapping[Cause, QueueWindow], scale: int = WHOLE) -> Fraction:
    """Of the waits; 0 where nobody came."""
    jobs = hybrid_jobs(windows, scale)
    return Fraction(sum(waits(jobs, windows[Cause.staffing].servers)), len(jobs)) if jobs else Fraction(0)

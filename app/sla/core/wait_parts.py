"""Where the seconds of a wait went, without a model: each counted microsecond is in one part, and the parts add up to
the wait exactly. Pure; instants and spans are whole microseconds since one origin."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID


class WaitPart(StrEnum):
    """In which state a waiting ticket is: outside business hours, with a bot, while no agent was online who takes its
    channel, while all of those had their hands full, or while one was free and did not take it. The first that fits."""

    outside_hours = "outside_hours"
    with_bot = "with_bot"
    nobody_online = "nobody_online"
    all_busy = "all_busy"
    free_not_taken = "free_not_taken"


Span = tuple[int, int]
"""Half-open."""


class Presence(NamedTuple):
    """An agent online; `channels` None for every channel."""

    agent_id: UUID
    start: int
    end: int
    capacity: int = 1
    channels: frozenset[str] | None = None


class Work(NamedTuple):
    """An agent handling one ticket."""

    agent_id: UUID
    start: int
    end: int


class _Agent:
    __slots__ = ("capacity", "handling")

    def __init__(self) -> None:
        self.capacity: int | None = None
        self.handling = 0

    @property
    def online(self) -> bool:
        return self.capacity is not None

    @property
    def free(self) -> bool:
        return self.capacity is not None and self.handling < self.capacity


_OF_STAFF = (WaitPart.nobody_online, WaitPart.all_busy, WaitPart.free_not_taken)


class StaffTimes:
    """How long, up to any instant, nobody was online, all were busy, or somebody was free. Built once of a channel in
    n log n; each question after that is two searches."""

    def __init__(self, presences: Iterable[Presence], work: Iterable[Work], channel: str) -> None:
        changes: list[tuple[int, UUID, int, int | None]] = []
        for each in presences:
            if each.start < each.end and (each.channels is None or channel in each.channels):
                changes += [(each.start, each.agent_id, 0, each.capacity), (each.end, each.agent_id, 0, None)]
        for task in work:
            if task.start < task.end:
                changes += [(task.start, task.agent_id, 1, None), (task.end, task.agent_id, -1, None)]
        # At one instant an agent goes before they come: adjoining presences are one.
        changes.sort(key=lambda change: (change[0], change[2] == 0 and change[3] is not None))
        self._add_up(changes)

    def _add_up(self, changes: Sequence[tuple[int, UUID, int, int | None]]) -> None:
        agents: dict[UUID, _Agent] = {}
        online = free = 0
        self._at: list[int] = [change[0] for change in changes]
        self._state: list[int] = []
        for _, agent_id, handled, capacity in changes:
            agent = agents.setdefault(agent_id, _Agent())
            online -= agent.online
            free -= agent.free
            if handled:
                agent.handling += handled
            else:
                agent.capacity = capacity
            online += agent.online
            free += agent.free
            self._state.append(0 if not online else 2 if free else 1)
        self._sums: list[list[int]] = [[0] for _ in _OF_STAFF]
        for (start, end), state in zip(pairwise(self._at), self._state, strict=False):
            for number, sums in enumerate(self._sums):
                sums.append(sums[-1] + (end - start if number == state else 0))

    def between(self, start: int, end: int) -> dict[WaitPart, int]:
        first, last = self._until(start), self._until(end)
        return {part: last[n] - first[n] for n, part in enumerate(_OF_STAFF)}

    def _until(self, at: int) -> list[int]:
        """From the first change on; before it nobody was online."""
        place = bisect_right(self._at, at) - 1
        if place < 0:
            return [at - self._at[0] if self._at else at, 0, 0]
        until = [sums[place] for sums in self._sums]
        until[self._state[place]] += at - self._at[place]
        return until


def parts_of_wait(
    counted: Sequence[Span], closed: Sequence[Span], with_bot: Sequence[Span], staff: StaffTimes
) -> dict[WaitPart, int]:
    """Of the spans of a wait that count, in order and apart; so are those in which the business was `closed` and a bot
    had the ticket."""
    outside, inside = _split(counted, closed)
    bot, rest = _split(inside, with_bot)
    parts = dict.fromkeys(WaitPart, 0)
    parts[WaitPart.outside_hours], parts[WaitPart.with_bot] = _length(outside), _length(bot)
    for span in rest:
        for part, length in staff.between(*span).items():
            parts[part] += length
    return parts


def total(parts: Iterable[Mapping[WaitPart, int]]) -> dict[WaitPart, int]:
    added = dict.fromkeys(WaitPart, 0)
    for each in parts:
        for part, length in each.items():
            added[part] += length
    return added


def _split(spans: Sequence[Span], by: Sequence[Span]) -> tuple[list[Span], list[Span]]:
    """What of the spans lies in `by`, and what does not."""
    inside: list[Span] = []
    outside: list[Span] = []
    for span in spans:
        at, end = span
        for start, until in by:
            if until <= at or start >= end:
                continue
            if start > at:
                outside.append((at, start))
            inside.append((max(at, start), min(end, until)))
            at = min(end, until)
        if at < end:
            outside.append((at, end))
    return inside, outside


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)

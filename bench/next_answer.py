"""The next best answer against oldest-first and due-first: the calls to a bank as they came, answered by as many as are
needed for a load. `python -m bench.next_answer` prints it. Without the data there is nothing to measure.

Each day stands alone: who still waits when it closes is answered before the next one. Staff follow the work that comes
in each hour; what the calls took is scaled so that the work of the day is so much of what the staff can do. Nobody
gives up. High priority is promised 45 s; of the others, by a seeded draw, seven in ten 90 s and the rest 600 s."""

import random
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import NamedTuple
from uuid import UUID

from app.sla.core.enums import Priority
from app.sla.core.next_answer import LONGEST, WaitingTicket, place, spare_claims, worst_wait
from bench.call_centre import CALLS, Call, calls

LOADS = (0.9, 1.0, 1.1)
_DAY, _HOUR = 86_400, 3_600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_SECONDS = 1
_ORDERS = ("oldest first", "due first", "next best answer")


class Asked(NamedTuple):
    ticket: WaitingTicket
    took: float


@dataclass(frozen=True, slots=True)
class Day:
    asked: Sequence[Asked]
    # From when until when each of the staff is there.
    staff: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Result:
    """Over all days. `longest_ratio` is the largest, of a day, of its worst wait to what it would have been had each of
    its claims gone to the oldest: by itself a day on which long calls fall to others is another day."""

    order: str
    load: float
    attainment: float
    mean_seconds: float
    worst_seconds: float
    longest_ratio: float


class _Watched:
    """The queue as the worker sees it, once a second, and the claims since then."""

    def __init__(self, day: Day) -> None:
        self._since = [each.ticket.since for each in day.asked]
        self._looked = 0.0
        self._worst = timedelta(0)
        self._spare = 0
        self._waiting = 0
        self._claims = 0

    def oldest_first(self, at: float, waiting: Sequence[WaitingTicket]) -> bool:
        if at - self._looked >= _LOOK_SECONDS:
            self._look(at, waiting)
        self._claims += 1
        return self._spare < self._claims

    def _look(self, at: float, waiting: Sequence[WaitingTicket]) -> None:
        now = _EPOCH + timedelta(seconds=at)
        last = bisect_right(self._since, now)
        came = self._since[last - len(waiting) : last]
        self._worst = worst_wait(self._worst if self._waiting else timedelta(0), came, now)
        self._spare = spare_claims(sorted(ticket.since for ticket in waiting), came, self._worst)
        # Whoever is given now is gone when the worker looks next.
        self._looked, self._waiting, self._claims = at, len(waiting) - 1, 0


def simulate(day: Day, order: str) -> list[float]:
    """The waits, in seconds, in the order of arrival."""
    arrivals = [((each.ticket.since - _EPOCH).total_seconds(), 0, number) for number, each in enumerate(day.asked)]
    events = arrivals + [(start, 1, number) for number, (start, _) in enumerate(day.staff)]
    heapify(events)
    waiting: dict[int, WaitingTicket] = {}
    free: deque[int] = deque()
    watched = _Watched(day)
    waits = [0.0] * len(day.asked)
    ends = [end for _, end in day.staff]
    while events:
        at, comes_free, number = heappop(events)
        if comes_free:
            free.append(number)
        else:
            waiting[number] = day.asked[number].ticket
        while waiting and free:
            agent = free.popleft()
            if at >= ends[agent]:
                continue
            taken = _next(order, at, waiting, watched)
            waits[taken] = at - arrivals_at(day, taken)
            del waiting[taken]
            heappush(events, (at + day.asked[taken].took, 1, agent))
    return waits


def arrivals_at(day: Day, number: int) -> float:
    return (day.asked[number].ticket.since - _EPOCH).total_seconds()


def _next(order: str, at: float, waiting: dict[int, WaitingTicket], watched: _Watched) -> int:
    if order == "oldest first":
        return min(waiting)
    if order == "due first":
        return min(waiting, key=lambda number: (waiting[number].due_at, number))
    now = _EPOCH + timedelta(seconds=at)
    hold = watched.oldest_first(at, list(waiting.values()))
    return min(waiting, key=lambda number: place(waiting[number], now, oldest_first=hold))


def days(load: float, seed: int = 7) -> list[Day]:
    by_day: dict[int, list[Call]] = defaultdict(list)
    for call in calls():
        if call.answered and call.service > 0:
            by_day[int(call.opened // _DAY)].append(call)
    draw = random.Random(seed)
    return [_day(day, by_day[day], load, draw) for day in sorted(by_day)]


def _day(day: int, some: Sequence[Call], load: float, draw: random.Random) -> Day:
    start = day * _DAY
    work: Counter[int] = Counter()
    for call in some:
        work[int(call.opened % _DAY // _HOUR)] += round(call.service)
    erlangs = {hour: max(1, round(seconds / _HOUR)) for hour, seconds in work.items()}
    staff = [
        (start + hour * _HOUR * 1.0, start + (hour + 1) * _HOUR * 1.0)
        for hour, number in sorted(erlangs.items())
        for _ in range(number)
    ]
    scale = load * len(staff) * _HOUR / sum(call.service for call in some)
    # After closing as many as there ever were answer those who still wait.
    closing = start + (max(work) + 1) * _HOUR * 1.0
    staff += [(closing, closing + _DAY)] * max(erlangs.values())
    asked = []
    for number, call in enumerate(sorted(some, key=lambda call: (call.opened, call.id))):
        promised = 45 if call.priority is Priority.high else draw.choices((90, 600), (7, 3))[0]
        since = _EPOCH + timedelta(seconds=call.opened)
        ticket = WaitingTicket(UUID(int=number + 1), since, since + timedelta(seconds=promised))
        asked.append(Asked(ticket, call.service * scale))
    return Day(asked, staff)


def compare(load: float, orders: Sequence[str] = _ORDERS) -> list[Result]:
    all_days = days(load)
    return [_result(order, load, all_days) for order in orders]


def _result(order: str, load: float, all_days: Sequence[Day]) -> Result:
    waits: list[float] = []
    met, ratio = 0, 0.0
    for day in all_days:
        some = simulate(day, order)
        waits += some
        met += sum(
            each.ticket.due_at is not None and each.ticket.since + timedelta(seconds=wait) <= each.ticket.due_at
            for each, wait in zip(day.asked, some, strict=True)
        )
        # Had each claim of the day gone to who had come first of all.
        came = [arrivals_at(day, number) for number in range(len(day.asked))]
        claims = sorted(at + wait for at, wait in zip(came, some, strict=True))
        oldest = max(claim - at for claim, at in zip(claims, came, strict=True))
        ratio = max(ratio, max(some) / oldest if oldest else 1.0)
    return Result(order, load, 100 * met / len(waits), sum(waits) / len(waits), max(waits), ratio)


def print_comparison(say: Callable[[str], object] = print) -> bool:
    """Whether nobody waited longer than the bound in any of them."""
    held = True
    for load in LOADS:
        for result in compare(load):
            say(
                f"load {load:.1f}  {result.order:<17} attainment {result.attainment:5.1f} %  mean "
                f"{result.mean_seconds:7.1f} s  worst {result.worst_seconds:8.1f} s  "
                f"longest {result.longest_ratio:.2f} x oldest first"
            )
            held &= result.order != "next best answer" or result.longest_ratio <= LONGEST
    return held


if __name__ == "__main__":
    if not CALLS.exists():
        raise SystemExit(f"the calls are not there: {CALLS}")
    raise SystemExit(0 if print_comparison() else 1)

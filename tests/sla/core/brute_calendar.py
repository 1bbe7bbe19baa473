"""The judge of business time: walks an instant at a time and asks the wall clock. Shares nothing with the calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from math import gcd
from zoneinfo import ZoneInfo
from zoneinfo._common import load_data

Spans = list[tuple[datetime, datetime]]

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


@cache
def zone(name: str) -> ZoneInfo:
    with (resources.files("tzdata") / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file)


@cache
def changes(name: str) -> tuple[datetime, ...]:
    """When the offset changes from 1970 to 2037: the file's own table, then a look at every week after it."""
    with (resources.files("tzdata") / "zoneinfo" / name).open("rb") as file:
        _, table, *_ = load_data(file)
    first, last, week = int(FIRST.timestamp()), int(LAST.timestamp()), 7 * 86_400
    found = [at for at in table if first < at < last and _offset(name, at - 1) != _offset(name, at)]
    for low in range(max([first, *table]), last, week):
        if _offset(name, low) != _offset(name, low + week):
            # By then it is a rule with two changes a year, months or weeks apart.
            before, after = low, low + week
            while after - before > 1:
                middle = (before + after) // 2
                if _offset(name, middle) == _offset(name, low):
                    before = middle
                else:
                    after = middle
            found.append(after)
    return tuple(datetime.fromtimestamp(at, UTC) for at in found if at < last)


def _offset(name: str, second: int) -> int:
    moved = datetime.fromtimestamp(second, zone(name)).utcoffset()
    assert moved is not None
    return int(moved.total_seconds())


@dataclass(frozen=True)
class Judge:
    timezone: str
    weekly: Sequence[Sequence[tuple[int, int]]]
    holidays: frozenset[date] = frozenset()
    date_hours: Mapping[date, Sequence[tuple[int, int]]] = field(default_factory=dict)
    widest: int = 900
    """The widest step of the walk in seconds."""

    def hours(self, day: date) -> Sequence[tuple[int, int]]:
        if day in self.date_hours:
            return self.date_hours[day]
        return () if day in self.holidays else self.weekly[day.weekday()]

    def is_open(self, at: datetime) -> bool:
        local = at.astimezone(zone(self.timezone))
        hours = self.hours(local.date())
        # Hours are whole minutes, so that what passed of this one decides nothing.
        minute = local.hour * 60 + local.minute
        return any(opens <= minute < closes for opens, closes in hours)

    def spans(self, start: datetime, end: datetime) -> Spans:
        """What is open between two instants, adjoining steps as one."""
        step = self._step(start, end)
        found: Spans = []
        opened: datetime | None = None
        for second in range(int(start.timestamp()) // step * step, int(end.timestamp()) + 2 * step, step):
            at = datetime.fromtimestamp(second, UTC)
            is_open = at < end and self.is_open(at)
            if is_open and opened is None:
                opened = at
            elif not is_open and opened is not None:
                found.append((opened, at))
                opened = None
        return clipped(found, start, end)

    def _step(self, start: datetime, end: datetime) -> int:
        """A grid on which everything lies that can open or close: nothing changes within a step."""
        near = [at for at in changes(self.timezone) if start - timedelta(days=1) < at < end + timedelta(days=1)]
        offsets = [_offset(self.timezone, int(at.timestamp())) for at in (start - timedelta(days=1), *near)]
        hours = [*self.weekly, *self.date_hours.values()]
        minutes = [minute for day in hours for opens, closes in day for minute in (opens, closes)]
        return gcd(self.widest, *(int(at.timestamp()) for at in near), *offsets, *(minute * 60 for minute in minutes))


def clipped(spans: Spans, start: datetime, end: datetime) -> Spans:
    both = ((max(opens, start), min(closes, end)) for opens, closes in spans)
    return [(opens, closes) for opens, closes in both if opens < closes]


def length(spans: Spans) -> timedelta:
    return sum((closes - opens for opens, closes in spans), timedelta(0))


def first_after(spans: Spans, start: datetime, need: timedelta) -> datetime | None:
    """When `need` has been open since `start`, if it ever is within the spans."""
    for opens, closes in clipped(spans, start, spans[-1][1] if spans else start):
        if need <= closes - opens:
            return opens + need
        need -= closes - opens
    return None

"""Business time: which instants count, how much of a span counts, and when an amount of it has passed.

An instant is open if its local wall-clock time lies in an interval of its local date; that one rule settles every
change of the clocks. Nothing here walks over days. A week's pattern has running sums, dates with hours of their own
correct them, and between two changes of its offset a zone's local time runs evenly: so the open time before any
instant, and its inverse, are a few binary searches, however long the span."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

Hours = tuple[tuple[int, int], ...]
"""Open intervals of one day in minutes after local midnight: half-open, ascending, not overlapping."""

LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""What would end after this ends here: beyond all instants that the service takes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = 60_000_000
_DAY = 1440 * _MINUTE
_WEEK = 7 * _DAY
_SINCE_MONDAY = 3 * _DAY  # 1970-01-01 was a Thursday
_LATEST = (LATEST - _EPOCH) // _MICROSECOND


@lru_cache
def zone_names() -> frozenset[str]:
    """The zones that calendars may name: those of the pinned database, not of the machine."""
    names = (resources.files("tzdata") / "zones").read_text(encoding="ascii").split()
    return frozenset(names) - {"Factory", "localtime"}


@lru_cache
def zone_rules(zone: str) -> ZoneInfo:
    """Of the pinned database, not of the machine."""
    with (resources.files("tzdata") / "zoneinfo").joinpath(*zone.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def day_of(zone: str, at: datetime) -> tuple[datetime, datetime]:
    """The local date that it is at `at`, from its first instant to that of the next. Where midnight comes twice a date
    begins at the first one; where the clocks go forward over it, at that instant."""
    date_ = at.astimezone(zone_rules(zone)).date()
    return midnight(zone, date_), midnight(zone, date_ + timedelta(days=1))


def midnight(zone: str, date_: date) -> datetime:
    """The first instant of a local date."""
    return datetime.combine(date_, time(), zone_rules(zone)).astimezone(UTC)


def beginnings(zone: str, unit: str, first: datetime, last: datetime) -> list[datetime]:
    """When the local days, weeks (from Monday) or months begin that hold any instant from `first` to `last`; a day has
    23 or 25 hours where the clocks are changed. A date that a zone left out begins with the next one, and is not
    there."""
    day = first.astimezone(zone_rules(zone)).date()
    day = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[unit]
    starts: dict[datetime, None] = {}
    while not starts or midnight(zone, day) <= last:
        starts[midnight(zone, day)] = None
        step = {"day": 1, "week": 7, "month": 32}[unit]
        day = day + timedelta(days=step)
        day = day.replace(day=1) if unit == "month" else day
    return list(starts)


class _Open:
    """Open time within a stretch (a day, a week), in microseconds from its start."""

    __slots__ = ("_after", "_before", "_ends", "_starts", "spans", "total")

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = spans
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._after: list[int] = []
        self.total = 0
        for start, end in spans:
            self.total += end - start
            self._after.append(self.total)
        self._before = [0, *self._after]

    def until(self, x: int) -> int:
        """How much is open before `x`."""
        index = bisect_right(self._starts, x) - 1
        return self._before[index] + min(x, self._ends[index]) - self._starts[index] if index >= 0 else 0

    def reach(self, amount: int) -> int:
        """The first `x` before which `amount` is open, 0 < amount <= total."""
        index = bisect_left(self._after, amount)
        return self._starts[index] + amount - self._before[index]


class _Zone:
    """Where a zone's offset from UTC changes, 1970-2100, in microseconds."""

    __slots__ = ("offsets", "since")

    def __init__(self, name: str) -> None:
        zone = zone_rules(name)

        def offset(second: int) -> int:
            moved = datetime.fromtimestamp(second, zone).utcoffset()
            assert moved is not None
            return moved // _MICROSECOND

        # Two changes are never closer than six days, so that none is missed.
        probes = range(0, 4_133_980_800, 5 * 86_400)
        self.since, self.offsets = [-_LATEST * 2], [offset(0)]
        for low, high in pairwise(probes):
            if offset(low) != offset(high):
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if offset(middle) == self.offsets[-1] else (low, middle)
                self.since.append(high * 1_000_000)
                self.offsets.append(offset(high))


_zone = lru_cache(_Zone)


class BusinessCalendar:
    """One version of a calendar, unchanging. `weekly` has the hours of Monday to Sunday; `dates` those of dates with
    hours of their own, none on a holiday. Building one costs milliseconds, asking it microseconds."""

    def __init__(
        self,
        timezone: str,
        weekly: Sequence[Hours],
        dates: Mapping[date, Hours],
        id: UUID | None = None,
        version: int | None = None,
    ) -> None:
        self.timezone, self.weekly, self.dates, self.id, self.version = timezone, tuple(weekly), dates, id, version
        self._week = _Open([
            (day * _DAY + start, day * _DAY + end)
            for day, hours in enumerate(weekly) for start, end in _micro(hours)
        ])  # fmt: skip
        assert self._week.total, "a calendar that never opens is refused where it is written"
        self._since, self._offsets = _zone(timezone).since, _zone(timezone).offsets
        ordered = sorted(dates)
        self._date_starts = [(day.toordinal() - _EPOCH_DAY) * _DAY for day in ordered]
        self._date_open = [_Open(_micro(dates[day])) for day in ordered]
        self._add_up_dates()
        self._add_up_zone()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BusinessCalendar) and self._defined() == other._defined()

    def __hash__(self) -> int:
        return hash((self.id, self.version, self.timezone, self.weekly))

    def _defined(self) -> tuple[object, ...]:
        return self.id, self.version, self.timezone, self.weekly, self.dates

    def _add_up_dates(self) -> None:
        self._date_before: list[int] = []
        self._date_after: list[int] = []
        self._correction = [0]
        correction = 0
        for start, own in zip(self._date_starts, self._date_open, strict=True):
            usual = self._usual(start)
            self._date_before.append(usual + correction)
            self._date_after.append(usual + correction + own.total)
            correction += own.total - (self._usual(start + _DAY) - usual)
            self._correction.append(correction)

    def _add_up_zone(self) -> None:
        """`_base[k]` makes the open time of stretch k follow on that of the stretch before."""
        self._base: list[int] = []
        self._ends: list[int] = []
        base = 0
        for index, offset in enumerate(self._offsets):
            if index:
                at = self._since[index]
                total = base + self._local(at + self._offsets[index - 1])
                self._ends.append(total)
                base = total - self._local(at + offset)
            self._base.append(base)

    def is_open(self, at: datetime) -> bool:
        local = self._shifted(_micros(at))
        day, since_midnight = divmod(local, _DAY)
        return any(start <= since_midnight < end for start, end in _micro(self._hours(day)))

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Open time from `start` to `end`; negative where they are the other way round."""
        return timedelta(microseconds=self._open_before(_micros(end)) - self._open_before(_micros(start)))

    def after(self, start: datetime, need: timedelta) -> datetime:
        """The first instant at which `need` has passed: the closing instant where it is used up at closing, `start`
        where nothing is needed, `LATEST` where it would be later."""
        if need <= timedelta(0):
            return start
        total = self._open_before(_micros(start)) + need // _MICROSECOND
        stretch = bisect_left(self._ends, total)
        at = self._reach(total - self._base[stretch]) - self._offsets[stretch]
        return _EPOCH + timedelta(microseconds=at) if at < _LATEST else LATEST

    def intervals(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The open stretches between two instants, in order, adjoining ones as one. The one thing here that walks."""
        first: int | None = None
        last = 0
        for from_, until in self._pieces(_micros(start), _micros(end)):
            if first is not None and from_ > last:
                yield _EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last)
                first = None
            first = from_ if first is None else first
            last = until
        if first is not None:
            yield _EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        for index in range(bisect_right(self._since, start) - 1, bisect_left(self._since, end)):
            offset = self._offsets[index]
            low = max(start, self._since[index]) + offset
            high = (min(end, self._since[index + 1]) if index + 1 < len(self._since) else end) + offset
            for day in range(low // _DAY, -(-high // _DAY)):
                for opens, closes in _micro(self._hours(day)):
                    from_, until = max(low, day * _DAY + opens), min(high, day * _DAY + closes)
                    if from_ < until:
                        yield from_ - offset, until - offset

    def _hours(self, day: int) -> Hours:
        index = bisect_left(self._date_starts, day * _DAY)
        if index < len(self._date_starts) and self._date_starts[index] == day * _DAY:
            return self.dates[date.fromordinal(day + _EPOCH_DAY)]
        return self.weekly[(day + 3) % 7]

    def _shifted(self, at: int) -> int:
        return at + self._offsets[bisect_right(self._since, at) - 1]

    def _open_before(self, at: int) -> int:
        stretch = bisect_right(self._since, at) - 1
        return self._base[stretch] + self._local(at + self._offsets[stretch])

    def _usual(self, x: int) -> int:
        """What the week's pattern alone opens before local `x`."""
        weeks, rest = divmod(x + _SINCE_MONDAY, _WEEK)
        return weeks * self._week.total + self._week.until(rest)

    def _local(self, x: int) -> int:
        """What is open before local `x`, were there no change of the clocks."""
        index = bisect_right(self._date_starts, x) - 1
        if index >= 0 and x < self._date_starts[index] + _DAY:
            return self._date_before[index] + self._date_open[index].until(x - self._date_starts[index])
        return self._usual(x) + self._correction[index + 1]

    def _reach(self, amount: int) -> int:
        """The first local `x` before which `amount` is open: the inverse of `_local`."""
        index = bisect_left(self._date_after, amount)
        if index < len(self._date_after) and self._date_before[index] < amount:
            return self._date_starts[index] + self._date_open[index].reach(amount - self._date_before[index])
        weeks, rest = divmod(amount - self._correction[index] - 1, self._week.total)
        return weeks * _WEEK + self._week.reach(rest + 1) - _SINCE_MONDAY


def _micro(hours: Hours) -> list[tuple[int, int]]:
    return [(start * _MINUTE, end * _MINUTE) for start, end in hours]


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND

"""Business time against a brute-force count, around every change of every zone's offset, and against days reckoned by
hand. `NINETY_CALENDAR_CASES=50000` judges every zone and change; by default it is a sample of them."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sla.core.calendar import LATEST, BusinessCalendar, Hours, zone_names
from tests.sla.core.brute_calendar import FIRST, LAST, Judge, Spans, changes, clipped, first_after, length, zone
from tests.sla.core.builders import MICROSECOND

CASES = int(os.environ.get("NINETY_CALENDAR_CASES", "2000"))
PARTS = 8
NOTHING, HOUR, DAY = timedelta(0), timedelta(hours=1), timedelta(days=1)

ALWAYS: tuple[Hours, ...] = (((0, 1440),),) * 7
OFFICE: tuple[Hours, ...] = (((540, 1020),),) * 5 + ((), ())


@dataclass(frozen=True)
class Case:
    """A calendar, and a span of time around a change of its zone's offset."""

    timezone: str
    change: datetime
    weekly: tuple[Hours, ...]
    holidays: frozenset[date]
    date_hours: dict[date, Hours]
    start: datetime
    end: datetime
    grid: int

    def calendar(self) -> BusinessCalendar:
        return BusinessCalendar(self.timezone, self.weekly, dict.fromkeys(self.holidays, ()) | self.date_hours)

    def judge(self) -> Judge:
        return Judge(self.timezone, self.weekly, self.holidays, self.date_hours, self.grid * 60)


def any_case(some: Random, timezone: str, change: datetime) -> Case:
    # Hours on the quarter are quick to walk; off it they are rarely different.
    grid = some.choice([15] * 19 + [1])
    wall = [_minute(at.astimezone(zone(timezone)), grid) for at in (change - MICROSECOND, change)]
    weekly = [_any_hours(some, grid, wall) for _ in range(7)]
    if some.random() < 0.3:
        evening, morning = _any_minute(some, grid, [1320]), _any_minute(some, grid, [360])
        first = some.randrange(7)
        weekly[first] = ((evening, 1440),) if evening < 1440 else ()
        weekly[(first + 1) % 7] = ((0, morning),) if morning else ()
    if not any(weekly):
        weekly[some.randrange(7)] = ((0, 1440),)
    days = 400 if some.random() < 0.005 else 4
    back, ahead = some.randrange(days) * DAY, some.randrange(days) * DAY
    start = max(FIRST, change - back - _any_time(some, DAY))
    end = change + ahead + _any_time(some, DAY)
    # Some dates outside the span: they move where everything after them is counted from.
    reach = (end - start).days + some.choice([0, 2, 30, 1000])
    own = [change.date() + some.randint(-reach, reach) * DAY for _ in range(some.choice([0, 1, 3, 12]))]
    own += [change.date() + some.randint(-2, 2) * DAY for _ in range(some.choice([0, 1, 2]))]
    date_hours = {day: _any_hours(some, grid, wall) for day in own if some.random() < 0.5}
    holidays = frozenset(day for day in own if some.random() < 0.5)
    return Case(timezone, change, tuple(weekly), holidays, date_hours, start, end, grid)


def _minute(at: datetime, grid: int) -> int:
    return (at.hour * 60 + at.minute) // grid * grid


def _any_time(some: Random, limit: timedelta) -> timedelta:
    unit = some.choice([MICROSECOND, timedelta(seconds=1), timedelta(minutes=1), timedelta(minutes=15)])
    return some.randint(1, max(1, limit // unit)) * unit


def _any_minute(some: Random, grid: int, known: Sequence[int]) -> int:
    near = [minute + shift for minute in known for shift in (-60, -grid, 0, grid, 30, 60)]
    minute = some.choice([*near, 0, 1440, 540]) if some.random() < 0.5 else some.randrange(0, 1441)
    return min(1440, max(0, minute // grid * grid))


def _any_hours(some: Random, grid: int, known: Sequence[int]) -> Hours:
    kind = some.randrange(8)
    if kind == 0:
        return ()
    if kind == 1:
        return ((0, 1440),)
    points = sorted({_any_minute(some, grid, known) for _ in range(some.choice([2, 2, 4, 6]))})
    if kind == 2:  # adjoining ones
        return tuple(pairwise(points))
    return tuple(zip(points[::2], points[1::2], strict=False))


def judged(some: Random, case: Case) -> None:
    calendar, judge = case.calendar(), case.judge()
    spans = judge.spans(case.start, case.end)
    instants = _instants(some, case, spans)
    for at in instants:
        assert calendar.is_open(at) == judge.is_open(at), (at, case)
    _judge_between(calendar, case, spans, case.start, case.end)
    for _ in range(4):
        start, end = sorted([some.choice(instants), some.choice(instants)])
        _judge_between(calendar, case, spans, start, end)
        _judge_after(some, calendar, case, spans, start, end)
    _judge_far(some, calendar, case)


def _instants(some: Random, case: Case, spans: Spans) -> list[datetime]:
    """Instants of the case's span: those at which something happens, those beside them, and any."""
    edges = [edge for span in spans for edge in span] or [case.start]
    known = [case.start, case.end, case.change, *(some.choice(edges) for _ in range(4))]
    beside = [at + some.choice([-1, 0, 0, 1]) * MICROSECOND for at in known]
    between = [case.start + _any_time(some, case.end - case.start) for _ in range(4)]
    return [min(case.end, max(case.start, at)) for at in (*known, *beside, *between)]


def _judge_between(calendar: BusinessCalendar, case: Case, spans: Spans, start: datetime, end: datetime) -> None:
    expected = clipped(spans, start, end)
    found = list(calendar.intervals(start, end))
    assert found == expected, (start, end, case)
    assert all(start <= opens < closes <= end for opens, closes in found)
    assert all(closes < opens for (_, closes), (opens, _) in pairwise(found))
    assert calendar.elapsed(start, end) == length(expected) == length(found), (start, end, case)
    assert calendar.elapsed(end, start) == -length(expected), (start, end, case)
    assert not list(calendar.intervals(end, start))


def _judge_after(
    some: Random, calendar: BusinessCalendar, case: Case, spans: Spans, start: datetime, end: datetime
) -> None:
    assert calendar.after(start, NOTHING) == start
    spent, left = length(clipped(spans, start, end)), length(clipped(spans, start, case.end))
    to_closing = length(clipped(spans, start, some.choice(spans)[1])) if spans else NOTHING
    needs = {MICROSECOND, spent, to_closing, to_closing + MICROSECOND, _any_time(some, max(left, HOUR))}
    for need in needs - {NOTHING}:
        found, expected = calendar.after(start, need), first_after(spans, start, need)
        if expected is None:
            assert found > case.end, (start, need, case)
        else:
            assert found == expected, (start, need, case)
        _judge_inverse(calendar, case, start, need)


def _judge_far(some: Random, calendar: BusinessCalendar, case: Case) -> None:
    """Beyond what can be walked, the inverse still has to be one."""
    _judge_inverse(calendar, case, case.start, _any_time(some, some.choice([10, 1000]) * DAY))


def _judge_inverse(calendar: BusinessCalendar, case: Case, start: datetime, need: timedelta) -> None:
    found = calendar.after(start, need)
    if found == LATEST:
        assert calendar.elapsed(start, LATEST) <= need, (start, need, case)
        return
    assert calendar.elapsed(start, found) == need, (start, need, case)
    assert calendar.elapsed(start, found - MICROSECOND) == need - MICROSECOND, (start, need, case)


def _moments(name: str) -> tuple[datetime, ...]:
    """The changes of a zone's offset; of a zone that never changed, some instant."""
    return changes(name) or (FIRST + Random(name).randrange((LAST - FIRST) // DAY) * DAY,)


@pytest.mark.parametrize("part", range(PARTS))
def test_equals_a_brute_force_count_around_every_change_of_every_zone(part: int) -> None:
    names, wanted = sorted(zone_names())[part::PARTS], -(-CASES // PARTS)
    if CASES >= 50_000:
        moments = [(name, change) for name in names for change in _moments(name)]
    else:  # a sample, of some zones because each takes milliseconds to read
        some_names = random.sample(names, min(len(names), max(1, wanted // 10)))
        moments = [(name, change) for name in some_names for change in _moments(name)]
        moments = random.sample(moments, min(len(moments), wanted))
    turns = -(-wanted // len(moments))
    for name, change in sorted(moments):
        for turn in range(turns):
            some = Random(f"{name} {change} {turn}")
            judged(some, any_case(some, name, change))
    print(f"{len(moments) * turns} cases, 0 off: {len(moments)} changes in {len({name for name, _ in moments})} zones")


@settings(max_examples=CASES // 20, deadline=None)
@given(st.sampled_from(sorted(zone_names())), st.data(), st.randoms(use_true_random=False))
def test_equals_a_brute_force_count_for_any_calendar(name: str, data: st.DataObject, some: Random) -> None:
    judged(some, any_case(some, name, data.draw(st.sampled_from(_moments(name)))))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(*hours: tuple[int, int], timezone: str = "Europe/Helsinki") -> BusinessCalendar:
    """Hours in minutes, the same on every day."""
    return BusinessCalendar(timezone, (hours,) * 7, {})


def office(timezone: str, dates: dict[date, Hours] | None = None) -> BusinessCalendar:
    """Monday to Friday, 09:00-17:00."""
    return BusinessCalendar(timezone, OFFICE, dates or {})


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Helsinki", "Australia/Lord_Howe", "Pacific/Apia"])
def test_around_the_clock_has_no_gap_at_midnight_nor_at_any_change(timezone: str) -> None:
    calendar, start, end = daily((0, 1440), timezone=timezone), utc("2011-03-01T12:34"), utc("2012-12-01T01:02")
    assert list(calendar.intervals(start, end)) == [(start, end)]
    assert calendar.elapsed(start, end) == end - start
    assert calendar.after(start, end - start) == end
    assert all(calendar.is_open(utc("2011-06-01T00:00") + hour * HOUR) for hour in range(24))


def test_adjoining_hours_have_no_gap() -> None:
    calendar = daily((480, 720), (720, 960), timezone="UTC")
    opens, noon, closes = utc("2026-03-02T08:00"), utc("2026-03-02T12:00"), utc("2026-03-02T16:00")
    assert list(calendar.intervals(utc("2026-03-02T00:00"), utc("2026-03-03T00:00"))) == [(opens, closes)]
    assert [calendar.is_open(at) for at in (noon - MICROSECOND, noon)] == [True, True]
    assert calendar.after(opens, 4 * HOUR) == noon
    assert calendar.after(opens, 4 * HOUR + MICROSECOND) == noon + MICROSECOND
    assert calendar.elapsed(opens, closes) == 8 * HOUR


def test_it_is_open_at_the_opening_and_not_at_the_closing_instant() -> None:
    calendar, opens, closes = office("UTC"), utc("2026-03-02T09:00"), utc("2026-03-02T17:00")
    assert [calendar.is_open(at) for at in (opens - MICROSECOND, opens)] == [False, True]
    assert [calendar.is_open(at) for at in (closes - MICROSECOND, closes)] == [True, False]


def test_what_is_used_up_at_closing_ends_there_and_a_microsecond_more_at_the_next_opening() -> None:
    calendar, friday = office("UTC"), utc("2026-03-06T16:00")
    assert calendar.after(friday, HOUR) == utc("2026-03-06T17:00")
    assert calendar.after(friday, HOUR + MICROSECOND) == utc("2026-03-09T09:00") + MICROSECOND


@pytest.mark.parametrize("at", ["2026-03-06T16:00", "2026-03-07T16:00", "2026-03-09T09:00", "2026-03-06T17:00"])
def test_where_nothing_is_needed_it_is_the_start_open_or_not(at: str) -> None:
    assert office("UTC").after(utc(at), NOTHING) == utc(at)


@pytest.mark.parametrize(
    ("evening", "morning", "hours"),
    [
        ("2026-03-27T20:00", "2026-03-28T04:00", 8),
        ("2026-03-28T20:00", "2026-03-29T03:00", 7),
        ("2026-10-24T19:00", "2026-10-25T04:00", 9),
    ],
)
def test_a_night_shift_in_two_parts_is_one_and_counts_its_real_hours(evening: str, morning: str, hours: int) -> None:
    calendar, start, end = daily((0, 360), (1320, 1440)), utc(evening), utc(morning)  # 22:00-06:00
    assert list(calendar.intervals(start - 6 * HOUR, end + 6 * HOUR)) == [(start, end)]
    assert calendar.elapsed(start - 6 * HOUR, end + 6 * HOUR) == hours * HOUR
    assert calendar.after(start, hours * HOUR) == end


def test_an_hour_that_does_not_exist_counts_nothing() -> None:
    midnight, end = utc("2026-03-28T22:00"), utc("2026-03-29T21:00")  # 03:00 is followed by 04:00 at 01:00 UTC
    assert daily((180, 240)).elapsed(midnight, end) == NOTHING
    assert not list(daily((180, 240)).intervals(midnight, end))
    assert daily((180, 240)).after(midnight, HOUR) == utc("2026-03-30T01:00")
    assert list(daily((150, 270)).intervals(midnight, end)) == [(utc("2026-03-29T00:30"), utc("2026-03-29T01:30"))]


def test_an_hour_that_happens_twice_counts_twice() -> None:
    midnight, end = utc("2026-10-24T21:00"), utc("2026-10-25T22:00")  # 04:00 is followed by 03:00 at 01:00 UTC
    assert daily((180, 240)).elapsed(midnight, end) == 2 * HOUR
    assert list(daily((180, 240)).intervals(midnight, end)) == [(utc("2026-10-25T00:00"), utc("2026-10-25T02:00"))]
    assert list(daily((180, 210)).intervals(midnight, end)) == [
        (utc("2026-10-25T00:00"), utc("2026-10-25T00:30")),
        (utc("2026-10-25T01:00"), utc("2026-10-25T01:30")),
    ]
    assert daily((180, 210)).after(midnight, HOUR / 2) == utc("2026-10-25T00:30")
    assert daily((180, 210)).after(midnight, HOUR) == utc("2026-10-25T01:30")


@pytest.mark.parametrize(
    ("timezone", "friday", "monday"),
    [
        ("Europe/Helsinki", "2026-03-27T14:00", "2026-03-30T07:00"),
        ("Europe/Helsinki", "2026-10-23T13:00", "2026-10-26T08:00"),
        ("America/New_York", "2026-03-06T21:00", "2026-03-09T14:00"),
        ("America/New_York", "2026-10-30T20:00", "2026-11-02T15:00"),
    ],
)
def test_nine_stays_nine_across_a_change(timezone: str, friday: str, monday: str) -> None:
    """Two hours from Friday 16:00 end on Monday at 10:00, whatever the offset has become."""
    calendar = office(timezone)
    assert calendar.after(utc(friday), 2 * HOUR) == utc(monday)
    assert calendar.elapsed(utc(friday), utc(monday)) == 2 * HOUR
    assert [calendar.is_open(utc(monday) - HOUR - late) for late in (MICROSECOND, NOTHING)] == [False, True]


def test_a_deadline_across_both_changes() -> None:
    """From Friday 27 March to Monday 26 October 2026 there are 152 weekdays of eight hours."""
    calendar, start, end = office("Europe/Helsinki"), utc("2026-03-27T07:00"), utc("2026-10-26T15:00")
    assert calendar.after(start, 152 * 8 * HOUR) == end
    assert calendar.elapsed(start, end) == 152 * 8 * HOUR
    assert len(list(calendar.intervals(start, end))) == 152


def test_a_change_by_half_an_hour() -> None:
    back = daily((60, 120), timezone="Australia/Lord_Howe")  # 02:00 is followed by 01:30 at 15:00 UTC
    assert list(back.intervals(utc("2026-04-04T13:00"), utc("2026-04-05T13:00"))) == [
        (utc("2026-04-04T14:00"), utc("2026-04-04T15:30"))
    ]
    ahead = daily((120, 180), timezone="Australia/Lord_Howe")  # 02:00 is followed by 02:30 at 15:30 UTC
    assert list(ahead.intervals(utc("2026-10-03T13:30"), utc("2026-10-04T13:00"))) == [
        (utc("2026-10-03T15:30"), utc("2026-10-03T16:00"))
    ]


def test_a_summer_time_of_one_week() -> None:
    """Recife was an hour ahead from 8 to 15 October 2000, no longer than that."""
    calendar = office("America/Recife")
    opened = [opens for opens, _ in calendar.intervals(utc("2000-10-06T00:00"), utc("2000-10-17T00:00"))]
    ahead = [utc(f"2000-10-{day:02}T11:00") for day in range(9, 14)]
    assert opened == [utc("2000-10-06T12:00"), *ahead, utc("2000-10-16T12:00")]
    assert calendar.after(utc("2000-10-06T12:00"), 48 * HOUR) == utc("2000-10-13T19:00")


def test_a_date_that_was_skipped_counts_nothing() -> None:
    """On Apia's Thursday 29 December 2011 followed Saturday 31."""
    thursday, closes = utc("2011-12-29T19:00"), utc("2011-12-30T03:00")
    every_day, weekdays = daily((540, 1020), timezone="Pacific/Apia"), office("Pacific/Apia")
    assert every_day.after(thursday, 8 * HOUR) == weekdays.after(thursday, 8 * HOUR) == closes
    assert every_day.after(thursday, 9 * HOUR) == utc("2011-12-30T20:00")
    assert weekdays.after(thursday, 9 * HOUR) == utc("2012-01-01T20:00")
    for hours in (((0, 1440),), ()):
        own = office("Pacific/Apia", {date(2011, 12, 30): hours})
        assert own.after(thursday, 9 * HOUR) == utc("2012-01-01T20:00")
        assert own.elapsed(thursday, utc("2012-01-01T20:00")) == 9 * HOUR


def test_a_change_by_seconds() -> None:
    """Monrovia's clocks went from 00:00:00 to 00:44:30 on 7 January 1972."""
    calendar = daily((0, 60), timezone="Africa/Monrovia")
    assert list(calendar.intervals(utc("1972-01-05T12:00"), utc("1972-01-07T12:00"))) == [
        (utc("1972-01-06T00:44:30"), utc("1972-01-06T01:44:30")),
        (utc("1972-01-07T00:44:30"), utc("1972-01-07T01:00:00")),
    ]


def test_a_date_has_its_own_hours_instead_of_the_weekday_s() -> None:
    christmas: dict[date, Hours] = {
        date(2026, 12, 24): ((600, 720), (780, 840)),  # a Thursday
        date(2026, 12, 25): (),
        date(2026, 12, 27): ((0, 60),),  # a Sunday
    }
    calendar, start = office("UTC", christmas), utc("2026-12-24T00:00")
    assert list(calendar.intervals(start, utc("2026-12-28T12:00"))) == [
        (utc("2026-12-24T10:00"), utc("2026-12-24T12:00")),
        (utc("2026-12-24T13:00"), utc("2026-12-24T14:00")),
        (utc("2026-12-27T00:00"), utc("2026-12-27T01:00")),
        (utc("2026-12-28T09:00"), utc("2026-12-28T12:00")),
    ]
    assert calendar.elapsed(start, utc("2026-12-28T12:00")) == 7 * HOUR
    assert calendar.after(start, 3 * HOUR) == utc("2026-12-24T14:00")
    assert calendar.after(start, 4 * HOUR) == utc("2026-12-27T01:00")
    assert calendar.after(start, 5 * HOUR) == utc("2026-12-28T10:00")
    assert not calendar.is_open(utc("2026-12-25T10:00"))


def test_weekdays_of_different_hours() -> None:
    """Monday 09:00-12:00, Tuesday 08:00-10:00, nothing else."""
    calendar = BusinessCalendar("UTC", (((540, 720),), ((480, 600),), (), (), (), (), ()), {})
    assert calendar.after(utc("2026-03-02T10:00"), 4 * HOUR) == utc("2026-03-03T10:00")
    assert calendar.after(utc("2026-03-02T10:00"), 5 * HOUR) == utc("2026-03-09T10:00")
    assert calendar.after(utc("2026-03-08T10:00"), 3 * HOUR) == utc("2026-03-09T12:00")


def test_what_would_end_too_late_ends_at_the_latest_instant() -> None:
    rarely = BusinessCalendar("UTC", (((0, 1),), (), (), (), (), (), ()), {})
    assert rarely.after(utc("2026-03-02T00:00"), 1000 * HOUR) == LATEST
    always = daily((0, 1440), timezone="UTC")
    assert always.after(LATEST - HOUR, HOUR - MICROSECOND) == LATEST - MICROSECOND
    assert always.after(LATEST - HOUR, HOUR) == always.after(LATEST - HOUR, HOUR + MICROSECOND) == LATEST
    assert always.after(utc("2026-03-02T00:00"), timedelta.max) == LATEST


def test_an_instant_is_the_same_in_any_zone_it_is_given_in() -> None:
    helsinki, calendar = zone("Europe/Helsinki"), daily((180, 210))
    first, second = (datetime(2026, 10, 25, 3, 15, fold=fold, tzinfo=helsinki) for fold in (0, 1))
    assert calendar.elapsed(first.astimezone(UTC), second.astimezone(UTC)) == HOUR / 2
    assert calendar.elapsed(first, second) == HOUR / 2
    assert calendar.after(first, HOUR / 2) == second.astimezone(UTC)


def test_calendars_are_equal_where_all_they_say_is() -> None:
    closed: dict[date, Hours] = {date(2026, 12, 25): ()}
    assert office("UTC", closed) == office("UTC", dict(closed))
    assert hash(office("UTC", closed)) == hash(office("UTC", dict(closed)))
    others: list[object] = [office("UTC"), office("Europe/Helsinki", closed), daily((540, 1020), timezone="UTC"), "UTC"]
    assert all(office("UTC", closed) != other for other in others)


def test_only_places_and_fixed_offsets_are_zones() -> None:
    assert {"Europe/Helsinki", "America/New_York", "UTC"} <= zone_names()
    assert not zone_names() & {"Factory", "localtime", "posixrules", ""}

"""The local date of an instant, from its first instant to its last, around each change of the clocks."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from app.sla.core.calendar import day_of, zone_names
from tests.sla.core.brute_calendar import changes, zone
from tests.sla.core.builders import MICROSECOND, START

_MINUTE = timedelta(minutes=1)
_AROUND = (-14, -2, 0, 2, 14)
# Each with a change over midnight: back (to 23:00 and to 23:01), forward, and a date that there never was.
_ODD = ("America/Havana", "America/St_Johns", "Asia/Beirut", "America/Sao_Paulo", "Pacific/Apia", "Africa/Monrovia")


def _moments(name: str) -> list[datetime]:
    return [
        change + timedelta(hours=hours) - MICROSECOND * (hours == 0) for change in changes(name) for hours in _AROUND
    ]


def test_a_date_begins_at_its_first_instant_in_every_zone() -> None:
    for name in sorted(zone_names()):
        place = zone(name)
        for at in _moments(name):
            start, end = day_of(name, at)
            date_ = at.astimezone(place).date()
            assert start <= at < end, (name, at)
            assert start.astimezone(place).date() == date_ != (start - MICROSECOND).astimezone(place).date(), (name, at)
            assert end.astimezone(place).date() > date_, (name, at)


@pytest.mark.parametrize("name", _ODD)
def test_no_minute_before_it_has_that_date(name: str) -> None:
    place = zone(name)
    for at in _moments(name)[-60:]:
        start, _ = day_of(name, at)
        date_ = at.astimezone(place).date()
        before = (start - _MINUTE * n for n in range(1, 26 * 60))
        assert all(minute.astimezone(place).date() != date_ for minute in before), (name, at)


@pytest.mark.parametrize("name", ["Europe/Helsinki", "America/St_Johns", "Asia/Tokyo", "Asia/Beirut"])
def test_days_follow_one_another_without_a_gap(name: str) -> None:
    at, days = START, []
    for _ in range(400):
        days.append(day_of(name, at))
        at = days[-1][1]
    assert all(first[1] == second[0] for first, second in pairwise(days))

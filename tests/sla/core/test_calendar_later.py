"""After 2037, where the brute-force count ends: nine in the morning is nine in the morning on every day, also where
zones go on changing their clocks by rules that follow the moon."""

from datetime import UTC, date, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import pytest

from app.sla.core.calendar import BusinessCalendar

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("name", ["Asia/Gaza", "Africa/Casablanca", "America/New_York", "Australia/Lord_Howe"])
def test_nine_is_nine_on_every_day_up_to_the_last(name: str) -> None:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        zone = ZoneInfo.from_file(file)
    calendar = BusinessCalendar(name, [((540, 1020),)] * 7, {})
    wrong = []
    for offset in range((date(2100, 1, 1) - date(2038, 1, 1)).days):
        # Days are added on the wall.
        local = datetime(2038, 1, 1, 9, tzinfo=zone) + offset * _DAY
        opens = local.astimezone(UTC)
        if calendar.is_open(opens - _SECOND) or not calendar.is_open(opens):
            wrong.append(local)
    assert wrong == []

"""Instants and texts as callers write them."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.web.schemas import Fields, Instant, Name, parse_instant

FIRST, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
WALL = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2099, 1, 1))  # noqa: DTZ001


@given(WALL, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_instant_is_read_in_utc_whatever_its_offset(wall: datetime, minutes: int) -> None:
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    read = parse_instant(f"{wall.isoformat()}{sign}{hours:02}:{rest:02}")
    assert read == wall.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", FIRST),
        ("1970-01-01T01:00:00+01:00", FIRST),
        ("2099-12-31T23:59:59.999999Z", END - timedelta(microseconds=1)),
        ("2099-12-31T23:59:59.999999999Z", END - timedelta(microseconds=1)),
        ("2100-01-01T00:59:59+01:00", END - timedelta(seconds=1)),
        ("2026-01-31t09:30:00z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
    ],
)
def test_instants_from_1970_up_to_2100_are_taken(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00+00:01",
        "1969-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "2099-12-31T23:59:59-00:01",
        "2100-06-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-01-31T09:30:00",
        "2026-01-31 09:30:00Z",
        "2026-01-31T09:30Z",
        "2026-01-31",
        "2026-02-30T09:30:00Z",
        "2026-01-31T24:30:00Z",
        "2026-01-31T09:30:60Z",
        "2026-01-31T09:30:00+99:99",
        "2026-01-31T09:30:00Z\n",
        "\uff12026-01-31T09:30:00Z",
        "now",
        "infinity",
        "",
        "1767225600",
    ],
)
def test_what_is_no_instant_with_its_offset_or_lies_outside_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(text)


@given(st.text(max_size=250))
def test_a_name_is_composed_without_blanks_around_it_one_line_that_prints_or_is_refused(text: str) -> None:
    try:
        name = TypeAdapter(Name).validate_python(text)
    except ValidationError:
        return
    assert name == unicodedata.normalize("NFC", text).strip()
    assert name
    assert len(name) <= 200
    assert len(name.splitlines()) == 1
    name.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"": 1},
        {"a b": 1},
        {"a" * 65: 1},
        {"a.b": 1},
        {"\u00e9": 1},
        {"a\n": 1},
        {"a": [1]},
        {"a": {}},
        {"a": "x" * 2_001},
        {f"k{n}": n for n in range(101)},
    ],
)
def test_fields_of_the_callers_own_are_flat_named_plainly_and_few(fields: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Fields).validate_python(fields)

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from app.sla.schemas.types import TEN_YEARS
from app.web.schemas import FROM_TEXT, Id, In, Instant, Name, Out, Page, pattern

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _is_date(text: str) -> str:
    if not 1970 <= date.fromisoformat(text).year <= 2100:
        raise ValueError("a date from 1970 to 2100")
    return text


Day = Annotated[
    str,
    pattern(r"^\d{4}-\d\d-\d\d$", "a date, such as 2026-12-24"),
    Field(max_length=10),
    AfterValidator(_is_date),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Time = Annotated[
    str,
    pattern(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", "a time of day from 00:00 to 24:00, such as 09:00"),
    Field(max_length=5, examples=["09:00"]),
]
Interval = Annotated[list[Time], Field(min_length=2, max_length=2)]
DayHours = TypeAliasType(
    "DayHours",
    Annotated[list[Interval], Field(max_length=48, description="From and until, local time; 24:00 ends a day.")],
)


class WeekIn(In):
    """The hours of each weekday; a day that is left out is closed."""

    mon: DayHours | None = None
    tue: DayHours | None = None
    wed: DayHours | None = None
    thu: DayHours | None = None
    fri: DayHours | None = None
    sat: DayHours | None = None
    sun: DayHours | None = None


class WeekPatch(In):
    """The days that change; null closes one."""

    mon: DayHours | None | MISSING = MISSING
    tue: DayHours | None | MISSING = MISSING
    wed: DayHours | None | MISSING = MISSING
    thu: DayHours | None | MISSING = MISSING
    fri: DayHours | None | MISSING = MISSING
    sat: DayHours | None | MISSING = MISSING
    sun: DayHours | None | MISSING = MISSING


Zone = Annotated[str, Field(min_length=1, max_length=64, description="An IANA name.", examples=["Europe/Helsinki"])]
Holidays = Annotated[list[Day], Field(max_length=2000, description="Dates that are closed.")]
Region = Annotated[
    str,
    pattern(r"^[A-Z]{2}(-[A-Za-z0-9]{1,5})?$", "a country (ISO 3166-1) or a part of one, such as FI or US-MA"),
    Field(
        max_length=8,
        description="Closed on the public holidays of this country or part of one.",
        examples=["FI", "US-MA"],
    ),
]
DateHours = Annotated[
    dict[Day, DayHours],
    Field(max_length=2000, description="Dates with hours of their own; they outweigh holidays, [] closes a date."),
]


class CalendarIn(In):
    """When the business is open."""

    timezone: Zone
    hours: WeekIn
    holidays: Holidays = []
    holiday_region: Region | None = None
    date_hours: DateHours = {}


class InlineCalendar(CalendarIn):
    """A calendar to compute with. It needs no name."""

    name: Name | None = None


class BusinessCalendarIn(CalendarIn):
    name: Name


class BusinessCalendarPatch(In):
    name: Name | MISSING = MISSING
    timezone: Zone | MISSING = MISSING
    hours: WeekPatch | MISSING = MISSING
    holidays: Holidays | MISSING = MISSING
    holiday_region: Region | None | MISSING = MISSING
    # Written out: openapi-generator makes no type of an array that is named and may be null.
    date_hours: (
        Annotated[dict[Day, Annotated[list[Interval], Field(max_length=48)] | None], Field(max_length=2000)] | MISSING
    ) = MISSING


class BusinessCalendarOut(Out):
    """The newest version of a calendar. Clocks that have ended keep the version they were judged by."""

    id: UUID
    name: str
    version: int
    timezone: str
    hours: dict[str, list[list[str]]]
    holidays: list[date]
    holiday_region: str | None
    date_hours: dict[str, list[list[str]]]
    created_at: datetime
    archived_at: datetime | None


class BusinessCalendarPage(Page[BusinessCalendarOut]): ...


class ComputeOp(StrEnum):
    after = "after"
    elapsed = "elapsed"
    is_open = "is_open"


class ComputeIn(In):
    """`after` needs `seconds`, `elapsed` needs `end`; the calendar is named or sent along."""

    calendar: InlineCalendar | None = None
    calendar_id: Id | None = None
    op: Annotated[ComputeOp, FROM_TEXT]
    start: Instant
    seconds: Annotated[float, Field(ge=0, le=TEN_YEARS)] | None = None
    end: Instant | None = None


class ComputeOut(Out):
    """An instant for `after`, seconds for `elapsed`, a boolean for `is_open`."""

    result: datetime | float | bool

"""The building blocks of wire shapes. Requests are strict and closed, answers carry no defaults, and every text has a
largest length."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic.json_schema import WithJsonSchema

T = TypeVar("T")

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
OUT_OF_RANGE = "an instant from 1970 up to 2100"
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$", re.ASCII | re.IGNORECASE)


class In(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Out(BaseModel):
    """An answer. Its values come from our own rows, so they are taken as they are."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None


def parse_instant(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise ValueError("an RFC 3339 instant with its offset, such as 2026-01-31T09:30:00Z")
    # PostgreSQL keeps microseconds; finer digits are cut, never rounded into the future.
    text = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
    # The year is looked at first: an offset would carry years 1 and 9999 out of what a datetime can hold.
    if not _EARLIEST.year <= int(value[:4]) <= _LATEST.year:
        raise ValueError(OUT_OF_RANGE)
    instant = datetime.fromisoformat(text).astimezone(UTC)
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError(OUT_OF_RANGE)
    return instant


def _clean(text: str) -> str:
    """One line of text that prints. (The body reader refuses NUL and half surrogates; a query has no such reader.)"""
    # What prints is fine at once; of what does not, only odd spaces are.
    if not text.isprintable() and any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text):
        raise ValueError("no control or format characters, and no line breaks")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def fold(name: str) -> str:
    """What is compared where a name must be unique: blind to case, width and Unicode form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


# Marks what JSON has no type for (enums, ids): strict models take such a thing from its string.
FROM_TEXT = Strict(False)
Id = Annotated[UUID, FROM_TEXT]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_clean), AfterValidator(_not_blank)]
Key = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_clean), AfterValidator(_not_blank)]
ExternalId = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_clean), AfterValidator(_not_blank)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_clean), AfterValidator(_not_blank)]
Prose = Annotated[str, Field(min_length=1, max_length=100_000), AfterValidator(_not_blank)]
Email = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(_clean)]
Scalar = Annotated[str, Field(max_length=2000)] | bool | int | float | None
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
MOST_FIELDS = 100
Fields = Annotated[dict[FieldName, Scalar], Field(max_length=MOST_FIELDS)]

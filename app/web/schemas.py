"""The building blocks of wire shapes. Requests are strict and closed, answers carry no defaults, and every text has a
largest length."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import structlog
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticOmit
from typing_extensions import TypeAliasType

log = structlog.get_logger("ninety.release")

T = TypeVar("T")

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
OUT_OF_RANGE = "an instant from 1970 up to 2100"
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$", re.ASCII | re.IGNORECASE)
# An offset east of Greenwich, in a query whose plus was not escaped.
_BLANK_FOR_PLUS = re.compile(r"^\S+[T ]\S+ \d\d:\d\d$", re.ASCII | re.IGNORECASE)


class In(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Out(BaseModel):
    """An answer. Its values come from our own rows, so they are taken as they are."""

    model_config = ConfigDict(from_attributes=True)


# What pydantic says of a word, or of a part of a stored object, that this release does not know.
_UNKNOWN = {"enum", "literal_error", "union_tag_invalid", "extra_forbidden"}


def by_newer_release(wrong: Iterable[Mapping[str, Any]]) -> bool:
    """Whether these errors of an answer are all of the kind that a newer release's rows make."""
    return all(error["type"] in _UNKNOWN for error in wrong)


def _pass_over(item: Any, shape: ValidatorFunctionWrapHandler) -> Any:
    try:
        return shape(item)
    except ValidationError as wrong:
        if not by_newer_release(wrong.errors(include_input=False)):
            raise
        log.warning("item_passed_over", shape=wrong.title)
        raise PydanticOmit from None


# An item of a list; left out where only a newer release knows what it is.
Item = Annotated[T, WrapValidator(_pass_over)]


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[Item[T]]
    next_cursor: str | None


def parse_instant(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _BLANK_FOR_PLUS.search(value):
        raise ValueError("a + is a blank in a query unless it is written %2B")
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


def tidy(text: object) -> object:
    """As it is stored: composed, so that what looks the same is the same, and without blanks around it."""
    if not isinstance(text, str):
        return text
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def bare_address(value: object) -> object:
    """An e-mail address as it comes out of a link or a header: `mailto:a@x.example`, `<a@x.example>`."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text[:7].lower() == "mailto:":
        text = text[7:]
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def fold(name: str) -> str:
    """What is compared where a name must be unique: blind to case, width and Unicode form."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


# No domain has these: what follows an address in a link (`?subject=`), and the dots of other scripts.
_NOT_IN_DOMAIN = frozenset("!#$%&'*+/=?^`{|}~。．｡")


def _with_plain_domain(address: str) -> str:
    if not _NOT_IN_DOMAIN.isdisjoint(address.rpartition("@")[2]):
        raise ValueError("an e-mail address, such as ann@example.org, and nothing after it")
    return address


_NOT_LOCAL = r'\s@<>()\[\]\\,;:"'
# What a text must look like, in words: nobody is answered a regular expression.
PATTERNS: dict[str, str] = {}


def pattern(regex: str, words: str) -> Any:
    """A field whose text matches. `words` say what would be right."""
    PATTERNS[regex] = words
    return Field(pattern=regex)


# Marks what JSON has no type for (enums, ids): strict models take such a thing from its string.
FROM_TEXT = Strict(False)
Id = Annotated[UUID, FROM_TEXT]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
TIDY = BeforeValidator(tidy)
Name = Annotated[str, Field(min_length=1, max_length=200), TIDY, AfterValidator(_clean)]
Key = Annotated[str, Field(min_length=1, max_length=64), TIDY, AfterValidator(_clean)]
ExternalId = Annotated[str, Field(min_length=1, max_length=255), TIDY, AfterValidator(_clean)]
Line = Annotated[str, Field(min_length=1, max_length=500), TIDY, AfterValidator(_clean)]
Prose = Annotated[str, Field(min_length=1, max_length=100_000), TIDY]
Email = Annotated[
    str,
    Field(min_length=3, max_length=254, json_schema_extra={"format": "email"}),
    # One address and nothing else; no label of the domain is empty.
    pattern(
        rf"^[^{_NOT_LOCAL}]+@[^.{_NOT_LOCAL}]+(\.[^.{_NOT_LOCAL}]+)*$", "an e-mail address, such as ann@example.org"
    ),
    # After what the document says of it: pydantic leaves out what follows these.
    BeforeValidator(bare_address),
    TIDY,
    AfterValidator(_clean),
    AfterValidator(_with_plain_domain),
]
FieldText = Annotated[str, Field(max_length=2000), TIDY]
Scalar = FieldText | bool | int | float | None
FieldName = Annotated[str, pattern(r"^[A-Za-z0-9_]{1,64}$", "1 to 64 letters of a to z, digits and underscores")]
MOST_FIELDS = 100
# An integer is a number: said twice, generators make two types of it.
_VALUE = {"anyOf": [{"type": "string", "maxLength": 2000}, {"type": "boolean"}, {"type": "number"}, {"type": "null"}]}
CustomFieldValue = TypeAliasType("CustomFieldValue", Annotated[Scalar, WithJsonSchema(_VALUE)])
Fields = Annotated[dict[FieldName, CustomFieldValue], Field(max_length=MOST_FIELDS)]


def tags_once(tags: Iterable[str]) -> list[str]:
    """Each once, in order, as it was written first: compared by `fold`."""
    found: dict[str, str] = {}
    for tag in tags:
        found.setdefault(fold(tag), tag)
    return list(found.values())


Tags = Annotated[list[Key], Field(max_length=50), AfterValidator(tags_once)]

"""Query parameters that take several values: `status=open,pending`, or the parameter repeated; any of them.

Whatever can be stored can be asked for: a value within double quotes is literal, and a quote in it is doubled. Outside
of quotes `none` asks for what is empty and `me` for the caller, where a parameter knows these words."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer
from pydantic.config import JsonDict
from pydantic_core import core_schema

T = TypeVar("T")


class Empty(StrEnum):
    """What has no value."""

    none = "none"


class Oneself(StrEnum):
    """Who calls."""

    me = "me"


class Quoted(str):
    """A value that stood in quotes: none of the words above."""

    __slots__ = ()


# A quoted value, or what stands up to the next comma.
_VALUE = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*|(?P<plain>[^,]*))(?:,|$)')
_NEEDS_QUOTES = re.compile(r'[,"]|^\s|\s$|^$|^(?:none|me)$')


def _split(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    if not value:
        raise ValueError("at least one value")
    return tuple(part for each in value for part in (_values(each) if _is_plain(each) else [each]))


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, (StrEnum, Quoted))


def _values(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while True:
        match = _VALUE.match(text, place)
        if match is None or (match["plain"] or "").startswith('"'):
            raise ValueError('a value in double quotes ends with one, and one within it is doubled: "14"" laptop"')
        found.append(match["plain"].strip() if match["quoted"] is None else Quoted(match["quoted"].replace('""', '"')))
        if not match[0].endswith(",") or (place := match.end()) > len(text):
            return found


def as_literal(value: str) -> str:
    """As it can be asked for."""
    return '"' + value.replace('"', '""') + '"' if _NEEDS_QUOTES.search(value) else value


def _written(values: Iterable[Any]) -> list[str]:
    return [str(value) if isinstance(value, (StrEnum, UUID)) else as_literal(str(value)) for value in values]


class _Words:
    """Admits words beside the values of a type. Refusals are those of the type: a union would name its members, too."""

    def __init__(self, *kinds: type[StrEnum]) -> None:
        self._kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        values = handler(source)
        either = core_schema.union_schema([values, *map(handler.generate_schema, self._kinds)])
        told = {"pydantic_js_functions": [lambda _schema, describe: describe(either)]}
        return core_schema.no_info_wrap_validator_function(self._read, values, metadata=told)

    def _read(self, value: object, values: core_schema.ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, Quoted):
            return values(str(value))
        kind = next((kind for kind in self._kinds if value in list(kind)), None)
        return kind(str(value)) if kind else values(value)


_SPLIT = BeforeValidator(_split)
# For the document alone: as a bound of the type it would be told beside each value that is refused.
_SOME: JsonDict = {"minItems": 1}
_WRITTEN = PlainSerializer(lambda values: None if values is None else _written(values), when_used="json")
AnyOf = Annotated[Annotated[tuple[T, ...], Field(max_length=50, json_schema_extra=_SOME)] | None, _SPLIT, _WRITTEN]
Ids = AnyOf[UUID]
_many = Field(max_length=200, json_schema_extra=_SOME)
ManyIds = Annotated[Annotated[tuple[UUID, ...], _many] | None, _SPLIT, _WRITTEN]
OrNone = AnyOf[Annotated[T, _Words(Empty)]]
MyIds = AnyOf[Annotated[UUID, _Words(Oneself)]]
MyIdsOrNone = AnyOf[Annotated[UUID, _Words(Empty, Oneself)]]
# What a parameter that knows the words says of them.
NONE = "`none` is without one."
NONE_OR_ME = "`none` is without one, `me` is the caller."

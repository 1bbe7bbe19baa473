"""Query parameters that take several values: `status=open,pending`, or the parameter repeated."""

from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Field

T = TypeVar("T")


def _split(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    if not value:
        raise ValueError("at least one value")
    return tuple(part for each in value for part in (_parts(each) if isinstance(each, str) else [each]))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


AnyOf = Annotated[Annotated[tuple[T, ...], Field(max_length=50)] | None, BeforeValidator(_split)]
Ids = AnyOf[UUID]

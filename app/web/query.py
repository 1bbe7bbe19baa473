"""Query parameters that take several values: `status=open,pending`, or the parameter repeated."""

from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, Field

T = TypeVar("T")


def _split(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        return tuple(part.strip() for text in value if isinstance(text, str) for part in text.split(","))
    return value


AnyOf = Annotated[tuple[T, ...] | None, BeforeValidator(_split), Field(min_length=1, max_length=50)]
Ids = AnyOf[UUID]

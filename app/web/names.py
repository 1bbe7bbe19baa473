"""Which names a request may use: the parameters of a query and the fields of a body. Unknown ones are refused
everywhere, with what is known and the nearest one: a misspelt filter must not list everything."""

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.datastructures import QueryParams
from starlette.types import Scope
from typing_extensions import TypeAliasType

from app.errors import FieldError, Invalid

UNKNOWN = "extra_forbidden"
_MOST_TOLD = 60
# Some clients write that a parameter has several values: `status[]=new`.
# And some that one has fields: `custom_fields[plan]=pro`.
_FIELD = re.compile(rb"(?<![^&])([a-z_]+)(?:\[|%5B)(\w+)(?:\]|%5D)=", re.IGNORECASE)
_SEVERAL = re.compile(rb"((?:^|&)[^=&]*?)(?:\[\]|%5B%5D)(?==|&|$)", re.IGNORECASE)


def tidy(scope: Scope) -> None:
    """`status[]=new` means `status=new`, and `custom_fields[plan]=pro` means `custom_fields.plan=pro`."""
    query: bytes = scope["query_string"]
    if b"[" in query or b"%5" in query:
        scope["query_string"] = _FIELD.sub(rb"\1.\2=", _SEVERAL.sub(rb"\1", query))


def unknown(name: str, known: Collection[str]) -> str:
    """What to say of a name that is not known."""
    near = get_close_matches(name[:_MOST_TOLD], known, n=1)
    told = ", ".join(sorted(known)[:_MOST_TOLD])
    return (f"unknown; did you mean {near[0]}? " if near else "unknown; ") + (
        f"Known are: {told}" if told else "nothing is known here"
    )


def parameters(dependant: Dependant) -> frozenset[str] | None:
    """The query parameters of an operation and of all its dependencies; None where a model of them refuses what it does
    not know."""
    names: set[str] = set()
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            return None
        names.add(field.alias)
    for dependency in dependant.dependencies:
        theirs = parameters(dependency)
        if theirs is None:
            return None
        names |= theirs
    return frozenset(names)


def check_parameters(query: QueryParams, known: Collection[str]) -> None:
    """Raises Invalid."""
    wrong = [FieldError(f"/query/{name[:200]}", UNKNOWN, unknown(name, known)) for name in query if name not in known]
    if wrong:
        raise Invalid(f"{wrong[0].pointer}: {wrong[0].detail}", errors=tuple(wrong))


def known_at(dependant: Dependant, location: Sequence[Any]) -> set[str]:
    """What may stand where FastAPI's `loc` says that something unknown does."""
    place, *inner = location
    params = {"body": dependant.body_params, "query": dependant.query_params}.get(str(place), [])
    return {name for field in params for names in _fields(field.field_info.annotation, inner) for name in names}


def _fields(kind: Any, location: Sequence[Any]) -> Iterator[set[str]]:
    """Of whatever lies at `location` in a type, the names of the fields beside its last part."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        if len(location) == 1:
            yield set(fields)
        elif location[0] in fields:
            yield from _fields(fields[location[0]], location[1:])
    elif isinstance(kind, TypeAliasType):
        yield from _fields(kind.__value__, location)
    else:
        for inner in get_args(kind):
            # A part of the location may be an index, a key or the tag of a union: none of them is a name.
            yield from _fields(inner, location)
            if len(location) > 1:
                yield from _fields(inner, location[1:])

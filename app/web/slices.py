"""Work that takes long, in slices: between two of them the loop does what else there is to do."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter
from starlette.responses import Response

T = TypeVar("T")
_SLICE_SECONDS = 0.005
_LONG_TURN_SECONDS = 0.001
_ITEMS = 50


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; what is done with them is held up every 5 ms."""
    until = time.monotonic() + _SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() >= until:
            await _let_others()
            until = time.monotonic() + _SLICE_SECONDS


async def _let_others() -> None:
    """A turn of the loop, which costs nothing where nobody else is there. Where it was long, as many short ones as fit
    into that time: several that work in slices would else take a slice of every turn, and a request needs many."""
    began = time.monotonic()
    await asyncio.sleep(0)
    took = time.monotonic() - began
    if took > _LONG_TURN_SECONDS:
        await asyncio.sleep(min(took, _SLICE_SECONDS))


async def items_as_json(model: type[Any], items: list[dict[str, Any]], **rest: Any) -> Response:
    """`{"items": […], **rest}` with the items as `model` shows them, made in slices."""
    shown = TypeAdapter(list[model])  # type: ignore[valid-type]
    pieces = (items[first : first + _ITEMS] for first in range(0, len(items), _ITEMS))
    parts = [shown.dump_json(shown.validate_python(some))[1:-1] async for some in in_slices(pieces)]
    tail = orjson.dumps(rest)[1:]
    body = b'{"items":[' + b",".join(parts) + (b"]," if rest else b"]") + tail
    return Response(body, media_type="application/json")

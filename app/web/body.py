"""The one reader of request bodies. What passes here is plain JSON that PostgreSQL, JavaScript and a log line can all
hold; what does not is refused before any schema sees it."""

import asyncio
import io
import json
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from app.errors import AppError, Malformed
from app.web.slices import in_slices

# A rule nests eight groups deep, which is 21 levels of JSON.
MAX_DEPTH = 24
MAX_INTEGER = 2**53 - 1
# Parsed, a body takes many times its size where its parts are small: 16 MiB of `{},` would be 400 MB.
MAX_CONTAINERS = 200_000
MAX_COMMAS = 500_000
MAX_LINES = 10_000
# JSON by lines has two names. Generators make a stream of every answer of an operation that names the other one.
JSONL, NDJSON = "application/jsonl", "application/x-ndjson"
# As many as a connection holds of a body that nobody reads.
SMALL_BYTES = 64 * 1024

_JSON = re.compile(r"application/([^/\s]+\+)?json")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class TooLarge(AppError):
    """The body is larger than this operation takes. Send less at once."""

    status = 413
    code = "body_too_large"
    title = "The body is too large"


class UnsupportedMediaType(AppError):
    """The body is of a type that this operation does not read: send application/json."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class JsonRequest(Request):
    """A request whose body has been read and parsed; what FastAPI asks of it is already there."""

    def __init__(self, scope: Scope, raw: bytes, value: object) -> None:
        super().__init__(scope)
        self.raw = raw
        self.value = value

    async def body(self) -> bytes:
        return self.raw

    async def json(self) -> Any:
        return self.value

    async def stream(self) -> AsyncGenerator[bytes, None]:
        yield self.raw


async def read(
    request: Request, limit: int, room: Callable[[], Awaitable[None]], *, ndjson_field: str | None = None
) -> JsonRequest:
    """The request with its JSON body; before one that is larger than 64 KiB is read on, `room` is waited for.
    `ndjson_field` also takes newline-delimited JSON, as if it were a list in that field. Raises TooLarge,
    UnsupportedMediaType, Malformed."""
    raw = await _bytes(request, limit, room)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if ndjson_field and kind in (JSONL, NDJSON):
        if raw.count(b"\n") + raw.count(b"\r") > MAX_LINES:
            raise TooLarge(f"at most {MAX_LINES} lines")
        _containers(raw)
        lines = [parse_line(line) async for line in in_slices(raw.splitlines()) if line.strip()]
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
        scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
        return JsonRequest(scope, raw, {ndjson_field: lines})
    if raw and not _JSON.fullmatch(kind):
        raise UnsupportedMediaType(f"send application/json, not {kind[:60] or 'a body without a Content-Type'}")
    if len(raw) > SMALL_BYTES:
        # Beside the loop, which gets its turns between the objects.
        return JsonRequest(request.scope, raw, await asyncio.to_thread(parse, raw))
    return JsonRequest(request.scope, raw, parse(raw) if raw else None)


async def read_raw(request: Request, limit: int) -> JsonRequest:
    """The request with its body as it came, whatever it is. Raises TooLarge, UnsupportedMediaType, Malformed."""
    return JsonRequest(request.scope, await _bytes(request, limit), None)


async def _bytes(request: Request, limit: int, room: Callable[[], Awaitable[None]] | None = None) -> bytes:
    _refuse_encoding(request.headers)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > limit):
        raise TooLarge(f"at most {limit} bytes")
    # It gives away its own buffer in the end: a large body lies in memory once.
    whole = io.BytesIO()
    try:
        async for chunk in request.stream():
            if whole.tell() + len(chunk) > limit:
                raise TooLarge(f"at most {limit} bytes")
            if room and whole.tell() + len(chunk) > SMALL_BYTES:
                await room()
                room = None
            whole.write(chunk)
    except ClientDisconnect:
        raise Malformed("the body broke off") from None
    return whole.getvalue()


def _refuse_encoding(headers: Headers) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("send the body without a Content-Encoding")


def parse(raw: bytes) -> Any:
    """JSON by RFC 8259, strictly. Raises Malformed with what is wrong, and TooLarge."""
    containers = _containers(raw)
    try:
        text = raw.decode()
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    except json.JSONDecodeError as wrong:
        raise Malformed(f"not JSON at line {wrong.lineno}, column {wrong.colno}: {wrong.msg}") from None
    except RecursionError:
        raise Malformed(f"nested deeper than {MAX_DEPTH}") from None
    if containers > MAX_DEPTH and _deeper_than_allowed(raw):
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    if "\\u" in text:  # only an escape can smuggle in a NUL or half of a surrogate pair
        _check_strings(value)
    return value


def parse_line(raw: bytes) -> Any:
    """The same for one of many, which a wrong one does not stop: what is wrong takes the place of its value."""
    try:
        return parse(raw)
    except Malformed as wrong:
        return wrong


def _containers(raw: bytes) -> int:
    """How many lists and objects it may hold at most. Raises TooLarge."""
    found = raw.count(b"[") + raw.count(b"{")
    if found > MAX_CONTAINERS or raw.count(b",") > MAX_COMMAS:
        raise TooLarge(f"at most {MAX_CONTAINERS} lists and objects, and {MAX_COMMAS} commas")
    return found


def _deeper_than_allowed(valid: bytes) -> bool:
    """Peels one level of nesting a round, at the speed of bytes.replace."""
    # Both kinds as one: peeling them one after the other would take `{[]}` for a single level.
    brackets = _STRING.sub(b"", valid).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _check_strings(value: object) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise Malformed("a string holds NUL or half of a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("an object holds the same key twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise Malformed(f"integers lie within ±{MAX_INTEGER}")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number) or abs(number) > MAX_INTEGER:
        raise Malformed(f"numbers lie within ±{MAX_INTEGER}")
    return number


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_no_constant
)

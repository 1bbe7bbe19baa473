"""Input that must get a clear 4xx, or be taken literally and harm nothing."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

# Stands in a body for a token that `json.dumps` would not write.
_TOKEN = "\x00token:"

TEXTS: tuple[str, ...] = (
    "\0",
    "a\0b",
    "\ud800",
    "a\udfff b",
    "\ud83d\ude00",
    "'; drop table tickets; --",
    '"); select pg_sleep(9); --',
    "%a%b%c%",
    "a & | b",
    "\\",
    "\u202e\u200b\ufeff",
    "\x1b[31m\r\nSet-Cookie: a=b",
    "\ufffe\uffff\U0010ffff",
    "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 64,
    "".join(map(chr, range(0x3300, 0x33FF))),
    "x" * 2_001,
    "x" * 100_001,
    "=cmd|' /C calc'!A0",
    "{{7*7}}${7*7}%(x)s{0}%n",
    "../../etc/passwd",
    "",
    " \t ",
    "9223372036854775808",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-01-31T09:30:00",
    "2026-01-31T09:30:60Z",
    "2026-01-31T09:30:00+99:99",
    "2099-12-31T23:59:59.999999999-23:59",
    "no_such_word",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"all": [value]}
    return value


NOT_TEXTS: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**53 - 1,
    -(2**53 - 1),
    1.5,
    5e-324,
    [],
    {},
    ["x"] * 10_000,
    ["\ud800"],
    {"\0": 1},
    {"": ""},
    {"__proto__": {"a": 1}},
    {"$gt": ""},
    {"a": "x" * 2_001},
    {"a": 5e-324, "b": 1e15, "c": True, "d": "\ufffe"},
    {f"k{n}": n for n in range(1_000)},
    _deep(8),
    _deep(100),
)
# JSON by its looks, and not by RFC 8259 as this service reads it.
TOKENS = (
    "NaN",
    "-Infinity",
    "1e999",
    str(2**53),
    str(2**63),
    str(-(2**64)),
    "1" * 5_000,
    "0x1F",
    "01",
    '"\\x"',
    '"\x01"',
    "[" * 500 + "]" * 500,
)


@dataclass(frozen=True, slots=True)
class Arsenal:
    texts: tuple[str, ...]
    others: tuple[Any, ...]
    tokens: tuple[str, ...]


ALL = Arsenal(TEXTS, NOT_TEXTS, TOKENS)
# For roles whose requests run through the same code as those that have already met everything.
FEW = Arsenal(
    (
        "\0",
        "\ud800",
        "'; drop table tickets; --",
        "\ufffe\uffff\U0010ffff",
        "",
        "9999-12-31T23:59:59Z",
        "2026-01-31T09:30:00",
        "no_such_word",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ),
    (None, True, 2**53 - 1, [], {}, ["x"] * 10_000, {"\0": 1}, {"__proto__": {"a": 1}}, _deep(100)),
    ("NaN", "1e999", str(2**63)),
)


# Places as deep as this are those of an imported ticket's timeline: many, and all read alike.
_DEEP = 5


def bodies(valid: Any, arsenal: Arsenal = ALL) -> Iterator[bytes]:
    """The valid body with one hostile value in each of its places, unknown fields, keys twice, and other encodings."""
    for place in _places(valid):
        arms = arsenal if len(place) < _DEEP else FEW
        for value in (*arms.texts, *arms.others):
            yield json.dumps(_with(valid, place, value)).encode()
        for token in arms.tokens:
            whole = json.dumps(_with(valid, place, _TOKEN))
            yield whole.replace(json.dumps(_TOKEN), token).encode("utf-8", "surrogatepass")
        if place:
            yield json.dumps(_without(valid, place)).encode()
    text = json.dumps(valid)
    for field in ("unknown", "id", "version", "__class__", "\ud800", "", "x" * 1_000):
        yield json.dumps({**valid, field: 1}).encode()
    yield f"{text[:-1]}, {text[1:]}".encode()
    yield text.encode("utf-16")
    yield b"\xef\xbb\xbf" + text.encode()
    yield text.encode() + b"\xff"
    yield text.encode() + b"\0"
    yield text[:-1].encode()
    yield text.encode()[: len(text) // 2]
    yield json.dumps({f"u{n}": n for n in range(10_000)}).encode()
    yield b"\x80abc"
    yield b""


def _places(node: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in parts:
        yield from _places(inner, (*here, key))


def _with(valid: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    whole = copy.deepcopy(valid)
    node = whole
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    return whole


def _without(valid: Any, place: tuple[Any, ...]) -> Any:
    whole = copy.deepcopy(valid)
    node = whole
    for part in place[:-1]:
        node = node[part]
    del node[place[-1]]
    return whole


def quoted(text: str) -> bytes:
    """As a query holds it; half a surrogate pair as the bytes that no UTF-8 has."""
    return quote(text[:5_000].encode("utf-8", "surrogatepass")).encode()


QUERIES = (
    *(str(value).encode() for value in (-1, 0, 10**9, 2**63, 2**64, 1.5, "1e3", "+1", "0x10", "1" * 5_000, "True")),
    b"\xff\xfe",
    b"%FF%FE",
    b"%EF%BC%91",
    b"%ED%A0%80",
    b"%00",
    b"%2500",
    b"%",
    b"a,b,,c",
    b"," * 1_000,
    b"open,open",
    b"first_response,no",
    b"team,team",
    b"running,met,breached,cancelled",
    b"2026-01-31T09:30:00+00:00",
    b"2026-01-31T09:30:00%2B00:00",
)
HEADER_NAMES = (
    b"if-match",
    b"if-none-match",
    b"idempotency-key",
    b"x-request-id",
    b"traceparent",
    b"accept",
    b"accept-encoding",
    b"range",
    b"host",
    b"x-forwarded-for",
    b"x-http-method-override",
    b"content-type",
    b"content-encoding",
    b"cookie",
    b"content-length",
    b"transfer-encoding",
    b"origin",
    b"forwarded",
)
HEADER_VALUES = (
    b"",
    b" ",
    b'"',
    b'W/"1"',
    b"*",
    b'"1" "2"',
    b"," * 500,
    b"\xff\xfe",
    b"x" * 2_000,
    b"1" * 60_000,
    b"[",
    b"[::1",
    b"a/b?c#d@e:f",
    b"\xe2\x80\xae",
    b"'; drop",
    b"-1",
    b"0",
    b"bytes=0-",
    b"text/csv;q=;",
    b"DELETE",
    "١".encode(),
)

"""The body reader, by itself."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed
from app.web.body import MAX_DEPTH, MAX_INTEGER, TooLarge, parse

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=32)), inner, max_size=4)
    ),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(JSON, st.booleans())
def test_what_json_can_say_is_read_as_it_was_said(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    if depth(value) <= MAX_DEPTH:
        assert parse(raw) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    try:
        value = parse(raw)
    except Malformed:
        return
    assert json.loads(raw) == value


@given(st.text('[]{}":,1\\ue0d8 ', max_size=80))
def test_text_that_looks_like_json_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        value = parse(text.encode())
    except Malformed:
        return
    assert json.loads(text) == value
    json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_counted_to_the_level(opening: str, closing: str) -> None:
    core = "1" if opening != "[" else ""
    assert parse((opening * MAX_DEPTH + core + closing * MAX_DEPTH).encode()) is not None
    with pytest.raises(Malformed, match="nested deeper"):
        parse((opening * (MAX_DEPTH + 1) + core + closing * (MAX_DEPTH + 1)).encode())


@given(
    st.recursive(st.just([]), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=40), st.integers(0, 30)
)
def test_depth_is_judged_as_a_count_of_levels_judges_it(tree: Any, wrappings: int) -> None:
    for _ in range(wrappings):
        tree = {"[{": tree, "text": '}]"\\'}
    raw = json.dumps(tree).encode()
    if depth(tree) <= MAX_DEPTH:
        assert parse(raw) == tree
    else:
        with pytest.raises(Malformed, match="nested deeper"):
            parse(raw)


@pytest.mark.parametrize("levels", [500, 5_000, 400_000])
def test_depth_that_would_exhaust_the_stack_is_refused(levels: int) -> None:
    for opening, closing in ("[", "]"), ('{"a":', "}"):
        with pytest.raises((Malformed, TooLarge)):
            parse((opening * levels + "1" + closing * levels).encode())


@pytest.mark.parametrize("many", ["{}," * 200_000 + "{}", "[]," * 200_000 + "[]", "1," * 500_001 + "1"])
def test_very_many_parts_are_refused_before_they_are_made(many: str) -> None:
    with pytest.raises(TooLarge):
        parse(f"[{many}]".encode())
    assert len(parse(f"[{many[:-100_000].rpartition(',')[0]}]".encode())) > 150_000


def test_brackets_in_texts_are_not_depth() -> None:
    assert parse(json.dumps("[{" * 500).encode()) == "[{" * 500
    assert parse(b'["' + rb"\"[" * 60 + b'"]') == ['"[' * 60]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe{\x00}\x00",
        '{"a": 1}'.encode("utf-16-be"),
        '{"a": 1}'.encode("utf-32"),
        b"\xef\xbb\xbf{}",
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"\xff"',
        b'"\xf5\x80\x80\x80"',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"[-1e999]",
        b"9007199254740992",
        b"9007199254740993",
        b"-9007199254740992",
        b"1e16",
        b"9" * 5000,
        b"1" * 400 + b".5",
        b'{"a": 1, "a": 1}',
        b'{"x": {"\\u0061": 1, "a": 2}}',
        b'"\\u0000"',
        b'{"a\\u0000": 1}',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'["ok", {"k": ["\\ud83d"]}]',
        b'"\x00"',
        b'"\n"',
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"0x10",
        b"True",
        b"nul",
        b"[1] [2]",
        b"//c\n1",
        b'"\\x41"',
        b"\x00",
        b"{}\x00",
    ],
)
def test_what_is_not_strict_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse(raw)
    assert refused.value.status == 400
    assert refused.value.detail


@pytest.mark.parametrize("number", [MAX_INTEGER, -MAX_INTEGER, 0, 1.5, -0.0, 5e-324, 1e15])
def test_numbers_that_everybody_can_hold_are_taken(number: float) -> None:
    read = parse(json.dumps(number).encode())
    assert read == number
    assert math.copysign(1, read) == math.copysign(1, number)


def test_whole_surrogate_pairs_are_taken() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"

from typing import Any

import pytest

from app.segments.possible import not_among
from app.segments.rules import (
    AllOf,
    Fields,
    FieldType,
    RuleError,
    evaluate,
    fields_read,
    parse,
    parse_conditions,
    to_json,
)

FIELDS = Fields(
    exact={
        "text": FieldType.TEXT,
        "word": FieldType.TEXT,
        "number": FieldType.NUMBER,
        "flag": FieldType.BOOLEAN,
        "at": FieldType.INSTANT,
        "tags": FieldType.TEXT_SET,
    },
    prefixes={"custom.": FieldType.ANY_SCALAR},
    impossible=lambda name, _, value: not_among(("low", "high"), str(value)) if name == "word" else None,
)


def condition(field: str, op: str, value: object) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def nested(depth: int, word: str = "not") -> dict[str, Any]:
    rule = condition("flag", "eq", True)
    for _ in range(depth):
        rule = {"not": rule} if word == "not" else {word: [rule]}
    return rule


def refusal(raw: object) -> RuleError:
    with pytest.raises(RuleError) as caught:
        parse(raw, FIELDS)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [
        (None, "", "malformed"),
        ([], "", "malformed"),
        ({}, "", "malformed"),
        ({"all": [], "any": []}, "", "malformed"),
        ({"none": []}, "", "malformed"),
        ({"all": {}}, "/all", "malformed"),
        ({"not": []}, "/not", "malformed"),
        ({"any": ["x"]}, "/any/0", "malformed"),
        ({**condition("text", "eq", "a"), "\ud800": 1}, "", "malformed"),
        ({**condition("text", "eq", "a"), "all": []}, "", "malformed"),
        ({"field": "text", "op": "eq"}, "/value", "missing"),
        ({"field": "text", "value": "a"}, "/op", "missing"),
        ({"op": "eq", "value": "a"}, "/field", "missing"),
        (condition("nowhere", "eq", "a"), "/field", "unknown_field"),
        (condition("custom.", "eq", "a"), "/field", "unknown_field"),
        (condition("custom.\x00", "eq", "a"), "/field", "unstorable_text"),
        (condition("custom." + "x" * 1_000, "eq", "a"), "/field", "wrong_length"),
        ({**condition("", "eq", "a"), "field": 7}, "/field", "wrong_value_type"),
        (condition("text", "like", "a"), "/op", "unknown_op"),
        ({**condition("text", "", "a"), "op": ["eq"]}, "/op", "unknown_op"),
        (condition("text", "eq", None), "/value", "wrong_value_type"),
        (condition("text", "eq", 1), "/value", "wrong_value_type"),
        (condition("text", "eq", ["a"]), "/value", "wrong_value_type"),
        (condition("text", "eq", "\ud800"), "/value", "unstorable_text"),
        (condition("text", "eq", "a\x00"), "/value", "unstorable_text"),
        (condition("text", "eq", "a" * 1_001), "/value", "wrong_length"),
        (condition("text", "in", "a"), "/value", "wrong_value_type"),
        (condition("text", "in", []), "/value", "wrong_length"),
        (condition("text", "in", ["a"] * 201), "/value", "wrong_length"),
        (condition("text", "not_in", ["a", 1]), "/value/1", "wrong_value_type"),
        (condition("word", "eq", "hihg"), "/value", "unknown_word"),
        (condition("word", "in", ["low", "hihg"]), "/value/1", "unknown_word"),
        (condition("number", "eq", True), "/value", "wrong_value_type"),
        (condition("number", "eq", "1"), "/value", "wrong_value_type"),
        (condition("number", "lt", float("nan")), "/value", "out_of_range"),
        (condition("number", "lt", float("inf")), "/value", "out_of_range"),
        (condition("number", "lt", 2**53), "/value", "out_of_range"),
        (condition("number", "lt", -(10**5_000)), "/value", "out_of_range"),
        (condition("flag", "eq", 1), "/value", "wrong_value_type"),
        (condition("flag", "exists", "yes"), "/value", "wrong_value_type"),
        (condition("custom.x", "lt", True), "/value", "wrong_value_type"),
        (condition("custom.x", "contains", 1), "/value", "wrong_value_type"),
        (condition("at", "lt", 0), "/value", "wrong_value_type"),
        (condition("at", "lt", "2026-01-31"), "/value", "wrong_value_type"),
        (condition("at", "lt", "2026-01-31T12:00:00"), "/value", "wrong_value_type"),
        (condition("at", "lt", "٢026-01-31T12:00:00Z"), "/value", "wrong_value_type"),
        (condition("at", "lt", "2026-02-30T12:00:00Z"), "/value", "out_of_range"),
        (condition("at", "lt", "2026-01-31T12:00:00+25:00"), "/value", "out_of_range"),
        (condition("at", "lt", "0001-01-01T00:00:00+01:00"), "/value", "out_of_range"),
        (condition("at", "lt", "9999-12-31T23:59:59-01:00"), "/value", "out_of_range"),
        (condition("at", "lt", "1969-12-31T23:59:59Z"), "/value", "out_of_range"),
        (condition("at", "lt", "2101-01-01T00:00:00Z"), "/value", "out_of_range"),
    ],
)
def test_a_wrong_part_is_refused_where_it_stands(raw: Any, pointer: str, code: str) -> None:
    error = refusal(raw)
    assert (error.pointer, error.code) == (pointer, code)
    assert error.detail.encode().endswith(b".")
    buried = refusal({"all": [nested(0), {"any": [nested(1), {"not": raw}]}]})
    assert (buried.pointer, buried.code) == (f"/all/1/any/1/not{pointer}", code)


def test_null_is_refused_with_a_hint_at_exists() -> None:
    assert "exists" in refusal(condition("text", "eq", None)).detail


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    detail = refusal(condition("txet", "eq", "a")).detail
    assert all(name in detail for name in [*FIELDS.exact, "custom.<name>"])


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    assert "low, high" in refusal(condition("word", "eq", "hihg")).detail


@pytest.mark.parametrize("word", ["all", "any", "not"])
def test_groups_nest_eight_deep_and_no_deeper(word: str) -> None:
    assert fields_read(parse(nested(8, word), FIELDS)) == {"flag"}
    assert refusal(nested(9, word)).code == "too_deep"


@pytest.mark.parametrize("word", ["all", "any", "not"])
def test_a_bottomless_rule_is_refused_without_recursing(word: str) -> None:
    error = refusal(nested(100_000, word))
    assert (error.code, error.pointer.count(word)) == ("too_deep", 8)


@pytest.mark.parametrize("part", ["field", "op", "value"])
def test_a_bottomless_part_is_refused_without_recursing(part: str) -> None:
    bottomless: list[object] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    assert refusal({**condition("text", "eq", "a"), part: bottomless}).pointer == f"/{part}"


def test_a_rule_has_at_most_two_hundred_conditions() -> None:
    half = [nested(0)] * 100
    assert isinstance(parse({"all": [{"any": half}, {"all": half}]}, FIELDS), AllOf)
    error = refusal({"all": [{"any": half}, {"all": [*half, nested(0)]}]})
    assert (error.pointer, error.code) == ("/all/1/all/100", "too_many")


def test_empty_groups_count_so_that_a_rule_is_never_huge() -> None:
    error = refusal({"all": [{"any": []}] * 201})
    assert (error.pointer, error.code) == ("/all/200", "too_many")


def test_a_list_holds_up_to_two_hundred_values_in_the_order_written() -> None:
    names = [f"n{index}" for index in range(200)]
    rule = parse(condition("text", "in", names), FIELDS)
    assert to_json(rule)["value"] == names
    assert evaluate(rule, {"text": "n199"})


def test_a_text_has_up_to_a_thousand_characters() -> None:
    assert evaluate(parse(condition("text", "eq", "é" * 1_000), FIELDS), {"text": "é" * 1_000})


def test_pointers_start_where_the_caller_says() -> None:
    with pytest.raises(RuleError) as caught:
        parse(condition("nowhere", "eq", 1), FIELDS, "/rule")
    assert caught.value.pointer == "/rule/field"


def test_the_limit_on_conditions_spans_all_and_any() -> None:
    parse_conditions([nested(0)] * 100, [nested(8)] * 100, FIELDS)
    with pytest.raises(RuleError) as caught:
        parse_conditions([nested(0)] * 100, [nested(0)] * 101, FIELDS, "/conditions")
    assert (caught.value.pointer, caught.value.code) == ("/conditions/any/100", "too_many")

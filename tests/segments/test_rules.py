import itertools
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.segments.rules import (
    AnyOf,
    Condition,
    ConditionOp,
    Fields,
    FieldType,
    Memberships,
    Not,
    RuleError,
    evaluate,
    fields_read,
    first_failure,
    parse,
    parse_conditions,
    to_json,
)

FIELDS = Fields(
    exact={
        "text": FieldType.TEXT,
        "number": FieldType.NUMBER,
        "flag": FieldType.BOOLEAN,
        "at": FieldType.INSTANT,
        "tags": FieldType.TEXT_SET,
        "segment": FieldType.MEMBERSHIP,
    },
    prefixes={"custom.": FieldType.ANY_SCALAR},
)
NAMES = {
    FieldType.TEXT: "text",
    FieldType.NUMBER: "number",
    FieldType.BOOLEAN: "flag",
    FieldType.INSTANT: "at",
    FieldType.TEXT_SET: "tags",
    FieldType.ANY_SCALAR: "custom.x",
    FieldType.MEMBERSHIP: "segment",
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
NOON_TEXT = "2026-01-31T12:00:00Z"
EQUALITY = {"eq", "ne"}
LISTS = {"in", "not_in"}
ORDER = {"lt", "lte", "gt", "gte"}
FITTING = {
    FieldType.TEXT: EQUALITY | LISTS | {"contains", "starts_with", "exists"},
    FieldType.NUMBER: EQUALITY | LISTS | ORDER | {"exists"},
    FieldType.BOOLEAN: EQUALITY | {"exists"},
    FieldType.INSTANT: EQUALITY | ORDER | {"exists"},
    FieldType.TEXT_SET: {"contains", "exists"},
    FieldType.ANY_SCALAR: EQUALITY | LISTS | ORDER | {"contains", "starts_with", "exists"},
    FieldType.MEMBERSHIP: EQUALITY | LISTS | {"contains", "exists"},
}


def condition(field: str, op: str, value: object) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


# A second opinion: reads the JSON by the declared types and knows nothing of the code under test.


def same_type(fact: object, value: object) -> bool:
    for kinds in ((bool,), (int, float), (str,), (datetime,)):
        if isinstance(value, kinds):
            return isinstance(fact, kinds) and isinstance(fact, bool) == isinstance(value, bool)
    raise AssertionError(value)


def naive_compare(op: str, fact: object, value: object) -> bool:
    if isinstance(fact, datetime) and fact.tzinfo is None:
        return False
    compare: Callable[[Any, Any], bool] = getattr(operator, {"lte": "le", "gte": "ge"}.get(op, op))
    return same_type(fact, value) and bool(compare(fact, value))


def naive_part(fact: object, value: Any) -> bool:
    if isinstance(fact, str):
        return str.find(fact, value) >= 0
    return isinstance(fact, list | frozenset) and value in list(fact)


def naive_membership(op: str, fact: Memberships, value: Any) -> bool:
    asked = value if op in LISTS else [value]
    return bool([each for each in asked if each in list(fact)]) == (op in {"eq", "in"})


def naive_condition(raw: dict[str, Any], facts: dict[str, object]) -> bool:
    fact, value = facts.get(raw["field"]), raw["value"]
    op: str = raw["op"]
    if raw["field"] == "at" and op != "exists":
        value = datetime.fromisoformat(value)
    if isinstance(fact, Memberships) and op in EQUALITY | LISTS:
        return naive_membership(op, fact, value)
    match op:
        case "exists":
            return (fact is None or fact in [[], frozenset()]) is not value
        case "ne":
            return not naive_compare("eq", fact, value)
        case "in" | "not_in":
            return any(naive_compare("eq", fact, each) for each in value) == (op == "in")
        case "contains":
            return naive_part(fact, value)
        case "starts_with":
            return isinstance(fact, str) and fact[: len(value)] == value
        case _:
            return naive_compare(op, fact, value)


def naive(raw: dict[str, Any], facts: dict[str, object]) -> bool:
    if "not" in raw:
        return not naive(raw["not"], facts)
    if "all" in raw:
        return not [part for part in raw["all"] if not naive(part, facts)]
    if "any" in raw:
        return raw["any"] == [] or bool([part for part in raw["any"] if naive(part, facts)])
    return naive_condition(raw, facts)


# Small pools, so that facts and values often meet.

texts = st.sampled_from(["", "a", "ab", "b", "A", "é", "1", "2026-01-31"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=3
)
numbers = st.sampled_from([0, 1, 1.0, -0.0, 0.5, 2**53 - 1]) | st.floats(allow_nan=False, allow_infinity=False)
instants = st.builds(
    lambda seconds, zone: datetime.fromtimestamp(seconds, zone),
    st.integers(0, int(datetime(2100, 12, 31, tzinfo=UTC).timestamp())) | st.just(NOON.timestamp()),
    st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
instant_texts = instants.map(datetime.isoformat)
SCALARS: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.TEXT: texts,
    FieldType.NUMBER: numbers,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.INSTANT: instant_texts,
    FieldType.TEXT_SET: texts,
    FieldType.ANY_SCALAR: texts | numbers | st.booleans(),
    FieldType.MEMBERSHIP: texts,
}


def values(type_: FieldType, op: str) -> st.SearchStrategy[Any]:
    if op == "exists":
        return st.booleans()
    if op in ("contains", "starts_with"):
        return texts
    if op in LISTS:
        return st.lists(SCALARS[type_], min_size=1, max_size=4)
    if op in ORDER and type_ is FieldType.ANY_SCALAR:
        return texts | numbers
    return SCALARS[type_]


conditions = st.one_of(
    [
        st.builds(condition, st.just(NAMES[type_]), st.just(op), values(type_, op))
        for type_, ops in FITTING.items()
        for op in sorted(ops)
    ]
)
trees = st.recursive(
    conditions,
    lambda below: st.one_of(
        st.fixed_dictionaries({"all": st.lists(below, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(below, max_size=3)}),
        st.fixed_dictionaries({"not": below}),
    ),
    max_leaves=8,
).filter(lambda raw: depth_of(raw) <= 8)
odd_facts = st.sampled_from([float("nan"), float("inf"), 10**400, b"a", {}, {"a": 1}, object(), NAIVE])
some_facts = st.one_of(
    st.none(),
    texts,
    numbers,
    st.booleans(),
    instants,
    st.frozensets(texts),
    st.lists(texts | numbers),
    odd_facts,
    st.frozensets(texts).map(Memberships),
)
all_facts = st.dictionaries(st.sampled_from(sorted(NAMES.values())), some_facts)


def depth_of(raw: dict[str, Any]) -> int:
    if "not" in raw:
        return 1 + depth_of(raw["not"])
    parts = raw.get("all", raw.get("any"))
    return 0 if parts is None else 1 + max(map(depth_of, parts), default=0)


def shape_of(data: object) -> object:
    """Equal only where the types are too: to Python, 1 == True."""
    if isinstance(data, dict):
        return {key: shape_of(value) for key, value in data.items()}
    return [shape_of(each) for each in data] if isinstance(data, list) else (type(data), data)


@given(trees)
def test_a_rule_survives_being_written_back(raw: dict[str, Any]) -> None:
    rule = parse(raw, FIELDS)
    written = to_json(rule)
    assert parse(written, FIELDS) == rule
    assert shape_of(to_json(parse(written, FIELDS))) == shape_of(written)


@given(trees, all_facts)
def test_a_rule_means_what_the_naive_evaluator_says(raw: dict[str, Any], facts: dict[str, object]) -> None:
    rule = parse(raw, FIELDS)
    assert evaluate(rule, facts) is naive(raw, facts)


@given(conditions, all_facts)
def test_one_condition_means_what_the_naive_evaluator_says(raw: dict[str, Any], facts: dict[str, object]) -> None:
    assert evaluate(parse(raw, FIELDS), facts) is naive(raw, facts)


@given(trees, all_facts)
def test_the_first_failure_is_a_part_that_fails_by_itself(raw: dict[str, Any], facts: dict[str, object]) -> None:
    rule = parse(raw, FIELDS)
    failed = first_failure(rule, facts)
    assert (failed is None) is evaluate(rule, facts)
    assert failed is None or not evaluate(failed, facts)


@given(trees, all_facts)
def test_only_the_fields_read_matter(raw: dict[str, Any], facts: dict[str, object]) -> None:
    rule = parse(raw, FIELDS)
    read = {name: fact for name, fact in facts.items() if name in fields_read(rule)}
    assert evaluate(rule, read) is evaluate(rule, facts)


# Per type: a value, a fact that equals it, one below, one above; then the facts of another type.
COMPARED: list[tuple[FieldType, object, object, object, object]] = [
    (FieldType.TEXT, "bb", "bb", "ba", "bc"),
    (FieldType.NUMBER, 5, 5.0, 4.5, 6),
    (FieldType.BOOLEAN, True, True, False, False),
    (FieldType.INSTANT, NOON_TEXT, NOON, NOON - timedelta.resolution, NOON + timedelta.resolution),
    (FieldType.ANY_SCALAR, "bb", "bb", "ba", "bc"),
    (FieldType.ANY_SCALAR, 5, 5.0, 4.5, 6),
    (FieldType.ANY_SCALAR, True, True, False, False),
]
# Whether the op holds for: equal, below, above, missing or of another type.
TRUTH = {
    "eq": (True, False, False, False),
    "ne": (False, True, True, True),
    "in": (True, False, False, False),
    "not_in": (False, True, True, True),
    "lt": (False, True, False, False),
    "lte": (True, True, False, False),
    "gt": (False, False, True, False),
    "gte": (True, False, True, False),
}
TRUTH_CASES = [
    pytest.param(row, op, id=f"{row[0]}-{row[1]}-{op}")
    for row, op in itertools.product(COMPARED, TRUTH)
    if op in FITTING[row[0]] and not (row[1] is True and op in ORDER)
]


@pytest.mark.parametrize(("row", "op"), TRUTH_CASES)
def test_truth_table_of_comparisons(row: tuple[FieldType, object, object, object, object], op: str) -> None:
    type_, value, equal, below, above = row
    rule = parse(condition(NAMES[type_], op, [value] if op in LISTS else value), FIELDS)
    holds = [evaluate(rule, {NAMES[type_]: fact}) for fact in (equal, below, above)]
    others = [None, [], ["bb"], {}, object(), float("nan"), NAIVE]
    others += [other for other in ("bb", 1, True, NOON) if not same_type(other, equal)]
    assert holds == list(TRUTH[op][:3])
    assert {evaluate(rule, {NAMES[type_]: other}) for other in others} == {TRUTH[op][3]}
    assert evaluate(rule, {}) is TRUTH[op][3]


@pytest.mark.parametrize(
    ("field", "op", "value", "fact", "expected"),
    [
        ("text", "contains", "b", "abc", True),
        ("text", "contains", "B", "abc", False),
        ("text", "contains", "b", None, False),
        ("text", "starts_with", "ab", "abc", True),
        ("text", "starts_with", "bc", "abc", False),
        ("text", "starts_with", "ab", None, False),
        ("text", "eq", "abc", "ABC", False),
        ("tags", "contains", "vip", frozenset({"vip"}), True),
        ("tags", "contains", "vi", frozenset({"vip"}), False),
        ("tags", "contains", "vip", None, False),
        ("tags", "exists", True, frozenset(), False),
        ("tags", "exists", False, frozenset(), True),
        ("tags", "exists", True, frozenset({"vip"}), True),
        ("custom.x", "contains", "b", "abc", True),
        ("custom.x", "contains", "b", ["a", "b"], True),
        ("custom.x", "contains", "1", 1, False),
        ("custom.x", "starts_with", "1", 1, False),
        ("custom.x", "in", [True], 1, False),
        ("custom.x", "in", [True, 1], 1, True),
        ("custom.x", "lt", "2026-02-01", "2026-01-31", True),
        ("text", "exists", True, "", True),
        ("number", "exists", True, 0, True),
        ("flag", "exists", True, False, True),
        ("flag", "exists", False, False, False),
        ("flag", "exists", True, None, False),
        ("flag", "exists", False, None, True),
        ("at", "eq", "2026-01-31T14:00:00.000000+02:00", NOON, True),
    ],
)
def test_truth_table_of_the_rest(field: str, op: str, value: object, fact: object, expected: bool) -> None:
    assert evaluate(parse(condition(field, op, value), FIELDS), {field: fact}) is expected


def test_a_missing_fact_is_a_null_one() -> None:
    absent = parse(condition("text", "exists", False), FIELDS)
    assert evaluate(absent, {})
    assert evaluate(absent, {"text": None})


def test_empty_groups_restrict_nothing() -> None:
    assert evaluate(parse({"all": []}, FIELDS), {})
    assert evaluate(parse({"any": []}, FIELDS), {})
    assert not evaluate(parse({"not": {"any": []}}, FIELDS), {})


def test_the_first_failure_names_the_condition_or_the_group() -> None:
    first, second = condition("flag", "eq", True), condition("number", "gt", 5)
    rule = parse({"all": [first, {"any": [second, {"not": first}]}]}, FIELDS)
    assert first_failure(rule, {"flag": False, "number": 9}) == Condition("flag", ConditionOp.EQ, True)
    assert isinstance(first_failure(rule, {"flag": True, "number": 1}), AnyOf)
    assert isinstance(first_failure(parse({"not": first}, FIELDS), {"flag": True}), Not)
    assert first_failure(rule, {"flag": True, "number": 9}) is None


def test_a_group_stops_at_the_part_that_decides() -> None:
    class Once(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            assert key == "flag"
            return True

    yes, unread = condition("flag", "eq", True), condition("text", "eq", "x")
    assert evaluate(parse({"any": [yes, unread]}, FIELDS), Once())
    assert not evaluate(parse({"all": [{"not": yes}, unread]}, FIELDS), Once())


def test_conditions_join_all_and_any() -> None:
    one, other = condition("flag", "eq", True), condition("number", "eq", 1)
    both = parse_conditions([one], [other], FIELDS)
    assert evaluate(both, {"flag": True, "number": 1})
    assert not evaluate(both, {"flag": True})
    assert not evaluate(both, {"number": 1})
    assert evaluate(parse_conditions([], [one, other], FIELDS), {"number": 1})
    assert evaluate(parse_conditions([one], [], FIELDS), {"flag": True})
    assert evaluate(parse_conditions([], [], FIELDS), {})


def test_an_instant_is_written_back_in_utc() -> None:
    rule = parse(condition("at", "lt", "2026-01-31T14:00:00+02:00"), FIELDS)
    assert to_json(rule)["value"] == NOON_TEXT


@pytest.mark.parametrize(("type_", "op"), list(itertools.product(FieldType, ConditionOp)))
def test_an_op_is_accepted_only_for_the_types_it_fits(type_: FieldType, op: ConditionOp) -> None:
    sample: object = {"number": 1, "flag": True, "at": NOON_TEXT}.get(NAMES[type_], "a")
    value = {"exists": True, "in": [sample], "not_in": [sample], "contains": "a", "starts_with": "a"}.get(op, sample)
    if op in FITTING[type_]:
        assert fields_read(parse(condition(NAMES[type_], op, value), FIELDS)) == {NAMES[type_]}
        return
    with pytest.raises(RuleError) as caught:
        parse(condition(NAMES[type_], op, value), FIELDS)
    assert (caught.value.pointer, caught.value.code) == ("/op", "op_not_for_type")
    assert all(fitting in caught.value.detail for fitting in FITTING[type_])

"""The condition language of segments and policies: reads it, answers it, writes it back.

Owns what a well-formed rule is and what it means. Knows neither which fields exist (a `Fields` is handed in) nor where
the facts come from. Logic is two-valued: a fact that is missing, null or of another type than the rule's value equals
nothing, so `ne` and `not_in` hold (IS DISTINCT FROM) and every other comparison does not."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, TypeAlias

from app.instants import written
from app.segments.known_words import nearest

MAX_DEPTH = 8
MAX_CONDITIONS = 200
MAX_LIST = 200
MAX_TEXT = 1_000
MAX_INTEGER = 2**53 - 1  # beyond it a JavaScript client would send back another number than it read


class FieldType(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    TEXT_SET = "text_set"
    ANY_SCALAR = "any_scalar"
    MEMBERSHIP = "membership"


class ConditionOp(StrEnum):
    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    EXISTS = "exists"


Scalar: TypeAlias = str | int | float | bool | datetime
Value: TypeAlias = Scalar | tuple[Scalar, ...]
# Code and detail of why no fact of this field can be so, to the op; None where one can.
Impossible: TypeAlias = Callable[[str, ConditionOp, Scalar], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields a rule may name: exactly, or by a prefix such as `ticket.custom_fields.`.

    What `impossible` tells of is refused: a misspelt word would never match, and nobody would notice."""

    exact: Mapping[str, FieldType]
    prefixes: Mapping[str, FieldType] = field(default_factory=dict)
    impossible: Impossible | None = None

    def type_of(self, name: str) -> FieldType | None:
        if name in self.exact:
            return self.exact[name]
        open_ = (type_ for prefix, type_ in self.prefixes.items() if name.startswith(prefix) and name != prefix)
        return next(open_, None)


@dataclass(frozen=True, slots=True)
class Condition:
    """An instant is held as a UTC datetime, the list of `in` and `not_in` as a tuple in the order it was written."""

    field: str
    op: ConditionOp
    value: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Empty, it restricts nothing and matches everything, in a policy and in a nested group alike."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    rule: "Rule"


Rule: TypeAlias = Condition | AllOf | AnyOf | Not


class RuleError(ValueError):
    """What is wrong with a rule: where (RFC 6901), a stable code, and what would be right.

    Neither pointer nor detail repeats what the client sent: it may be huge, or not encodable."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.code, self.detail = pointer, code, detail


# Meaning. Called for each policy at each ticket that opens.


class Memberships(frozenset[str]):
    """A fact that is several words at once: it equals each of them."""


_COLLECTIONS = (frozenset, set, list, tuple)
_TEXT, _BOOLEAN, _NUMBER, _INSTANT = FieldType.TEXT, FieldType.BOOLEAN, FieldType.NUMBER, FieldType.INSTANT


def _kind(value: object) -> FieldType | None:
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, bool):  # before int, which it is a subclass of
        return _BOOLEAN
    if isinstance(value, (int, float)):
        return _NUMBER
    # A naive datetime has no place in time: comparing it would raise, so it compares with nothing.
    return _INSTANT if isinstance(value, datetime) and value.utcoffset() is not None else None


def _compared(holds: Callable[[Any, Any], bool]) -> Callable[[object, Any], bool]:
    return lambda fact, value: _kind(fact) is _kind(value) and holds(fact, value)


_same = _compared(operator.eq)


def _equals(fact: object, value: Any) -> bool:
    return value in fact if isinstance(fact, Memberships) else _same(fact, value)


def _is_in(fact: object, values: tuple[Scalar, ...]) -> bool:
    if isinstance(fact, Memberships):
        return not fact.isdisjoint(values)
    if isinstance(fact, str):
        return fact in values  # at C speed, which is safe for text only: Python takes True for 1
    return any(_equals(fact, value) for value in values)


def _contains(fact: object, part: str) -> bool:
    return isinstance(fact, (str, *_COLLECTIONS)) and part in fact


def _exists(fact: object, wanted: bool) -> bool:
    # An empty set is nothing: "has no tags" could not be asked otherwise.
    return (bool(fact) if isinstance(fact, _COLLECTIONS) else fact is not None) is wanted


_HOLDS: Mapping[ConditionOp, Callable[[object, Any], bool]] = {
    ConditionOp.EQ: _equals,
    ConditionOp.NE: lambda fact, value: not _equals(fact, value),
    ConditionOp.IN: _is_in,
    ConditionOp.NOT_IN: lambda fact, values: not _is_in(fact, values),
    ConditionOp.LT: _compared(operator.lt),
    ConditionOp.LTE: _compared(operator.le),
    ConditionOp.GT: _compared(operator.gt),
    ConditionOp.GTE: _compared(operator.ge),
    ConditionOp.CONTAINS: _contains,
    ConditionOp.STARTS_WITH: lambda fact, start: isinstance(fact, str) and fact.startswith(start),
    ConditionOp.EXISTS: _exists,
}


def evaluate(rule: Rule, facts: Mapping[str, object]) -> bool:
    """Never raises for a parsed rule, whatever the facts hold. Stops at the first part that decides."""
    return first_failure(rule, facts) is None


def first_failure(rule: Rule, facts: Mapping[str, object]) -> Rule | None:
    """The first part that does not hold, None where all does. A failed `any` or `not` is itself that part."""
    if isinstance(rule, Condition):
        return None if _HOLDS[rule.op](facts.get(rule.field), rule.value) else rule
    if isinstance(rule, AllOf):
        for part in rule.rules:
            if (failed := first_failure(part, facts)) is not None:
                return failed
        return None
    if isinstance(rule, AnyOf):
        return None if not rule.rules or any(evaluate(part, facts) for part in rule.rules) else rule
    return rule if evaluate(rule.rule, facts) else None


def fields_read(rule: Rule) -> frozenset[str]:
    return frozenset(condition.field for condition in conditions_of(rule))


def conditions_of(rule: Rule) -> Iterator[Condition]:
    match rule:
        case Condition():
            yield rule
        case Not():
            yield from conditions_of(rule.rule)
        case AllOf() | AnyOf():
            for part in rule.rules:
                yield from conditions_of(part)


def to_json(rule: Rule) -> dict[str, Any]:
    """Plain JSON data that `parse` reads back to an equal rule."""
    match rule:
        case Condition():
            return {"field": rule.field, "op": rule.op.value, "value": _plain(rule.value)}
        case AllOf():
            return {"all": [to_json(part) for part in rule.rules]}
        case AnyOf():
            return {"any": [to_json(part) for part in rule.rules]}
        case Not():
            return {"not": to_json(rule.rule)}


def _plain(value: Value) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return written(value) if isinstance(value, datetime) else value


# Reading.

_EQUALITY = frozenset({ConditionOp.EQ, ConditionOp.NE})
_LISTS = frozenset({ConditionOp.IN, ConditionOp.NOT_IN})
ORDER = frozenset({ConditionOp.LT, ConditionOp.LTE, ConditionOp.GT, ConditionOp.GTE})
PARTS = frozenset({ConditionOp.CONTAINS, ConditionOp.STARTS_WITH})
_OPS: Mapping[FieldType, frozenset[ConditionOp]] = {
    # No order on declared text: "priority gt normal" would go by the alphabet.
    FieldType.TEXT: _EQUALITY | _LISTS | PARTS | {ConditionOp.EXISTS},
    FieldType.NUMBER: _EQUALITY | _LISTS | ORDER | {ConditionOp.EXISTS},
    FieldType.BOOLEAN: _EQUALITY | {ConditionOp.EXISTS},
    FieldType.INSTANT: _EQUALITY | ORDER | {ConditionOp.EXISTS},
    FieldType.TEXT_SET: frozenset({ConditionOp.CONTAINS, ConditionOp.EXISTS}),
    FieldType.ANY_SCALAR: frozenset(ConditionOp),
    FieldType.MEMBERSHIP: _EQUALITY | _LISTS | {ConditionOp.CONTAINS, ConditionOp.EXISTS},
}
_BY_WORD = {op.value: op for op in ConditionOp}
_KEYS = {"field", "op", "value"}
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse(raw: object, fields: Fields, pointer: str = "") -> Rule:
    """Reads plain JSON data. Raises RuleError for the first wrong part, its pointer prefixed with `pointer`."""
    return _Reader(fields).rule(raw, pointer, 0)


def parse_conditions(all_: object, any_: object, fields: Fields, pointer: str = "") -> Rule:
    """A policy's conditions: everything in `all_` and, unless it is empty, something in `any_`.

    The limit on conditions spans both lists; the object that holds them is no group and adds no depth.
    """
    reader = _Reader(fields)
    every = reader.several(all_, f"{pointer}/all", 0)
    some = reader.several(any_, f"{pointer}/any", 0)
    return AllOf((*every, AnyOf(some)) if some else every)


@dataclass(slots=True)
class _Reader:
    fields: Fields
    leaves: int = 0

    def rule(self, raw: object, pointer: str, depth: int) -> Rule:
        if isinstance(raw, dict):
            if len(raw) == 1 and (word := next(iter(raw))) in {"all", "any", "not"}:
                return self._group(word, raw[word], pointer, depth + 1)
            if raw.keys() & _KEYS:
                return self._condition(raw, pointer)
        shapes = '{"field", "op", "value"}, {"all": [...]}, {"any": [...]} or {"not": ...}'
        raise RuleError(pointer, "malformed", f"A rule is one of {shapes}.")

    def several(self, raw: object, pointer: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(raw, list):
            raise RuleError(pointer, "malformed", "This must be a list of conditions and groups.")
        return tuple([self.rule(each, f"{pointer}/{index}", depth) for index, each in enumerate(raw)])

    def _group(self, word: str, inside: object, pointer: str, depth: int) -> Rule:
        if depth > MAX_DEPTH:
            raise RuleError(pointer, "too_deep", f"Groups nest at most {MAX_DEPTH} deep.")
        if inside == []:
            self._count(pointer)
        below = f"{pointer}/{word}"
        if word == "not":
            return Not(self.rule(inside, below, depth))
        rules = self.several(inside, below, depth)
        return AllOf(rules) if word == "all" else AnyOf(rules)

    def _count(self, pointer: str) -> None:
        # With empty groups counted too, depth and leaves together bound the whole tree.
        self.leaves += 1
        if self.leaves > MAX_CONDITIONS:
            raise RuleError(pointer, "too_many", f"A rule has at most {MAX_CONDITIONS} conditions and empty groups.")

    def _condition(self, raw: dict[str, object], pointer: str) -> Condition:
        self._count(pointer)
        if raw.keys() - _KEYS:
            raise RuleError(pointer, "malformed", 'A condition has "field", "op" and "value", and nothing else.')
        for key in ("field", "op", "value"):
            if key not in raw:
                raise RuleError(f"{pointer}/{key}", "missing", f'A condition needs "{key}".')
        name, type_ = self._field(raw["field"], f"{pointer}/field")
        op = _op(raw["op"], type_, f"{pointer}/op")
        return Condition(name, op, self._value(name, type_, op, raw["value"], f"{pointer}/value"))

    def _field(self, raw: object, pointer: str) -> tuple[str, FieldType]:
        name = _text(raw, pointer)
        type_ = self.fields.type_of(name)
        if type_ is None:
            known = [*self.fields.exact, *(f"{prefix}<name>" for prefix in self.fields.prefixes)]
            raise RuleError(pointer, "unknown_field", f"{nearest(name, known)}The fields are: {', '.join(known)}.")
        return name, type_

    def _value(self, name: str, type_: FieldType, op: ConditionOp, raw: object, pointer: str) -> Value:
        if op not in _LISTS:
            return self._scalar(name, type_, op, raw, pointer)
        if not isinstance(raw, list):
            raise RuleError(pointer, "wrong_value_type", f"{op} takes a list of 1 to {MAX_LIST} values.")
        if not 1 <= len(raw) <= MAX_LIST:
            raise RuleError(pointer, "wrong_length", f"{op} takes a list of 1 to {MAX_LIST} values.")
        return tuple([self._scalar(name, type_, op, each, f"{pointer}/{index}") for index, each in enumerate(raw)])

    def _scalar(self, name: str, type_: FieldType, op: ConditionOp, raw: object, pointer: str) -> Scalar:
        value = _scalar(raw, _kinds(type_, op), pointer)
        if self.fields.impossible and (why := self.fields.impossible(name, op, value)):
            raise RuleError(pointer, *why)
        return value


def _op(raw: object, type_: FieldType, pointer: str) -> ConditionOp:
    op = _BY_WORD.get(raw) if isinstance(raw, str) else None
    if op is None:
        raise RuleError(pointer, "unknown_op", f"The ops are: {', '.join(ConditionOp)}.")
    if op not in _OPS[type_]:
        fitting = ", ".join(each for each in ConditionOp if each in _OPS[type_])
        raise RuleError(pointer, "op_not_for_type", f"This field is of type {type_}; its ops are: {fitting}.")
    return op


def _kinds(type_: FieldType, op: ConditionOp) -> tuple[FieldType, ...]:
    if op is ConditionOp.EXISTS:
        return (_BOOLEAN,)
    if op in PARTS or type_ is FieldType.MEMBERSHIP:
        return (_TEXT,)
    if type_ is FieldType.ANY_SCALAR:
        # Text is ordered here, by code point: a free-form field may hold ISO dates.
        return (_TEXT, _NUMBER) if op in ORDER else (_TEXT, _NUMBER, _BOOLEAN)
    return (type_,)


def _scalar(raw: object, kinds: tuple[FieldType, ...], pointer: str) -> Scalar:
    if raw is None:
        raise RuleError(pointer, "wrong_value_type", "null equals nothing: ask for a missing field with exists false.")
    if kinds == (_INSTANT,):
        return _instant(raw, pointer)
    if not isinstance(raw, (str, int, float)) or _kind(raw) not in kinds:
        raise RuleError(pointer, "wrong_value_type", f"The value must be of type {' or '.join(kinds)}.")
    return _text(raw, pointer) if isinstance(raw, str) else _number(raw, pointer)


def _number(raw: int | float, pointer: str) -> int | float:
    if not (abs(raw) <= MAX_INTEGER if isinstance(raw, int) else isfinite(raw)):
        raise RuleError(pointer, "out_of_range", "A number is finite, and an integer at most 2^53 - 1 either way.")
    return raw


def _text(raw: object, pointer: str) -> str:
    if not isinstance(raw, str):
        raise RuleError(pointer, "wrong_value_type", "This must be text.")
    if len(raw) > MAX_TEXT:
        raise RuleError(pointer, "wrong_length", f"Text has at most {MAX_TEXT} characters.")
    if _UNSTORABLE.search(raw):
        raise RuleError(pointer, "unstorable_text", "Text holds neither NUL nor lone surrogates.")
    return raw


def _instant(raw: object, pointer: str) -> datetime:
    if not (isinstance(raw, str) and _RFC_3339.fullmatch(raw)):
        raise RuleError(pointer, "wrong_value_type", "The value must be an instant such as 2026-01-31T09:00:00Z.")
    try:
        instant = datetime.fromisoformat(raw).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RuleError(pointer, "out_of_range", "There is no such date, time or offset.") from None
    if not 1970 <= instant.year <= 2100:
        raise RuleError(pointer, "out_of_range", "An instant lies in the years 1970 to 2100.")
    return instant

"""The other meaning of a rule: the same answer as `rules.evaluate`, given by the database to many customers at once.

Logic is two-valued here, too: every part is true or false, never null, whatever a column holds. Text is compared byte
by byte, which in UTF-8 is the order of Python's code points; JSON is compared with its own type only; nothing is read
as a pattern."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Numeric,
    Text,
    and_,
    any_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.segments.rules import AllOf, AnyOf, Condition, ConditionOp, FieldType, Not, Rule, Scalar

Column = ColumnElement[Any]
Boolean = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field lies: a column with its type, or for a prefix a JSON object of plain values."""

    exact: Mapping[str, tuple[FieldType, Column]]
    prefixes: Mapping[str, Column]


def compiled(rule: Rule, columns: Columns) -> Boolean:
    """Whether the rule holds for a row."""
    match rule:
        case Condition():
            return _condition(rule, columns)
        case AllOf():
            return and_(true(), *(compiled(part, columns) for part in rule.rules))
        case AnyOf():
            return or_(false(), *(compiled(part, columns) for part in rule.rules)) if rule.rules else true()
        case Not():
            return not_(compiled(rule.rule, columns))


def _condition(rule: Condition, columns: Columns) -> Boolean:
    if rule.field in columns.exact:
        type_, column = columns.exact[rule.field]
        return _holds(_plain_op(type_, column), rule)
    prefix = next(prefix for prefix in columns.prefixes if rule.field.startswith(prefix))
    value = columns.prefixes[prefix].op("->")(literal(rule.field.removeprefix(prefix), Text))
    return _holds(_json_op(value), rule)


Op = Callable[[ConditionOp, Any], Boolean]
_NEGATED = {ConditionOp.NE: ConditionOp.EQ, ConditionOp.NOT_IN: ConditionOp.IN}
_ORDER: Mapping[ConditionOp, Callable[[Column, Column], Boolean]] = {
    ConditionOp.LT: lambda one, other: one < other,
    ConditionOp.LTE: lambda one, other: one <= other,
    ConditionOp.GT: lambda one, other: one > other,
    ConditionOp.GTE: lambda one, other: one >= other,
}


def _holds(op: Op, rule: Condition) -> Boolean:
    if rule.op in _NEGATED:
        return not_(op(_NEGATED[rule.op], rule.value).is_(true()))
    return op(rule.op, rule.value).is_(true())


def _plain_op(type_: FieldType, column: Column) -> Op:
    """Of a column of text, numbers or instants."""
    sql: Any = {FieldType.TEXT: Text(), FieldType.NUMBER: Numeric(), FieldType.INSTANT: DateTime(timezone=True)}[type_]

    def op(op: ConditionOp, value: Any) -> Boolean:
        match op:
            case ConditionOp.EQ:
                return column == _bound(value, sql)
            case ConditionOp.IN:
                return column == any_(literal([_number(each) for each in value], ARRAY(sql)))
            case ConditionOp.EXISTS:
                return column.is_not(None) if value else column.is_(None)
            case ConditionOp.CONTAINS | ConditionOp.STARTS_WITH:
                return _part(op, column, value)
        return _ORDER[op](column, _bound(value, sql))

    return op


def _json_op(value: Column) -> Op:
    """Of one member of a JSON object."""

    def op(op: ConditionOp, wanted: Any) -> Boolean:
        match op:
            case ConditionOp.EQ:
                return value == literal(wanted, JSONB)
            case ConditionOp.IN:
                return value == any_(literal(list(wanted), ARRAY(JSONB)))
            case ConditionOp.EXISTS:
                there = func.coalesce(func.jsonb_typeof(value) != literal("null", Text), false())
                return there if wanted else not_(there)
        text = cast(value.op("#>>")(literal([], ARRAY(Text))), Text)
        if op in (ConditionOp.CONTAINS, ConditionOp.STARTS_WITH):
            return _if_typed(value, "string", _part(op, text, wanted))
        if isinstance(wanted, str):
            return _if_typed(value, "string", _ORDER[op](text.collate("C"), literal(wanted, Text)))
        return _if_typed(value, "number", _ORDER[op](cast(value, Numeric), _bound(wanted, Numeric())))

    return op


def _if_typed(value: Column, type_: str, holds: Boolean) -> Boolean:
    # CASE, not AND: the order of an AND is the planner's, and a cast of text to a number fails.
    return case((func.jsonb_typeof(value) == literal(type_, Text), holds), else_=false())


def _part(op: ConditionOp, text: Column, part: str) -> Boolean:
    sought = literal(part, Text)
    if op is ConditionOp.CONTAINS:
        return func.strpos(text, sought) > literal(0)
    return func.starts_with(text, sought, type_=true().type)


def _bound(value: Scalar, type_: Any) -> Column:
    return literal(_number(value), type_)


def _number(value: Scalar) -> Scalar | Decimal:
    """Numbers as they are written: JSON and its column hold the shortest text of each, and so compare alike."""
    if isinstance(value, bool | str | datetime):
        return value
    return Decimal(repr(value))

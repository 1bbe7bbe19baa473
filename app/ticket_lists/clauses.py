"""The filters of a ticket list as clauses, and which of them find tickets by an index of their own."""

import operator
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONPATH, TSQUERY, array

from app.search.tables import ticket_search
from app.sla import clocks
from app.sla.core.clock import ClockState
from app.sla.core.enums import DONE
from app.sla.tables import LATEST_SQL, sla_clocks
from app.tickets.lifecycle import SlaState
from app.tickets.tables import ticket_followers, tickets
from app.web import absence, moving_orders
from app.web.bounded_listing import Source
from app.web.paging import Clause, Order, compares, fold_texts, is_any, is_any_folded, overlaps_folded, texts_of

_t, _k, _s, _f = tickets.c, sla_clocks.c, ticket_search.c, ticket_followers.c
LATEST = literal_column(LATEST_SQL, _t.due_at.type)
DEADLINE = func.coalesce(_t.due_at, LATEST).label("deadline")
XMIN_AGE = moving_orders.xmin_age(tickets)

_ANY_OF = (
    "customer_id", "assignee_id", "organization_id", "team_id", "product", "segment", "status",
    "priority", "type", "channel",
)  # fmt: skip
MAY_LACK = ("external_id", "assignee_id", "organization_id", "team_id", "product", "segment")
SLA_STATES: dict[SlaState, ColumnElement[bool]] = {
    SlaState.breached: clocks.IS_STATE[ClockState.breached],
    SlaState.at_risk: and_(clocks.IS_STATE[ClockState.running], _k.warnings[1] <= func.clock_timestamp()),
}


def sla_filter(states: Sequence[SlaState]) -> str:
    return "sla " + ",".join(sorted(set(states)))


def _path(name: str) -> ColumnElement[Any]:
    return cast(cast(bindparam(name, type_=Text), Text), JSONPATH)


def _absences(c: Any) -> dict[str, Clause]:
    found = dict(absence.filters("tag", c.tags == literal_column("'{}'"), overlaps_folded(c.tags)))
    for name in MAY_LACK:
        equals = is_any_folded if name == "external_id" else is_any
        found |= absence.filters(name, c[name].is_(None), equals(c[name]))
    return found


def clauses_of(words: str, c: Any) -> Mapping[str, Clause]:
    """Scalar subqueries on purpose: PostgreSQL turns an EXISTS into one look at the whole other table."""

    def has_clock(states: Sequence[SlaState]) -> Clause:
        its = select(func.bool_or(or_(*(SLA_STATES[state] for state in states)))).where(_k.ticket_id == c.id)
        return lambda _name, _value: its.scalar_subquery()

    def has_words(name: str, _value: object) -> ColumnElement[bool]:
        its = select(_s[words].bool_op("@@")(bindparam(name, type_=TSQUERY))).where(_s.ticket_id == c.id)
        return its.scalar_subquery()

    def is_followed(name: str, value: object) -> ColumnElement[bool]:
        its = select(func.bool_or(is_any(_f.agent_id)(name, value))).where(_f.ticket_id == c.id)
        return its.scalar_subquery()

    return {
        **{name: is_any(c[name]) for name in (*_ANY_OF, "needs_human")},
        "external_id": is_any_folded(c.external_id),
        **_absences(c),
        "ids": is_any(c.id),
        "tag": overlaps_folded(c.tags),
        "custom_fields": lambda name, _value: c.custom_fields.bool_op("@@")(_path(name)),
        "created_after": compares(c.created_at, operator.gt),
        "created_before": compares(c.created_at, operator.lt),
        "updated_after": compares(c.updated_at, operator.gt),
        "follower_id": is_followed,
        "q": has_words,
        "q_excluding": has_words,
        # Written by a transaction that had not ended when the oldest one of then ran.
        "spam": lambda name, _value: c.spam_at.is_not(None) == bindparam(name, type_=Boolean),
        "changed_since": moving_orders.changed_since(XMIN_AGE if c is _t else c.xmin_age),
        "human_needed": lambda _name, _value: c.needs_human,
        "snoozed": lambda name, _value: (
            func.coalesce(c.snoozed_until > func.clock_timestamp(), false()) == bindparam(name, type_=Boolean)
        ),
        # As literals, or the index that is without them is of no use to a plan for any parameters.
        "undone": lambda _name, _value: and_(*(c.status != literal_column(f"'{status}'") for status in sorted(DONE))),
        "has_deadline": lambda _name, _value: func.coalesce(c.due_at, LATEST) < LATEST,
        **{
            sla_filter(some): has_clock(some)
            for size in range(1, len(SlaState) + 1)
            for some in combinations(SlaState, size)
        },
    }


# A source is read in the order of its index, or by a value that the planner cannot see: it would rather read the table
# and stop at enough, which is all of it where what is looked for lies at its end.
def _in_order(*by: ColumnElement[Any]) -> Source:
    return lambda name, value: select(_t.id).where(clauses_of("all_words", _t)[name](name, value)).order_by(*by)


def _of_column(name: str, value: object, *, newest_first: bool = False) -> Select[Any]:
    """By `= ANY` also where it is one value: an equation would let the order of creation alone do."""
    column = _t[name]
    one = array([bindparam(name, type_=column.type)])
    values = bindparam(name, type_=ARRAY(column.type)) if isinstance(value, tuple) else one
    by = Order((column, _t.created_at, _t.id), descending=newest_first).by
    return select(_t.id).where(column == any_(values), column.is_not(None)).order_by(*by)


def _of_tags(name: str, value: object) -> Select[Any]:
    """In the index's own words; it is without those that have no tag."""
    asked = select(fold_texts(texts_of(name, value))).scalar_subquery()
    return select(_t.id).where(fold_texts(_t.tags).bool_op("&&")(asked), _t.tags != literal_column("'{}'"))


def of_words(name: str, _value: object) -> Select[Any]:
    return _having_words(select(cast(bindparam(name), TSQUERY)).scalar_subquery())


def of_seen_words(name: str, _value: object) -> Select[Any]:
    """For an estimate, which is as good as what the planner sees."""
    return _having_words(cast(bindparam(name), TSQUERY))


def _having_words(query: ColumnElement[Any]) -> Select[Any]:
    return select(_s.ticket_id.label("id")).where(_s.all_words.bool_op("@@")(query))


def of_followers(name: str, value: object) -> Select[Any]:
    return select(_f.ticket_id.label("id")).where(is_any(_f.agent_id)(name, value)).distinct()


def _of_ids(name: str, value: object) -> Select[Any]:
    return select(_t.id).where(is_any(_t.id)(name, value))


def _of_fields(name: str, _value: object) -> Select[Any]:
    path = select(_path(name)).scalar_subquery()
    return select(_t.id).where(_t.custom_fields.bool_op("@@")(path), _t.custom_fields != literal_column("'{}'::jsonb"))


SOURCES: dict[str, Source] = {
    "ids": _of_ids,
    "external_id": _in_order(func.fold_text(_t.external_id)),
    "q": of_words,
    "custom_fields": _of_fields,
    "follower_id": of_followers,
    "tag": _of_tags,
    "human_needed": _in_order(_t.created_at, _t.id),
    **dict.fromkeys(("customer_id", "assignee_id", "organization_id", "team_id", "product", "segment"), _of_column),
    "has_deadline": _in_order(DEADLINE, _t.id),
    "status": _of_column,
    "created_after": _in_order(_t.created_at, _t.id),
    "updated_after": _in_order(_t.updated_at, _t.id),
}
OWN_SOURCES: dict[str, Source] = {"customer_id": partial(_of_column, newest_first=True)}

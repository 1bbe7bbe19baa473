"""Deciding on many customers at once: one statement for each segment says who belongs, stores what differs from what is
stored, and tells the log of each. The caller holds the customers' locks.

`Decide` is the SQL of `membership.decided`; `verify` compares the two through what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)

from app.customers.tables import customers, organizations
from app.db import Query, Transaction
from app.events.tables import events
from app.segments.decide import Segment
from app.segments.fields import OF_CUSTOMERS
from app.segments.rules import FieldType, Rule
from app.segments.sql import Columns, compiled
from app.segments.tables import segment_members, segment_overrides

_c, _o, _m, _v = customers.c, organizations.c, segment_members.c, segment_overrides.c
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
# Constant while a statement runs, and after the locks.
_now = func.statement_timestamp()
# Whoever was merged is somebody else now, and whoever was erased is nobody.
ALIVE = and_(_c.merged_into.is_(None), _c.erased_at.is_(None))
WITH_ORGANIZATION = customers.outerjoin(organizations, _o.id == _c.organization_id)
Figures = Mapping[str, tuple[FieldType, ColumnElement[Any]]]

# Nobody who takes part in a ticket has to wait for these locks.
_LOCK = Query(select(_c.id).where(_c.id == _ids).order_by(_c.id).with_for_update(key_share=True))
_MOST_COMPILED = 500


def columns(figures: Figures) -> Columns:
    """Where the fields of a rule lie, over `WITH_ORGANIZATION`."""
    tables: dict[str, Any] = {"customer": _c, "organization": _o}
    exact: dict[str, tuple[FieldType, ColumnElement[Any]]] = {}
    for name, type_ in OF_CUSTOMERS.exact.items():
        of, _, column = name.partition(".")
        exact[name] = type_, cast(tables[of][column], Text) if column == "organization_id" else tables[of][column]
    return Columns({**exact, **figures}, {f"{of}.attributes.": table.attributes for of, table in tables.items()})


def holds(rule: Rule | None, figures: Figures) -> ColumnElement[bool]:
    return false() if rule is None else compiled(rule, columns(figures))


def wanted(segment: Segment, figures: Figures) -> Select[Any]:
    """Of each customer whether they belong to the segment, and by which override if by one."""
    override = and_(
        _v.segment_id == segment.id,
        _v.customer_id == _c.id,
        _v.ended_at.is_(None),
        or_(_v.expires_at.is_(None), _v.expires_at > _now),
    )
    belongs = case(
        (_v.effect == literal("include", Text), true()),
        (_v.effect == literal("exclude", Text), false()),
        else_=holds(segment.rule, figures),
    )
    return select(
        _c.id.label("customer_id"), _v.id.label("override_id"), and_(ALIVE, belongs).label("wanted")
    ).select_from(WITH_ORGANIZATION.outerjoin(segment_overrides, override))


@dataclass(frozen=True, slots=True)
class Changed:
    """Who joined and who left."""

    added: Sequence[UUID]
    removed: Sequence[UUID]


async def lock(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Customers, in the order of their ids: what is read after this is what others have made of them."""
    await tx.locked_rows(_LOCK, ids=list(ids))


async def decide(tx: Transaction, segment: Segment, ids: Sequence[UUID], figures: Figures, archived: bool) -> Changed:
    """For one segment and customers whose locks are held. Of an archived segment nobody is a member."""
    known: dict[object, Query] = tx.memo.setdefault("segment statements", {})
    key = segment.id, segment.rule_version, archived
    query = known.get(key)
    if query is None:
        if len(known) >= _MOST_COMPILED:
            known.clear()
        query = known[key] = _statement(segment, figures, archived)
    row = await tx.locked_row(query, ids=list(ids))
    assert row is not None
    return Changed(row["added"] or (), row["removed"] or ())


def _statement(segment: Segment, figures: Figures, archived: bool) -> Query:
    who = nobody() if archived else wanted(segment, figures)
    decided = who.where(_c.id == _ids).cte("decided")
    now_a_member = and_(_m.segment_id == segment.id, _m.customer_id == decided.c.customer_id, _m.until.is_(None))
    by_rule = case((decided.c.override_id.is_(None), literal(segment.rule_version)), else_=null())
    left = (
        update(segment_members)
        .where(now_a_member, ~decided.c.wanted)
        .values(until=_now)
        .returning(_m.customer_id, decided.c.override_id)
        .cte("left_it")
    )
    joined = (
        insert(segment_members)
        .from_select(
            ["customer_id", "segment_id", "since", "rule_version", "override_id"],
            select(decided.c.customer_id, literal(segment.id, Uuid), _now, by_rule, decided.c.override_id).where(
                decided.c.wanted, ~exists().where(now_a_member)
            ),
        )
        .returning(_m.customer_id, _m.override_id)
        .cte("joined")
    )
    # For another reason than before: nothing about who belongs has changed.
    restated = (
        update(segment_members)
        .where(now_a_member, decided.c.wanted, _m.override_id.is_distinct_from(decided.c.override_id))
        .values(rule_version=by_rule, override_id=decided.c.override_id)
        .returning(_m.customer_id)
        .cte("restated")
    )
    told = _event_data(segment, joined, left).cte("told")
    return Query(
        select(
            select(func.array_agg(joined.c.customer_id)).scalar_subquery().label("added"),
            select(func.array_agg(left.c.customer_id)).scalar_subquery().label("removed"),
        )
        .add_cte(restated)
        .add_cte(told)
    )


def nobody() -> Select[Any]:
    """`wanted` of an archived segment."""
    nothing = cast(null(), Uuid)
    return select(_c.id.label("customer_id"), nothing.label("override_id"), literal_column("false").label("wanted"))


def _event_data(segment: Segment, joined: CTE, left: CTE) -> Any:
    """An event for each, in the order of their ids."""

    def of(changed: CTE, type_: str) -> Select[Any]:
        about = func.jsonb_build_object(
            literal("segment_id", Text), literal(segment.id, Uuid), literal("key", Text), literal(segment.key, Text),
            literal("rule_version", Text), literal(segment.rule_version),
            literal("override_id", Text), changed.c.override_id,
        )  # fmt: skip
        return select(literal(type_, Text).label("type"), changed.c.customer_id, about.label("data"))

    each = union_all(of(joined, "segment.member_added"), of(left, "segment.member_removed")).subquery()
    return (
        insert(events)
        .from_select(
            ["type", "occurred_at", "actor_kind", "subject_id", "internal", "data"],
            select(each.c.type, _now, literal("system", Text), each.c.customer_id, true(), each.c.data).order_by(
                each.c.customer_id
            ),
        )
        .returning(events.c.id)
    )

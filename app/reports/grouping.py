"""What figures are grouped and filtered by, and the names of what they are about."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Select,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
)

from app.agents.tables import agents, teams
from app.customers.tables import customers, organizations
from app.db import Query, Transaction, Values
from app.errors import Invalid
from app.reports.schemas import GroupBy, ReportGroup
from app.segments.tables import segments
from app.sla.tables import sla_policies, sla_policy_versions

MOST_ITEMS = 10_000
Filters = Mapping[GroupBy, Sequence[object]]
# Of filters, what decides how the statement reads: whether there are values, and whether none at all is one of them.
Shape = tuple[tuple[GroupBy, bool, bool], ...]
Attributes = Mapping[GroupBy, ColumnElement[Any]]

_TAG: ColumnElement[Any] = literal_column("each_tag.tag")


def shape(filters: Filters) -> Shape:
    return tuple(
        (group, any(value is not None for value in values), None in values) for group, values in filters.items()
    )


def params(filters: Filters) -> dict[str, object]:
    return {f"only_{group}": [value for value in values if value is not None] for group, values in filters.items()}


def key(group: GroupBy, attributes: Attributes) -> ColumnElement[Any]:
    return (_TAG if group is GroupBy.tag else attributes[group]).label(f"by_{group.value}")


def with_tags(source: FromClause, groups: Iterable[GroupBy], attributes: Attributes) -> FromClause:
    """A row for each tag, where they are grouped by."""
    if GroupBy.tag not in groups:
        return source
    each = func.unnest(attributes[GroupBy.tag]).table_valued("tag").render_derived(name="each_tag")
    return source.outerjoin(each, true())


def clauses(wanted: Shape, attributes: Attributes) -> list[ColumnElement[bool]]:
    return [_clause(group, attributes[group], values, none) for group, values, none in wanted]


def _clause(group: GroupBy, column: ColumnElement[Any], values: bool, none: bool) -> ColumnElement[bool]:
    found: ColumnElement[bool]
    empty: ColumnElement[bool]
    if group is GroupBy.tag:
        found = column.bool_op("&&")(bindparam(f"only_{group.value}", type_=column.type))
        empty = func.cardinality(column) == 0
    else:
        found = column == any_(bindparam(f"only_{group.value}", type_=ARRAY(column.type)))
        empty = column.is_(None)
    return or_(*([found] if values else []), *([empty] if none else []))


def grouped(statement: Select[Any], keys: Sequence[ColumnElement[Any]]) -> Query:
    """One row more than an answer may have: then there are too many."""
    if keys:
        statement = statement.group_by(*keys).order_by(*keys).limit(literal_column(str(MOST_ITEMS + 1)))
    return Query(statement)


def check_number(rows: Sized, groups: Sequence[StrEnum]) -> None:
    """Raises Invalid for more items than one answer may have."""
    if len(rows) > MOST_ITEMS:
        where = "group_by" if groups else "interval"
        detail = (
            f"more than {MOST_ITEMS} items: narrow `from` and `to`, filter by a group, take a longer `interval`, or "
            "fewer groups in `group_by`"
        )
        raise Invalid.at(f"/query/{where}", "too_many_items", detail)


def _named(id_: ColumnElement[Any], name: ColumnElement[Any], joined: FromClause | None = None) -> Query:
    statement = select(id_.label("id"), name.label("name"))
    statement = statement if joined is None else statement.select_from(joined)
    return Query(statement.where(id_ == any_(bindparam("ids", type_=ARRAY(id_.type)))))


_of_version = (sla_policy_versions.c.policy_id == sla_policies.c.id) & (
    sla_policy_versions.c.version == sla_policies.c.version
)
_agents = _named(agents.c.id, agents.c.name)
_NAMES: Mapping[GroupBy, Query] = {
    GroupBy.segment: _named(segments.c.key, segments.c.name),
    GroupBy.team: _named(teams.c.id, teams.c.name),
    GroupBy.agent: _agents,
    GroupBy.assignee: _agents,
    GroupBy.policy: _named(
        sla_policies.c.id, sla_policy_versions.c.name, sla_policies.join(sla_policy_versions, _of_version)
    ),
    GroupBy.customer: _named(customers.c.id, customers.c.name),
    GroupBy.organization: _named(organizations.c.id, organizations.c.name),
}
# Who something is about is told by its id to whoever reads reports; what it is called, to who may read that as well.
_SCOPES = {
    GroupBy.segment: "segments:read", GroupBy.team: "agents:read", GroupBy.agent: "agents:read",
    GroupBy.assignee: "agents:read", GroupBy.policy: "sla:read", GroupBy.customer: "customers:read",
    GroupBy.organization: "customers:read",
}  # fmt: skip
_NOTHING = dict.fromkeys(ReportGroup.model_fields)
Describe = Callable[[Values], dict[str, Any]]


async def describer(tx: Transaction, rows: Iterable[Values], groups: Iterable[GroupBy], scopes: Set[str]) -> Describe:
    """What makes the `group` of an item: ids with the names that these scopes let somebody read, as they are called
    now."""
    names: dict[GroupBy, dict[Any, str | None]] = {}
    for group in groups:
        if (query := _NAMES.get(group)) and _SCOPES[group] in scopes:
            ids = list({row[f"by_{group.value}"] for row in rows} - {None})
            names[group] = {row["id"]: row["name"] for row in await tx.rows(query, ids=ids)}

    def describe(row: Values) -> dict[str, Any]:
        found = dict(_NOTHING)
        for group in groups:
            value = found[group.value] = row[f"by_{group.value}"]
            if group in names:
                found[f"{group.value}_name"] = names[group].get(value)
        return found

    return describe

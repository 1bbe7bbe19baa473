"""What is open now: read as it is, never as it was."""

from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, extract, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.agents.tables import agents, teams
from app.db import Query, Transaction
from app.reports import grouping
from app.reports.schemas import BacklogQuery, GroupBy
from app.sla.core.enums import RESPONSES
from app.sla.tables import sla_clocks
from app.ticket_lists.clauses import SLA_STATES
from app.tickets.attribution import region_of
from app.tickets.queries import NOT_DONE
from app.tickets.tables import tickets

_c, _t = sla_clocks.c, tickets.c
_now = func.statement_timestamp()
_responses: list[ColumnElement[str]] = [literal_column(f"'{metric.value}'") for metric in sorted(RESPONSES)]
_waits = and_(_c.ended_at.is_(None), _c.metric.in_(_responses))
ATTRIBUTES: grouping.Attributes = {
    GroupBy.segment: _t.segment,
    GroupBy.team: _t.team_id,
    GroupBy.agent: _t.assignee_id,
    GroupBy.assignee: _t.assignee_id,
    GroupBy.policy: _t.policy_id,
    GroupBy.customer: _t.customer_id,
    GroupBy.organization: _t.organization_id,
    GroupBy.tag: _t.tags,
    GroupBy.region: region_of(_t.customer_id),
    **{group: _t[group.value] for group in (GroupBy.priority, GroupBy.channel, GroupBy.type, GroupBy.product)},
}
# Who is there with zeros where they have none.
_active = Query(select(agents.c.id).where(agents.c.active).order_by(agents.c.id))
_EVERYBODY = {
    GroupBy.team: Query(select(teams.c.id).order_by(teams.c.id)),
    GroupBy.agent: _active,
    GroupBy.assignee: _active,
}


@lru_cache(maxsize=1_000)
def _backlog(groups: tuple[GroupBy, ...], filters: grouping.Shape) -> Query:
    keys = [grouping.key(group, ATTRIBUTES) for group in groups]
    source = grouping.with_tags(tickets.outerjoin(sla_clocks, _c.ticket_id == _t.id), groups, ATTRIBUTES)
    each = (
        select(
            *keys,
            _t.id.label("ticket_id"),
            func.min(_c.started_at).filter(_waits).label("since"),
            *(func.bool_or(holds).label(state.value) for state, holds in SLA_STATES.items()),
        )
        .select_from(source)
        .where(NOT_DONE, *grouping.clauses(filters, ATTRIBUTES))
        .group_by(_t.id, *keys)
        .subquery()
        .c
    )
    oldest = func.array_agg(aggregate_order_by(each.ticket_id, each.since, each.ticket_id))
    figures = [
        func.count().label("open"),
        func.count(each.since).label("waiting"),
        extract("epoch", _now - func.min(each.since)).label("oldest_wait_seconds"),
        oldest.filter(each.since.is_not(None)).label("oldest"),
        *(func.count().filter(each[state.value]).label(state.value) for state in SLA_STATES),
    ]
    by = [each[key.name] for key in keys]
    return grouping.grouped(select(*by, *figures), by)


async def backlog(tx: Transaction, query: BacklogQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """One statement over the tickets that are open now and their clocks. Cost: those."""
    groups, filters = tuple(dict.fromkeys(query.group_by or ())), query.filters
    rows = await tx.rows(_backlog(groups, grouping.shape(filters)), **grouping.params(filters))
    grouping.check_number(rows, groups)
    found: list[dict[str, Any]] = [{**row, "oldest_ticket_id": (row["oldest"] or [None])[0]} for row in rows]
    if len(groups) == 1 and groups[0] in _EVERYBODY:
        found += await _without_any(tx, groups[0], found, filters.get(groups[0]))
    describe = await grouping.describer(tx, found, groups, scopes)
    return [{**row, "group": describe(row)} for row in found]


async def _without_any(
    tx: Transaction, group: GroupBy, found: Sequence[dict[str, Any]], only: Sequence[object] | None
) -> list[dict[str, Any]]:
    name = f"by_{group.value}"
    there = {row[name] for row in found}
    nothing = {
        "open": 0, "waiting": 0, "oldest_wait_seconds": None, "oldest_ticket_id": None,
        **{state.value: 0 for state in SLA_STATES},
    }  # fmt: skip
    ids = [row["id"] for row in await tx.rows(_EVERYBODY[group])]
    return [{name: id_, **nothing} for id_ in ids if id_ not in there and (only is None or id_ in only)]

"""How long the staff worked on what they wrote, as given or measured at each message."""

from collections.abc import Set
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, DateTime, bindparam, case, func, literal_column, or_, select

from app.db import Query, Transaction
from app.reports import grouping
from app.reports.backlog import ATTRIBUTES
from app.reports.schemas import GroupBy, HandlingTimesQuery
from app.tickets.tables import messages, tickets

_m, _t = messages.c, tickets.c
_of_agents: ColumnElement[bool] = _m.author_kind == literal_column("'agent'")
_ATTRIBUTES: grouping.Attributes = {**ATTRIBUTES, GroupBy.agent: case((_of_agents, _m.author_id))}


@lru_cache(maxsize=1_000)
def _handling(groups: tuple[GroupBy, ...], filters: grouping.Shape) -> Query:
    keys = [grouping.key(group, _ATTRIBUTES) for group in groups]
    from_, to = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_", "to"))
    figures = [
        func.count(_t.id.distinct()).label("tickets"),
        func.count().label("messages"),
        func.coalesce(func.sum(_m.handling_seconds), literal_column("0")).label("handling_seconds"),
        func.avg(_m.handling_seconds).label("mean_handling_seconds"),
    ]
    source = grouping.with_tags(messages.join(tickets, _t.id == _m.ticket_id), groups, _ATTRIBUTES)
    statement = (
        select(*keys, *figures)
        .select_from(source)
        .where(
            _m.handling_seconds.is_not(None),
            _t.spam_at.is_(None),
            or_(from_.is_(None), _m.created_at >= from_),
            or_(to.is_(None), _m.created_at < to),
            *grouping.clauses(filters, _ATTRIBUTES),
        )
    )
    return grouping.grouped(statement, keys)


async def handling_times(tx: Transaction, query: HandlingTimesQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """Cost: the messages of the span that say how long they took, by an index that holds no others."""
    groups, filters = tuple(dict.fromkeys(query.group_by or ())), query.filters
    from_, to = query.span()
    rows = await tx.rows(_handling(groups, grouping.shape(filters)), **grouping.params(filters), from_=from_, to=to)
    grouping.check_number(rows, groups)
    describe = await grouping.describer(tx, rows, groups, scopes)
    return [{**row, "group": describe(row)} for row in rows]

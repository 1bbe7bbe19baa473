"""What self-service came to."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, DateTime, bindparam, func, literal, or_, select

from app.db import Query, Transaction
from app.reports import grouping
from app.reports.schemas import SelfServiceGroup
from app.tickets.tables import ticket_offers, tickets

_t, _o = tickets.c, ticket_offers.c
_GROUPS: dict[SelfServiceGroup, ColumnElement[Any]] = {
    SelfServiceGroup.segment: _t.segment,
    SelfServiceGroup.article: _o.article_id,
}


def within(instant: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """In the span of the bound `from_` and `to`, where they are given."""
    from_, to = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_", "to"))
    return [or_(from_.is_(None), instant >= from_), or_(to.is_(None), instant < to)]


@lru_cache
def _self_service(groups: tuple[SelfServiceGroup, ...]) -> Query:
    keys = [_GROUPS[group].label(f"by_{group}") for group in groups]
    by_article = SelfServiceGroup.article in groups
    deflected = _t.self_service == literal("deflected")
    if by_article:
        deflected &= _o.helped_at.is_not(None)
    counted = [
        func.count().label("offered"),
        func.count().filter(deflected).label("deflected"),
        func.count().filter(_t.self_service == literal("handed_off")).label("handed_off"),
    ]
    source = tickets.join(ticket_offers, _o.ticket_id == _t.id) if by_article else tickets
    statement = (
        select(*keys, *counted)
        .select_from(source)
        .where(_t.self_service.is_not(None), _t.spam_at.is_(None), *within(_t.created_at))
    )
    return grouping.grouped(statement, keys)


async def self_service(
    tx: Transaction, from_: datetime | None, to: datetime | None, groups: Sequence[SelfServiceGroup]
) -> list[dict[str, Any]]:
    """Over the tickets that opened in the span and got answers. Cost: those, by an index that holds no others. Raises
    Invalid where there were more than `MOST_ITEMS`."""
    rows = await tx.rows(_self_service(tuple(dict.fromkeys(groups))), from_=from_, to=to)
    grouping.check_number(rows, groups)
    return [{**row, "group": {name: row.get(f"by_{name}") for name in SelfServiceGroup}} for row in rows]

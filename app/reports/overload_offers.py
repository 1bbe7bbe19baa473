"""What became of what was offered while goals were about to be missed."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, func, literal, null, select

from app.db import Query, Transaction
from app.outlook.schemas import OfferChosen
from app.reports import grouping
from app.reports.schemas import OverloadGroup
from app.reports.self_service import within
from app.tickets.tables import overload_offers, promises, tickets

_t, _o, _p = tickets.c, overload_offers.c, promises.c
_promised = and_(
    _p.ticket_id == _o.ticket_id,
    _p.due_at == _o.call_back_by,
    _p.made_by_kind == literal("system"),
    _p.withdrawn_at.is_(None),
)
_FIGURES = [
    func.count().label("offered"),
    *(func.count().filter(_o.chosen == literal(word.value)).label(word.value) for word in OfferChosen),
    func.count().filter(_o.chosen.is_(None)).label("undecided"),
    func.count(_p.id).filter(_p.kept_at <= _p.due_at).label("call_backs_kept"),
    func.count(_p.id).filter(func.coalesce(_p.kept_at, func.clock_timestamp()) > _p.due_at).label("call_backs_late"),
]


@lru_cache
def _report(groups: tuple[OverloadGroup, ...]) -> Query:
    keys = [_t.segment.label("segment")] if groups else []
    statement = (
        select(*(keys or [null().label("segment")]), *_FIGURES)
        .select_from(overload_offers.join(tickets, _t.id == _o.ticket_id).outerjoin(promises, _promised))
        .where(_t.spam_at.is_(None), *within(_o.offered_at))
    )
    return grouping.grouped(statement, keys)


async def report(
    tx: Transaction, from_: datetime | None, to: datetime | None, groups: Sequence[OverloadGroup]
) -> list[dict[str, Any]]:
    """Over the offers of the span. Cost: those, by an index. Raises Invalid for more than `MOST_ITEMS`."""
    rows = await tx.rows(_report(tuple(groups)), from_=from_, to=to)
    grouping.check_number(rows, groups)
    return [dict(row) for row in rows]

"""What a customer's tickets say of them, as figures that the rules of segments read: one by one for a customer, and as
SQL for many. The windows end now, so time alone changes them: `NEXT_CHANGE` says when."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Interval, Select, bindparam, cast, func, literal, select

from app.customers.tables import customers
from app.db import Query, Transaction
from app.segments.fields import FIGURES as TYPES
from app.segments.rules import FieldType
from app.sla.core.enums import TicketType
from app.sla.tables import sla_alerts, sla_clocks
from app.tickets.queries import NOT_DONE
from app.tickets.tables import tickets

_t, _k, _a = tickets.c, sla_clocks.c, sla_alerts.c
_now = func.statement_timestamp()
_MONTH, _QUARTER = literal(timedelta(days=30), Interval), literal(timedelta(days=90), Interval)


def _of_tickets(figure: ColumnElement[Any], *where: ColumnElement[bool]) -> Select[Any]:
    """Of those that are no spam."""
    return select(figure).where(_t.customer_id == customers.c.id, _t.spam_at.is_(None), *where).correlate(customers)


def _of_breaches(figure: ColumnElement[Any]) -> Select[Any]:
    breached = sla_alerts.join(sla_clocks, _k.id == _a.clock_id).join(tickets, _t.id == _k.ticket_id)
    return (
        select(figure)
        .select_from(breached)
        .where(_t.customer_id == customers.c.id, _a.kind == "breached", ~_k.spam, _a.at > _now - _QUARTER)
        .correlate(customers)
    )


_COUNT = cast(func.count(), Integer)
_recent = _t.created_at > _now - _MONTH
_SQL: dict[str, ColumnElement[Any]] = {
    "customer.open_tickets": _of_tickets(_COUNT, NOT_DONE).scalar_subquery(),
    "customer.tickets_last_30_days": _of_tickets(_COUNT, _recent).scalar_subquery(),
    "customer.last_ticket_at": _of_tickets(func.max(_t.created_at)).scalar_subquery(),
    "customer.breaches_last_90_days": _of_breaches(_COUNT).scalar_subquery(),
    "customer.complaints": _of_tickets(_COUNT, _t.type == TicketType.complaint.value).scalar_subquery(),
}
FIGURES: Mapping[str, tuple[FieldType, ColumnElement[Any]]] = {name: (TYPES[name], sql) for name, sql in _SQL.items()}
NEXT_CHANGE = func.least(
    _of_tickets(func.min(_t.created_at), _recent).scalar_subquery() + _MONTH,
    _of_breaches(func.min(_a.at)).scalar_subquery() + _QUARTER,
)
_READ = Query(
    select(*(sql.label(name) for name, sql in _SQL.items())).where(customers.c.id == bindparam("customer_id"))
)


async def figures_of(tx: Transaction, customer_id: UUID) -> dict[str, object]:
    row = await tx.row(_READ, customer_id=customer_id)
    assert row is not None
    return dict(row)

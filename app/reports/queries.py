"""Figures over clocks, computed from the rows themselves. Percentiles are nearest-rank: the smallest wait such that at
least p percent are no longer than it, which is always a wait that somebody had (PostgreSQL's `percentile_disc`)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    and_,
    bindparam,
    extract,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.reports.schemas import Exceptions, GroupBy, Interval, SelfServiceGroup
from app.sla.clocks import states
from app.sla.core.clock import EndedReason, State
from app.sla.core.words import RESPONSES, Metric
from app.sla.tables import sla_clocks
from app.tickets.figures import NOT_DONE
from app.tickets.lists import SLA_STATES
from app.tickets.self_service.tables import ticket_offers
from app.tickets.tables import tickets

_c, _t, _o = sla_clocks.c, tickets.c, ticket_offers.c
_GROUPS: dict[GroupBy, ColumnElement[Any]] = {
    GroupBy.team: _t.team_id,
    GroupBy.agent: _t.assignee_id,
    GroupBy.priority: _t.priority,
    GroupBy.channel: _t.channel,
    GroupBy.product: _t.product,
    GroupBy.segment: _t.segment,
    GroupBy.region: customers.c.region,
    GroupBy.policy: _c.policy_id,
}
_PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}

# In the clock's own time: answered outside business hours is answered at once, and counts.
_wait = _c.elapsed
_answered = _c.stopped_at.is_not(None)


def _seconds(interval: Any) -> ColumnElement[Any]:
    return extract("epoch", interval)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _percentile(fraction: float) -> ColumnElement[Any]:
    return _seconds(func.percentile_disc(fraction).within_group(_wait).filter(_answered))


def _figures(exceptions: Exceptions) -> list[ColumnElement[Any]]:
    # Without exceptions: as if none had been granted.
    due_at = _c.due_at if exceptions is Exceptions.with_ else _c.unrelieved_due_at
    is_state = states(due_at)
    return [
        _count(_answered).label("count"),
        _seconds(func.avg(_wait).filter(_answered)).label("mean"),
        *(_percentile(fraction).label(name) for name, fraction in _PERCENTILES.items()),
        _count(is_state[State.met]).label("met"),
        _count(is_state[State.breached]).label("breached"),
        _count(is_state[State.cancelled]).label("cancelled"),
        _count(_c.ended_at.is_(None)).label("running"),
        *(_count(_c.ended_reason == reason.value).label(reason.value) for reason in EndedReason),
        _seconds(func.avg(_wait).filter(_c.ended_reason.is_not(None))).label("unanswered_wait_mean"),
    ]


_INSTANT = DateTime(timezone=True)


def _within(instant: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    from_, to = bindparam("from_", type_=_INSTANT), bindparam("to", type_=_INSTANT)
    return [or_(from_.is_(None), instant >= from_), or_(to.is_(None), instant < to)]


def _grouped(statement: Select[Any], keys: Sequence[ColumnElement[Any]]) -> Query:
    return Query(statement.group_by(*keys).order_by(*keys) if keys else statement)


def _group(row: Row, names: Iterable[str]) -> dict[str, Any]:
    """What an item is about; null for what was not asked for."""
    return {name: row.get(f"by_{name}") for name in names}


@lru_cache
def _report(interval: Interval | None, groups: tuple[GroupBy, ...], exceptions: Exceptions) -> Query:
    keys = [_GROUPS[group].label(f"by_{group}") for group in groups]
    if interval:
        bucket: ColumnElement[Any] = func.date_trunc(interval.value, _c.started_at, "UTC")
        keys.insert(0, bucket.label("interval_start"))
    joined = sla_clocks.join(tickets, _t.id == _c.ticket_id)
    if GroupBy.region in groups:
        joined = joined.join(customers, customers.c.id == _t.customer_id)
    statement = (
        select(*keys, *_figures(exceptions))
        .select_from(joined)
        .where(
            _c.metric == bindparam("metric", type_=Text),
            *_within(_c.started_at),
        )
    )
    if exceptions is Exceptions.with_:
        statement = statement.where(~_c.excluded)
    return _grouped(statement, keys)


_now = func.statement_timestamp()
_responses: list[ColumnElement[str]] = [literal_column(f"'{metric.value}'") for metric in sorted(RESPONSES)]
_waits = and_(_c.ended_at.is_(None), _c.metric.in_(_responses))


@lru_cache
def _backlog(groups: tuple[GroupBy, ...]) -> Query:
    keys = [(_t.policy_id if group is GroupBy.policy else _GROUPS[group]).label(f"by_{group}") for group in groups]
    joined = tickets.outerjoin(sla_clocks, _c.ticket_id == _t.id)
    if GroupBy.region in groups:
        joined = joined.join(customers, customers.c.id == _t.customer_id)
    each = (
        select(
            *keys,
            func.min(_c.started_at).filter(_waits).label("since"),
            *(func.bool_or(holds).label(state.value) for state, holds in SLA_STATES.items()),
        )
        .select_from(joined)
        .where(NOT_DONE)
        .group_by(_t.id, *keys)
        .subquery()
        .c
    )
    by = [each[key.name] for key in keys]
    figures = [
        func.count().label("open"),
        func.count(each.since).label("waiting"),
        _seconds(_now - func.min(each.since)).label("oldest_wait_seconds"),
        *(_count(each[state.value]).label(state.value) for state in SLA_STATES),
    ]
    return _grouped(select(*by, *figures), by)


async def backlog(tx: Transaction, groups: Sequence[GroupBy]) -> list[dict[str, Any]]:
    """One statement over the tickets that are open now and their clocks. Cost: those."""
    rows = await tx.rows(_backlog(tuple(dict.fromkeys(groups))))
    return [{**row, "group": _group(row, GroupBy)} for row in rows]


_SELF_SERVICE_GROUPS: dict[SelfServiceGroup, ColumnElement[Any]] = {
    SelfServiceGroup.segment: _t.segment,
    SelfServiceGroup.article: _o.article_id,
}


@lru_cache
def _self_service(groups: tuple[SelfServiceGroup, ...]) -> Query:
    keys = [_SELF_SERVICE_GROUPS[group].label(f"by_{group}") for group in groups]
    by_article = SelfServiceGroup.article in groups
    deflected = _t.self_service == literal("deflected")
    if by_article:
        deflected &= _o.helped_at.is_not(None)
    counted = [
        func.count().label("offered"),
        _count(deflected).label("deflected"),
        _count(_t.self_service == literal("handed_off")).label("handed_off"),
    ]
    source = tickets.join(ticket_offers, _o.ticket_id == _t.id) if by_article else tickets
    statement = select(*keys, *counted).select_from(source).where(_t.self_service.is_not(None), *_within(_t.created_at))
    return _grouped(statement, keys)


async def self_service(
    tx: Transaction, from_: datetime | None, to: datetime | None, groups: Sequence[SelfServiceGroup]
) -> list[dict[str, Any]]:
    """Over the tickets that opened in the span and got answers. Cost: those, by an index that holds no others."""
    rows = await tx.rows(_self_service(tuple(dict.fromkeys(groups))), from_=from_, to=to)
    return [{**row, "group": _group(row, SelfServiceGroup)} for row in rows]


async def response_times(
    tx: Transaction,
    metric: Metric,
    from_: datetime | None,
    to: datetime | None,
    interval: Interval | None,
    groups: Sequence[GroupBy],
    exceptions: Exceptions,
) -> list[dict[str, Any]]:
    """One statement over the clocks that started in the span. Cost: the clocks in the span."""
    rows = await tx.rows(_report(interval, tuple(groups), exceptions), metric=metric, from_=from_, to=to)
    return [_item(row) for row in rows]


def _item(row: Row) -> dict[str, Any]:
    judged = row["met"] + row["breached"]
    return {
        **row,
        "interval_start": row.get("interval_start"),
        "group": _group(row, GroupBy),
        "attainment": row["met"] / judged if judged else None,
        "unanswered": {reason.value: row[reason.value] for reason in EndedReason},
    }

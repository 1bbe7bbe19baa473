"""How long customers waited, over the clocks that started in a span, from the rows themselves. Percentiles are
nearest-rank: the smallest wait such that at least p percent are no longer than it, which is always a wait that somebody
had (PostgreSQL's `percentile_disc`).

Exceptions decide what is judged, never how long somebody waited: the floor counts every wait, also the excluded ones,
and without the time that was frozen taken out."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Interval,
    Text,
    and_,
    bindparam,
    extract,
    func,
    literal_column,
    or_,
    select,
)

from app.db import Query, Row, Transaction
from app.reports import grouping
from app.reports.schemas import Exceptions, GroupBy, ReportQuery
from app.reports.schemas import Interval as Each
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock, states
from app.sla.core.calendar import beginnings
from app.sla.core.clock import EndedReason, State
from app.sla.core.policy import NO_RELIEF
from app.sla.tables import sla_clocks
from app.tickets.attribution import ATTRIBUTES
from app.tickets.tables import tickets
from app.web.slices import in_slices

_c, _t = sla_clocks.c, tickets.c
_INSTANT = DateTime(timezone=True)
_now = bindparam("now", type_=_INSTANT)
_ATTRIBUTES: grouping.Attributes = {
    GroupBy.segment: ATTRIBUTES["segment"],
    GroupBy.team: ATTRIBUTES["team_id"],
    GroupBy.agent: ATTRIBUTES["responder_id"],
    GroupBy.assignee: ATTRIBUTES["assignee_id"],
    GroupBy.policy: ATTRIBUTES["policy_id"],
    GroupBy.customer: ATTRIBUTES["customer_id"],
    GroupBy.organization: ATTRIBUTES["organization_id"],
    GroupBy.tag: ATTRIBUTES["tags"],
    **{
        group: ATTRIBUTES[group.value]
        for group in (GroupBy.priority, GroupBy.channel, GroupBy.type, GroupBy.region, GroupBy.product)
    },
}
_REASONS = [reason for reason in EndedReason if reason is not EndedReason.spam]
_PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
# So many clocks are added up before others have their turn.
_AT_A_TIME = 200
_ZERO = timedelta(0)

# In the clock's own time: answered outside business hours is answered at once, and counts.
_wait = _c.elapsed
_answered = _c.stopped_at.is_not(None)
_running = _c.ended_at.is_(None)
# Spam is counted under its name and nowhere else.
_no_spam = ~_c.spam
_counted = and_(or_(_answered, _running), _no_spam)
_frozen = func.cardinality(_c.frozen) > 0
# What SQL cannot add up, the core does: business hours, pauses, and waits of which some time was frozen.
_uneven = and_(
    _no_spam,
    or_(
        and_(_running, or_(_c.calendar_id.is_not(None), func.cardinality(_c.pauses + _c.resolved + _c.frozen) > 0)),
        and_(_answered, _frozen),
    ),
)
_even = and_(_counted, ~_uneven)
# The present may lie before a start, where the database's clock was put back.
_waited = func.coalesce(_wait, func.greatest(_now, _c.started_at) - _c.started_at)
_wall = func.coalesce(_c.stopped_at, func.greatest(_now, _c.started_at)) - _c.started_at


def _seconds(interval: Any) -> ColumnElement[Any]:
    return extract("epoch", interval)


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(and_(*conditions))


def _figures(exceptions: Exceptions, buckets: int) -> list[ColumnElement[Any]]:
    # Without exceptions: as if none had been granted.
    with_them = exceptions is Exceptions.with_
    is_state = states(_c.due_at if with_them else _c.unrelieved_due_at, _now)
    judged = (_no_spam, ~_c.excluded) if with_them else (_no_spam,)
    answered, given_up = and_(_answered, *judged), and_(_c.ended_reason.is_not(None), *judged)

    def percentile(fraction: float) -> ColumnElement[Any]:
        return _seconds(func.percentile_disc(fraction).within_group(_wait).filter(answered))

    ends = [bindparam(f"bucket_{n}", type_=Interval) for n in range(buckets)]
    return [
        _count(answered).label("answered"),
        _seconds(func.avg(_wait).filter(answered)).label("mean_answered"),
        *(percentile(fraction).label(name) for name, fraction in _PERCENTILES.items()),
        *(_count(is_state[state], *judged).label(state) for state in (State.met, State.breached, State.cancelled)),
        _count(is_state[State.breached], _running, *judged).label("breached_running"),
        _count(_running, *judged).label("running"),
        (_count(_c.excluded, _no_spam) if with_them else literal_column("0")).label("excluded"),
        *(_count(_c.ended_reason == reason.value, *judged).label(reason.value) for reason in _REASONS),
        _count(_c.spam).label(EndedReason.spam),
        _seconds(func.avg(_wait).filter(given_up)).label("unanswered_wait_mean"),
        *(_count(answered, _wait <= end).label(f"within_{n}") for n, end in enumerate(ends)),
        _count(_counted).label("waits"),
        func.coalesce(func.sum(_waited).filter(_even), _ZERO).label("waited"),
        _seconds(func.avg(_wall).filter(_counted)).label("mean_wall"),
    ]


def _keys(interval: Each | None, groups: Sequence[GroupBy]) -> list[ColumnElement[Any]]:
    keys: list[ColumnElement[Any]] = [grouping.key(group, _ATTRIBUTES) for group in groups]
    if interval is Each.hour:
        hour = func.date_trunc("hour", _c.started_at, bindparam("timezone", type_=Text))
        return [hour.label("interval_start"), *keys]
    if interval:
        number = func.width_bucket(_c.started_at, bindparam("beginnings", type_=ARRAY(_INSTANT)))
        return [number.label("interval_number"), *keys]
    return keys


@dataclass(frozen=True, slots=True)
class _Report:
    """The statements of one kind of report: its figures, and the clocks that the core adds to the floor."""

    figures: Query
    uneven: Query
    names: tuple[str, ...]

    def key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.names)


def _within(instant: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    from_, to = bindparam("from_", type_=_INSTANT), bindparam("to", type_=_INSTANT)
    return [
        _c.metric == bindparam("metric", type_=Text),
        or_(from_.is_(None), instant >= from_),
        or_(to.is_(None), instant < to),
    ]


_SPAN = Query(
    select(
        func.statement_timestamp().label("now"),
        select(func.min(_c.started_at)).where(*_within(_c.started_at)).scalar_subquery().label("first"),
        select(func.max(_c.started_at)).where(*_within(_c.started_at)).scalar_subquery().label("last"),
    )
)


@lru_cache(maxsize=1_000)
def _report(
    interval: Each | None, groups: tuple[GroupBy, ...], exceptions: Exceptions, buckets: int, filters: grouping.Shape
) -> _Report:
    keys = _keys(interval, groups)
    # A report on everything need not look at the tickets: each clock has one.
    joined = sla_clocks.join(tickets, _t.id == _c.ticket_id) if groups or filters else sla_clocks
    source = grouping.with_tags(joined, groups, _ATTRIBUTES)
    where = (*_within(_c.started_at), *grouping.clauses(filters, _ATTRIBUTES))
    figures = select(*keys, *_figures(exceptions, buckets)).select_from(source).where(*where)
    uneven = select(*keys, *(_c[name].label(f"clock_{name}") for name in LOADED)).select_from(source)
    names = tuple(key.name for key in keys)
    return _Report(grouping.grouped(figures, keys), Query(uneven.where(*where, _uneven)), names)


async def response_times(tx: Transaction, query: ReportQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """One item for each interval and group in which clocks started. The transaction must read a snapshot. Cost: the
    clocks in the span; those that wait in business hours or with pauses, one by one.
    Raises Invalid where there were more than `MOST_ITEMS`."""
    groups, filters = tuple(dict.fromkeys(query.group_by or ())), query.filters
    buckets = sorted(set(query.buckets or ()))
    report = _report(query.interval, groups, query.exceptions, len(buckets), grouping.shape(filters))
    from_, to = query.span()
    span: dict[str, Any] = {"metric": query.metric, "from_": from_, "to": to}
    seen = await tx.row(_SPAN, **span)
    assert seen is not None
    starts: list[datetime] = []
    if query.interval and query.interval is not Each.hour and seen["first"]:
        starts = beginnings(query.timezone, query.interval, seen["first"], seen["last"])
    given = {
        **span, **grouping.params(filters), "now": seen["now"], "timezone": query.timezone, "beginnings": starts,
        **{f"bucket_{n}": timedelta(seconds=end) for n, end in enumerate(buckets)},
    }  # fmt: skip
    rows = await tx.rows(report.figures, **given)
    grouping.check_number(rows, groups)
    late = await _added_up(tx, report, given)
    describe = await grouping.describer(tx, rows, groups, scopes)
    return [
        {
            **_item(row, late.get(report.key(row), _ZERO), buckets),
            "interval_start": _start(row, starts),
            "group": describe(row),
        }
        async for row in in_slices(rows)
    ]


def _start(row: Row, starts: Sequence[datetime]) -> datetime | None:
    number = row.get("interval_number")
    start: datetime | None = starts[number - 1] if number else row.get("interval_start")
    return start


async def _added_up(tx: Transaction, report: _Report, given: Mapping[str, Any]) -> dict[tuple[Any, ...], timedelta]:
    """The waits of the uneven clocks, by the keys of their items."""
    rows = await tx.rows(report.uneven, **given)
    known = await calendars.versions_of(tx, rows, "clock_")
    found: dict[tuple[Any, ...], timedelta] = {}
    for number, row in enumerate(rows):
        key = report.key(row)
        clock = as_clock(row, known, "clock_")._replace(relief=NO_RELIEF)
        found[key] = found.get(key, _ZERO) + clock.elapsed(given["now"])
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    return found


def _item(row: Row, uneven: timedelta, buckets: Sequence[float]) -> dict[str, Any]:
    judged = row["met"] + row["breached"]
    return {
        **row,
        "mean_floor": (row["waited"] + uneven).total_seconds() / row["waits"] if row["waits"] else None,
        "attainment": 100 * row["met"] / judged if judged else None,
        "unanswered": {reason.value: row[reason.value] for reason in EndedReason},
        "histogram": _histogram(row, buckets) if buckets else None,
    }


def _histogram(row: Row, buckets: Sequence[float]) -> list[dict[str, Any]]:
    within = [0, *(row[f"within_{n}"] for n in range(len(buckets))), row["answered"]]
    ends = [*buckets, None]
    return [{"up_to_seconds": end, "count": within[n + 1] - within[n]} for n, end in enumerate(ends)]

"""Figures over clocks that are read one by one: all of a span, or those of it that no sum of facts holds. Percentiles
are nearest-rank: the smallest wait such that at least p percent are no longer than it, which is always a wait somebody
had (PostgreSQL's `percentile_disc`).

Exceptions decide what is judged, never how long somebody waited: the floor counts every wait, also the excluded ones,
and without the time that was frozen taken out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Interval,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    or_,
    select,
)

from app.db import Query, Transaction
from app.reports import grouping
from app.reports.figures import PERCENTILES, REASONS
from app.reports.schemas import Exceptions, GroupBy
from app.reports.schemas import Interval as Each
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock, states
from app.sla.core.clock import ClockState, EndedReason
from app.sla.core.policy import NO_RELIEF
from app.sla.tables import sla_clocks
from app.tickets.attribution import ATTRIBUTES
from app.tickets.tables import tickets

_c, _t = sla_clocks.c, tickets.c
_INSTANT = DateTime(timezone=True)
_now = bindparam("now", type_=_INSTANT)
ATTRIBUTES_OF_CLOCKS: grouping.Attributes = {
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


def _us(interval: Any, *of: ColumnElement[bool]) -> ColumnElement[Any]:
    """Added up, in microseconds."""
    total = func.coalesce(func.sum(interval).filter(and_(*of)), _ZERO)
    return extract("epoch", total) * literal_column("1000000", Integer)


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(and_(*conditions))


def _figures(exceptions: Exceptions, buckets: int, *, live: bool) -> list[ColumnElement[Any]]:
    # Without exceptions: as if none had been granted.
    with_them = exceptions is Exceptions.with_
    is_state = states(_c.due_at if with_them else _c.unrelieved_due_at, _now)
    judged = (_no_spam, ~_c.excluded) if with_them else (_no_spam,)
    answered, given_up = and_(_answered, *judged), and_(_c.ended_reason.is_not(None), *judged)

    def percentile(percent: int) -> ColumnElement[Any]:
        return extract("epoch", func.percentile_disc(percent / 100).within_group(_wait).filter(answered))

    each_us = cast(extract("epoch", _wait) * literal_column("1000000", Integer), BigInteger)
    waits = [func.array_agg(each_us).filter(answered).label("answered_waits")]
    ends = [bindparam(f"bucket_{n}", type_=Interval) for n in range(buckets)]
    return [
        _count(answered).label("answered"),
        _us(_wait, answered).label("answered_us"),
        *(waits if live else (percentile(percent).label(name) for name, percent in PERCENTILES.items())),
        *(
            _count(is_state[state], *judged).label(state)
            for state in (ClockState.met, ClockState.breached, ClockState.cancelled)
        ),
        _count(is_state[ClockState.breached], _running, *judged).label("breached_running"),
        _count(_running, *judged).label("running"),
        (_count(_c.excluded, _no_spam) if with_them else literal_column("0")).label("excluded"),
        *(_count(_c.ended_reason == reason.value, *judged).label(reason.value) for reason in REASONS),
        _count(_c.spam).label(EndedReason.spam),
        _count(given_up).label("given_up"),
        _us(_wait, given_up).label("given_up_us"),
        *(_count(answered, _wait <= end).label(f"within_{n}") for n, end in enumerate(ends)),
        _count(_counted).label("waits"),
        _us(_waited, _even).label("waited_us"),
        _us(_wall, _counted).label("wall_us"),
    ]


def _keys(interval: Each | None, groups: Sequence[GroupBy]) -> list[ColumnElement[Any]]:
    keys: list[ColumnElement[Any]] = [grouping.key(group, ATTRIBUTES_OF_CLOCKS) for group in groups]
    if interval is Each.hour:
        hour = func.date_trunc("hour", _c.started_at, bindparam("timezone", type_=Text))
        return [hour.label("interval_start"), *keys]
    if interval:
        number = func.width_bucket(_c.started_at, bindparam("beginnings", type_=ARRAY(_INSTANT)))
        return [number.label("interval_number"), *keys]
    return keys


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for, but for values."""

    interval: Each | None
    groups: tuple[GroupBy, ...]
    exceptions: Exceptions
    buckets: int
    filters: grouping.Shape


class _Report:
    """The statements of one kind of report: its figures, and the clocks that the core adds to the floor. `live` are
    those that run, those of `changed` tickets, and those that started before `core_from` or since `core_to`."""

    def __init__(self, asked: Asked, *, live: bool) -> None:
        groups, filters = asked.groups, asked.filters
        keys = _keys(asked.interval, groups)
        # A report on everything need not look at the tickets: each clock has one.
        joined = sla_clocks.join(tickets, _t.id == _c.ticket_id) if groups or filters else sla_clocks
        source = grouping.with_tags(joined, groups, ATTRIBUTES_OF_CLOCKS)
        where = (*within(_c.started_at), *grouping.clauses(filters, ATTRIBUTES_OF_CLOCKS), *(_LIVE if live else ()))
        figures = select(*keys, *_figures(asked.exceptions, asked.buckets, live=live))
        self.figures = grouping.grouped(figures.select_from(source).where(*where), keys)
        uneven = select(*keys, *(_c[name].label(f"clock_{name}") for name in LOADED)).select_from(source)
        self.uneven = Query(uneven.where(*where, _uneven))
        self.names = tuple(key.name for key in keys)


def within(instant: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Clocks of the `metric` that started in the span."""
    from_, to = bindparam("from_", type_=_INSTANT), bindparam("to", type_=_INSTANT)
    return [
        _c.metric == bindparam("metric", type_=Text),
        or_(from_.is_(None), instant >= from_),
        or_(to.is_(None), instant < to),
    ]


_LIVE = [
    or_(
        _running,
        _c.ticket_id == any_(bindparam("changed", type_=ARRAY(Uuid))),
        _c.started_at < bindparam("core_from", type_=_INSTANT),
        _c.started_at >= bindparam("core_to", type_=_INSTANT),
    )
]


@lru_cache(maxsize=1_000)
def _report(asked: Asked, live: bool) -> _Report:
    return _Report(asked, live=live)


async def read(tx: Transaction, asked: Asked, given: Mapping[str, Any], *, live: bool = False) -> list[dict[str, Any]]:
    """A row for each interval and group: `interval_number` or `interval_start`, the groups, counts and sums. Cost: the
    clocks, and those that wait in business hours or with pauses, one by one. Reads a snapshot."""
    report = _report(asked, live)
    rows = await tx.rows(report.figures, **given)
    grouping.check_number(rows, asked.groups)
    late = await _added_up(tx, report, given)
    found = [dict(row) for row in rows]
    for row in found:
        row["waited_us"] += late.get(tuple(row[name] for name in report.names), _ZERO) // timedelta(microseconds=1)
    return found


async def _added_up(tx: Transaction, report: _Report, given: Mapping[str, Any]) -> dict[tuple[Any, ...], timedelta]:
    """The waits of the uneven clocks, by the keys of their items."""
    rows = await tx.rows(report.uneven, **given)
    known = await calendars.versions_of(tx, rows, "clock_")
    found: dict[tuple[Any, ...], timedelta] = {}
    for number, row in enumerate(rows):
        key = tuple(row[name] for name in report.names)
        clock = as_clock(row, known, "clock_")._replace(relief=NO_RELIEF)
        found[key] = found.get(key, _ZERO) + clock.elapsed(given["now"])
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    return found

"""The past of a queue, in quarters of an hour: what came in, what could be learnt when, and who was online. Each
statement gives a bounded number of rows, however many tickets there were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Double, bindparam, case, cast, func, literal_column, or_, select, tuple_

from app.agents.tables import team_members
from app.availability.presences import Stretch, stretches
from app.availability.schemas import AvailabilityState
from app.db import Query, Row, Transaction, Values
from app.goals.cohort import COHORT, cohort_of
from app.sla.core.outlook import Wait
from app.sla.core.staffing_check import HOUR, Hour, Learnt
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets

# So many of the newest waits the percentiles of patience are of.
_NEWEST = 20_000
_ORIGIN: ColumnElement[Any] = literal_column("timestamptz '2000-01-01 00:00:00+00'")
_WIDTH: ColumnElement[Any] = literal_column("interval '15 minutes'")
_c, _t = sla_clocks.c, tickets.c


def _quarter(at: Any) -> Any:
    return func.date_bin(_WIDTH, at, _ORIGIN)


_seconds = cast(func.extract("epoch", _c.elapsed), Double)
_gone = _c.ended_reason == literal_column("'closed_by_customer'")
_answered = _c.stopped_at.is_not(None)
# A bot's or an article's work is nobody's here, and whom an exception takes out of judgement waits none the less.
_WHICH = (*COHORT, ~_c.spam, or_(_t.self_service.is_(None), _t.self_service != literal_column("'deflected'")))
_handled = _answered & (_t.handling_seconds > literal_column("0"))
_waits = (
    select(
        _quarter(_c.started_at).label("started"),
        _quarter(_c.ended_at).label("ended"),
        # What is worked on a ticket is known once it is resolved.
        case((_handled, _quarter(func.greatest(_c.ended_at, _t.resolved_at)))).label("handled"),
        case((_c.ended_at.is_not(None), _seconds)).label("seconds"),
        or_(_answered, _gone).label("waited"),
        _gone.label("gone"),
        _t.handling_seconds,
    )
    .select_from(sla_clocks.join(tickets, _t.id == _c.ticket_id))
    .where(*_WHICH)
    .subquery("waits")
)
_w = _waits.c
_QUARTERS = Query(
    select(
        _w.started, _w.ended, _w.handled,
        func.count().label("count"),
        func.count().filter(_w.waited).label("waited"),
        func.coalesce(func.sum(_w.seconds).filter(_w.waited), literal_column("0")).label("waited_seconds"),
        func.coalesce(func.sum(_w.seconds), literal_column("0")).label("seconds"),
        func.count().filter(_w.gone).label("gone"),
        func.sum(_w.handling_seconds).label("handling_seconds"),
    ).group_by(func.grouping_sets(tuple_(_w.started), tuple_(_w.ended), tuple_(_w.handled)))
)  # fmt: skip
_WAITS = Query(
    select(_seconds.label("seconds"), _answered.label("answered"))
    .select_from(sla_clocks.join(tickets, _t.id == _c.ticket_id))
    .where(*_WHICH, or_(_answered, _gone))
    .order_by(_c.started_at.desc())
    .limit(literal_column(str(_NEWEST)))
)
_TEAM = Query(select(team_members.c.agent_id).where(team_members.c.team_id == bindparam("team_id")))
_FIRST = Query(
    select(_c.started_at)
    .where(_c.metric == bindparam("metric"), _c.started_at >= bindparam("start", type_=DateTime(timezone=True)))
    .order_by(_c.started_at)
    .limit(1)
)


@dataclass(slots=True)
class Past:
    """From `start`, which is at a quarter of an hour, up to `end`. `arrivals` by the quarter's beginning; `first` is
    when anything came at all, whatever the filter; `learnt` is all that is."""

    start: datetime
    end: datetime
    first: datetime | None
    arrivals: Mapping[datetime, int]
    hours: Sequence[Hour]
    newest: Sequence[Wait]
    learnt: Learnt = field(default_factory=Learnt)


async def read_past(tx: Transaction, goal: Values, start: datetime, end: datetime) -> Past:
    """Of the waits of a goal's metric and filter that began in the span; what happens after its end, while it is read,
    is left out. Cost: the clocks of the span, and the changes of availability in it. Raises Invalid for too many of
    those."""
    given = cohort_of(goal, start, end, end)
    rows = await tx.rows(_QUARTERS, **given)
    first = await tx.row(_FIRST, metric=goal["metric"], start=start)
    newest = [Wait(row["seconds"], row["answered"]) for row in await tx.rows(_WAITS, **given)]
    hours = [Hour() for _ in range(-(-(end - start) // timedelta(seconds=HOUR)))]
    past = Past(start, end, first["started_at"] if first else None, _arrivals(rows), hours, newest)
    for row in rows:
        _add(past, row)
    for hour in hours:
        past.learnt.add(hour.learnt)
    for each in await _online(tx, goal, start, end):
        _add_online(past, each)
    return past


def _arrivals(rows: Sequence[Row]) -> dict[datetime, int]:
    return {row["started"]: row["count"] for row in rows if row["started"]}


def _add(past: Past, row: Row) -> None:
    at: datetime | None = row["started"] or row["ended"] or row["handled"]
    # Of the clocks that run, and of the tickets that are not handled, there is one row each without an instant.
    if at is None or at >= past.end:
        return
    hour = past.hours[(at - past.start) // timedelta(seconds=HOUR)]
    if row["started"]:
        hour.arrivals += row["count"]
        hour.waits += row["waited"]
        hour.wait += row["waited_seconds"]
    elif row["ended"]:
        hour.learnt.wait += row["seconds"]
        hour.learnt.gone += row["gone"]
    else:
        hour.learnt.handling += row["handling_seconds"]
        hour.learnt.handled += row["count"]


async def _online(tx: Transaction, goal: Values, start: datetime, end: datetime) -> list[Stretch]:
    channel, team = (goal["filter"].get(name) for name in ("channel", "team_id"))
    members = {row["agent_id"] for row in await tx.rows(_TEAM, team_id=UUID(str(team)))} if team else None
    return [
        each
        for each in await stretches(tx, start, end)
        if each.state is AvailabilityState.online
        and (each.capacity if channel is None or each.channels is None else each.channels.get(channel, 0))
        and (members is None or each.agent_id in members)
    ]


def _add_online(past: Past, stretch: Stretch) -> None:
    at, hour = stretch.start, timedelta(seconds=HOUR)
    while at < stretch.end:
        place = (at - past.start) // hour
        until = min(stretch.end, past.start + (place + 1) * hour)
        past.hours[place].online += (until - at) / hour
        at = until

"""A goal's past, by day or hour: worked out from the clocks as they are, by what the goal asked for then; and for how
long it stood missed, as it was kept when it happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, or_, select

from app.db import Query, Row, Transaction, Values
from app.errors import Invalid
from app.goals.judging import judge_span
from app.goals.schemas import GoalHistoryQuery, HistoryInterval
from app.goals.service import GOALS
from app.goals.tables import service_goal_misses, service_goal_versions
from app.sla.core.calendar import beginnings, day_of

MOST_INTERVALS = 100
_USUAL = timedelta(days=30)
_HOUR = timedelta(hours=1)
_v, _m = service_goal_versions.c, service_goal_misses.c
_goal = bindparam("goal_id", type_=Uuid)
_VERSIONS = Query(
    select(service_goal_versions, func.statement_timestamp().label("now"))
    .where(_v.goal_id == _goal)
    .order_by(_v.version)
)
_MISSES = Query(
    select(service_goal_misses).where(
        _m.goal_id == _goal,
        _m.missed_at < bindparam("end"),
        or_(_m.recovered_at.is_(None), _m.recovered_at > bindparam("start")),
    )
)


async def history(tx: Transaction, id: UUID, query: GoalHistoryQuery) -> dict[str, Any]:
    """The transaction must read a snapshot. Cost: the clocks in the span. Raises NotFound, and Invalid for more than
    `MOST_INTERVALS` intervals."""
    goal = await GOALS.get(tx, id)
    versions = await tx.rows(_VERSIONS, goal_id=id)
    now: datetime = versions[0]["now"]
    zone = query.timezone if "timezone" in query.model_fields_set else goal["calendar_day"] or "UTC"
    from_, to = query.span(zone)
    to = min(to or now, now)
    ends = _ends(zone, query.interval, from_ or day_of(zone, to - _USUAL)[0], to)
    misses = await tx.rows(_MISSES, goal_id=id, start=ends[0], end=ends[-1]) if ends else []
    items = []
    for start, end in pairwise(ends):
        judged = await judge_span(tx, _as_of(versions, end), start, end, now)
        missed = _missed(misses, max(start, versions[0]["from_at"]), min(end, now))
        items.append({**judged, "start": start, "end": end, "missed_seconds": missed})
    return {"goal_id": id, "timezone": zone, "items": items}


def _ends(zone: str, interval: HistoryInterval, from_: datetime, to: datetime) -> Sequence[datetime]:
    """The instants between which the intervals lie: whole ones, of which the last may not be over yet."""
    if from_ >= to:
        return []
    if to - from_ > MOST_INTERVALS * (timedelta(days=1) if interval is HistoryInterval.day else _HOUR):
        detail = f"at most {MOST_INTERVALS} intervals: narrow `from` and `to`, or take a longer `interval`"
        raise Invalid.at("/query/from", "too_many_items", detail)
    days = beginnings(zone, "day", from_, to)
    days.append(day_of(zone, days[-1])[1])
    if interval is HistoryInterval.day:
        return [day for day in days if day_of(zone, from_)[0] <= day] if days[-2] < to else days[:-1]
    return _hours(days, from_, to)


def _hours(days: Sequence[datetime], from_: datetime, to: datetime) -> list[datetime]:
    hours = [days[0] + n * _HOUR for n in range((days[-1] - days[0]) // _HOUR + 1)]
    first = max((hour for hour in hours if hour <= from_), default=hours[0])
    last = min((hour for hour in hours if hour >= to), default=hours[-1])
    return [hour for hour in hours if first <= hour <= last]


def _as_of(versions: Sequence[Row], end: datetime) -> Values:
    """What the goal asked for at the end of an interval; of one before there was any goal, what it asked for first."""
    return next((version for version in reversed(versions) if version["from_at"] < end), versions[0])


def _missed(misses: Sequence[Row], start: datetime, end: datetime) -> float | None:
    if start >= end:
        return None
    spans = ((max(each["missed_at"], start), min(each["recovered_at"] or end, end)) for each in misses)
    return float(sum((until - since).total_seconds() for since, until in spans if until > since))

"""The clocks that a goal judges: which those are, and what is known of each without the core."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Interval, Text, Uuid, and_, bindparam, func, or_

from app.db import Values
from app.goals.service import FILTERS
from app.sla.tables import sla_clocks
from app.tickets.attribution import ATTRIBUTES

_c = sla_clocks.c
INSTANT = DateTime(timezone=True)
_now, _start, _end = (bindparam(name, type_=INSTANT) for name in ("now", "start", "end"))
TARGET = bindparam("target", type_=Interval)
RUNNING = _c.ended_at.is_(None)
ANSWERED = _c.stopped_at.is_not(None)
# Spam is counted under its name and nowhere else.
JUDGED = and_(~_c.excluded, ~_c.spam)
# Whose time is not simply the time since it started: the core works that out, clock by clock.
_has_gaps = func.cardinality(_c.pauses + _c.resolved + _c.frozen) > 0
UNEVEN = and_(RUNNING, or_(_c.calendar_id.is_not(None), _has_gaps))
EVEN = and_(RUNNING, ~UNEVEN)
# Used up exactly: whether the answer came after that instant, the core knows (a business may have been closed).
EXACTLY = and_(ANSWERED, _c.elapsed == TARGET, or_(_c.calendar_id.is_not(None), _has_gaps))
WAITED = _now - _c.started_at


def _fits(name: str, column: Any, type_: Any) -> Any:
    return or_(bindparam(name, type_=type_).is_(None), column == bindparam(name, type_=type_))


def count(*of: Any) -> Any:
    return func.count().filter(and_(JUDGED, *of))


def added(wait: Any, of: Any) -> Any:
    return func.coalesce(func.sum(wait).filter(and_(JUDGED, of)), timedelta(0))


CLOCKS = (
    _c.metric == bindparam("metric"), _c.started_at >= _start, _c.started_at < _end, _c.started_at <= _now,
)  # fmt: skip
_tickets = (
    _fits("priority", ATTRIBUTES["priority"], Text),
    _fits("channel", ATTRIBUTES["channel"], Text),
    _fits("team_id", ATTRIBUTES["team_id"], Uuid),
    _fits("segment", ATTRIBUTES["segment"], Text),
    _fits("region", ATTRIBUTES["region"], Text),
)
# Of clocks joined with their tickets; by what `cohort_of` gives.
COHORT = (*CLOCKS, *_tickets)


def cohort_of(goal: Values, start: datetime, now: datetime, end: datetime) -> dict[str, Any]:
    """The clocks of a goal that started in a span, as `COHORT` asks for them."""
    filter_ = {name: goal["filter"].get(name) for name in FILTERS}
    return {"metric": goal["metric"], "start": start, "end": end, "now": now, **filter_}

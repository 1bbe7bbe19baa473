"""Goals: what is promised on average, and how it stands."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, Text, Uuid, and_, bindparam, func, or_, select

from app.auth.guard import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.events.resource import Resource
from app.goals.schemas import GoalFilter, ServiceGoalIn, ServiceGoalPatch
from app.goals.tables import service_goals
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock
from app.sla.core.goal import Cohort, Uneven, judge_mean
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets
from app.web.paging import Listing, Order
from app.web.schemas import fold

_FILTERS = tuple(GoalFilter.model_fields)
_COLUMNS = ["key", "name", "metric", "statistic", "target_seconds", "filter", "rolling_seconds"]
GOALS = Resource(service_goals, "service_goal", _COLUMNS, derived=["key_folded"])
LISTING = Listing(
    "service_goals", GOALS.select, {}, {"created_at": Order((service_goals.c.created_at, service_goals.c.id))}
)

_c, _t = sla_clocks.c, tickets.c
_now = func.statement_timestamp()
_start = _now - bindparam("window", type_=Interval)
_running = _c.ended_at.is_(None)


def _fits(name: str, column: Any, type_: Any) -> Any:
    return or_(bindparam(name, type_=type_).is_(None), column == bindparam(name, type_=type_))


def _sum(of: Any, wait: Any) -> Any:
    return func.coalesce(func.sum(wait).filter(of), timedelta(0))


# Whose time is not simply the time since it started: the core works that out, clock by clock.
_uneven = and_(_running, or_(_c.calendar_id.is_not(None), func.cardinality(_c.pauses + _c.resolved + _c.frozen) > 0))
_judged = ~_c.excluded
_region = bindparam("region", type_=Text)
_its_region = select(customers.c.region).where(customers.c.id == _t.customer_id).scalar_subquery()
_of_region = or_(_region.is_(None), _its_region == _region)
_clocks = (_c.metric == bindparam("metric"), _c.started_at > _start, _c.started_at <= _now)
_tickets = (
    _fits("priority", _t.priority, Text),
    _fits("channel", _t.channel, Text),
    _fits("team_id", _t.team_id, Uuid),
    _fits("segment", _t.segment, Text),
    _of_region,
)
_FIGURES = (
    _now.label("now"),
    _start.label("window_start"),
    func.count(_c.stopped_at).filter(_judged).label("answered"),
    _sum(and_(_judged, _c.stopped_at.is_not(None)), _c.elapsed).label("answered_wait"),
    func.count().filter(and_(_running, _judged)).label("running"),
    _sum(and_(_running, _judged, ~_uneven), _now - _c.started_at).label("running_wait"),
    func.count().filter(and_(_uneven, _judged)).label("uneven"),
    func.count(_c.ended_reason).filter(_judged).label("unanswered"),
    func.count().filter(_c.excluded).label("excluded"),
)


def _of_cohort(*what: Any, filtered: bool, which: tuple[Any, ...] = ()) -> Query:
    """A goal for everything need not look at the tickets: each clock has one."""
    if not filtered:
        return Query(select(*what).select_from(sla_clocks).where(*_clocks, *which))
    joined = sla_clocks.join(tickets, _t.id == _c.ticket_id)
    return Query(select(*what).select_from(joined).where(*_clocks, *_tickets, *which))


_LOADED = [_c[name] for name in LOADED]
_COHORT = {filtered: _of_cohort(*_FIGURES, filtered=filtered) for filtered in (False, True)}
_UNEVEN = {filtered: _of_cohort(*_LOADED, filtered=filtered, which=(_uneven, _judged)) for filtered in (False, True)}
# So many clocks are added up before others have their turn.
_AT_A_TIME = 200


async def create_goal(tx: Transaction, actor: Actor | None, body: ServiceGoalIn) -> dict[str, Any]:
    return shown(await GOALS.create(tx, actor, _values(body.model_dump(mode="json"))))


async def change_goal(
    tx: Transaction, actor: Actor, id: UUID, patch: ServiceGoalPatch, if_match: str | None
) -> dict[str, Any]:
    before = await GOALS.locked(tx, id, if_match)
    values = patch.model_dump(mode="json", exclude_unset=True)
    if "filter" in values:
        # An object is merged: what was not sent stays, null takes a part away.
        values["filter"] = before["filter"] | values["filter"]
    return shown(await GOALS.change(tx, actor, before, _values(values)))


async def judge(tx: Transaction, id: UUID) -> dict[str, Any]:
    """The goal's status now: one read of its cohort, judged by the core."""
    goal = await GOALS.get(tx, id)
    given = {"metric": goal["metric"], "window": timedelta(seconds=goal["rolling_seconds"])}
    if filtered := any(goal["filter"].values()):
        given |= {name: goal["filter"].get(name) for name in _FILTERS}
    cohort = await tx.row(_COHORT[filtered], **given)
    assert cohort is not None
    now: datetime = cohort["now"]
    waits = Cohort(
        cohort["answered"],
        cohort["answered_wait"],
        cohort["running"],
        cohort["running_wait"],
        await _added_up(tx, await tx.rows(_UNEVEN[filtered], **given), now) if cohort["uneven"] else None,
    )
    status = judge_mean(waits, goal["target_seconds"], now)
    return {
        "goal_id": id,
        "at": now,
        "window_start": cohort["window_start"],
        "judgement": status.judgement,
        "target_seconds": goal["target_seconds"],
        "answered": waits.answered,
        "running": waits.running,
        "unanswered": cohort["unanswered"],
        "excluded": cohort["excluded"],
        "mean_answered": status.mean_answered_seconds,
        "mean_floor": status.mean_floor_seconds,
        "slack_seconds": status.slack_seconds,
        "crosses_at": status.crosses_at,
    }


async def _added_up(tx: Transaction, rows: Sequence[Row], now: datetime) -> Uneven:
    known, uneven = await calendars.versions_of(tx, rows), Uneven(now)
    for start in range(0, len(rows), _AT_A_TIME):
        for row in rows[start : start + _AT_A_TIME]:
            uneven.add(as_clock(row, known))
        await asyncio.sleep(0)
    return uneven


def shown(row: Row) -> dict[str, Any]:
    window = {"rolling_seconds": row["rolling_seconds"]}
    filter_ = {**dict.fromkeys(_FILTERS), **row["filter"]}
    return {**row, "window": window, "filter": filter_}


def _values(given: dict[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "window" in values:
        values["rolling_seconds"] = values.pop("window")["rolling_seconds"]
    if "filter" in values:
        values["filter"] = {name: value for name, value in values["filter"].items() if value is not None}
    if "key" in values:
        values["key_folded"] = fold(values["key"])
    return values

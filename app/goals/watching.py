"""Goals are judged when they are asked for, and by the worker when they may have crossed: at `crosses_at`, and every
few seconds for what nobody can tell beforehand. A goal's state is locked while it is judged, and its event and its new
state are one transaction: any number of workers tell of each change once."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.db import Database, Query, Row, Transaction
from app.events import log
from app.goals.judging import judge
from app.goals.schemas import FairnessBy, Statistic
from app.goals.service import FILTERS
from app.goals.tables import service_goal_misses, service_goal_states, service_goals
from app.sla.core.enums import Metric
from app.sla.core.fairness import LOOK_EVERY
from app.sla.core.goal import Judgement

_REFRESH = timedelta(seconds=2)
# Of the error budget, as the stock policy's warning of the target.
_WARN_AT = 0.8


class GoalState(StrEnum):
    met = "met"
    at_risk = "at_risk"
    missed = "missed"


_g, _s = service_goals.c, service_goal_states.c
_NOW = func.clock_timestamp()
_BEGIN = Query(
    pg_insert(service_goal_states)
    .from_select(["goal_id"], select(_g.id).where(~select(_s.goal_id).where(_s.goal_id == _g.id).exists()))
    .on_conflict_do_nothing()
)


def _one_of(column: ColumnElement[str], words: type[StrEnum]) -> ColumnElement[bool]:
    return column.in_([literal_column(f"'{each}'") for each in words])


_CLAIM = Query(
    select(service_goal_states, _g.metric, _g.fairness)
    .join(service_goals, _g.id == _s.goal_id)
    .where(
        _s.next_at <= _NOW,
        # What only a newer release judges is left to its workers.
        _one_of(_g.statistic, Statistic),
        _one_of(_g.metric, Metric),
        _g.fairness.is_(None) | _one_of(_g.fairness["by"].astext, FairnessBy),
        _g.filter.op("-")(literal_column(f"ARRAY{list(FILTERS)}")) == literal_column("'{}'::jsonb"),
    )
    .order_by(_s.next_at)
    .limit(1)
    .with_for_update(of=service_goal_states, skip_locked=True)
)
_JUDGED = Query(
    update(service_goal_states).where(_s.goal_id == bindparam("key_id")),
    ["standing", "value", "crosses_at", "judged_at", "next_at"],
)


_m = service_goal_misses.c
_MISSED = Query(pg_insert(service_goal_misses).on_conflict_do_nothing(), ["goal_id", "missed_at"])
_RECOVERED = Query(
    update(service_goal_misses).where(_m.goal_id == bindparam("key_id"), _m.recovered_at.is_(None)), ["recovered_at"]
)


async def run_once(db: Database) -> bool:
    """Judge one goal that is due; whether there was one."""
    return await db.run(_judge_next)


async def _judge_next(tx: Transaction) -> bool:
    # Who claims what another worker has just judged is told so by the database, and begins again.
    await tx.snapshot()
    await tx.rows(_BEGIN)
    state = await tx.locked_row(_CLAIM)
    if state is None:
        return False
    status = await judge(tx, state["goal_id"], burn_rate=False)
    _record_event(tx, state, status)
    now: datetime = status["at"]
    soon = now + (LOOK_EVERY if state["fairness"] else _REFRESH)
    crosses_at = status["crosses_at"]
    # A millisecond after: exactly on the target is still met.
    next_at = min(soon, crosses_at + timedelta(milliseconds=1)) if crosses_at else soon
    tx.write(
        _JUDGED, key_id=state["goal_id"], standing=standing_of(status), value=status["value"], crosses_at=crosses_at,
        judged_at=now, next_at=max(next_at, now),
    )  # fmt: skip
    return True


def standing_of(status: dict[str, Any]) -> GoalState:
    if status["judgement"] == Judgement.missed:
        return GoalState.missed
    return GoalState.at_risk if (status["budget_spent"] or 0) > _WARN_AT else GoalState.met


def _record_event(tx: Transaction, state: Row, status: dict[str, Any]) -> None:
    before, after = GoalState(state["standing"]), standing_of(status)
    now: datetime = status["at"]
    figures = ("statistic", "target_seconds", "target_percent", "value", "mean_floor", "crosses_at")
    data = {"metric": state["metric"], **{name: status[name] for name in figures}}
    if before is GoalState.missed and after is not GoalState.missed:
        log.record(tx, log.SYSTEM, "goal.recovered", state["goal_id"], now, data)
        tx.write(_RECOVERED, key_id=state["goal_id"], recovered_at=now)
    if after is before:
        return
    if after is GoalState.missed:
        # It happened when it was to happen, where nothing came between; never before it was last judged.
        foretold = state["crosses_at"]
        at = foretold if foretold and state["judged_at"] <= foretold <= now else now
        if state["fairness"]:
            log.record(tx, log.SYSTEM, "goal.unfair", state["goal_id"], at, _unfair(state, status))
        else:
            log.record(tx, log.SYSTEM, "goal.missed", state["goal_id"], at, data)
        tx.write(_MISSED, goal_id=state["goal_id"], missed_at=at)
    elif after is GoalState.at_risk:
        log.record(tx, log.SYSTEM, "goal.at_risk", state["goal_id"], now, data)


def _unfair(state: Row, status: dict[str, Any]) -> dict[str, Any]:
    """Of the group that is worst off."""
    worst = status["groups"][0]
    told = ("group", "behind", "waits", "attainment", "gap_points", "at_least_points")
    return {
        "metric": state["metric"], "target_seconds": status["target_seconds"], **state["fairness"],
        **{name: worst[name] for name in told},
    }  # fmt: skip

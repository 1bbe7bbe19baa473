"""Goals are judged when they are asked for, and by the worker when they may have crossed: at `crosses_at`, and every
few seconds for what nobody can tell beforehand. A goal's state is locked while it is judged, and its event and its new
state are one transaction: any number of workers tell of each change once."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.db import Database, Query, Row, Transaction
from app.events import log
from app.goals.judging import judge
from app.goals.tables import service_goal_states, service_goals
from app.sla.core.goal import Judgement

_REFRESH = timedelta(seconds=2)
# Of the error budget, as the stock policy's warning of the target.
_WARN_AT = 0.8


class Standing(StrEnum):
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
_CLAIM = Query(
    select(service_goal_states, _g.metric)
    .join(service_goals, _g.id == _s.goal_id)
    .where(_s.next_at <= _NOW)
    .order_by(_s.next_at)
    .limit(1)
    .with_for_update(of=service_goal_states, skip_locked=True)
)
_JUDGED = Query(
    update(service_goal_states).where(_s.goal_id == bindparam("key_id")),
    ["standing", "crosses_at", "judged_at", "next_at"],
)


async def turn(db: Database) -> bool:
    """Judge one goal that is due; whether there was one."""
    return await db.run(_turn)


async def _turn(tx: Transaction) -> bool:
    # Who claims what another worker has just judged is told so by the database, and begins again.
    await tx.snapshot()
    await tx.rows(_BEGIN)
    state = await tx.locked_row(_CLAIM)
    if state is None:
        return False
    status = await judge(tx, state["goal_id"], burn_rate=False)
    _tell(tx, state, status)
    now: datetime = status["at"]
    soon = now + _REFRESH
    crosses_at = status["crosses_at"]
    # A millisecond after: exactly on the target is still met.
    next_at = min(soon, crosses_at + timedelta(milliseconds=1)) if crosses_at else soon
    tx.write(
        _JUDGED, key_id=state["goal_id"], standing=standing_of(status), crosses_at=crosses_at, judged_at=now,
        next_at=max(next_at, now),
    )  # fmt: skip
    return True


def standing_of(status: dict[str, Any]) -> Standing:
    if status["judgement"] == Judgement.missed:
        return Standing.missed
    return Standing.at_risk if (status["budget_spent"] or 0) > _WARN_AT else Standing.met


def _tell(tx: Transaction, state: Row, status: dict[str, Any]) -> None:
    before, after = Standing(state["standing"]), standing_of(status)
    now: datetime = status["at"]
    figures = ("statistic", "target_seconds", "target_percent", "value", "mean_floor", "crosses_at")
    data = {"metric": state["metric"], **{name: status[name] for name in figures}}
    if before is Standing.missed and after is not Standing.missed:
        log.record(tx, log.SYSTEM, "goal.recovered", state["goal_id"], now, data)
    if after is before:
        return
    if after is Standing.missed:
        # It happened when it was to happen, where nothing came between; never before it was last judged.
        foretold = state["crosses_at"]
        at = foretold if foretold and state["judged_at"] <= foretold <= now else now
        log.record(tx, log.SYSTEM, "goal.missed", state["goal_id"], at, data)
    elif after is Standing.at_risk:
        log.record(tx, log.SYSTEM, "goal.at_risk", state["goal_id"], now, data)

"""What is kept of a goal's past against the log and the goal: when it stood missed, and what it asks for. The figures
of its history are not kept: they are worked out from the clocks each time, and those are verified by themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select

from app.db import Query, Row, Transaction
from app.events.tables import event_log, events
from app.goals.service import DEFINITION
from app.goals.tables import service_goal_misses, service_goal_versions, service_goals

_g, _v, _m, _e = service_goals.c, service_goal_versions.c, service_goal_misses.c, events.c
_all = service_goal_versions.alias("every").c
_newest = select(func.max(_all.version)).where(_all.goal_id == _g.id).scalar_subquery()
_dropped_before = select(event_log.c.dropped_before).scalar_subquery()
_GOALS = Query(
    select(_g.id, *(_g[name] for name in DEFINITION), *(_v[name].label(f"kept_{name}") for name in DEFINITION))
    .select_from(service_goals.outerjoin(service_goal_versions, (_v.goal_id == _g.id) & (_v.version == _newest)))
    .order_by(_g.id)
)
_MISSES = Query(
    select(service_goal_misses)
    .where(or_(_dropped_before.is_(None), _m.missed_at >= _dropped_before))
    .order_by(_m.goal_id, _m.missed_at)
)
_TOLD = Query(
    select(_e.subject_id, _e.type, _e.occurred_at)
    .where(
        _e.ticket_id.is_(None),
        _e.subject_id.in_(select(_g.id)),
        or_(*(_e.type == f"goal.{what}" for what in ("missed", "unfair", "recovered"))),
    )
    .order_by(_e.id)
)


@dataclass(frozen=True, slots=True)
class GoalDifference:
    goal_id: UUID
    field: str
    stored: object
    computed: object


async def verify_goals(tx: Transaction) -> list[GoalDifference]:
    """What differs. Reads a snapshot."""
    await tx.snapshot()
    goals = await tx.rows(_GOALS)
    kept: dict[UUID, list[tuple[datetime, datetime | None]]] = {row["id"]: [] for row in goals}
    for row in await tx.rows(_MISSES):
        kept[row["goal_id"]].append((row["missed_at"], row["recovered_at"]))
    told = _spans(await tx.rows(_TOLD))
    found = [
        GoalDifference(row["id"], name, row[f"kept_{name}"], row[name])
        for row in goals
        for name in DEFINITION
        if row[f"kept_{name}"] != row[name]
    ]
    found += [
        GoalDifference(id_, "misses", spans, told.get(id_, []))
        for id_, spans in kept.items()
        if spans != told.get(id_, [])
    ]
    return found


def _spans(rows: Iterable[Row]) -> dict[UUID, list[tuple[datetime, datetime | None]]]:
    """From each event that a goal is missed, or unfair, to the one that it has recovered. What recovered from a miss
    that the log's retention has dropped is left out."""
    found: dict[UUID, list[tuple[datetime, datetime | None]]] = {}
    for row in rows:
        spans = found.setdefault(row["subject_id"], [])
        if row["type"] != "goal.recovered":
            spans.append((row["occurred_at"], None))
        elif spans:
            spans[-1] = spans[-1][0], row["occurred_at"]
    return found

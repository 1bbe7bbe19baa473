"""How far groups of a goal's cohort are apart, judged by the core."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal_column, or_, select

from app.customers.tables import customers
from app.db import Query, Row, Transaction, Values
from app.goals.cohort import ANSWERED, COHORT, EVEN, EXACTLY, JUDGED, RUNNING, TARGET, UNEVEN, WAITED
from app.goals.schemas import FairnessBy
from app.release import word
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock
from app.sla.core.fairness import Attainment, Gap, gaps, unfair
from app.sla.core.goal import Judgement
from app.sla.core.share import ClocksAgainstTarget
from app.sla.tables import sla_clocks
from app.tickets.attribution import ATTRIBUTES
from app.tickets.tables import tickets

MOST_GROUPS = 50
_AT_A_TIME = 200
_c, _t = sla_clocks.c, tickets.c
_counted = or_(ANSWERED, RUNNING)
_late = or_(ANSWERED & (_c.elapsed > TARGET), EVEN & (WAITED > TARGET))
_LANGUAGE = select(customers.c.language).where(customers.c.id == _t.customer_id).scalar_subquery()
_GROUPS: Mapping[FairnessBy, ColumnElement[Any]] = {
    FairnessBy.segment: ATTRIBUTES["segment"],
    FairnessBy.region: ATTRIBUTES["region"],
    FairnessBy.language: _LANGUAGE,
}


class _Queries:
    def __init__(self, group: ColumnElement[Any]) -> None:
        of = sla_clocks.join(tickets, _t.id == _c.ticket_id)
        named = group.label("by")
        each = select(named, case((_late, 1), else_=0).label("late")).select_from(of).where(*COHORT, JUDGED, _counted)
        waits = each.subquery().c
        number = func.count()
        self.groups = Query(
            select(waits.by, number.label("waits"), func.sum(waits.late).label("late"))
            .where(waits.by.is_not(None))
            .group_by(waits.by)
            .order_by(number.desc(), waits.by)
            .limit(literal_column(str(MOST_GROUPS)))
        )
        self.uneven = Query(
            select(named, *(_c[name] for name in LOADED)).select_from(of).where(*COHORT, JUDGED, or_(UNEVEN, EXACTLY))
        )


_QUERIES = {by: _Queries(group) for by, group in _GROUPS.items()}


async def judge_groups(tx: Transaction, goal: Values, given: Mapping[str, Any]) -> dict[str, Any]:
    """Missed where it is unfair. Raises NewerRelease."""
    fairness: Mapping[str, Any] = goal["fairness"]
    queries, allowed = _QUERIES[word(FairnessBy, fairness["by"])], fairness["max_gap_points"]
    rows = await tx.rows(queries.groups, **given)
    late = {row["by"]: row["late"] for row in rows}
    for by, misses in (await _late_by_the_core(tx, await tx.rows(queries.uneven, **given), given)).items():
        if by in late:
            late[by] += misses
    groups = {row["by"]: Attainment(row["waits"], row["waits"] - late[row["by"]]) for row in rows}
    found = gaps(groups, allowed)
    return {
        "judgement": _judgement(found, allowed),
        "value": max((gap.at_least for gap in found), default=None),
        "value_answered": None, "slack_seconds": None, "misses": None, "allowed_misses": None, "crosses_at": None,
        "groups": _described(groups, found),
    }  # fmt: skip


def _judgement(found: list[Gap], allowed: float) -> Judgement:
    if not found:
        return Judgement.no_data
    return Judgement.missed if unfair(found, allowed) else Judgement.met


def _described(groups: Mapping[str, Attainment], found: list[Gap]) -> list[dict[str, Any]]:
    behind = {gap.group: gap for gap in found}
    return [
        {
            "group": name, "waits": groups[name].count, "attainment": 100 * groups[name].share,
            "behind": gap.best if gap else None, "gap_points": gap.points if gap else None,
            "at_least_points": gap.at_least if gap else None, "needed": gap.needed if gap else None,
        }
        for name in [*behind, *(name for name in groups if name not in behind)]
        for gap in [behind.get(name)]
    ]  # fmt: skip


async def _late_by_the_core(tx: Transaction, rows: list[Row], given: Mapping[str, Any]) -> dict[str | None, int]:
    """Of clocks whose time does not simply pass, and of those answered with the target used up."""
    known = await calendars.versions_of(tx, rows)
    target: timedelta = given["target"]
    now: datetime = given["now"]
    late: dict[str | None, int] = {}
    for number, row in enumerate(rows):
        clock, against = as_clock(row, known), ClocksAgainstTarget(target, now)
        if clock.answered:
            misses = int(against.is_late(clock))
        else:
            against.add(clock)
            misses = against.misses
        late[row["by"]] = late.get(row["by"], 0) + misses
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    return late

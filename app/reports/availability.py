"""How long agents were online, and how much they answered meanwhile."""

from collections import defaultdict
from collections.abc import Iterable, Set
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Uuid, bindparam, func, literal_column, select

from app.agents.tables import agents, team_members
from app.availability.presences import Stretch, stretches
from app.availability.schemas import AvailabilityState
from app.db import Query, Row, Transaction
from app.reports import grouping
from app.reports.schemas import AvailabilityReportQuery, GroupBy
from app.sla.core.enums import RESPONSES
from app.sla.tables import sla_clocks

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_NONE = timedelta(0)
_c = sla_clocks.c
_from, _to = (bindparam(name, type_=DateTime(timezone=True)) for name in ("from_", "to"))
_instants = ARRAY(DateTime(timezone=True))
_online = (
    func.unnest(
        bindparam("agent_ids", type_=ARRAY(Uuid)),
        bindparam("starts", type_=_instants),
        bindparam("ends", type_=_instants),
    )
    .table_valued("agent_id", "start_at", "end_at")
    .render_derived(name="online")
)
_was_online = (
    (_online.c.agent_id == _c.responder_id) & (_c.stopped_at >= _online.c.start_at) & (_c.stopped_at < _online.c.end_at)
)
# Nothing is answered before it began: what began after the span is not looked at.
_ANSWERED = Query(
    select(
        _c.responder_id.label("agent_id"),
        func.count().label("answered"),
        func.count(_online.c.agent_id).label("answered_online"),
    )
    .select_from(sla_clocks.outerjoin(_online, _was_online))
    .where(
        _c.metric.in_([literal_column(f"'{metric}'") for metric in sorted(RESPONSES)]),
        _c.started_at < _to,
        _c.stopped_at >= _from,
        _c.stopped_at < _to,
        _c.responder_id.is_not(None),
        ~_c.spam,
    )
    .group_by(_c.responder_id)
)
_EVERYBODY = Query(select(agents.c.id).where(agents.c.active))
_TEAMS = Query(select(team_members.c.agent_id, team_members.c.team_id))


async def availability(tx: Transaction, query: AvailabilityReportQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """Of every active agent, and of others with figures. The transaction must read a snapshot. Cost: the changes of
    availability in the span, and the clocks that started before its end. Raises Invalid."""
    from_, to = query.span()
    from_, to = from_ or _BEGINNING, to or await tx.now()
    found = await stretches(tx, from_, to)
    answered = await tx.rows(_ANSWERED, from_=from_, to=to, **_as_arrays(found))
    figures = _by_agent(found, answered)
    for row in await tx.rows(_EVERYBODY):
        figures[row["id"]]
    if query.agent:
        figures = {id_: figures[id_] for id_ in query.agent if id_ in figures}
    return await _grouped(tx, figures, query, scopes)


def _as_arrays(found: Iterable[Stretch]) -> dict[str, Any]:
    online = [each for each in found if each.state is AvailabilityState.online]
    return {
        "agent_ids": [each.agent_id for each in online],
        "starts": [each.start for each in online],
        "ends": [each.end for each in online],
    }


def _nothing() -> dict[str, Any]:
    return {"online": _NONE, "away": _NONE, "answered": 0, "answered_online": 0}


def _by_agent(found: Iterable[Stretch], answered: Iterable[Row]) -> dict[UUID, dict[str, Any]]:
    figures: dict[UUID, dict[str, Any]] = defaultdict(_nothing)
    for each in found:
        figures[each.agent_id][each.state.value] += each.end - each.start
    for row in answered:
        figures[row["agent_id"]] |= {name: row[name] for name in ("answered", "answered_online")}
    return figures


async def _grouped(
    tx: Transaction, figures: dict[UUID, dict[str, Any]], query: AvailabilityReportQuery, scopes: Set[str]
) -> list[dict[str, Any]]:
    groups = tuple(GroupBy(group) for group in dict.fromkeys(query.group_by or ()))
    teams: dict[UUID, list[UUID | None]] = defaultdict(list)
    if query.team or GroupBy.team in groups:
        for row in await tx.rows(_TEAMS):
            teams[row["agent_id"]].append(row["team_id"])
    if query.team:
        teams |= {id_: [one for one in teams[id_] or [None] if one in query.team] for id_ in figures}
        figures = {id_: each for id_, each in figures.items() if teams[id_]}
    rows: dict[tuple[UUID | None, UUID | None], dict[str, Any]] = defaultdict(_nothing)
    if not groups:
        rows[None, None] = _nothing()
    for id_, each in figures.items():
        # Whoever is in several teams counts with each.
        for team in (teams[id_] or [None]) if GroupBy.team in groups else [None]:
            total = rows[id_ if GroupBy.agent in groups else None, team]
            for name, value in each.items():
                total[name] += value
    keyed = [{"by_agent": agent, "by_team": team, **row} for (agent, team), row in rows.items()]
    describe = await grouping.describer(tx, keyed, groups, scopes)
    return [_described(row) | {"group": describe(row)} for row in keyed]


def _described(row: dict[str, Any]) -> dict[str, Any]:
    online: timedelta = row["online"]
    return {
        "online_seconds": online.total_seconds(),
        "away_seconds": row["away"].total_seconds(),
        "answered": row["answered"],
        "answered_online": row["answered_online"],
        "answered_per_hour": row["answered_online"] / (online / timedelta(hours=1)) if online else None,
    }

"""Goals: what is promised of many waits together. How one stands: `judging.py`."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select

from app.agents.tables import teams
from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events.resource import Resource
from app.goals.schemas import GoalFilter, ServiceGoalIn, ServiceGoalPatch, Statistic
from app.goals.tables import service_goal_versions, service_goals
from app.segments.known_words import known_words
from app.segments.tables import segments
from app.sla.core.calendar import zone_names
from app.web.paging import Listing, Order
from app.web.schemas import fold

FILTERS = tuple(GoalFilter.model_fields)
_COLUMNS = [
    "key", "name", "metric", "statistic", "target_seconds", "target_percent", "fairness", "filter", "rolling_seconds",
    "calendar_day",
]  # fmt: skip
_DAY_SECONDS = 86_400
DEFINITION = _COLUMNS[2:]
_KEEP = Query(insert(service_goal_versions), ["goal_id", "version", "from_at", *DEFINITION])
_SEGMENTS = Query(select(segments.c.key).order_by(segments.c.position, segments.c.id))
_TEAM = Query(select(teams.c.id).where(teams.c.id == bindparam("team_id")))
GOALS = Resource(service_goals, "service_goal", _COLUMNS, derived=["key_folded"])
LISTING = Listing(
    "service_goals", GOALS.select, {}, {"created_at": Order((service_goals.c.created_at, service_goals.c.id))}
)


async def create_goal(tx: Transaction, actor: Actor | None, body: ServiceGoalIn) -> dict[str, Any]:
    """Raises Invalid."""
    values = _values(body.model_dump(mode="json"))
    _check_statistic(values)
    await check_filter(tx, values["filter"])
    return to_response(_keep(tx, await GOALS.create(tx, actor, values)))


async def change_goal(
    tx: Transaction, actor: Actor, id: UUID, patch: ServiceGoalPatch, if_match: str | None
) -> dict[str, Any]:
    """Raises Invalid and what `Resource.locked` raises."""
    before = await GOALS.locked(tx, id, if_match)
    given = patch.model_dump(mode="json", exclude_unset=True)
    # An object is merged: what was not sent stays, null takes a part away.
    if "filter" in given:
        given["filter"] = before["filter"] | given["filter"]
    if "fairness" in given:
        given["fairness"] = (before["fairness"] or {}) | given["fairness"]
    if "window" in given:
        given["window"] = _window(before) | given["window"]
    values = _values(given)
    _check_statistic({**before, **values})
    if "filter" in values:
        await check_filter(tx, values["filter"])
    after = await GOALS.change(tx, actor, before, values)
    return to_response(_keep(tx, after) if after["version"] != before["version"] else after)


def _keep(tx: Transaction, goal: Row) -> Row:
    """Its history judges each day by what it asked for then."""
    given = {name: goal[name] for name in DEFINITION}
    tx.write(_KEEP, goal_id=goal["id"], version=goal["version"], from_at=goal["updated_at"], **given)
    return goal


def to_response(row: Row) -> dict[str, Any]:
    filter_ = {**dict.fromkeys(FILTERS), **row["filter"]}
    return {**row, "window": _window(row), "filter": filter_}


def _window(row: Row) -> dict[str, Any]:
    day = row["calendar_day"]
    return {"rolling_seconds": None if day else row["rolling_seconds"], "calendar_day": day}


def _values(given: dict[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "window" in values:
        window = values.pop("window")
        _check_window(window)
        values |= {**window, "rolling_seconds": window["rolling_seconds"] or _DAY_SECONDS}
    if "filter" in values:
        values["filter"] = {name: value for name, value in values["filter"].items() if value is not None}
    if "key" in values:
        values["key_folded"] = fold(values["key"])
    return values


def _check_window(window: dict[str, Any]) -> None:
    given = [name for name, value in window.items() if value is not None]
    if len(given) != 1:
        code = "unexpected" if given else "required"
        raise Invalid.at("/window", code, f"either {' or '.join(window)}; null takes one away")
    zone = window["calendar_day"]
    if zone is not None and zone not in zone_names():
        raise Invalid.at("/window/calendar_day", "unknown_zone", "an IANA time zone, such as Europe/Helsinki")


async def check_filter(tx: Transaction, filter_: dict[str, Any]) -> None:
    """Raises Invalid for a segment or a team that is not there: the goal would judge nobody, for ever."""
    if "segment" in filter_:
        keys = [row["key"] for row in await tx.rows(_SEGMENTS)]
        if filter_["segment"] not in keys:
            raise Invalid.at("/filter/segment", "unknown_word", known_words(filter_["segment"], keys))
    if "team_id" in filter_ and await tx.row(_TEAM, team_id=UUID(filter_["team_id"])) is None:
        raise Invalid.at("/filter/team_id", "unknown", "there is no team with this id")


_OWN = {
    "target_percent": (Statistic.attainment, "an attainment, and only that, says how many percent"),
    "fairness": (Statistic.fairness, "fairness, and only that, says between whom and how many points"),
}


def _check_statistic(goal: dict[str, Any]) -> None:
    for field, (statistic, words) in _OWN.items():
        wanted, given = goal["statistic"] == statistic, goal[field] is not None
        if wanted != given:
            raise Invalid.at(f"/{field}", "required" if wanted else "unexpected", words)

"""Goals: what is promised of many waits together. How one stands: `judging.py`."""

from typing import Any
from uuid import UUID

from app.auth.guard import Actor
from app.db import Row, Transaction
from app.errors import Invalid
from app.events.resource import Resource
from app.goals.schemas import GoalFilter, ServiceGoalIn, ServiceGoalPatch, Statistic
from app.goals.tables import service_goals
from app.sla.core.calendar import zone_names
from app.web.paging import Listing, Order
from app.web.schemas import fold

FILTERS = tuple(GoalFilter.model_fields)
_COLUMNS = [
    "key", "name", "metric", "statistic", "target_seconds", "target_percent", "filter", "rolling_seconds",
    "calendar_day",
]  # fmt: skip
_DAY_SECONDS = 86_400
GOALS = Resource(service_goals, "service_goal", _COLUMNS, derived=["key_folded"])
LISTING = Listing(
    "service_goals", GOALS.select, {}, {"created_at": Order((service_goals.c.created_at, service_goals.c.id))}
)


async def create_goal(tx: Transaction, actor: Actor | None, body: ServiceGoalIn) -> dict[str, Any]:
    """Raises Invalid."""
    values = _values(body.model_dump(mode="json"))
    _check_percent(values)
    return shown(await GOALS.create(tx, actor, values))


async def change_goal(
    tx: Transaction, actor: Actor, id: UUID, patch: ServiceGoalPatch, if_match: str | None
) -> dict[str, Any]:
    """Raises Invalid and what `Resource.locked` raises."""
    before = await GOALS.locked(tx, id, if_match)
    given = patch.model_dump(mode="json", exclude_unset=True)
    # An object is merged: what was not sent stays, null takes a part away.
    if "filter" in given:
        given["filter"] = before["filter"] | given["filter"]
    if "window" in given:
        given["window"] = _window(before) | given["window"]
    values = _values(given)
    _check_percent({**before, **values})
    return shown(await GOALS.change(tx, actor, before, values))


def shown(row: Row) -> dict[str, Any]:
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


def _check_percent(goal: dict[str, Any]) -> None:
    is_share, given = goal["statistic"] == Statistic.attainment, goal["target_percent"] is not None
    if is_share != given:
        code = "required" if is_share else "unexpected"
        raise Invalid.at("/target_percent", code, "an attainment, and only that, says how many percent")

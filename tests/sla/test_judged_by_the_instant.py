"""A wait is late after the instant of its deadline, for the clock, the goal, the report and the import alike; never by
comparing the time that counted with the target."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.imports import imported, item
from tests.support.verification import Body, assert_verified, write_calendar, write_targets

DAY_SECONDS = 8 * 3600


def _monday() -> datetime:
    """The Monday of the week before: it is over, and within the longest window of a goal."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday() + 7)


async def _opened_and_answered(client: httpx.AsyncClient, answered: timedelta) -> Body:
    """A ticket that opened on Monday at nine in an office that closes at five, and promises eight hours."""
    calendar = await write_calendar(client, timezone="UTC")
    of = {"seconds": DAY_SECONDS, "hours": "business"}
    targets = [{"metric": metric, **of} for metric in ("first_response", "resolution")]
    await write_targets(client, *targets, calendar_id=calendar["id"])
    monday = _monday()
    answer = {"at": (monday + answered).isoformat(), "kind": "message", "author": "agent", "body": "On it."}
    opened_at = (monday + timedelta(hours=9)).isoformat()
    resolved = {"at": answer["at"], "kind": "status", "status": "resolved", "by": "agent"}
    ticket = await imported(client, item("INC-1", answer, resolved, created_at=opened_at))
    clock, resolution = [
        next(each for each in ticket["clocks"] if each["metric"] == metric)
        for metric in ("first_response", "resolution")
    ]
    assert (resolution["state"], resolution["stopped_at"]) == (clock["state"], clock["stopped_at"])
    return dict(clock)


@pytest.mark.parametrize(
    ("answered", "state"),
    [
        (timedelta(hours=17), "met"),
        (timedelta(hours=17, microseconds=1), "breached"),
        (timedelta(hours=17, minutes=30), "breached"),
        (timedelta(days=1, hours=9), "breached"),
    ],
)
async def test_used_up_at_closing_and_answered_while_closed_is_late_for_clock_goal_and_report(
    client: httpx.AsyncClient, db: Database, answered: timedelta, state: str
) -> None:
    clock = await _opened_and_answered(client, answered)
    late = state == "breached"
    assert (clock["state"], clock["elapsed_seconds"]) == (state, DAY_SECONDS)
    goals: dict[str, dict[str, Any]] = {"attainment": {"target_percent": 80}, "p90": {}}
    for statistic, given in goals.items():
        window = {"rolling_seconds": 31 * 86_400}
        body = {"key": statistic, "name": "G", "statistic": statistic, "target_seconds": DAY_SECONDS, "window": window}
        goal = (await client.post("/v1/service-goals", json={**body, **given})).json()
        status = (await client.get(f"/v1/service-goals/{goal['id']}/status")).json()
        assert (status["misses"], status["judgement"]) == (int(late), "missed" if late else "met"), statistic
        history = (await client.get(f"/v1/service-goals/{goal['id']}/history")).json()["items"]
        assert [day["value"] for day in history if day["answered"]] == [status["value"]], statistic
        if statistic == "attainment":
            assert status["value"] == status["value_answered"] == (0 if late else 100)
    [row] = (await client.get("/v1/reports/response-times?metric=first_response")).json()["items"]
    assert (row["met"], row["breached"]) == (int(not late), int(late))
    await assert_verified(db)

"""How many agents are needed: the past is counted as by hand, and what is not known is said."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.sla.core.staffing import Demand, Target
from tests.conftest import Person
from tests.goals.test_goal_why import said_online
from tests.support.expect import problem
from tests.support.imports import item, send
from tests.support.sla import Sql
from tests.support.verification import Body, good

Make = Callable[..., Awaitable[Person]]
URL = "/v1/staffing/forecast"
MEAN = {"target": {"target_seconds": 90}}
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
WEEKS = 5
# Each day three are answered, and one gives up.
WAITS = (30, 40, 50)
GAVE_UP = 24


async def _past(client: httpx.AsyncClient, sql: Sql, agent: Person, at: Callable[[int], datetime]) -> None:
    """Every day for some weeks; `at` is when they come, so many days ago. Each took 300 s to handle."""
    items = []
    for days in range(1, 7 * WEEKS + 1):
        opened = at(days)
        for number, wait in enumerate(WAITS):
            answer = {"at": (opened + timedelta(seconds=wait)).isoformat(), "kind": "message", "author": "agent",
                      "body": "Yes."}  # fmt: skip
            items.append(item(f"a-{days}-{number}", answer, created_at=opened.isoformat(), channel="chat"))
        closed = (opened + timedelta(seconds=GAVE_UP)).isoformat()
        gone = {"at": closed, "kind": "status", "status": "closed", "by": "customer"}
        items.append(item(f"g-{days}", gone, created_at=opened.isoformat(), channel="chat"))
    made = await send(client, *items)
    assert made["created"] == len(items)
    answered = [UUID(each["ticket_id"]) for each in made["items"] if each["external_id"].startswith("a-")]
    await sql.execute("UPDATE tickets SET handling_seconds = 300 WHERE id = ANY($1)", answered)
    await said_online(sql, agent, at(7 * WEEKS) - timedelta(hours=1), at(1) + timedelta(hours=2))


def _at_ten(days: int) -> datetime:
    return TODAY - timedelta(days=days) + timedelta(hours=10, minutes=20)


async def _forecast(client: httpx.AsyncClient, **body: Any) -> Body:
    return good(await client.post(URL, json=body))


async def test_the_past_is_counted_and_the_plan_is_that_of_the_formulas(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    await _past(client, sql, await person("agent"), _at_ten)
    found = await _forecast(client, **MEAN, shrinkage=0.3, weeks=WEEKS)
    days = 7 * WEEKS
    assert (found["handling_seconds"], found["patience"]["waits"], found["patience"]["abandoned"]) == (
        300, 4 * days, days,
    )  # fmt: skip
    assert found["patience_seconds"] == found["patience"]["mean_seconds"] == sum(WAITS) + GAVE_UP
    assert (found["patience"]["p25"], found["patience"]["p50"]) == (GAVE_UP, None)
    assert len(found["items"]) == 7 * 24
    [busy] = {each["start"][11:] for each in found["items"] if each["arrivals"]}
    assert busy == "10:00:00Z"
    demand = Demand(4 / 3600, 300, 144)
    agents = demand.least(Target(90, None, 0.05))
    for each in found["items"]:
        assert each["past_intervals"] == WEEKS
        if not each["arrivals"]:
            assert (each["agents"], each["options"]) == (0, [])
            continue
        assert (each["arrivals"], each["agents"], each["scheduled"]) == (4, agents, 3)
        assert [option["agents"] for option in each["options"]] == [1, 2, 3]
        figures = demand.figures(2, 90)
        assert each["options"][1] == {
            "agents": 2, "scheduled": 3, "mean_wait_seconds": figures.wait, "within_percent": 100 * figures.within,
            "abandoned_percent": 100 * figures.gone, "occupancy_percent": 100 * figures.occupancy,
        }  # fmt: skip
    # Each day is as the one before: who says so errs by nothing, the model does, and says by how much.
    error = found["error"]
    assert error["mean_wait_seconds"] == (sum(WAITS) + GAVE_UP) / 4
    assert (error["as_before_error_seconds"], error["hours_without_answer"]) == (0, 0)
    assert error["hours"] >= 15
    assert error["mean_absolute_error_seconds"] > 0
    assert found["unsure"] == [
        "In the past the model was further off than what the same hour of the day before had been."
    ]
    # Of the fifth week, and of no other: four weeks are before none but that one.
    assert found["arrivals_error"] == {"intervals": 7, "covered_percent": 100}


async def test_intervals_are_of_the_time_zone_through_a_change_of_its_clocks(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    helsinki = ZoneInfo("Europe/Helsinki")

    def at(days: int) -> datetime:
        return (_at_ten(days).replace(tzinfo=helsinki)).astimezone(UTC)

    await _past(client, sql, await person("agent"), at)
    found = await _forecast(
        client, **MEAN, timezone="Europe/Helsinki", interval="quarter_hour", days=3, weeks=4, **{"from": "2036-03-29"}
    )
    # On that Sunday an hour is left out.
    assert len(found["items"]) == 92 + 96 + 96
    busy = [each["start"] for each in found["items"] if each["arrivals"]]
    assert busy == ["2036-03-29T08:15:00Z", "2036-03-30T07:15:00Z", "2036-03-31T07:15:00Z"]


async def test_a_goal_brings_its_filter_and_a_filter_leaves_out_the_others(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    await _past(client, sql, await person("agent"), _at_ten)
    goal = {"key": "g", "name": "G", "statistic": "attainment", "target_seconds": 20, "target_percent": 80,
            "filter": {"channel": "chat"}, "window": {"rolling_seconds": 3600}}  # fmt: skip
    made = good(await client.post("/v1/service-goals", json=goal))
    found = await _forecast(client, goal_id=made["id"])
    assert (found["statistic"], found["target_seconds"], found["target_percent"]) == ("attainment", 20, 80)
    demand = Demand(4 / 3600, 300, 144)
    [agents] = {each["agents"] for each in found["items"] if each["arrivals"]}
    assert agents == demand.least(Target(20, 0.8, 0.05))
    other = await _forecast(client, **MEAN, filter={"channel": "email"}, handling_seconds=60)
    assert not any(each["arrivals"] for each in other["items"])
    assert other["patience"]["waits"] == 0


async def test_what_is_said_is_taken_and_what_is_not_known_is_told(client: httpx.AsyncClient) -> None:
    found = await _forecast(
        client, **MEAN, handling_seconds=240, patience_seconds=120, arrivals=[720, 0, 60.5], max_abandoned_percent=3
    )
    demand = Demand(0.2, 240, 120)
    assert [each["agents"] for each in found["items"]] == [
        demand.least(Target(90, None, 0.03)), 0, Demand(60.5 / 3600, 240, 120).least(Target(90, None, 0.03)),
    ]  # fmt: skip
    assert (
        found["items"][0]["options"][1]["abandoned_percent"] <= 3 < found["items"][0]["options"][0]["abandoned_percent"]
    )
    assert found["error"] is None
    assert found["unsure"] == ["The past does not say how long tickets take: the error on it is not known."]
    nothing = await _forecast(client, **MEAN, handling_seconds=240, days=1)
    assert {each["arrivals"] for each in nothing["items"]} == {None}
    assert {each["agents"] for each in nothing["items"]} == {None}
    assert nothing["unsure"][0].startswith("Nothing is planned for 24 intervals")
    assert nothing["unsure"][1].startswith("Only 0 customers gave up")
    many = await _forecast(client, **MEAN, handling_seconds=36_000, arrivals=[3_600])
    assert many["items"][0]["agents"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/goal_id"),
        ({"target": {"target_seconds": 90}}, "/handling_seconds"),
        ({"target": {"target_seconds": 90, "statistic": "fairness"}, "handling_seconds": 60}, "/target/statistic"),
        ({"target": {"target_seconds": 90, "target_percent": 80}}, "/target/target_percent"),
        ({"target": {"target_seconds": 90}, "timezone": "Mars"}, "/timezone"),
        ({"target": {"target_seconds": 90}, "interval": "quarter_hour", "days": 14, "handling_seconds": 60}, "/days"),
        (
            {"target": {"target_seconds": 90}, "arrivals": [900_000, 800_000], "handling_seconds": 600_000},
            "/days",
        ),
        ({"target": {"target_seconds": 90}, "shrinkage": 1}, "/shrinkage"),
    ],
)
async def test_what_cannot_be_forecast_is_refused(client: httpx.AsyncClient, body: Body, pointer: str) -> None:
    answer = problem(await client.post(URL, json=body), 422)
    assert pointer in [each["pointer"] for each in answer["errors"]]

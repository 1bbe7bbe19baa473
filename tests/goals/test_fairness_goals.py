"""Goals of fairness: nobody is served worse by more than is allowed, and that is said only when it is sure."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from app.verification.goals import verify_goals
from tests.goals.test_goal_events import look
from tests.support.expect import problem
from tests.support.imports import item, send
from tests.support.sla import Sql
from tests.support.verification import Body, good

Open = Callable[..., Awaitable[Body]]
URL = "/v1/service-goals"


async def make_goal(client: httpx.AsyncClient, by: str, points: float = 10, **more: Any) -> Body:
    body = {"key": "fair", "name": "F", "statistic": "fairness", "target_seconds": 60, **more}
    body |= {"fairness": {"by": by, "max_gap_points": points}, "window": {"rolling_seconds": 86_400}}
    return good(await client.post(URL, json=body))


async def answered(client: httpx.AsyncClient, word: str, within: int, late: int, **customer: Any) -> None:
    """Tickets of one customer an hour ago, answered after 30 s or after two minutes."""
    at = datetime.now(UTC) - timedelta(hours=1)
    waits = [30] * within + [120] * late
    who = {"external_id": word, "name": word, **customer}
    items = [
        item(f"{word}-{number}", {"at": (at + timedelta(seconds=wait)).isoformat(), "kind": "message",
                                  "author": "agent", "body": "Yes."}, created_at=at.isoformat(), customer=who)
        for number, wait in enumerate(waits)
    ]  # fmt: skip
    assert (await send(client, *items))["created"] == len(waits)


async def _status(client: httpx.AsyncClient, goal: Body) -> Body:
    return good(await client.get(f"{URL}/{goal['id']}/status"))


@pytest.mark.parametrize(("by", "words"), [("region", ("FI", "SE")), ("language", ("fi", "sv"))])
async def test_a_group_that_is_surely_behind_is_told_of_once_and_recovers(
    db: Database, sql: Sql, client: httpx.AsyncClient, by: str, words: tuple[str, str]
) -> None:
    goal = await make_goal(client, by)
    assert (await _status(client, goal))["judgement"] == "no_data"
    await answered(client, "a", 400, 0, **{by: words[0]})
    await answered(client, "b", 20, 5, **{by: words[1]})
    await answered(client, "c", 0, 30)
    status = await _status(client, goal)
    # Twenty points apart, and yet it may be chance; who has no such thing is compared with nobody.
    assert (status["judgement"], status["misses"], status["budget_spent"]) == ("met", None, None)
    [behind, best] = status["groups"]
    assert (behind["group"], behind["behind"], behind["waits"], behind["attainment"]) == (words[1], words[0], 25, 80)
    assert behind["gap_points"] == 20 > 10 > behind["at_least_points"] == status["value"]
    assert (best["group"], best["waits"], best["attainment"]) == (words[0], 400, 100)
    assert behind["needed"] > 25
    assert "goal.unfair" not in await look(db, sql)
    await answered(client, "d", 0, 30, **{by: words[1]})
    status = await _status(client, goal)
    assert (status["judgement"], status["value"] > 10) == ("missed", True)
    assert await look(db, sql) == ["goal.unfair"]
    assert await look(db, sql) == []
    data = await sql.fetchval("SELECT data::text FROM events WHERE type = 'goal.unfair'")
    for told in (f'"by": "{by}"', f'"group": "{words[1]}"', f'"behind": "{words[0]}"', '"waits": 55'):
        assert told in data
    assert await sql.fetchval("SELECT next_at - judged_at FROM service_goal_states WHERE goal_id = $1", goal["id"]) == (
        timedelta(hours=1)
    )
    await answered(client, "e", 400, 0, **{by: words[1]})
    assert await look(db, sql) == ["goal.recovered"]
    async with db.transaction() as tx:
        await tx.snapshot()
        assert await verify_goals(tx) == []


async def test_segments_are_compared_as_at_opening_and_who_waits_counts(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    rule = {"field": "customer.region", "op": "eq"}
    for region in ("FI", "SE"):
        made = {"key": region.lower(), "name": region, "rule": {**rule, "value": region}}
        good(await client.post("/v1/segments", json=made))
    goal = await make_goal(client, "segment", 0)
    for region in ("FI", "SE"):
        for number in range(12):
            who = {"external_id": f"{region}{number}", "name": "N", "region": region}
            customer = good(await client.post("/v1/customers", json=who))
            ticket = await open_ticket(customer={"id": customer["id"]})
            if region == "SE":
                await sql.execute(
                    "UPDATE sla_clocks SET started_at = started_at - interval '5 minutes' WHERE ticket_id = $1",
                    ticket["id"],
                )
    status = await _status(client, goal)
    assert {each["group"]: each["attainment"] for each in status["groups"]} == {"fi": 100, "se": 0}
    assert status["judgement"] == "missed"
    [today] = good(await client.get(f"{URL}/{goal['id']}/history"))["items"][-1:]
    assert (today["statistic"], today["judgement"], today["value"]) == ("fairness", "missed", status["value"])


async def test_what_fairness_asks_for_is_said_with_it_and_with_nothing_else(client: httpx.AsyncClient) -> None:
    body = {"key": "g", "name": "G", "target_seconds": 60, "window": {"rolling_seconds": 60}}
    fairness = {"by": "region", "max_gap_points": 5}
    for given, pointer in (
        ({"statistic": "fairness"}, "/fairness"),
        ({"fairness": fairness}, "/fairness"),
        ({"statistic": "fairness", "fairness": fairness, "target_percent": 90}, "/target_percent"),
        ({"statistic": "fairness", "fairness": {**fairness, "by": "moon"}}, "/fairness/by"),
        ({"statistic": "fairness", "fairness": {**fairness, "max_gap_points": 100}}, "/fairness/max_gap_points"),
    ):
        refused = problem(await client.post(URL, json={**body, **given}), 422)
        assert [error["pointer"] for error in refused["errors"]] == [pointer]
    made = good(await client.post(URL, json={**body, "statistic": "fairness", "fairness": fairness}))
    assert made["fairness"] == fairness
    changed = await client.patch(f"{URL}/{made['id']}", json={"fairness": {"max_gap_points": 7.5}})
    assert good(changed)["fairness"] == {"by": "region", "max_gap_points": 7.5}
    mean = good(await client.post(URL, json={**body, "key": "mean"}))
    refused = problem(await client.patch(f"{URL}/{mean['id']}", json={"fairness": fairness}), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["/fairness"]

"""A goal's past: by day of its zone, by what it asked for then, exact after corrections."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.db import Database
from app.verification.goals import verify_goals
from tests.goals.test_goal_events import look
from tests.support.expect import problem
from tests.support.imports import item, send
from tests.support.sla import Sql, let_pass, reply
from tests.support.verification import Body, good

Open = Callable[..., Awaitable[Body]]
URL = "/v1/service-goals"
HELSINKI = ZoneInfo("Europe/Helsinki")


async def _goal(client: httpx.AsyncClient, **more: Any) -> Body:
    window = {"calendar_day": "Europe/Helsinki"}
    return good(await client.post(URL, json={"key": "g", "name": "G", "target_seconds": 60, "window": window, **more}))


async def _history(client: httpx.AsyncClient, goal: Body, **params: Any) -> list[Body]:
    answer = good(await client.get(f"{URL}/{goal['id']}/history", params=params))
    assert answer["goal_id"] == goal["id"]
    items: list[Body] = answer["items"]
    return items


def _answered(number: int, at: datetime, wait: float) -> Body:
    answer = {"at": (at + timedelta(seconds=wait)).isoformat(), "kind": "message", "author": "agent", "body": "Yes."}
    return item(f"h-{number}", answer, created_at=at.isoformat())


async def test_each_day_of_the_zone_is_judged_over_the_clocks_that_started_in_it(client: httpx.AsyncClient) -> None:
    goal = await _goal(client)
    today = datetime.now(HELSINKI).date()
    midnights = [
        datetime.combine(today - timedelta(days=n), datetime.min.time(), HELSINKI).astimezone(UTC) for n in (3, 2, 1)
    ]
    waits = {0: [30, 50], 1: [100, 80, 0], 2: []}
    made = [
        _answered(10 * n + k, midnights[n] + timedelta(hours=23 * k / 2), wait)
        for n, some in waits.items()
        for k, wait in enumerate(some)
    ]
    edges = [_answered(100, midnights[1] - timedelta(microseconds=1), 10), _answered(101, midnights[2], 70)]
    assert (await send(client, *made, *edges))["created"] == 7
    days = {"from": str(today - timedelta(days=3)), "to": str(today)}
    found = await _history(client, goal, **days)
    assert [datetime.fromisoformat(day["start"]) for day in found] == midnights
    assert [(day["answered"], day["value"], day["judgement"]) for day in found] == [
        (3, 30, "met"), (3, 60, "met"), (1, 70, "missed"),
    ]  # fmt: skip
    assert [day["budget_spent"] for day in found] == pytest.approx([0.5, 1, 70 / 60])
    assert {day["missed_seconds"] for day in found} == {None}
    # The same as the report of that day.
    report = {**days, "timezone": "Europe/Helsinki", "interval": "day"}
    rows = good(await client.get("/v1/reports/response-times", params=report))["items"]
    assert [row["mean_floor"] for row in rows] == [day["mean_floor"] for day in found]
    # By the hour, and by another zone's days.
    hours = await _history(client, goal, interval="hour", **{**days, "from": str(today - timedelta(days=1))})
    assert (len(hours), hours[0]["answered"], sum(hour["answered"] for hour in hours)) == (24, 1, 1)
    utc = await _history(client, goal, timezone="UTC", **{"from": midnights[0].isoformat()})
    assert datetime.fromisoformat(utc[0]["start"]).hour == 0
    assert sum(day["answered"] for day in utc) == 7


async def test_a_correction_corrects_the_day_it_is_about(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    goal = await _goal(client, statistic="attainment", target_percent=100, window={"rolling_seconds": 3600})
    ticket = await open_ticket()
    await let_pass(sql, 86_400, ticket)
    [before] = [day for day in await _history(client, goal) if day["running"]]
    assert (before["judgement"], before["misses"], before["value"]) == ("missed", 1, 0)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    assert before["start"] == f"{yesterday}T00:00:00Z"
    await reply(client, ticket)
    [after] = [day for day in await _history(client, goal) if day["answered"]]
    assert (after["start"], after["running"], after["judgement"]) == (before["start"], 0, "missed")
    # An import of that day counts there, too.
    await send(client, _answered(1, datetime.now(UTC) - timedelta(days=1), 5))
    [more] = [day for day in await _history(client, goal) if day["answered"]]
    assert (more["answered"], more["value"]) == (2, 50)


async def test_a_day_is_judged_by_what_the_goal_asked_for_then(client: httpx.AsyncClient, sql: Sql) -> None:
    goal = await _goal(client, window={"rolling_seconds": 3600})
    now = datetime.now(UTC)
    await send(client, *(_answered(n, now - timedelta(days=n), 50) for n in (1, 2)))
    patch = {"target_seconds": 40, "filter": {"priority": "normal"}}
    good(await client.patch(f"{URL}/{goal['id']}", json=patch))
    yesterday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    for version, from_at in ((1, yesterday - timedelta(days=3)), (2, yesterday)):
        await sql.execute("UPDATE service_goal_versions SET from_at = $2 WHERE version = $1", version, from_at)
    found = [day for day in await _history(client, goal) if day["answered"]]
    judged = [(day["target_seconds"], day["judgement"]) for day in found]
    assert judged[0] == (60, "met")
    assert judged[-1] == (40, "missed")


async def test_for_how_long_it_stood_missed_is_kept_when_it_happens(
    db: Database, client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    await sql.execute("DELETE FROM service_goals")
    goal = await _goal(client, window={"rolling_seconds": 3600})
    assert await look(db, sql) == []
    ticket = await open_ticket()
    await let_pass(sql, 100, ticket)
    assert await look(db, sql) == ["goal.missed"]
    await sql.execute("DELETE FROM sla_alerts")
    await sql.execute("DELETE FROM sla_clocks")
    assert await look(db, sql) == ["goal.recovered"]
    rows = await sql.fetch("SELECT * FROM service_goal_misses")
    assert [row["recovered_at"] is not None for row in rows] == [True]
    missed = (rows[0]["recovered_at"] - rows[0]["missed_at"]).total_seconds()
    [today, *_] = [day for day in await _history(client, goal) if day["missed_seconds"]]
    assert today["missed_seconds"] == pytest.approx(missed)
    async with db.transaction() as tx:
        assert await verify_goals(tx) == []
    await sql.execute("UPDATE service_goal_misses SET missed_at = missed_at - interval '1 s'")
    async with db.transaction() as tx:
        assert {difference.goal_id for difference in await verify_goals(tx)} == {rows[0]["goal_id"]}


async def test_verify_finds_what_was_changed_in_what_a_goal_asked_for_or_never_happened(
    db: Database, client: httpx.AsyncClient, sql: Sql
) -> None:
    goal = await _goal(client)
    for statement, field in (
        ("UPDATE service_goal_versions SET target_seconds = 1 WHERE goal_id = $1", "target_seconds"),
        ("DELETE FROM service_goal_versions WHERE goal_id = $1", "metric"),
        ("INSERT INTO service_goal_misses (goal_id, missed_at) VALUES ($1, now() - interval '1 hour')", "misses"),
    ):
        before = set(await _differing(db))
        await sql.execute(statement, UUID(goal["id"]))
        assert field in set(await _differing(db)) - before, statement


async def _differing(db: Database) -> list[str]:
    async with db.transaction() as tx:
        return [difference.field for difference in await verify_goals(tx)]


async def test_more_than_a_hundred_intervals_are_refused(client: httpx.AsyncClient) -> None:
    goal = await _goal(client)
    answer = await client.get(f"{URL}/{goal['id']}/history", params={"from": "2020-01-01"})
    [error] = problem(answer, 422)["errors"]
    assert (error["pointer"], error["code"]) == ("/query/from", "too_many_items")
    assert (await client.get(f"{URL}/{goal['id']}/history", params={"timezone": "Mars"})).status_code == 422

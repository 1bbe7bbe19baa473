"""How long agents were online, and what they answered meanwhile: from the log and the clocks."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.goals.test_goal_why import said_online
from tests.support.sla import Sql, reply
from tests.support.verification import Body, good

Make = Callable[..., Awaitable[Person]]
Open = Callable[..., Awaitable[Body]]
URL = "/v1/reports/availability"
MORNING = datetime(2026, 3, 4, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def _report(client: httpx.AsyncClient, **asked: Any) -> list[Body]:
    return list(good(await client.get(URL, params=asked))["items"])


async def test_time_online_is_cut_to_the_span_by_agent_and_team(
    client: httpx.AsyncClient, person: Make, sql: Sql
) -> None:
    one, other = [await person("agent") for _ in range(2)]
    team, both = [good(await client.post("/v1/teams", json={"key": key, "name": key}))["id"] for key in "ab"]
    good(await client.patch(f"/v1/agents/{one.id}", json={"team_ids": [team, both]}))
    good(await client.patch(f"/v1/agents/{other.id}", json={"team_ids": [both]}))
    await said_online(sql, one, MORNING - HOUR, MORNING + HOUR)
    await said_online(sql, one, MORNING + 2 * HOUR, MORNING + 9 * HOUR)
    await said_online(sql, other, MORNING + 3 * HOUR, MORNING + 3.5 * HOUR)
    span = {"from": MORNING.isoformat(), "to": (MORNING + 4 * HOUR).isoformat()}
    by_agent = {item["group"]["agent"]: item for item in await _report(client, **span, group_by="agent")}
    assert {id_: item["online_seconds"] for id_, item in by_agent.items() if item["online_seconds"]} == {
        str(one.id): 3 * 3600, str(other.id): 1800,
    }  # fmt: skip
    [whole] = await _report(client, **span)
    assert (whole["online_seconds"], whole["answered"], whole["answered_per_hour"]) == (3.5 * 3600, 0, 0)
    by_team = {item["group"]["team"]: item["online_seconds"] for item in await _report(client, **span, group_by="team")}
    assert (by_team[team], by_team[both]) == (3 * 3600, 3.5 * 3600)
    [only] = await _report(client, **span, team=team)
    assert only["online_seconds"] == 3 * 3600
    [only] = await _report(client, **span, agent=str(other.id))
    assert only["online_seconds"] == 1800
    [only] = await _report(other.http, **span, agent="me")
    assert only["online_seconds"] == 1800
    good(await client.patch(f"/v1/agents/{other.id}", json={"team_ids": []}))
    [only] = await _report(client, **span, team="none", group_by="team")
    assert (only["group"]["team"], only["online_seconds"]) == (None, 1800)
    both_kinds = await _report(client, **span, team=f"none,{team}")
    assert [item["online_seconds"] for item in both_kinds] == [3.5 * 3600]


async def test_answers_count_in_all_and_while_online(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    agent = await person("agent")
    before, during, after = [await open_ticket() for _ in range(3)]
    path = f"/v1/agents/{agent.id}/availability"
    await reply(agent.http, before)
    good(await agent.http.put(path, json={"state": "online"}))
    await reply(agent.http, during)
    [item] = [each for each in await _report(client, group_by="agent") if each["group"]["agent"] == str(agent.id)]
    assert (item["answered"], item["answered_online"], item["away_seconds"]) == (2, 1, 0)
    assert item["online_seconds"] > 0
    assert item["answered_per_hour"] == pytest.approx(3600 / item["online_seconds"])
    good(await agent.http.put(path, json={"state": "away"}))
    await reply(agent.http, after)
    [item] = [each for each in await _report(client, group_by="agent") if each["group"]["agent"] == str(agent.id)]
    assert (item["answered"], item["answered_online"]) == (3, 1)
    assert item["away_seconds"] > 0
    # Who has gone silent is offline from then on, whether or not it is noticed yet.
    await sql.execute("UPDATE agent_availability SET expires_at = now() - interval '1 hour'")
    [item] = [each for each in await _report(client, group_by="agent") if each["group"]["agent"] == str(agent.id)]
    assert item["away_seconds"] == 0


async def test_whoever_is_nobodys_report_is_there_with_zeros(client: httpx.AsyncClient, person: Make) -> None:
    agent = await person("agent")
    [item] = [each for each in await _report(client, group_by="agent") if each["group"]["agent"] == str(agent.id)]
    assert (item["online_seconds"], item["answered"], item["answered_per_hour"]) == (0, 0, None)

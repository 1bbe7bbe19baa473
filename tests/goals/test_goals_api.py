from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.sla import Sql, let_pass, patch, reply

Open = Callable[..., Awaitable[dict[str, Any]]]
URL = "/v1/service-goals"


async def _goal(client: httpx.AsyncClient, seconds: int = 90, window: int = 3600, **filter_: Any) -> dict[str, Any]:
    body = {"key": "own", "name": "Own", "target_seconds": seconds, "window": {"rolling_seconds": window}}
    answer = await client.post(URL, json={**body, "filter": filter_})
    assert answer.status_code == 201, answer.text
    goal: dict[str, Any] = answer.json()
    return goal


async def _status(client: httpx.AsyncClient, goal: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"{URL}/{goal['id']}/status")
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    return status


async def test_an_empty_window_is_no_judgement(client: httpx.AsyncClient) -> None:
    status = await _status(client, await _goal(client))
    assert status["judgement"] == "no_data"
    assert (status["answered"], status["running"], status["unanswered"], status["excluded"]) == (0, 0, 0, 0)
    assert (status["mean_answered"], status["mean_floor"], status["crosses_at"]) == (None, None, None)
    assert status["slack_seconds"] == 0


async def test_case_30_who_still_waits_is_in_the_mean_and_who_gave_up_is_counted_apart(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    goal = await _goal(client, 90)
    answered, waiting, given_up = [await open_ticket() for _ in range(3)]
    await reply(client, answered)
    await let_pass(sql, 1000, given_up)
    await patch(client, given_up, status="closed")
    await let_pass(sql, 170, waiting)
    status = await _status(client, goal)
    assert (status["answered"], status["running"], status["unanswered"]) == (1, 1, 1)
    # The floor is just over 85: half of 170 and the moments that this test took.
    assert status["mean_answered"] < 1 < 85 <= status["mean_floor"] < 90
    assert status["judgement"] == "met"
    assert datetime.fromisoformat(status["crosses_at"]) > datetime.fromisoformat(status["at"])
    await let_pass(sql, 20, waiting)
    missed = await _status(client, goal)
    assert (missed["judgement"], missed["crosses_at"]) == ("missed", None)
    assert missed["slack_seconds"] < 0


async def test_the_figures_of_a_status_are_those_of_its_own_instant(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    goal = await _goal(client, 90)
    tickets = [await open_ticket() for _ in range(7)]
    for n, ticket in enumerate(tickets):
        await let_pass(sql, 10 * n, ticket)
    for ticket in tickets[:3]:
        await reply(client, ticket)
    status = await _status(client, goal)
    rows = await sql.fetch("SELECT started_at, stopped_at FROM sla_clocks WHERE metric = 'first_response'")
    now = datetime.fromisoformat(status["at"])
    waits = [(row["stopped_at"] or now) - row["started_at"] for row in rows]
    total = sum(waits, timedelta())
    assert status["mean_floor"] == pytest.approx(total.total_seconds() / 7)
    slack = 7 * timedelta(seconds=90) - total
    assert status["slack_seconds"] == pytest.approx(slack.total_seconds())
    assert datetime.fromisoformat(status["crosses_at"]) == now + slack / 4
    assert datetime.fromisoformat(status["window_start"]) == now - timedelta(seconds=3600)


@pytest.mark.parametrize("filter_", [{}, {"channel": "web"}], ids=["of all", "of a channel"])
async def test_those_that_were_paused_and_those_that_were_not_count_once_each(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open, filter_: dict[str, Any]
) -> None:
    goal = await _goal(client, 90, **filter_)
    tickets = [await open_ticket(channel="web") for _ in range(6)]
    for n, ticket in enumerate(tickets):
        await let_pass(sql, 10 * n, ticket)
    await reply(client, tickets[1])
    await sql.execute(
        "UPDATE sla_clocks SET pauses = ARRAY[started_at + interval '1 s', started_at + interval '4 s']"
        " WHERE ticket_id = ANY ($1::text[]::uuid[]) AND metric = 'first_response'",
        [ticket["id"] for ticket in tickets[4:]],
    )
    status = await _status(client, goal)
    rows = await sql.fetch("SELECT started_at, stopped_at FROM sla_clocks WHERE metric = 'first_response'")
    now = datetime.fromisoformat(status["at"])
    waits: list[timedelta] = [(row["stopped_at"] or now) - row["started_at"] for row in rows]
    total = sum(waits, timedelta(seconds=-6))
    assert (status["answered"], status["running"]) == (1, 5)
    assert status["mean_floor"] == pytest.approx(total.total_seconds() / 6)
    crossing = now + (6 * timedelta(seconds=90) - total) / 5
    assert abs(datetime.fromisoformat(status["crosses_at"]) - crossing) < timedelta(milliseconds=1)


async def test_only_what_started_in_the_window_is_judged(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    goal = await _goal(client, 90, window=600)
    old, _ = await open_ticket(), await open_ticket()
    await let_pass(sql, 599, old)
    assert (await _status(client, goal))["running"] == 2
    await let_pass(sql, 1, old)
    assert (await _status(client, goal))["running"] == 1


async def test_a_filter_narrows_by_all_that_it_names(client: httpx.AsyncClient, open_ticket: Open) -> None:
    team = (await client.post("/v1/teams", json={"key": "t", "name": "T"})).json()
    await open_ticket(priority="high", channel="phone", team_id=team["id"])
    await open_ticket(priority="high", channel="email")
    await open_ticket(priority="low", channel="phone")
    goal = await _goal(client, priority="high")
    assert (await _status(client, goal))["running"] == 2
    await client.patch(f"{URL}/{goal['id']}", json={"filter": {"channel": "phone"}})
    narrowed = (await client.get(f"{URL}/{goal['id']}")).json()
    assert {name: value for name, value in narrowed["filter"].items() if value} == {
        "priority": "high", "channel": "phone",
    }  # fmt: skip
    assert (await _status(client, goal))["running"] == 1
    await client.patch(f"{URL}/{goal['id']}", json={"filter": {"priority": None, "team_id": team["id"]}})
    widened = (await client.get(f"{URL}/{goal['id']}")).json()
    assert {name: value for name, value in widened["filter"].items() if value} == {
        "channel": "phone", "team_id": team["id"],
    }  # fmt: skip
    assert (await _status(client, goal))["running"] == 1


async def test_a_goal_far_beyond_the_calendar_has_no_crossing(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    goal = await _goal(client, 315_360_000)
    ticket = await open_ticket()
    await sql.execute(
        "INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, stopped_at, ended_at, warn_at_percent,"
        " warnings, bot_counts) SELECT gen_random_uuid(), $1::text::uuid, 'first_response', n, clock_timestamp(),"
        " clock_timestamp(), clock_timestamp(), '{}', '{}', false FROM generate_series(2, 2000) n",
        ticket["id"],
    )
    status = await _status(client, goal)
    assert (status["judgement"], status["answered"], status["crosses_at"]) == ("met", 1999, None)


async def test_a_goal_that_is_gone_is_not_found(client: httpx.AsyncClient) -> None:
    goal = await _goal(client)
    assert (await client.delete(f"{URL}/{goal['id']}")).status_code == 204
    assert (await client.get(f"{URL}/{goal['id']}/status")).status_code == 404

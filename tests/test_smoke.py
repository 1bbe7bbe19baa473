from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.sla import the_clock

Open = Callable[..., Awaitable[dict[str, Any]]]


async def test_a_ticket_is_opened_answered_and_timed(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    assert ticket["status"] == "new"
    clock = await the_clock(client, ticket)
    assert clock["state"] == "running"
    assert clock["target_seconds"] == 90
    answer = await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "On it."})
    assert answer.status_code == 201
    clock = await the_clock(client, ticket)
    assert clock["state"] == "met"
    assert clock["stopped_at"] == answer.json()["created_at"]


async def test_the_stock_goal_counts_who_still_waits(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await open_ticket()
    [goal] = (await client.get("/v1/service-goals")).json()["items"]
    status = (await client.get(f"/v1/service-goals/{goal['id']}/status")).json()
    assert (status["answered"], status["running"]) == (0, 1)
    assert status["mean_answered"] is None
    assert status["mean_floor"] > 0
    assert status["crosses_at"] is not None

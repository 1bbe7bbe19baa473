"""The demonstration: the same week each time, in nobody's own tickets, and people who go on working."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.demo import run, story, traffic
from app.demo.setup import set_up
from app.errors import Conflict
from tests.conftest import ADMIN_KEY
from tests.support.streams import serving

NOW = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


def _wait(ticket: dict[str, Any]) -> float:
    answer = next(entry for entry in ticket["timeline"] if entry.get("author") == "agent")
    waited = datetime.fromisoformat(answer["at"]) - datetime.fromisoformat(ticket["created_at"])
    return waited.total_seconds()


def test_the_week_is_the_same_each_time_and_its_last_hour_has_the_mean_that_was_chosen() -> None:
    week = list(story.history(NOW))
    assert week == list(story.history(NOW))
    assert len(week) == story.TICKETS
    assert len({ticket["external_id"] for ticket in week}) == story.TICKETS
    hour = [t for t in week if datetime.fromisoformat(t["created_at"]) > NOW - timedelta(hours=1)]
    assert sum(map(_wait, hour)) / len(hour) == pytest.approx(story.MEAN_SECONDS)
    assert all(datetime.fromisoformat(entry["at"]) < NOW for ticket in week for entry in ticket["timeline"])


async def test_tickets_of_somebodys_own_are_left_alone(
    db: Database, open_ticket: Callable[..., Awaitable[dict[str, Any]]]
) -> None:
    await run.check_empty(db)
    await open_ticket()
    with pytest.raises(Conflict, match="has tickets"):
        await run.check_empty(db)


async def test_the_story_comes_in_whole_and_its_people_go_on(app: FastAPI, client: httpx.AsyncClient) -> None:
    cast = await set_up(client, ADMIN_KEY, tickets=60)
    goals = (await client.get("/v1/service-goals")).json()["items"]
    mean = next(goal for goal in goals if goal["statistic"] == "mean")
    status = (await client.get(f"/v1/service-goals/{mean['id']}/status")).json()
    assert status["mean_answered"] == pytest.approx(story.MEAN_SECONDS, abs=0.5)
    async with serving(app) as port:
        acting = asyncio.create_task(traffic.act(f"http://127.0.0.1:{port}", client, cast))
        async with asyncio.timeout(20):
            while not (found := (await client.get("/v1/tickets", params={"status": "new"})).json()["items"]):
                await asyncio.sleep(0.1)
        acting.cancel()
        with suppress(asyncio.CancelledError):
            await acting
    assert {ticket["channel"] for ticket in found} <= set(story.CHANNELS)
    there = (await client.get("/v1/availability", params={"state": "online"})).json()["items"]
    assert {each["agent_id"] for each in there} >= {agent_id for agent_id, _ in cast.agents.values()}

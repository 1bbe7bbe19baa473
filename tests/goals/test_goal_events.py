"""What becomes of a goal is told once, whoever and however many look."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx

from app.db import Database
from app.goals import watching
from tests.support.sla import Sql

Open = Callable[..., Awaitable[dict[str, Any]]]


async def look(db: Database, sql: Sql, workers: int = 4) -> list[str]:
    """Several workers judge all there is, twice over; what the log tells of goals since the last look."""
    before = await sql.fetchval("SELECT coalesce(max(id), 0) FROM events")
    for _ in range(2):
        await sql.execute("UPDATE service_goal_states SET next_at = '1970-01-01 00:00Z'")

        async def work() -> None:
            while await watching.run_once(db):
                pass

        await asyncio.gather(*(work() for _ in range(workers)))
    rows = await sql.fetch("SELECT type FROM events WHERE type LIKE 'goal.%' AND id > $1 ORDER BY id", before)
    return [row["type"] for row in rows]


async def _wait_longer(sql: Sql, seconds: int) -> None:
    await sql.execute("UPDATE sla_clocks SET started_at = started_at - $1::interval", timedelta(seconds=seconds))


async def test_a_goal_comes_to_be_at_risk_is_missed_and_recovers(
    db: Database, sql: Sql, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    assert await look(db, sql) == []
    ticket = await open_ticket()
    assert await look(db, sql) == []
    await _wait_longer(sql, 80)
    assert await look(db, sql) == ["goal.at_risk"]
    foretold = await sql.fetchval("SELECT crosses_at FROM service_goal_states")
    assert await sql.fetchval("SELECT next_at <= judged_at + interval '2 seconds' FROM service_goal_states")
    await _wait_longer(sql, 60)
    assert await look(db, sql) == ["goal.missed"]
    missed = await sql.fetchrow("SELECT occurred_at, recorded_at, data FROM events WHERE type = 'goal.missed'")
    assert missed is not None
    assert missed["occurred_at"] <= missed["recorded_at"]
    assert foretold is not None
    await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Here."})
    for _ in range(3):
        made = await open_ticket()
        await client.post(f"/v1/tickets/{made['id']}/messages", json={"body": "Here."})
    assert await look(db, sql) == ["goal.recovered"]
    feed = (await client.get("/v1/events?types=goal.at_risk,goal.missed,goal.recovered")).json()["items"]
    assert [event["type"] for event in feed] == ["goal.at_risk", "goal.missed", "goal.recovered"]
    assert feed[1]["data"]["mean_floor"] > feed[1]["data"]["target_seconds"] == 90
    assert (await client.delete(f"/v1/service-goals/{feed[0]['subject']}")).status_code == 204
    assert await sql.fetchval("SELECT count(*) FROM service_goal_states") == 0


async def test_a_crossing_is_noticed_at_its_instant(db: Database, sql: Sql, open_ticket: Open) -> None:
    await open_ticket()
    await _wait_longer(sql, 89)
    while await watching.run_once(db):
        pass
    crosses_at = await sql.fetchval("SELECT crosses_at FROM service_goal_states")
    async with asyncio.timeout(20):
        while not (rows := await sql.fetch("SELECT occurred_at FROM events WHERE type = 'goal.missed'")):
            await watching.run_once(db)
            await asyncio.sleep(0.05)
    assert [row["occurred_at"] for row in rows] == [crosses_at]

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from app.db import Database
from app.tickets import rematch_jobs
from app.tickets.rematch_jobs import run_once
from app.verification.clocks import verify
from tests.support.sla import the_clock

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _work(db: Database) -> None:
    while await run_once(db):
        pass


async def test_running_clocks_leave_an_archived_policy_and_ended_ones_stay(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    waiting, answered = await open_ticket(), await open_ticket()
    await client.post(f"/v1/tickets/{answered['id']}/messages", json={"body": "On it."})
    judged = await the_clock(client, answered)
    before = await the_clock(client, waiting)
    await client.delete(f"/v1/sla-policies/{before['policy_id']}")
    await _work(db)
    after = await the_clock(client, waiting)
    assert (after["policy_id"], after["target_seconds"], after["due_at"]) == (None, None, None)
    assert (after["started_at"], after["original_due_at"]) == (before["started_at"], before["original_due_at"])
    assert await the_clock(client, answered) == judged
    assert [difference async for _, found in verify(db) for difference in found] == []


async def test_the_next_policy_in_order_takes_over(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    ticket = await open_ticket()
    first = (await the_clock(client, ticket))["policy_id"]
    body = {"key": "slower", "name": "Slower", "targets": [{"metric": "first_response", "seconds": 600}]}
    second = (await client.post("/v1/sla-policies", json=body)).json()["id"]
    await client.delete(f"/v1/sla-policies/{first}")
    await _work(db)
    clock = await the_clock(client, ticket)
    assert (clock["policy_id"], clock["target_seconds"]) == (second, 600)


async def test_a_deadline_that_passed_unnoticed_is_recorded_before_the_target_changes(
    client: httpx.AsyncClient, open_ticket: Open, sql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    ticket = await open_ticket()
    moved = "started_at = started_at - interval '1 hour', due_at = due_at - interval '1 hour'"
    await sql.execute(f"UPDATE sla_clocks SET {moved}, next_at = due_at - interval '1 hour' WHERE due_at IS NOT NULL")
    await client.patch(f"/v1/tickets/{ticket['id']}", json={"priority": "urgent"})
    breaches = await sql.fetch("SELECT data ->> 'target_seconds' FROM events WHERE type = 'sla.breached'")
    assert [row[0] for row in breaches] == ["90"]


async def test_a_batch_that_takes_long_ends_early_and_the_next_goes_on_from_there(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    opened = [await open_ticket() for _ in range(5)]
    policy_id = (await the_clock(client, opened[0]))["policy_id"]
    await client.delete(f"/v1/sla-policies/{policy_id}")
    monkeypatch.setattr(rematch_jobs, "_BATCH_SECONDS", 0)
    # Another job looks again later, and is not due yet.
    job = "SELECT {} FROM sla_jobs WHERE subject_id = $1::text::uuid ORDER BY tickets_seen DESC LIMIT 1"
    seen = []
    while await run_once(db):
        seen.append(await sql.fetchval(job.format("tickets_seen"), policy_id))
    assert seen == [1, 2, 3, 4, 5]
    assert await sql.fetchval(job.format("tickets = 5 AND finished_at IS NOT NULL"), policy_id)
    assert {(await the_clock(client, ticket))["policy_id"] for ticket in opened} == {None}

"""What tests of stored clocks do again and again: write a policy, let time pass, sweep, look at what was told.

Time passes by moving a running clock's instants into the past. The log keeps the real ones, so that such a database is
not one for `verify`."""

import asyncio
import json
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
import httpx

from app.db import Database, Transaction
from app.sla.sweep import sweep

T = TypeVar("T")
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SHIFT = """
    UPDATE sla_clocks SET
        started_at = started_at - $1::interval, due_at = due_at - $1::interval,
        original_due_at = original_due_at - $1::interval, next_at = next_at - $1::interval,
        unrelieved_due_at = unrelieved_due_at - $1::interval,
        warnings = ARRAY(SELECT at - $1::interval FROM unnest(warnings) WITH ORDINALITY AS w (at, n) ORDER BY n)
    WHERE ended_at IS NULL AND ($2::uuid IS NULL OR ticket_id = $2)
"""


async def write_policy(client: httpx.AsyncClient, seconds: int | dict[str, int], **more: Any) -> dict[str, Any]:
    """A policy that is tried before the stock one: one target for any priority, or one for each that is named."""
    each = seconds.items() if isinstance(seconds, dict) else [(None, seconds)]
    warn_at = more.pop("warn_at", [])
    targets = [
        {"metric": "first_response", "priority": priority, "seconds": count, "warn_at_percent": warn_at}
        for priority, count in each
    ]
    body = {"key": "own", "name": "Own", "position": 1, "targets": targets, **more}
    answer = await client.post("/v1/sla-policies", json=body)
    assert answer.status_code == 201, answer.text
    policy: dict[str, Any] = answer.json()
    return policy


async def a_few_at_a_time(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it at once, but for the pool: no caller should wait for a connection so long that it is refused one."""
    free = asyncio.Semaphore(8)

    async def one(awaitable: Awaitable[T]) -> T:
        async with free:
            return await awaitable

    return await asyncio.gather(*(one(awaitable) for awaitable in work))


async def let_pass(sql: Sql, seconds: float, ticket: dict[str, Any] | None = None) -> None:
    """`seconds` pass for what runs: on one ticket, or everywhere."""
    await sql.execute(_SHIFT, timedelta(seconds=seconds), UUID(ticket["id"]) if ticket else None)


async def sweep_once(db: Database, batch: int = 500) -> int:
    """How many clocks were claimed."""
    async with db.transaction() as tx:
        return await claimed(tx, batch)


async def claimed(tx: Transaction, batch: int = 500) -> int:
    count: int = (await sweep(tx, batch))[0]["claimed"]
    return count


async def sweep_dry(db: Database, batch: int = 500) -> int:
    """Until nothing is due; how many claims it took."""
    total = 0
    while count := await sweep_once(db, batch):
        total += count
    return total


async def told(sql: Sql, ticket: dict[str, Any] | None = None) -> list[tuple[str, int, int]]:
    """Warnings and breaches in the log: (type, target, percent)."""
    rows = await sql.fetch(
        "SELECT type, data FROM events WHERE type IN ('sla.breached', 'sla.at_risk')"
        " AND ($1::uuid IS NULL OR ticket_id = $1) ORDER BY id",
        UUID(ticket["id"]) if ticket else None,
    )
    found = [(row["type"].removeprefix("sla."), json.loads(row["data"])) for row in rows]
    return [(type_, data["target_seconds"], data.get("percent", 0)) for type_, data in found]


async def the_clock(
    client: httpx.AsyncClient, ticket: dict[str, Any], metric: str = "first_response"
) -> dict[str, Any]:
    """The ticket's one clock of the metric."""
    answer = await client.get(f"/v1/tickets/{ticket['id']}/clocks")
    assert answer.status_code == 200, answer.text
    [clock] = [item for item in answer.json()["items"] if item["metric"] == metric]
    return dict(clock)


async def reply(client: httpx.AsyncClient, ticket: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "On it.", **body})
    assert answer.status_code == 201, answer.text
    message: dict[str, Any] = answer.json()
    return message


async def patch(client: httpx.AsyncClient, ticket: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json=values)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed

"""Tickets that are opened at the same time."""

import asyncio
import time
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx

from app.db import Database
from tests.support.expect import problem
from tests.support.verification import assert_verified

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_a_row_that_somebody_holds_keeps_nobody_else(
    db: Database, sql: Sql, client: httpx.AsyncClient, database_url: str
) -> None:
    ids = [(await client.post("/v1/customers", json={"external_id": str(n)})).json()["id"] for n in range(10)]
    holder: Sql = await asyncpg.connect(database_url)
    await holder.execute("BEGIN")
    await holder.execute("SELECT 1 FROM customers WHERE id = $1 FOR UPDATE", UUID(ids[0]))

    async def opens(customer: str) -> float:
        began = time.monotonic()
        body = {"subject": "x", "description": "y", "customer": {"id": customer}}
        assert (await client.post("/v1/tickets", json=body)).status_code == 201
        return time.monotonic() - began

    try:
        held = asyncio.create_task(opens(ids[0]))
        took = await asyncio.gather(*(opens(customer) for _ in range(3) for customer in ids[1:]))
        assert not held.done()
        # Whoever waits for the row waits for the whole time-out of locks, which is 5 seconds.
        assert max(took) < 4
    finally:
        await holder.close()
    await held


async def test_many_tickets_at_once_are_all_there_with_all_that_belongs_to_them(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    """Every tenth has the external id of another one."""
    customers = [(await client.post("/v1/customers", json={})).json()["id"] for _ in range(3)]

    at_once = asyncio.Semaphore(12)

    async def opens(number: int) -> httpx.Response:
        body: dict[str, Any] = {"subject": f"{number}", "description": "y", "customer": {"id": customers[number % 3]}}
        if number % 10 < 2:
            body["external_id"] = f"same {number // 10}"
        async with at_once:
            return await client.post("/v1/tickets", json=body)

    answers = await asyncio.gather(*(opens(number) for number in range(200)))
    made = [each.json()["id"] for each in answers if each.status_code == 201]
    refused = [each for each in answers if each.status_code != 201]
    assert len(made) == 180
    for each in refused:
        problem(each, 409, "conflict")
    assert {str(row["id"]) for row in await sql.fetch("SELECT id FROM tickets")} == set(made)
    told = await sql.fetch(
        "SELECT ticket_id, string_agg(type, ' ' ORDER BY id) AS types FROM events "
        "WHERE ticket_id IS NOT NULL GROUP BY ticket_id"
    )
    assert {str(row["ticket_id"]) for row in told} == set(made)
    assert {row["types"] for row in told} == {"ticket.created message.created"}
    # Some left together.
    assert await sql.fetchval("SELECT count(DISTINCT xmin::text) FROM tickets") < 180
    await assert_verified(db)

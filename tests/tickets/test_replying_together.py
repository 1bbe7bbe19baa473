"""Replies that are sent at the same time."""

import asyncio
from typing import TypeAlias
from uuid import UUID

import asyncpg
import httpx

from app.db import Database
from tests.support.openapi import Open
from tests.support.verification import assert_verified

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def test_many_replies_at_once_each_stop_their_clock(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    """Every fourth ticket is answered by two at once: both are there, and its clock was met by one of them."""
    ids = [(await open_ticket())["id"] for _ in range(40)]
    at_once = asyncio.Semaphore(12)

    async def replies(ticket: str) -> httpx.Response:
        async with at_once:
            return await client.post(f"/v1/tickets/{ticket}/messages", json={"body": "Here."})

    answers = await asyncio.gather(*(replies(ticket) for ticket in [*ids, *ids[::4]]))
    assert {answer.status_code for answer in answers} == {201}
    made = [answer.json()["id"] for answer in answers]
    assert len(set(made)) == 50
    there = await sql.fetch("SELECT id FROM messages WHERE id = ANY($1)", list(map(UUID, made)))
    assert {str(row["id"]) for row in there} == set(made)
    ended = await sql.fetch(
        "SELECT ticket_id FROM sla_clocks WHERE metric = 'first_response' AND stopped_at IS NOT NULL AND elapsed >= '0'"
    )
    assert sorted(str(row["ticket_id"]) for row in ended) == sorted(ids)
    met = await sql.fetch(
        "SELECT ticket_id FROM events WHERE type = 'sla.met' AND data ->> 'metric' = 'first_response'"
    )
    assert sorted(str(row["ticket_id"]) for row in met) == sorted(ids)
    # Some left together.
    assert await sql.fetchval("SELECT count(DISTINCT xmin::text) FROM messages WHERE author_kind <> 'customer'") < 50
    await assert_verified(db)

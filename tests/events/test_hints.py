"""Who is writing an answer just now: told to the staff who listen, and kept nowhere."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from app.db import Database
from app.events import hints
from tests.conftest import ADMIN_KEY, Person
from tests.support.streams import Stream, feed_of, listening, serving

Body = dict[str, Any]
Open = Callable[..., Awaitable[Body]]
People = Callable[..., Awaitable[Person]]


async def _hints(stream: Stream, count: int = 1, seconds: float = 10) -> list[Body]:
    async with asyncio.timeout(seconds):
        while len(stream.hints) < count:
            message = await stream._message()
            assert message is not None
            stream._take(message)
    return stream.hints


async def _say(http: httpx.AsyncClient, ticket: Body) -> int:
    return (await http.put(f"/v1/tickets/{ticket['id']}/being-answered")).status_code


async def test_the_staff_who_listen_are_told_for_ten_seconds_and_again(
    app: FastAPI, client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent, ticket = await person("agent"), await open_ticket()
    before = await feed_of(client)
    async with (
        serving(app) as port,
        listening(port, "", ADMIN_KEY) as stream,
        listening(port, f"?ticket_id={ticket['id']}&types=message.created", ADMIN_KEY) as one,
    ):
        assert await _say(agent.http, ticket) == 204
        [hint] = await _hints(stream)
        assert (hint["ticket_id"], hint["agent_id"]) == (ticket["id"], str(agent.id))
        assert stream.hello is not None
        since = datetime.fromisoformat(stream.hello["time"])
        assert since < datetime.fromisoformat(hint["until"]) <= since + timedelta(seconds=60)
        assert await _hints(one) == [hint]
        assert await _say(agent.http, ticket) == 204
        _, again = await _hints(stream, 2)
        assert again["until"] > hint["until"]
        assert stream.last_id == stream.hello["id"]
    assert await feed_of(client) == before


async def test_nobody_else_is_told(app: FastAPI, client: httpx.AsyncClient, person: People, open_ticket: Open) -> None:
    customer = await person("customer")
    ticket, other = await open_ticket(customer={"id": str(customer.id)}), await open_ticket()
    async with (
        serving(app) as port,
        listening(port, "", customer.key) as theirs,
        listening(port, f"?ticket_id={other['id']}", ADMIN_KEY) as elsewhere,
        listening(port, "", ADMIN_KEY) as stream,
    ):
        assert await _say(client, ticket) == 204
        await _hints(stream)
        for unaware in (theirs, elsewhere):
            with suppress(TimeoutError):
                await _hints(unaware, seconds=1)
            assert unaware.hints == []
    assert await _say(customer.http, ticket) == 403
    assert (await client.put("/v1/tickets/00000000-0000-7000-8000-000000000007/being-answered")).status_code == 404


async def test_a_hint_changes_nothing_of_the_ticket_and_is_cleaned_away(
    client: httpx.AsyncClient, open_ticket: Open, sql: asyncpg.Connection, db: Database
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    before = (await client.get(path)).json()
    assert await _say(client, ticket) == 204
    assert (await client.get(path)).json() == before
    count = "SELECT count(*) FROM answering WHERE ticket_id = $1"
    for over, left in (("1 second", 1), ("-1 second", 0)):
        await sql.execute(
            "UPDATE answering SET until = now() + $2::text::interval WHERE ticket_id = $1", ticket["id"], over
        )
        await db.run(hints.clean)
        assert await sql.fetchval(count, ticket["id"]) == left

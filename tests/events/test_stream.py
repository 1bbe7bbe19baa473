"""The live stream over real sockets: the feed, whole, wherever one begins; to each their own; and an end to it."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.events import hub
from tests.conftest import ADMIN_KEY, Person, client_for, settled
from tests.faults import harness
from tests.support.identity_provider import Provider, started
from tests.support.sla import Sql
from tests.support.streams import Stream, feed_of, listening, serving

Open = Callable[..., Awaitable[dict[str, Any]]]
_WRITE = """INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)
    SELECT 'ticket.erased', now(), 'system', $1::uuid, '{}' FROM generate_series(1, $2)"""


@pytest.fixture
async def port(app: FastAPI) -> AsyncIterator[int]:
    async with serving(app) as number:
        yield number


def _ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


async def _write_for_a_while(url: str, transactions: int) -> None:
    connections = [await asyncpg.connect(url) for _ in range(3)]

    async def write(connection: Any, rng: random.Random) -> None:
        for _ in range(transactions):
            async with connection.transaction():
                await connection.execute(_WRITE, uuid4(), rng.randrange(1, 30))
                await asyncio.sleep(rng.uniform(0, 0.15))

    await asyncio.gather(*(write(connection, random.Random(n)) for n, connection in enumerate(connections)))
    for connection in connections:
        await connection.close()


async def test_a_stream_cut_at_random_points_is_the_feed(
    client: httpx.AsyncClient, database_url: str, port: int
) -> None:
    """Resumed by the id of the last message, while others write and some listen throughout."""
    rng = random.Random(16)
    async with listening(port, key=ADMIN_KEY) as throughout:
        began = throughout.last_id
        assert began
        writing = asyncio.create_task(_write_for_a_while(database_url, 12))
        pieces: list[dict[str, Any]] = []
        last_id = began
        while not writing.done():
            async with listening(port, key=ADMIN_KEY, last_id=last_id) as stream:
                with suppress(TimeoutError):
                    await stream.read(rng.randrange(1, 60), seconds=rng.uniform(0.05, 0.5))
                pieces += stream.events
                last_id = stream.last_id or last_id
        await writing
        whole = await feed_of(client, f"&after={began}", limit=5000)
        async with listening(port, key=ADMIN_KEY, last_id=last_id) as stream:
            pieces += await stream.read(len(whole) - len(pieces))
        assert _ids(pieces) == _ids(whole)
        assert pieces == whole
        assert _ids(await throughout.read(len(whole))) == _ids(whole)


async def test_filters_and_owners_are_those_of_the_export(
    client: httpx.AsyncClient,
    open_ticket: Open,
    person: Callable[..., Awaitable[Person]],
    port: int,
    database_url: str,
) -> None:
    customer = await person("customer")
    first = await open_ticket(customer={"id": str(customer.id)})
    await settled(database_url)
    async with (
        listening(port, "?after=1.0.0", customer.key) as past,
        listening(port, key=customer.key) as own,
        listening(port, "?types=message.created,ticket.created", ADMIN_KEY) as typed,
        listening(port, f"?ticket_id={first['id']}", ADMIN_KEY) as of_one,
    ):
        for ticket in (first, await open_ticket(customer={"external_id": "canary-customer"})):
            path = f"/v1/tickets/{ticket['id']}/messages"
            await client.post(path, json={"body": "canary-note", "visibility": "internal"})
            await client.post(path, json={"body": "Answer."})
        await open_ticket(customer={"id": str(customer.id)})
        await past.read(6)
        assert past.events == await feed_of(customer.http)
        assert await own.read(4) == past.events[2:]
        assert {event["type"] for event in await typed.read(7)} == {"message.created", "ticket.created"}
        assert {event["ticketid"] for event in await of_one.read(3)} == {first["id"]}
        assert "internal" not in json.dumps([past.events, own.events])


async def test_a_message_bears_its_position_and_imports_do_not_come(client: httpx.AsyncClient, port: int) -> None:
    async with listening(port, key=ADMIN_KEY) as stream:
        ticket = {"external_id": "i", "subject": "Old", "created_at": "2020-01-01T00:00:00Z", "timeline": []}
        imported = {"tickets": [{**ticket, "customer": {"external_id": "c"}}]}
        assert (await client.post("/v1/imports/tickets", json=imported)).json()["created"] == 1
        await client.post("/v1/teams", json={"key": "t", "name": "T"})
        [event] = await stream.read(1)
        assert (event["type"], event["position"]) == ("team.created", stream.last_id)


async def test_who_falls_behind_is_cut_off_and_goes_on(
    client: httpx.AsyncClient, sql: Sql, app: FastAPI, port: int
) -> None:
    listening_hub: hub.Hub = app.state.hub
    async with listening(port, key=ADMIN_KEY, buffer=4096) as stalled, listening(port, key=ADMIN_KEY) as healthy:
        began = stalled.last_id
        for n in range(120):
            await sql.execute(_WRITE, uuid4(), 100)
            await healthy.read((n + 1) * 100, seconds=30)
        assert len(listening_hub._listeners) == 1
        await stalled.read(seconds=30)
        assert 0 < len(stalled.events) < 12_000
        async with listening(port, key=ADMIN_KEY, last_id=stalled.last_id) as again:
            await again.read(12_000 - len(stalled.events), seconds=30)
        whole = await feed_of(client, f"&after={began}", limit=5000)
        assert _ids(stalled.events + again.events) == _ids(whole) == _ids(healthy.events)


async def test_stalled_readers_cost_bounded_memory(settings: Any, database_url: str) -> None:
    """500 who never read, on a process of its own."""
    with harness.directory() as place, harness.service(place / "data", database_url, "--no-worker") as (url, pid):
        number = int(url.rpartition(":")[2])
        process = psutil.Process(pid)
        key = harness.ADMIN_KEY
        sql = await asyncpg.connect(database_url)
        async with listening(number, key=key) as reader:
            before = process.memory_info().rss
            stalled = [await asyncio.open_connection("127.0.0.1", number, limit=2**10) for _ in range(500)]
            for _, writer in stalled:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(
                    f"GET /v1/events/stream HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
                )
            await asyncio.sleep(3)
            for n in range(60):
                await sql.execute(_WRITE, uuid4(), 200)
                await reader.read((n + 1) * 200, seconds=60)
            grown = process.memory_info().rss - before
            print(f"500 stalled readers: {grown / 2**20:.1f} MiB")
            for _, writer in stalled:
                writer.transport.abort()
        await sql.close()
        assert grown < 64 * 2**20


async def test_a_shutdown_says_goodbye_to_all_and_takes_no_longer_than_that(database_url: str) -> None:
    with harness.directory() as place, harness.service(place / "data", database_url, "--no-worker") as (url, pid):
        number = int(url.rpartition(":")[2])
        async with listening(number, key=harness.ADMIN_KEY) as one, listening(number, key=harness.ADMIN_KEY) as other:
            os.kill(pid, signal.SIGTERM)
            await asyncio.gather(one.read(seconds=8), other.read(seconds=8))
            assert one.bye
            assert other.bye
            gone = await asyncio.to_thread(psutil.Process(pid).wait, 8)
            assert gone == 0 or gone is None


async def test_a_ticket_opens_one_stream_once_and_is_nowhere_to_be_read(
    app: FastAPI, sql: Sql, person: Callable[..., Awaitable[Person]], open_ticket: Open, port: int
) -> None:
    customer = await person("customer")
    with capture_logs() as logs:
        made = (await customer.http.post("/v1/stream-tickets", headers={"Idempotency-Key": "k"})).json()
        ticket = made["ticket"]

        async def opened() -> tuple[int, Stream]:
            async with listening(port, f"?ticket={ticket}&after=1.0.0") as stream:
                return stream.status, stream

        answers = await asyncio.gather(*(opened() for _ in range(20)))
        assert sorted(status for status, _ in answers) == [200] + [401] * 19
        stored = str(await sql.fetch("SELECT t::text FROM stream_tickets t")) + str(
            await sql.fetch("SELECT t::text FROM idempotency_records t")
        )
    assert ticket not in stored
    assert ticket not in json.dumps(logs, default=str)
    mine = await open_ticket(customer={"id": str(customer.id)})
    await open_ticket()
    again = (await customer.http.post("/v1/stream-tickets")).json()["ticket"]
    async with listening(port, f"?ticket={again}&after=1.0.0") as stream:
        assert {event["ticketid"] for event in await stream.read(2)} == {mine["id"]}
    late = (await customer.http.post("/v1/stream-tickets")).json()["ticket"]
    await sql.execute("UPDATE stream_tickets SET expires_at = clock_timestamp()")
    with capture_logs() as logs:
        for wrong in (late, again, "nts_x", "", "a&ticket=b"):
            async with listening(port, f"?ticket={wrong}") as refused:
                assert refused.status == 401
    assert [line["reason"] for line in logs if line["event"] == "unauthenticated"] == [
        "stream ticket past its time", "unknown or used stream ticket", "no stream ticket", "no stream ticket",
        "several stream tickets",
    ]  # fmt: skip


async def test_a_revoked_key_ends_its_streams(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]], port: int, database_url: str
) -> None:
    agent = await person("agent")
    await settled(database_url)
    async with listening(port, key=agent.key) as stream, listening(port, key=ADMIN_KEY) as other:
        keys = (await client.get("/v1/api-keys")).json()["items"]
        [mine] = [key["id"] for key in keys if key["agent_id"] == str(agent.id)]
        assert (await client.delete(f"/v1/api-keys/{mine}")).status_code == 204
        await stream.read(seconds=6)
        assert stream.ended
        assert [event["type"] for event in await other.read(1)] == ["api_key.revoked"]


async def test_a_tokens_end_ends_its_streams(database_url: str, tmp_path: Path) -> None:
    """Those that were opened by a ticket, too."""
    async with (
        Provider.running() as provider,
        started(database_url, tmp_path, jwt_jwks_url=provider.url, jwt_leeway_seconds=0) as app,
        serving(app) as port,
    ):
        soon = provider.sign(exp=int(time.time()) + 4)
        async with client_for(app, soon) as http:
            ticket = (await http.post("/v1/stream-tickets")).json()["ticket"]
        async with (
            listening(port, key=soon) as by_token,
            listening(port, f"?ticket={ticket}") as by_ticket,
            listening(port, key=provider.sign(sub="grace")) as other,
        ):
            assert [stream.status for stream in (by_token, by_ticket, other)] == [200] * 3
            await asyncio.gather(by_token.read(seconds=12), by_ticket.read(seconds=12))
            assert by_token.ended
            assert by_ticket.ended
            with pytest.raises(TimeoutError):
                await other.read(seconds=1)


async def test_a_stream_begins_with_where_it_stands_and_the_servers_time(
    client: httpx.AsyncClient, open_ticket: Open, port: int
) -> None:
    """What is read after that has come, and what the stream brings, leave nothing out between them."""
    async with listening(port, key=ADMIN_KEY) as stream:
        assert stream.hello is not None
        told = await client.get("/v1/events", params={"after": stream.hello["position"]})
        assert stream.hello["id"] == stream.hello["position"]
        assert told.json()["items"] == []
        assert abs(datetime.fromisoformat(stream.hello["time"]) - datetime.now(UTC)) < timedelta(seconds=30)
        await open_ticket()
        feed = await client.get("/v1/events", params={"after": stream.hello["position"]})
        expected = feed.json()["items"]
        assert _ids(await stream.read(until=len(expected))) == _ids(expected) != []

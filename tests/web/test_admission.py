"""Who only waits at the door keeps nobody out: strangers, slow senders, and who asks whether the service is ready.
Over real sockets; the process answers four requests at once, lists two."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.auth.keys import make_key
from tests.conftest import Databases, client_for
from tests.faults.harness import client, directory, service
from tests.sending import sent_by
from tests.web.wire import head

CROWD = 30


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    settings = {"NINETY_CONCURRENCY": "4", "NINETY_BODY_SECONDS": "20"}
    with (
        databases() as database_url,
        directory() as place,
        service(place / "data", database_url, settings=settings) as (at, _),
    ):
        yield at


def _looping(ask: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Callable[[str], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def crowd(url: str) -> AsyncIterator[None]:
        async def one() -> None:
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                while True:
                    await ask(http)

        tasks = [asyncio.create_task(one()) for _ in range(CROWD)]
        try:
            await asyncio.sleep(0.3)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return crowd


@asynccontextmanager
async def _slow_senders(url: str) -> AsyncIterator[None]:
    """Each has a key of their own: of one caller, no more than a few may send at once."""
    at = urlsplit(url)
    async with client(url) as http:
        body = {"name": "slow", "role": "service", "scopes": ["tickets:write"]}
        made = [await http.post("/v1/api-keys", json=body) for _ in range(CROWD)]
    opened = [await asyncio.open_connection(at.hostname, at.port) for _ in made]
    try:
        for (_, writer), key in zip(opened, made, strict=True):
            lines = (f"Authorization: Bearer {key.json()['key']}", "Content-Type: application/json")
            writer.write(head("/v1/tickets", *lines, "Content-Length: 1000", method="POST") + b"{")
        await asyncio.sleep(0.3)
        yield
        # Nobody was told anything: the service still waits for all of them.
        for reader, _ in opened:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await reader.read(1)
    finally:
        for _, writer in opened:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _no_ticket() -> dict[str, str]:
    return {"ticket": f"nts_{secrets.token_urlsafe(32)}"}


def _stranger() -> dict[str, str]:
    return {"Authorization": f"Bearer {make_key()[1]}"}


CROWDS = {
    "strangers": _looping(lambda http: http.post("/v1/tickets", json={}, headers=_stranger())),
    "strangers to the stream": _looping(lambda http: http.get("/v1/events/stream", params=_no_ticket())),
    "who asks whether it is ready": _looping(lambda http: http.get("/readyz")),
    "who asks what there is": _looping(lambda http: http.options("/v1/tickets")),
    "slow senders": _slow_senders,
}


@pytest.mark.parametrize("crowd", CROWDS)
async def test_a_crowd_at_the_door_keeps_no_known_caller_out(url: str, crowd: str) -> None:
    async with client(url) as http:
        assert (await http.get("/v1/tickets")).status_code == 200
        async with CROWDS[crowd](url):
            for n in range(10):
                body = {"subject": "x", "customer": {"external_id": f"c-{n}"}}
                assert (await http.post("/v1/tickets", json=body)).status_code == 201
                assert (await http.get("/v1/tickets")).status_code == 200


async def test_one_answer_says_for_all_that_it_is_ready(app: FastAPI) -> None:
    async with client_for(app, None) as http:
        with sent_by(app.state.db) as sent:
            answers = await asyncio.gather(*(http.get("/readyz") for _ in range(50)))
    assert len({answer.content for answer in answers}) == 1
    assert len([text for text, _ in sent if "alembic_version" in text]) == 1


async def test_a_stream_ticket_is_looked_up_where_strangers_are(app: FastAPI) -> None:
    door: asyncio.Semaphore = app.state.credentials.strangers
    free = door._value
    for _ in range(free):
        await door.acquire()
    async with client_for(app, None) as http:
        asking = asyncio.create_task(
            http.get("/v1/events/stream", params={"ticket": f"nts_{secrets.token_urlsafe(32)}"})
        )
        await asyncio.sleep(0.1)
        assert not asking.done()
        for _ in range(free):
            door.release()
        assert (await asking).status_code == 401

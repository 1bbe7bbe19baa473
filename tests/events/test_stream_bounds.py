"""How much of a process streams may take: so many of one caller, and a few at a time that catch up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.events import hub
from app.events.feed import Page, Position, Wanted
from app.web.limits import Caller
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.expect import problem
from tests.support.streams import listening, serving


@pytest.fixture
async def port(app: FastAPI) -> AsyncIterator[int]:
    async with serving(app) as number:
        yield number


async def test_a_caller_has_so_many_streams_and_no_more(
    app: FastAPI, port: int, person: Callable[..., Awaitable[Person]]
) -> None:
    somebody = await person("agent")
    app.state.hub._most = 2
    async with listening(port, key=ADMIN_KEY), listening(port, key=ADMIN_KEY, query="?after=1.0.0"):
        async with client_for(app, ADMIN_KEY) as http:
            refused = problem(await http.get("/v1/events/stream"), 429, "too_many_streams")
            assert "at most 2" in refused["detail"]
        async with listening(port, key=somebody.key) as other:
            assert other.status == 200
    async with asyncio.timeout(10):
        while app.state.hub.open_streams.total():
            await asyncio.sleep(0.01)
    async with listening(port, key=ADMIN_KEY) as again:
        assert again.status == 200


async def test_who_catches_up_leaves_connections_for_others(
    app: FastAPI, client: httpx.AsyncClient, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await client.post("/v1/teams", json={"key": f"t-{n}", "name": "T"})
    reading = most = 0
    read = hub.Hub._read

    async def counted(self: hub.Hub, after: Position, wanted: Wanted, actor: Any = None) -> Page | None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.01)
        try:
            return await read(self, after, wanted, actor)
        finally:
            reading -= 1

    monkeypatch.setattr(hub.Hub, "_read", counted)

    async def catch_up() -> int:
        async with listening(port, key=ADMIN_KEY, query="?after=1.0.0") as stream:
            return len(await stream.read(5))

    assert await asyncio.gather(*(catch_up() for _ in range(20))) == [5] * 20
    # The reader that all share may be at it, too.
    assert 1 < most <= hub._CATCHING_UP + 1


async def test_a_stream_opened_by_a_ticket_counts_as_a_request(
    app: FastAPI, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Caller] = []
    count = app.state.limits.count

    def counting(scope: Any, caller: Caller) -> None:
        counted.append(caller)
        count(scope, caller)

    monkeypatch.setattr(app.state.limits, "count", counting)
    async with client_for(app, ADMIN_KEY) as http:
        made = await http.post("/v1/stream-tickets")
    async with listening(port, query=f"?ticket={made.json()['ticket']}") as stream:
        assert stream.status == 200
    assert len(counted) == 2
    assert len(set(counted)) == 1

"""A stream goes on for as long as whoever opened it would be let in, by a key, a token, or a ticket got with either."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.events.catalogue import seen_by
from app.events.feed import UnknownPosition
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.identity_provider import Provider
from tests.support.streams import Stream, listening, serving

_WRITE = """INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)
    SELECT 'ticket.erased', now(), 'system', $1::uuid, '{}' FROM generate_series(1, $2)"""
Make = Callable[..., Awaitable[Person]]


@pytest.fixture
def app(trusting: FastAPI) -> FastAPI:
    return trusting


@pytest.fixture
async def port(app: FastAPI) -> AsyncIterator[int]:
    async with serving(app) as found:
        yield found


@asynccontextmanager
async def opened(app: FastAPI, port: int, *credentials: str) -> AsyncIterator[list[Stream]]:
    """Two streams for each: one that it opens, and one by a ticket that was got with it."""
    async with AsyncExitStack() as stack:
        streams = []
        for each in credentials:
            async with client_for(app, each) as http:
                ticket = (await http.post("/v1/stream-tickets")).json()["ticket"]
            for query, key in (("", each), (f"?ticket={ticket}", None)):
                streams.append(await stack.enter_async_context(listening(port, query, key)))
        assert {stream.status for stream in streams} == {200}
        yield streams


async def _end(*streams: Stream) -> None:
    for stream in streams:
        await stream.read(seconds=8)
        assert stream.ended


async def _go_on(*streams: Stream) -> None:
    for stream in streams:
        with pytest.raises(TimeoutError):
            await stream.read(seconds=0.2)


async def _made(client: httpx.AsyncClient, path: str, **body: Any) -> str:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return str(answer.json().get("id"))


async def test_an_agent_who_is_deactivated_hears_nothing_more(
    app: FastAPI, port: int, provider: Provider, client: httpx.AsyncClient
) -> None:
    ann = await _made(client, "/v1/agents", name="Ann", external_id="ann")
    ben = await _made(client, "/v1/agents", name="Ben", external_id="ben")
    tokens = [provider.sign(role="agent", sub="ann"), provider.sign(role="lead", sub="x", agent_id=ann)]
    others = [
        provider.sign(role="agent", sub="ben"),
        provider.sign(role="service", sub="s", scope="events:read"),
        ADMIN_KEY,
    ]
    async with opened(app, port, *tokens) as gone, opened(app, port, *others) as here:
        assert (await client.delete(f"/v1/agents/{ann}")).is_success
        await _end(*gone)
        await _go_on(*here)
        assert ben


async def test_a_customer_who_is_erased_or_somebody_else_by_now_hears_nothing_more(
    app: FastAPI, port: int, provider: Provider, client: httpx.AsyncClient, person: Make
) -> None:
    """Whose key it is may have changed with it: it opens another stream."""
    ids = [await _made(client, "/v1/customers", name=name) for name in ("Erased", "Merged", "Here")]
    erased, merged, here = ids
    tokens = [provider.sign(role="customer", customer_id=id_) for id_ in ids]
    key = (await person("customer", customer_id=merged)).key
    async with opened(app, port, *tokens[:2], key) as gone, opened(app, port, tokens[2]) as others:
        await _made(client, f"/v1/customers/{erased}/erase")
        await _made(client, f"/v1/customers/{merged}/merge", into=here)
        await _end(*gone)
        await _go_on(*others)
    async with opened(app, port, tokens[1], key) as again:
        await _go_on(*again)


async def test_a_key_that_is_nowhere_ends_what_it_opened(
    app: FastAPI, port: int, client: httpx.AsyncClient, person: Make, sql: Any
) -> None:
    """As where the database was put back to before it was made."""
    agent = await person("agent")
    async with opened(app, port, agent.key) as gone, opened(app, port, ADMIN_KEY) as here:
        await sql.execute("DELETE FROM api_keys WHERE agent_id = $1", agent.id)
        await _end(*gone)
        await _go_on(*here)


async def test_who_is_let_in_no_more_while_they_catch_up_gets_no_further_page(
    app: FastAPI, client: httpx.AsyncClient, person: Make, sql: Any
) -> None:
    """However long that takes: the log may be long, and a reader slow."""
    agent = await person("agent")
    await sql.execute(_WRITE, agent.id, 1_000)
    actor = await app.state.credentials.actor(agent.key)
    answer = await app.state.hub.open(actor, seen_by(actor), "1.0.0", None)
    pieces = aiter(answer.body_iterator)
    told = b""
    while b"ticket.erased" not in told:
        told += await anext(pieces)
    await sql.execute("UPDATE api_keys SET revoked_at = clock_timestamp() WHERE agent_id = $1", agent.id)
    told += b"".join([piece async for piece in pieces])
    assert 0 < told.count(b"ticket.erased") <= 100
    with pytest.raises(UnknownPosition):
        await app.state.hub.open(actor, seen_by(actor), "1.0.0", None)

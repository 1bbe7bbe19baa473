"""What callers get while the database answers nothing, takes no writes, or waits for a standby."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db import FAULTS, Database
from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY, client_for
from tests.faults.proxy import Proxy
from tests.support.expect import problem

pytestmark = pytest.mark.fault
TICKET = {"subject": "x", "customer": {"external_id": "c"}}
POOL = 8


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with Proxy.to(database_url) as between:
        yield between


@pytest.fixture
async def behind(proxy: Proxy, settings: Settings) -> AsyncIterator[FastAPI]:
    """An application that reaches its database through something that may swallow everything."""
    application = create_app(
        settings.model_copy(update={"database_url": proxy.url, "pool_size": POOL, "pool_timeout_seconds": 0.3})
    )
    async with application.router.lifespan_context(application):
        yield application


async def _timed(http: httpx.AsyncClient, method: str, path: str, **more: Any) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return await http.request(method, path, **more), time.monotonic() - began


@pytest.mark.parametrize("warm", [True, False])
async def test_a_database_that_hangs_is_told_of_within_seconds_and_is_used_again_once_it_answers(
    behind: FastAPI, proxy: Proxy, warm: bool, shows: Callable[[str, str], None]
) -> None:
    async with client_for(behind, ADMIN_KEY) as http:
        await http.get("/v1/tickets")
        if not warm:
            await behind.state.db.connections.renew()
        proxy.swallow()
        (first, seconds), (ready, red_after) = await asyncio.gather(
            _timed(http, "GET", "/v1/tickets"), _timed(http, "GET", "/readyz")
        )
        shows("P23", f"database hangs: first 503 after {seconds:.2f} s, readiness red after {red_after:.2f} s")
        problem(first, 503, "unavailable")
        assert ready.status_code == 503
        assert seconds < 2.5
        assert red_after < 2.5
        # From now on nobody waits to be told so.
        problem((again := await _timed(http, "POST", "/v1/tickets", json=TICKET))[0], 503, "unavailable")
        assert again[1] < 0.5
        assert (await http.get("/livez")).status_code == 200
        proxy.pass_on()
        async with asyncio.timeout(10):
            while (await http.post("/v1/tickets", json=TICKET)).status_code != 201:
                await asyncio.sleep(0.05)


async def test_who_only_reads_is_given_up_also_where_their_commit_has_no_answer(behind: FastAPI, proxy: Proxy) -> None:
    async def read() -> None:
        async with behind.state.db.transaction(reads=True) as tx:
            await tx.snapshot()
            proxy.swallow()

    began = time.monotonic()
    with pytest.raises(FAULTS):
        await asyncio.wait_for(read(), 10)
    assert time.monotonic() - began < 2.5


async def test_a_statement_that_takes_its_time_is_not_taken_for_a_database_that_hangs(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.begin()
        assert tx.conn
        await tx.conn.execute("SELECT pg_sleep(1.5)")


async def test_writes_that_wait_for_a_standby_leave_connections_to_who_reads(
    behind: FastAPI, sql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with client_for(behind, ADMIN_KEY) as http:
        # A COMMIT that waits, for as long as somebody holds the lock, as it would for a standby that is away.
        await sql.execute(_SLOW_COMMIT)
        async with sql.transaction():
            await sql.execute("SELECT pg_advisory_xact_lock(99)")
            body = {"subject": "x", "customer": {"external_id": "c"}}
            writes = [asyncio.create_task(http.post("/v1/tickets", json=body)) for _ in range(3 * POOL)]
            await asyncio.sleep(0.5)
            answers = [await _timed(http, "GET", "/v1/tickets") for _ in range(20)]
        done = [(await write).status_code for write in writes]
    assert {answer.status_code for answer, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < 1
    assert set(done) == {201, 503}


_SLOW_COMMIT = """
CREATE FUNCTION wait_for_standby() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(99); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_for_standby()"""


async def test_a_server_that_takes_no_writes_any_more_is_left_for_the_one_that_does(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await asyncio.gather(*(client.get("/v1/tickets") for _ in range(8)))
    pool = app.state.db.connections.pool
    stale = [await pool.acquire() for _ in range(pool.get_idle_size())]
    assert len(stale) > 1
    for connection in stale:
        # As a connection is to a primary that became a standby.
        await connection.execute("SET default_transaction_read_only = on")
        await pool.release(connection)
    answers = [await client.post("/v1/tickets", json=TICKET) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3

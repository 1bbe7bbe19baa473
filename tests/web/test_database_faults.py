"""What callers get while the database is away, full or killed, and that it is over when it is over."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import bindparam, text

from app.db import Database, Query, Transaction
from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY, client_for
from tests.support.expect import problem
from tests.support.openapi import Open, operations

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NOBODY = "01900000-0000-7000-8000-000000000000"
TICKET = {"subject": "x", "customer": {"external_id": "c"}}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@asynccontextmanager
async def _without_database(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """The same application with its database where nothing listens."""
    nowhere = settings.model_copy(update={"database_url": f"postgresql://u@127.0.0.1:{_free_port()}/d"})
    async with Database.open(nowhere) as away:
        there, app.state.db = app.state.db, away
        try:
            yield
        finally:
            app.state.db = there


async def _kill_all_others(sql: Sql) -> int:
    killed: int = await sql.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return killed


# What is answered from the request alone, or from what is remembered of its key.
ASKS_NOTHING = {
    "compute_business_time": 200, "get_me": 200, "import_email": 415, "get_automation": 422, "update_automation": 422,
}  # fmt: skip


async def test_without_a_database_every_operation_is_unavailable_for_now(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings
) -> None:
    await client.get("/v1/tickets")
    _remember_keys(app)
    async with _without_database(app, settings):
        for operation in operations(app):
            # A stream tells of what happens, once it does.
            if operation.path.startswith("/v1/") and operation.id != "stream_events":
                path = operation.url({**dict.fromkeys(operation.path_names, NOBODY), "number": 1})
                answer = await client.request(operation.method, path, json=operation.fresh_body())
                if operation.id in ASKS_NOTHING:
                    assert answer.status_code == ASKS_NOTHING[operation.id], answer.text
                else:
                    problem(answer, 503, "unavailable")
        keyed = await client.post("/v1/tickets", json=TICKET, headers={"Idempotency-Key": "k"})
        problem(keyed, 503, "unavailable")
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/problems/unavailable")).status_code == 200
        problem(await client.get("/readyz"), 503, "not_ready")
    made = await client.post("/v1/tickets", json=TICKET, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    assert "idempotency-replayed" not in made.headers


async def test_a_key_that_cannot_be_looked_up_is_no_unknown_key(app: FastAPI, settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": f"postgresql://u@127.0.0.1:{_free_port()}/d"})
    async with Database.open(nowhere) as away:
        app.state.credentials._db = away
        async with client_for(app, ADMIN_KEY) as admin:
            problem(await admin.get("/v1/tickets"), 503, "unavailable")


async def test_a_pool_without_a_free_connection_sheds(settings: Settings) -> None:
    small = create_app(settings.model_copy(update={"pool_size": 1, "pool_timeout_seconds": 0.2}))
    async with small.router.lifespan_context(small), client_for(small, ADMIN_KEY) as client:
        assert (await client.get("/v1/tickets")).status_code == 200
        async with small.state.db.transaction() as held:
            await held.begin()
            answers = await asyncio.gather(*(client.get("/v1/tickets") for _ in range(20)))
            for answer in answers:
                problem(answer, 503, "overloaded")
            problem(await client.post("/v1/tickets", json=TICKET), 503, "overloaded")
            assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/v1/tickets")).status_code == 200
        assert (await client.get("/v1/tickets")).json()["items"] == []


async def test_a_pool_of_one_serves_many_in_turn(settings: Settings) -> None:
    small = create_app(settings.model_copy(update={"pool_size": 1, "pool_timeout_seconds": 30}))
    async with small.router.lifespan_context(small), client_for(small, ADMIN_KEY) as client:
        answers = await asyncio.gather(*(client.post("/v1/tickets", json=TICKET) for _ in range(30)))
        assert {answer.status_code for answer in answers} == {201}


def _remember_keys(app: FastAPI) -> None:
    """Keys that have been looked up stay known, so that what a test shows is the request's own transaction."""
    known = app.state.credentials._known
    known.update({digest: (until + 3600, actor) for digest, (until, actor) in known.items()})


async def test_connections_killed_while_they_lay_idle_are_not_noticed(
    app: FastAPI, client: httpx.AsyncClient, sql: Sql
) -> None:
    await client.get("/v1/tickets")
    _remember_keys(app)
    for request in ("GET", "POST", "keyed", "GET"):
        await asyncio.gather(*(client.get("/v1/tickets") for _ in range(8)))
        assert await _kill_all_others(sql) >= 1
        if request == "GET":
            answer = await client.get("/v1/tickets")
        else:
            headers = {"Idempotency-Key": "k"} if request == "keyed" else {}
            answer = await client.post("/v1/tickets", json=TICKET, headers=headers)
        assert answer.is_success, (request, answer.text)
    assert await sql.fetchval("SELECT count(*) FROM tickets") == 2


async def test_a_request_killed_in_mid_query_is_told_so_and_stores_nothing(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    async with sql.transaction():
        await sql.execute("SELECT FROM tickets FOR UPDATE")
        waiting = asyncio.create_task(client.patch(path, json={"subject": "Changed"}))
        for _ in range(5):  # it may be run again, by itself, and is killed again
            while not waiting.done() and not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
            await _kill_all_others(sql)
            await asyncio.sleep(0.05)
        problem(await waiting, 503)
    assert (await client.get(path)).json()["subject"] == ticket["subject"]
    assert (await client.patch(path, json={"subject": "Changed"})).status_code == 200


async def test_a_statement_that_waits_too_long_is_given_up(settings: Settings, sql: Sql) -> None:
    hasty = create_app(settings.model_copy(update={"statement_timeout_seconds": 0.3}))
    async with hasty.router.lifespan_context(hasty), client_for(hasty, ADMIN_KEY) as client:
        ticket = (await client.post("/v1/tickets", json=TICKET)).json()
        async with sql.transaction():
            await sql.execute("SELECT FROM tickets FOR UPDATE")
            problem(await client.patch(f"/v1/tickets/{ticket['id']}", json={"subject": "Changed"}), 503)
        assert (await client.patch(f"/v1/tickets/{ticket['id']}", json={"subject": "Changed"})).status_code == 200
        assert await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0


async def test_a_unit_that_was_too_slow_is_not_run_again(settings: Settings) -> None:
    sleep, runs = Query(text("SELECT pg_sleep(30)")), 0

    async def unit(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await tx.row(sleep)

    async with Database.open(settings.model_copy(update={"statement_timeout_seconds": 0.1})) as db:
        with pytest.raises(TimeoutError):
            await db.run(unit)
    assert runs == 1


async def test_a_schema_change_under_prepared_statements_is_not_noticed(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await open_ticket()
    for n, change in enumerate(
        ("ALTER TABLE tickets ADD extra int", "ALTER TABLE tickets DROP extra", "ALTER TABLE events ADD extra int")
    ):
        await asyncio.gather(*(client.get(f"/v1/tickets/{ticket['id']}") for _ in range(4)))
        await sql.execute(change)
        for path in (f"/v1/tickets/{ticket['id']}", "/v1/tickets", f"/v1/tickets/{ticket['id']}/events"):
            assert (await client.get(path)).status_code == 200
        assert (await client.patch(f"/v1/tickets/{ticket['id']}", json={"subject": f"{n}"})).status_code == 200


async def test_a_database_that_takes_no_writes_still_answers_reads(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await open_ticket()
    _remember_keys(app)
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await _kill_all_others(sql)
    assert (await client.get(f"/v1/tickets/{ticket['id']}")).status_code == 200
    problem(await client.post("/v1/tickets", json=TICKET), 503, "unavailable")
    problem(await client.post("/v1/tickets", json=TICKET, headers={"Idempotency-Key": "k"}), 503, "unavailable")
    await sql.execute("SET default_transaction_read_only = off")
    await sql.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await _kill_all_others(sql)
    assert (await client.post("/v1/tickets", json=TICKET, headers={"Idempotency-Key": "k"})).status_code == 201


async def test_deadlocked_units_are_run_again_and_both_succeed(db: Database, sql: Sql, open_ticket: Open) -> None:
    one, two = await open_ticket(), await open_ticket()
    lock = Query(text("SELECT id FROM tickets WHERE number = :number FOR UPDATE").bindparams(bindparam("number")))
    both_hold_one = asyncio.Barrier(2)
    runs = 0

    async def unit(tx: Transaction, first: int, second: int) -> int:
        nonlocal runs
        runs += 1
        await tx.locked_row(lock, number=first)
        if runs <= 2:
            await both_hold_one.wait()
        await tx.locked_row(lock, number=second)
        return first

    a, b = one["number"], two["number"]
    done = await asyncio.gather(db.run(lambda tx: unit(tx, a, b)), db.run(lambda tx: unit(tx, b, a)))
    assert set(done) == {a, b}
    assert runs == 3

"""The log by months: made ahead, moved out of the default, dropped whole when past retention, and in epochs where the
database was put back."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from alembic import command

from app.db import Database, Row, Transaction
from app.events import partitions, reader
from app.main import create_app
from app.migrate import config
from app.settings import Settings
from app.verification.clocks import repair, verify
from embedded_postgres import EmbeddedPostgres
from embedded_postgres.programs import find_binaries
from tests.conftest import ADMIN_KEY, client_for, on_database
from tests.faults import harness
from tests.support.sla import Sql
from tests.support.streams import feed_of

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _read_on(db: Database, limit: int) -> list[int]:
    """What a reader gets next."""
    ids: list[int] = []

    async def take(_: Transaction, events: list[Row], __: UUID | None) -> None:
        ids.extend(event["id"] for event in events)

    async with db.transaction() as tx:
        await reader.read_on(tx, "r", limit, take)
    return ids


_PARTS = (
    "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'events%' ORDER BY 1"
)
_AT = """INSERT INTO events (type, occurred_at, recorded_at, actor_kind, subject_id, data)
    VALUES ('ticket.erased', now(), $1, 'system', $2, '{}')"""


async def _parts(sql: Sql) -> list[str]:
    return [row[0] for row in await sql.fetch(_PARTS)]


async def _run(db: Database, statement: str) -> Any:
    async with db.transaction() as tx:
        await tx.begin()
        assert tx.conn
        return await tx.conn.fetchval(statement)


async def test_months_are_made_ahead_once_and_take_in_what_came_without_one(
    db: Database, sql: Sql, client: httpx.AsyncClient
) -> None:
    parts = await _parts(sql)
    assert parts[-1] == "events_default"
    assert await asyncio.gather(*(partitions.run_once(db, None) for _ in range(4))) == [False] * 4
    far = await sql.fetchval("SELECT date_trunc('month', now(), 'UTC') + interval '4 months 3 days'")
    for at in (far, far + timedelta(days=1)):
        await sql.execute(_AT, at, uuid4())
    assert await sql.fetchval("SELECT count(*) FROM events_default") == 2
    before = await feed_of(client)
    assert await _run(db, "SELECT make_event_partitions(5)") >= 3
    assert await sql.fetchval("SELECT count(*) FROM events_default") == 0
    name = await sql.fetchval("SELECT to_char($1::timestamptz, '\"events_\"YYYY_MM')", far)
    assert await sql.fetchval(f'SELECT count(*) FROM "{name}"') == 2
    assert await feed_of(client) == before
    # Each month is as closed as the log.
    for part in await _parts(sql):
        for statement in (f'DELETE FROM "{part}"', f'SELECT FROM "{part}"', f'DROP TABLE "{part}"'):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await _run(db, statement)


async def test_whole_months_go_when_they_are_past_retention_and_what_is_left_works(
    db: Database, sql: Sql, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    """The month that the log began with is put into the past; what is new lies in another."""
    old, kept = await open_ticket(), await open_ticket()
    assert "events_before" in await _parts(sql)
    await _read_on(db, 1)
    for keep in (31, 36_500):
        assert not await partitions.run_once(db, keep)
    # As if the log had begun a year ago: its first partition ended then.
    await sql.execute("ALTER TABLE events DETACH PARTITION events_before")
    await sql.execute("UPDATE events_before SET recorded_at = recorded_at - interval '1 year'")
    bound = await sql.fetchval("SELECT date_trunc('month', now(), 'UTC') - interval '10 months'")
    await sql.execute(f"ALTER TABLE events ATTACH PARTITION events_before FOR VALUES FROM (MINVALUE) TO ('{bound}')")
    assert await _run(db, "SELECT make_event_partitions(1)") >= 1
    await sql.execute("UPDATE tickets SET created_at = created_at - interval '1 year' WHERE id = $1", UUID(old["id"]))
    await sql.execute(
        "INSERT INTO events (xid, type, occurred_at, actor_kind, actor_id, subject_id, ticket_id, internal, data)"
        " SELECT xid, type, occurred_at, actor_kind, actor_id, subject_id, ticket_id, internal, data FROM events_before"
        " WHERE ticket_id = $1 ORDER BY id",
        UUID(kept["id"]),
    )
    assert not await partitions.run_once(db, 3650)
    assert await partitions.run_once(db, 31)
    assert "events_before" not in await _parts(sql)
    assert await sql.fetchval("SELECT dropped_before FROM event_log") == bound
    unverifiable: list[UUID] = []
    assert [each async for _, found in verify(db, unverifiable) for each in found] == []
    assert unverifiable == [UUID(old["id"])]
    assert await repair(db, UUID(old["id"])) == []
    assert (await client.get(f"/v1/tickets/{old['id']}/events")).json()["items"] == []
    assert len((await client.get(f"/v1/tickets/{kept['id']}/events")).json()["items"]) > 0
    assert (await client.get(f"/v1/tickets/{old['id']}/explain")).status_code == 200
    answered = await client.post(f"/v1/tickets/{old['id']}/messages", json={"body": "Still here."})
    assert answered.status_code == 201
    assert (await client.post(f"/v1/customers/{old['customer_id']}/erase")).status_code == 200
    assert {event.get("ticketid") for event in await feed_of(client)} >= {old["id"], kept["id"]}
    assert await _read_on(db, 1000)


async def test_the_way_back_and_forward_keeps_every_row_of_every_month(
    database_url: str, sql: Sql, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await open_ticket()
    month = await sql.fetchval("SELECT date_trunc('month', now(), 'UTC') + interval '1 month 3 days'")
    for at in (month, month + timedelta(days=400)):
        await sql.execute(_AT, at, uuid4())
    columns = "id, xid::text, type, occurred_at, recorded_at, subject_id, ticket_id, internal, data"
    before = await sql.fetch(f"SELECT {columns} FROM events ORDER BY id")
    await asyncio.to_thread(command.downgrade, config(database_url), "0005")
    assert await sql.fetch(f"SELECT {columns} FROM events ORDER BY id") == before
    assert await sql.fetchval("SELECT relkind::text FROM pg_class WHERE relname = 'events'") == "r"
    await sql.execute(_AT, month, uuid4())
    await asyncio.to_thread(command.upgrade, config(database_url), "head")
    await asyncio.to_thread(command.check, config(database_url))
    rows = await sql.fetch(f"SELECT {columns} FROM events ORDER BY id")
    assert rows[:-1] == before
    assert rows[-1]["id"] > rows[-2]["id"]
    await open_ticket()
    assert await sql.fetchval("SELECT max(id) FROM events") > rows[-1]["id"]


async def test_on_another_server_a_new_epoch_begins_and_old_positions_go_on(
    settings: Settings, sql: Sql, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    """What a restore brings, brought about here: transaction ids of a server that was far ahead, in a log that says it
    was written by another one."""
    await open_ticket()
    await sql.execute("UPDATE events SET xid = (xid::text::bigint + 5000000000)::text::xid8")
    await sql.execute("UPDATE event_log SET written_by = 'another'")
    # A consumer has seen all but the last two, over there.
    ids = [row["id"] for row in await sql.fetch("SELECT id FROM events ORDER BY xid, id")]
    xid = await sql.fetchval("SELECT xid::text::bigint FROM events WHERE id = $1", ids[-3])
    position = f"1.{xid:x}.{ids[-3]:x}"
    again = create_app(settings)
    async with again.router.lifespan_context(again), client_for(again, ADMIN_KEY) as http:
        assert await sql.fetchval("SELECT epoch FROM event_log") == 2
        opened = (await http.post("/v1/tickets", json={"subject": "s", "customer": {"external_id": "n"}})).json()
        new = await feed_of(http, f"&after={position}", limit=1)
        numbers = [int(event["position"].split(".")[2], 16) for event in new]
        assert numbers == await sql.fetchval("SELECT array_agg(id ORDER BY id) FROM events WHERE id > $1", ids[-3])
        assert [int(event["position"].split(".")[0], 16) for event in new[:3]] == [1, 1, 2]
        assert opened["id"] in {event.get("ticketid") for event in new}
        every = await feed_of(http, limit=3)
        assert len(every) == await sql.fetchval("SELECT count(*) FROM events")
        # A reader that stood in the old epoch goes on in the new one.
        assert await _read_on(again.state.db, 1000) == [int(e["position"].split(".")[2], 16) for e in every]
        assert await _read_on(again.state.db, 1000) == []
    again = create_app(settings)
    async with again.router.lifespan_context(again):
        assert await sql.fetchval("SELECT epoch FROM event_log") == 2


@pytest.mark.fault
async def test_a_dump_restored_on_another_server_serves_all_of_it_and_goes_on(
    database_url: str, client: httpx.AsyncClient, open_ticket: Open, tmp_path: Path
) -> None:
    programs = find_binaries()
    if "DATABASE_URL" in os.environ:
        pytest.skip("the programs at hand may not be those of the server")
    await open_ticket()
    before = await feed_of(client)
    with harness.directory() as place, EmbeddedPostgres(place / "data", durable=False) as other:
        admin = await asyncpg.connect(other)
        await admin.execute("CREATE DATABASE restored")
        await admin.execute("CREATE ROLE ninety_service")
        await admin.execute("GRANT ninety_service TO current_user")
        await admin.close()
        target = on_database(other, "restored")
        dump = await asyncio.to_thread(_run_program, programs / "pg_dump", "--no-owner", database_url)
        await asyncio.to_thread(_run_program, programs / "psql", "-qX", "-v", "ON_ERROR_STOP=1", target, given=dump)
        app = create_app(Settings(database_url=target, admin_key=ADMIN_KEY, data_dir=tmp_path, worker=False))
        async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
            made = await http.post("/v1/teams", json={"key": "t", "name": "T"})
            assert made.status_code == 201, made.text
            after = await feed_of(http)
            assert after[:-1] == before
            assert after[-1]["type"] == "team.created"
            assert after[-1]["position"].startswith("0002.")
            assert await feed_of(http, f"&after={before[-1]['position']}") == after[-1:]
            assert await feed_of(http, f"&after={before[2]['position']}", limit=1) == after[3:]


def _run_program(program: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run([str(program), *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout

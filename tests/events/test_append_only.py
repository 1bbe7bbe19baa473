"""The log is appended to, and nothing else: the service's own role may not, and every change is in it."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command

from app.db import Database, Transaction
from app.main import create_app
from app.migrate import config, migrate
from app.operations.setup import set_up
from app.settings import Settings
from embedded_postgres import EmbeddedPostgres
from tests.auth.asking import operations, place, send
from tests.auth.matrix import PUBLIC, ROWS, MatrixRow
from tests.conftest import ADMIN_KEY, Databases, client_for, on_database, openapi
from tests.support.personal_data import dump
from tests.support.sla import Sql
from tests.support.world import World, a_world

FORBIDDEN = [
    "UPDATE events SET data = '{}'",
    "UPDATE events SET occurred_at = occurred_at WHERE false",
    "DELETE FROM events",
    "DELETE FROM events WHERE false",
    "TRUNCATE events",
    "ALTER TABLE events ADD COLUMN x int",
    "DROP TABLE events",
    "SELECT setval(pg_get_serial_sequence('events', 'id'), 1)",
    "UPDATE alembic_version SET version_num = version_num",
]
OPERATIONS = {operation.id: operation for operation in operations(openapi())}
CHANGES = [row for row in ROWS if OPERATIONS[row.operation].method != "GET" and row.expected["admin"] == "ok"]

# May change without a word in the log: deliveries say of themselves what became of them, a ticket for the stream lasts
# half a minute, who is writing an answer is told for ten seconds, a heartbeat changes nothing that it keeps, and what a
# simulation found is dropped after a week.
_IN_TRANSIT = {"webhook_deliveries", "stream_tickets", "answering", "agent_availability", "sla_simulations"}


async def _run(db: Database, statement: str) -> None:
    async def unit(tx: Transaction) -> None:
        await tx.begin()
        assert tx.conn
        await tx.conn.execute(statement)

    await db.run(unit)


@pytest.fixture(params=["none", "pgbouncer"])
async def pool(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Database]:
    """The service's own pool: with the role on each connection, or in each transaction."""
    pooled = settings.model_copy(update={"database_pooler": request.param})
    async with Database.open(pooled) as db:
        yield db


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_services_role_does_not_write_the_log_again(pool: Database, sql: Sql, statement: str) -> None:
    before = await sql.fetch("TABLE events")
    assert before
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
        await _run(pool, statement)
    assert refused.value.sqlstate == "42501"
    assert await sql.fetch("TABLE events") == before


async def test_every_way_to_the_database_is_the_lesser_role(pool: Database) -> None:
    async def who(tx: Transaction) -> Any:
        await tx.begin()
        assert tx.conn
        return await tx.conn.fetchval("SELECT current_user")

    assert {await pool.run(who) for _ in range(3)} == {"ninety_service"}


async def test_the_whole_service_works_with_a_role_for_each_transaction(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"database_pooler": "pgbouncer"}))
    async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
        opened = await http.post("/v1/tickets", json={"subject": "s", "customer": {"external_id": "c"}})
        assert opened.status_code == 201
        erased = await http.post(f"/v1/customers/{opened.json()['customer_id']}/erase")
        assert erased.status_code == 200


async def test_only_texts_leave_the_log_by_the_one_way_there_is(db: Database, sql: Sql) -> None:
    """What erases keeps every event, its order, its instants and all that clocks are recomputed from."""
    everything = "SELECT array_agg(DISTINCT subject_id), array_agg(DISTINCT ticket_id) FROM events"
    subjects, tickets = await sql.fetchrow(everything) or ([], [])
    fixed = (
        "SELECT id, xid::text, type, occurred_at, recorded_at, actor_kind, actor_id, subject_id, ticket_id FROM events"
    )
    before = await sql.fetch(f"{fixed} ORDER BY id")

    async def unit(tx: Transaction) -> None:
        await tx.begin()
        assert tx.conn
        await tx.conn.execute("SELECT erase_from_events($1, $2)", subjects, [id_ for id_ in tickets if id_])

    await db.run(unit)
    assert await sql.fetch(f"{fixed} ORDER BY id") == before


async def test_nobody_else_may_erase_from_the_log(sql: Sql, server_url: str, database_url: str) -> None:
    name = f"nobody_{secrets.token_hex(4)}"
    await sql.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    try:
        await sql.execute(f"SET ROLE {name}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql.execute("SELECT erase_from_events('{}', '{}')")
    finally:
        await sql.execute("RESET ROLE")
        await sql.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
async def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(databases, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.mark.parametrize("row", CHANGES, ids=str)
async def test_a_change_is_in_the_log_and_what_is_in_the_log_changed_something(world: World, row: MatrixRow) -> None:
    operation = OPERATIONS[row.operation]
    path = await place(world, row, operation)
    before, told = await _state(world)
    answer = await send(world, "admin", row, operation, path)
    assert answer.is_success, answer.text
    after, told_after = await _state(world)
    changed = {table for table in before if before[table] != after[table]}
    if told_after > told:
        assert changed
    else:
        assert changed <= _IN_TRANSIT


async def _state(world: World) -> tuple[dict[str, list[str]], int]:
    """Everything but the log, and how long the log is."""
    rows = await dump(world.sql, "events")
    return rows, await world.sql.fetchval("SELECT count(*) FROM events")


def test_every_operation_that_may_change_something_is_asked() -> None:
    writing = {o.id for o in OPERATIONS.values() if o.method != "GET"} - PUBLIC
    assert {row.operation for row in CHANGES} == writing


@pytest.fixture
def cluster() -> Iterator[str]:
    """A server on which nobody has migrated anything."""
    with tempfile.TemporaryDirectory(prefix="ninety-roles-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        with EmbeddedPostgres(Path(directory) / "data", durable=False) as url:
            yield url


async def _owned(cluster: str, owner: str, *setup: str) -> str:
    """A database of its own for a role that is nobody special; how that role reaches it."""
    admin = await asyncpg.connect(cluster)
    for statement in (*setup, f"CREATE DATABASE {owner} OWNER {owner}"):
        await admin.execute(statement)
    await admin.close()
    head, _, tail = on_database(cluster, owner).partition("://")
    credentials, _, rest = tail.rpartition("@")
    return f"{head}://{owner}:x@{rest}" if credentials else f"{head}://{owner}:x@{tail}"


async def _works(url: str, tmp_path: Path) -> None:
    """The schema is the newest one, the service runs on it and cannot write the log again, and the way back works."""
    settings = Settings(database_url=url, admin_key=ADMIN_KEY, data_dir=tmp_path, worker=False)
    await asyncio.to_thread(migrate, url)
    async with Database.open(settings) as db:
        await set_up(db, ADMIN_KEY)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _run(app.state.db, "DELETE FROM events")
        await _run(app.state.db, "SELECT erase_from_events('{}', '{}')")
    await asyncio.to_thread(command.downgrade, config(url), "0003")
    await asyncio.to_thread(migrate, url)


async def test_an_owner_who_may_make_roles_migrates(cluster: str, tmp_path: Path) -> None:
    url = await _owned(cluster, "maker", "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'x'")
    await _works(url, tmp_path)


async def test_an_owner_who_may_not_migrates_where_the_role_was_given_to_them(cluster: str, tmp_path: Path) -> None:
    make = (
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ninety_service')"
        " THEN CREATE ROLE ninety_service NOLOGIN; END IF; END $$"
    )
    url = await _owned(
        cluster, "plain", "CREATE ROLE plain LOGIN PASSWORD 'x'", make, "GRANT ninety_service TO plain"
    )  # fmt: skip
    await _works(url, tmp_path)

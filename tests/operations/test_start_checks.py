"""What a start says where the database is not as it must be: one line, what would be right, and exit code 3."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from app import cli, commands
from app.connections import GUARD_RAILS, Connections
from app.migrate import schema_head
from app.operations import start_checks
from app.settings import Settings
from tests.conftest import ADMIN_KEY, administer, on_database
from tests.support.pooler import pooler
from tests.support.sla import Sql

Start = Callable[..., tuple[int, str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Start:
    """`ninety migrate` in this process: its exit code and what it said."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(url: str, **environment: str) -> tuple[int, str]:
        given = {"DATABASE_URL": url, "NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_DATA_DIR": str(tmp_path), **environment}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["ninety", "migrate"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return run


def _one_line(said: str, *parts: str) -> None:
    assert said.startswith("ninety: ")
    assert said.count("\n") == 1, said
    for part in parts:
        assert part in said


@contextmanager
def _login(server_url: str, rights: str = "") -> Iterator[tuple[str, str]]:
    """Somebody new on the server who owns a new database: their name, and the URL for them."""
    name = f"ninety_test_{secrets.token_hex(6)}"
    administer(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x' {rights}")
    administer(server_url, f"CREATE DATABASE {name} OWNER {name}")
    head, _, tail = on_database(server_url, name).partition("://")
    place = tail.rpartition("@")[2]
    try:
        yield name, f"{head}://{name}:x@{place}"
    finally:
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")
        administer(server_url, f"DROP ROLE {name}")


def test_a_server_that_is_away(start: Start) -> None:
    code, said = start("postgresql://someone:secret@127.0.0.1:1/ninety")
    assert code == 3
    _one_line(said, "127.0.0.1:1 does not answer", "start it, or correct DATABASE_URL")
    assert "secret" not in said


def test_a_database_that_is_not_there(start: Start, server_url: str) -> None:
    code, said = start(on_database(server_url, "ninety_nowhere"))
    assert code == 3
    _one_line(said, '"ninety_nowhere" does not exist', "create it")


def test_a_login_that_is_refused(start: Start, server_url: str) -> None:
    head, _, tail = server_url.partition("://")
    code, said = start(f"{head}://nobody_of_this_name:x@{tail.rpartition('@')[2]}")
    assert code == 3
    _one_line(said, "refuses the login", "correct DATABASE_URL")


def test_a_login_that_may_not_make_the_role(start: Start, server_url: str) -> None:
    """The role is there on this server, under another name than is asked for."""
    role = f"ninety_role_{secrets.token_hex(4)}"
    with _login(server_url) as (name, url):
        code, said = start(url, NINETY_DATABASE_ROLE=role)
        assert code == 3
        _one_line(said, f"no role {role}", f"CREATE ROLE {role} NOLOGIN", f'GRANT {role} TO "{name}"')


def test_a_login_that_may_not_become_the_role(start: Start, server_url: str, template: str) -> None:
    with _login(server_url) as (name, url):
        code, said = start(url)
        assert code == 3
        _one_line(said, f"{name} may not become ninety_service", f'GRANT ninety_service TO "{name}"')


def test_the_first_migration_needs_somebody_who_makes_roles() -> None:
    found = start_checks.Found("me", False, False, False, (), None, None)
    with pytest.raises(start_checks.CannotStart, match="needs CREATEROLE"):
        start_checks._check_role(found, Settings())


@pytest.fixture
def newer(database_url: str) -> Callable[[str], None]:
    """Puts the schema ahead of this release, which it works with from a version on."""

    def make(not_below: str) -> None:
        administer(database_url, "UPDATE alembic_version SET version_num = '9999'")
        administer(database_url, f"UPDATE schema_support SET not_below = '{not_below}'")

    return make


def test_a_newer_schema_that_this_release_works_on(database_url: str, newer: Callable[[str], None]) -> None:
    newer(schema_head())
    with capture_logs() as logs, commands._migrated(Settings(database_url=database_url, admin_key=ADMIN_KEY)):
        pass
    assert [entry["schema"] for entry in logs if entry["event"] == "newer_schema"] == ["9999"]


def test_a_newer_schema_that_this_release_cannot_work_on(
    start: Start, database_url: str, newer: Callable[[str], None]
) -> None:
    newer("9998")
    code, said = start(database_url)
    assert code == 3
    _one_line(said, "9999", "from 9998 on", "start the newer release")


@pytest.mark.fault
def test_a_pooler_that_is_not_said_to_be_one(start: Start, database_url: str) -> None:
    with pooler(database_url) as pooled:
        code, said = start(pooled(database_url))
        assert code == 3
        _one_line(said, "leads to a pooler", "set DATABASE_POOLER=pgbouncer")


_RESET = """DO $$ BEGIN
    EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', current_user, current_database());
END $$"""
_HELD = """SELECT array_agg(name || ' ' || current_setting(name) ORDER BY name) FROM pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')"""


async def _value(settings: Settings, statement: str) -> Any:
    async def nothing(_: object) -> None: ...

    async with Connections.open(settings, nothing) as connections, connections.pool.acquire() as connection:
        return await connection.fetchval(statement)


async def test_each_connection_brings_its_guard_rails_whoever_it_logs_in_as(database_url: str) -> None:
    """As after a dump and a restore, or for another login: what ALTER ROLE had set is gone."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_RESET)
    await connection.close()
    settings = Settings(database_url=database_url, statement_timeout_seconds=20)
    assert await _value(settings, _HELD) == [
        "idle_in_transaction_session_timeout 1min", "lock_timeout 5s", "statement_timeout 1min",
    ]  # fmt: skip
    with capture_logs() as logs:
        assert not await start_checks.check(settings, schema_head())
    assert [entry for entry in logs if entry["event"] == "guard_rails_missing"] == []
    # Behind a pooler nobody brings them, so that it is said what to do.
    with capture_logs() as logs:
        await start_checks.check(settings.model_copy(update={"database_pooler": "pgbouncer"}), schema_head())
    [warning] = [entry for entry in logs if entry["event"] == "guard_rails_missing"]
    assert {"statement_timeout", "lock_timeout"} <= set(warning["settings"]) <= set(GUARD_RAILS)
    assert "SET lock_timeout = '5s'" in warning["remedy"]


@pytest.mark.parametrize(
    ("schema", "not_below", "ready"),
    [("9999", "0018", True), ("9999", "9998", False), ("0001", "0001", False)],
    ids=["newer", "too new", "older"],
)
async def test_ready_is_who_can_work_on_the_schema(
    client: httpx.AsyncClient, sql: Sql, schema: str, not_below: str, ready: bool
) -> None:
    await sql.execute("UPDATE alembic_version SET version_num = $1", schema)
    await sql.execute("UPDATE schema_support SET not_below = $1", not_below)
    answer = await client.get("/readyz")
    # No worker runs here, so that it is not ready in any case.
    assert ("schema" not in answer.json()["detail"]) is ready, answer.text

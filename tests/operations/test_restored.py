"""A dump that is restored for another login: `ALTER ROLE … IN DATABASE` does not come along, and the guard rails are
there all the same."""

import asyncio
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from app.main import create_app
from app.migrate import schema_head
from app.operations import start_checks
from app.settings import Settings
from embedded_postgres.programs import find_binaries
from tests.conftest import ADMIN_KEY, administer, client_for, on_database
from tests.support.openapi import Open

_LOGIN_SETTINGS = """
SELECT count(*) FROM pg_db_role_setting
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@contextmanager
def _restored(server_url: str, database_url: str) -> Iterator[str]:
    """The URL of a copy, made by the programs that people make copies with, for a login that may become the service's
    role and no more."""
    programs, name = find_binaries(), f"ninety_test_{secrets.token_hex(6)}"
    administer(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    administer(server_url, f"GRANT ninety_service TO {name}")
    administer(server_url, f"CREATE DATABASE {name}")
    copy = on_database(server_url, name)
    head, _, tail = copy.partition("://")
    url = f"{head}://{name}:x@{tail.rpartition('@')[2]}"
    try:
        dump = _run(programs / "pg_dump", "--no-owner", database_url)
        _run(programs / "psql", "-qX", "-v", "ON_ERROR_STOP=1", copy, given=dump)
        yield url
    finally:
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")
        administer(server_url, f"DROP ROLE {name}")


def _run(program: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run([str(program), *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


async def _rails(url: str) -> int:
    """How many the server sets by itself for this database."""
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(_LOGIN_SETTINGS)
        return count
    finally:
        await connection.close()


@pytest.mark.fault
async def test_a_restored_copy_under_another_login_has_its_guard_rails(
    server_url: str, database_url: str, client: httpx.AsyncClient, open_ticket: Open, tmp_path: Path
) -> None:
    if "DATABASE_URL" in os.environ:
        pytest.skip("the programs at hand may not be those of the server")
    ticket = await open_ticket()
    with _restored(server_url, database_url) as url:
        assert await _rails(url) == 0
        settings = Settings(database_url=url, admin_key=ADMIN_KEY, data_dir=tmp_path, worker=False)
        with capture_logs() as logs:
            assert not await start_checks.check(settings, schema_head())
        assert [entry for entry in logs if entry["event"] == "guard_rails_missing"] == []
        app = create_app(settings)
        holder = await asyncpg.connect(url)
        async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http, holder.transaction():
            path = f"/v1/tickets/{ticket['id']}"
            assert (await http.get(path)).status_code == 200
            # Somebody holds what is asked for, and goes on holding it.
            await holder.execute("SELECT FROM tickets WHERE id = $1 FOR UPDATE", ticket["id"])
            began = time.monotonic()
            refused = await asyncio.wait_for(http.patch(path, json={"priority": "high"}), 60)
            assert refused.status_code == 503
            # The lock's timeout ended it, and not the statement's, which is twice as long.
            assert time.monotonic() - began < settings.statement_timeout_seconds
        await holder.close()

"""Starting, attaching, and who gets in."""

import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from embedded_postgres import EmbeddedError, EmbeddedPostgres, find_binaries
from embedded_postgres.location import choose_location
from tests.embedded_postgres.harness import KEPT, Script, eventually, keep, quick, servers, sql


async def test_a_warm_start_finds_what_a_cold_one_wrote(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with server as dsn:
        assert server.owner
        assert [process.pid for process in servers(data_dir)].count(server.pid) == 1
        await keep(dsn)
    assert server.pid is None
    assert not servers(data_dir)
    with server as dsn:
        assert await sql(dsn, KEPT) == 42
        assert await sql(dsn, "SHOW fsync") == "on"


async def test_it_is_a_utf8_database_that_sorts_by_code_point(made_dir: Path) -> None:
    with EmbeddedPostgres(made_dir, durable=False, settings={"work_mem": "5MB"}) as dsn:
        assert await sql(dsn, "SHOW server_encoding") == "UTF8"
        assert await sql(dsn, "SELECT datlocprovider FROM pg_database WHERE datname = 'ninety'") == b"b"
        assert await sql(dsn, "SELECT lower('ÄÖ')") == "äö"
        assert await sql(dsn, "SELECT array_agg(word ORDER BY word) FROM unnest('{a,B}'::text[]) word") == ["B", "a"]
        assert await sql(dsn, "SHOW work_mem") == "5MB"
        assert await sql(dsn, "SHOW fsync") == "off"


async def test_its_log_quotes_no_row(made_dir: Path) -> None:
    """The log outlives who is erased from the database."""
    with quick(made_dir) as dsn:
        await sql(dsn, "CREATE TABLE IF NOT EXISTS people (name text PRIMARY KEY, age int CHECK (age > 0))")
        for broken in ("('canary', 1), ('canary', 2)", "('canary', 0)"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="people"):
                await sql(
                    dsn,
                    f"INSERT INTO people SELECT * FROM (VALUES {broken}) given",
                )
        log = (made_dir / "postgres.log").read_text()
    assert "violates" in log
    assert [line for line in log.splitlines() if "canary" in line and "STATEMENT" not in line] == []


async def test_only_the_password_opens_it_and_only_a_socket_leads_to_it(made_dir: Path) -> None:
    with quick(made_dir) as dsn:
        password = made_dir / "password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        assert stat.S_IMODE(choose_location(made_dir).socket_dir.stat().st_mode) == 0o700
        assert await sql(dsn, "SHOW listen_addresses") == ""
        assert await sql(dsn, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
        with pytest.raises(asyncpg.InvalidPasswordError):
            await sql(dsn.replace(password.read_text(), "guess"), "SELECT 1")


async def test_a_second_process_attaches_and_does_not_stop_the_server(made_dir: Path) -> None:
    with quick(made_dir) as dsn:
        await keep(dsn)
        second = Script(made_dir)
        owner, second_dsn = second.entered()
        assert not owner
        assert await sql(second_dsn, KEPT) == 42
        assert second.end(signal.SIGTERM) == 143
        assert await sql(dsn, KEPT) == 42


async def test_of_many_that_start_at_once_one_owns(data_dir: Path) -> None:
    scripts = [Script(data_dir) for _ in range(4)]
    entered = [script.entered() for script in scripts]
    assert sorted(owner for owner, _ in entered) == [False, False, False, True]
    assert len({await sql(dsn, "SELECT pg_postmaster_start_time()") for _, dsn in entered}) == 1
    for script in scripts:
        script.end(signal.SIGTERM)


async def test_a_server_that_somebody_else_started_is_not_disturbed(made_dir: Path) -> None:
    with quick(made_dir):
        place = choose_location(made_dir)
    command = [str(find_binaries() / "postgres"), "-D", str(place.cluster), "-c", "listen_addresses="]
    command += ["-k", str(place.cluster)]
    options: dict[str, Any] = {"user": place.user.uid, "group": place.user.gid} if place.user else {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **options) as manual:
        assert eventually((place.cluster / "postmaster.pid").exists)
        with pytest.raises(EmbeddedError, match=f"did not start .pid {manual.pid}"), quick(made_dir):
            pass
        assert manual.poll() is None
        manual.send_signal(signal.SIGINT)


async def test_a_failed_start_shows_the_fault_in_one_line_and_lets_go(made_dir: Path) -> None:
    settings = {"shared_buffers": "a lot"}
    with pytest.raises(EmbeddedError, match="shared_buffers") as refused, quick(made_dir, settings=settings):
        pass
    assert "\n" not in str(refused.value)
    assert f"see {choose_location(made_dir).log}" in str(refused.value)
    server = quick(made_dir)
    with server:
        assert server.owner

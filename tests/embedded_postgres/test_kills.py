"""Whatever is killed, and whenever: nothing is left running, nothing committed is lost, the next start works."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest

from embedded_postgres import EmbeddedPostgres
from embedded_postgres.location import choose_location
from tests.embedded_postgres.harness import AS_ROOT, KEPT, Script, eventually, gone, keep, quick, servers, sql


@pytest.mark.fault
async def test_killing_the_owner_stops_the_server_and_keeps_the_data(made_dir: Path) -> None:
    owner = Script(made_dir)
    await keep(owner.entered()[1])
    owner.end(signal.SIGKILL)
    assert gone(made_dir)
    with quick(made_dir) as dsn:
        assert await sql(dsn, KEPT) == 42


@pytest.mark.fault
async def test_a_start_right_after_the_owner_was_killed_waits_for_its_server(made_dir: Path) -> None:
    owner = Script(made_dir)
    _, dsn = owner.entered()
    await keep(dsn)
    before = {process.pid for process in servers(made_dir)}
    writer = await asyncpg.connect(dsn)  # open, and in a transaction: something to shut down
    await writer.execute("BEGIN; UPDATE kept SET answer = 0")
    owner.end(signal.SIGKILL)
    with quick(made_dir) as dsn:
        assert not before & {process.pid for process in servers(made_dir)}
        assert await sql(dsn, KEPT) == 42
    writer.terminate()


@pytest.mark.fault
async def test_killing_postgres_itself_loses_nothing_committed(made_dir: Path) -> None:
    server = EmbeddedPostgres(made_dir)
    with server as dsn:
        await keep(dsn)
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
    with server as dsn:
        assert await sql(dsn, KEPT) == 42


@pytest.mark.fault
async def test_killing_everything_at_once_loses_nothing_committed(made_dir: Path) -> None:
    owner = Script(made_dir)
    await keep(owner.entered()[1])
    for process in servers(made_dir):
        process.suspend()  # as if the power went: nobody reacts to anybody's death
    owner.end(signal.SIGKILL)
    for process in servers(made_dir):
        process.kill()
    with quick(made_dir) as dsn:
        assert await sql(dsn, KEPT) == 42


@pytest.mark.fault
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
async def test_a_half_made_cluster_is_made_again(data_dir: Path, by: signal.Signals) -> None:
    owner = Script(data_dir)
    assert eventually(lambda: list(data_dir.glob("cluster.new-*/base")))
    owner.end(by)
    assert not (data_dir / "cluster").exists()
    with quick(data_dir) as dsn:
        assert await sql(dsn, "SELECT 1") == 1
    assert not list(data_dir.glob("cluster.new-*"))


@pytest.mark.fault
async def test_sigterm_leaves_nothing_behind(made_dir: Path) -> None:
    owner = Script(made_dir)
    owner.entered()
    assert owner.end(signal.SIGTERM) == 143
    assert not servers(made_dir)
    assert not choose_location(made_dir).socket_dir.exists()
    assert not (made_dir / "cluster" / "postmaster.pid").exists()


@pytest.mark.fault
async def test_sigterm_in_the_middle_of_a_start_leaves_nothing_behind(made_dir: Path) -> None:
    for milliseconds in (0, 5, 10, 20, 30, 40, 60):
        owner = Script(made_dir)
        await asyncio.sleep(milliseconds / 1000)
        assert owner.end(signal.SIGTERM) == 143
        assert not servers(made_dir)
        assert not choose_location(made_dir).socket_dir.exists()


async def test_a_stale_pid_file_whose_pid_is_in_use_again_does_not_matter(made_dir: Path) -> None:
    with quick(made_dir):
        pid_file = made_dir / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        user = pid_file.stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=user if AS_ROOT else None) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with quick(made_dir) as dsn:
            assert await sql(dsn, "SELECT 1") == 1
        stranger.kill()

"""Whom the server runs as, where its files and programs are, and what is refused."""

import contextlib
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from embedded_postgres import EmbeddedError, find_binaries
from embedded_postgres.location import choose_location
from tests.embedded_postgres.harness import KEPT, Script, gone, keep, needs_root, quick, servers, sql


async def test_a_long_path_gets_its_socket_elsewhere(data_dir: Path) -> None:
    long = data_dir / ("long" * 20) / ("ä, " * 20) / "data"
    data_dir.mkdir(mode=0o711)
    with quick(long) as dsn, quick(long) as attached:
        socket_dir = choose_location(long).socket_dir
        assert socket_dir.parent == Path(tempfile.gettempdir())
        assert attached == dsn
        assert await sql(dsn, "SELECT 1") == 1
    assert not socket_dir.exists()


async def test_a_socket_directory_that_somebody_else_made_is_refused(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o711)
    socket_dir = choose_location(data_dir).socket_dir
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    with pytest.raises(EmbeddedError, match="made by somebody else"), quick(data_dir):
        pass


async def test_another_major_versions_directory_is_refused(made_dir: Path) -> None:
    version = made_dir / "cluster" / "PG_VERSION"
    made_by = version.read_text()
    version.write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17"), quick(made_dir):
        pass
    version.write_text(made_by)


async def test_a_lost_password_is_said(made_dir: Path) -> None:
    elsewhere = (made_dir / "password").rename(made_dir / "elsewhere")
    with pytest.raises(EmbeddedError, match="Restore that file"), quick(made_dir):
        pass
    elsewhere.rename(made_dir / "password")


async def test_a_long_log_is_put_aside(made_dir: Path) -> None:
    os.truncate(made_dir / "postgres.log", 10_000_000)
    with quick(made_dir):
        assert (made_dir / "postgres.log").stat().st_size < 100_000
    assert (made_dir / "postgres.log.1").stat().st_size == 10_000_000


@pytest.mark.skipif(not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="no system PostgreSQL")
async def test_a_system_postgres_serves_where_the_extra_is_not_installed(data_dir: Path) -> None:
    owner = Script(data_dir, "-S")  # without site-packages
    _, dsn = owner.entered()
    assert await sql(dsn, "SELECT current_setting('data_directory')") == str(data_dir / "cluster")
    assert await sql(dsn, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'ninety'") == "UTF8"
    assert owner.end(signal.SIGTERM) == 143


@needs_root
async def test_it_runs_as_an_ordinary_user(data_dir: Path) -> None:
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)
    data_dir.chmod(0o700)
    owner = Script(data_dir, uid=65534)
    _, dsn = owner.entered()
    assert await sql(dsn, "SELECT 1") == 1
    assert {process.uids().real for process in servers(data_dir)} == {65534}
    owner.end(signal.SIGKILL)
    assert gone(data_dir)
    with quick(data_dir) as dsn:  # and root carries on as the same user
        assert await sql(dsn, "SELECT 1") == 1


@needs_root
async def test_as_root_the_server_has_neither_root_nor_our_groups(made_dir: Path) -> None:
    server, ours = quick(made_dir), os.getgroups()
    os.setgroups([4, 5])
    try:
        server.__enter__()
    finally:
        os.setgroups(ours)
    with contextlib.ExitStack() as stack:
        stack.push(server)
        process = psutil.Process(server.pid)
        assert 0 not in process.uids()
        assert 0 not in process.gids()
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "\nGroups:\t \n" in status


@needs_root
async def test_a_directory_behind_a_closed_parent_keeps_its_cluster_elsewhere(closed_dir: Path) -> None:
    with quick(closed_dir) as dsn, quick(closed_dir) as attached:
        assert attached == dsn
        await keep(dsn)
        home = (closed_dir / "moved").resolve()
        assert await sql(dsn, "SHOW data_directory") == str(home / "cluster")
    assert stat.S_IMODE(closed_dir.parent.stat().st_mode) == 0o700
    closed_dir.parent.chmod(0o711)  # opened later: the cluster stays where it is
    with quick(closed_dir) as dsn:
        assert await sql(dsn, KEPT) == 42


@needs_root
async def test_programs_out_of_reach_are_copied_once(data_dir: Path) -> None:
    closed = data_dir.parent / "closed"
    installed = find_binaries().parents[1]
    for tree in (installed / "pginstall18", installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(tree, closed / tree.relative_to(installed.parent), ignore=shutil.ignore_patterns("include"))
    (closed / installed.name / "__init__.py").touch()
    closed.chmod(0o700)
    data_dir.mkdir(mode=0o711)
    (data_dir / "programs-1-1.new").mkdir()  # a copy that was killed
    owner = Script(data_dir, "-S", path=closed)
    _, dsn = owner.entered()
    assert await sql(dsn, "SHOW server_version_num") >= "180000"
    (copy,) = data_dir.glob("programs-*")
    assert owner.end(signal.SIGTERM) == 143
    inode = copy.stat().st_ino
    owner = Script(data_dir, "-S", path=closed)
    owner.entered()
    assert owner.end(signal.SIGTERM) == 143
    assert copy.stat().st_ino == inode
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700

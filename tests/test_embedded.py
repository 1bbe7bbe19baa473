"""Real servers, real kills. Every test ends with a look for processes that were left behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from app.embedded import EmbeddedError, EmbeddedPostgres, find_binaries
from app.embedded.place import settle

ROOT = Path(__file__).resolve().parent.parent
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="changes users")

OWNER = """
import os, signal, sys, time
from pathlib import Path
from app.embedded import EmbeddedPostgres

def leave(*_):
    raise SystemExit(143)

signal.signal(signal.SIGTERM, leave)
if sys.argv[2:]:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
print("up", flush=True)
server = EmbeddedPostgres(Path(sys.argv[1]))
with server as dsn:
    print(server.owner, dsn, flush=True)
    time.sleep(60)
"""


class Script:
    """Another process that runs a server, up to its death."""

    def __init__(self, data_dir: Path, *flags: str, path: Path | None = None, uid: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-c", OWNER, str(data_dir), *([str(uid)] if uid else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{path or ''}:{ROOT}"},
        )
        assert self._line() == "up"

    def _line(self) -> str:
        assert self.process.stdout
        return str(self.process.stdout.readline()).strip()

    def entered(self) -> tuple[bool, str]:
        """Whether it owns the server, and its DSN."""
        owner, _, dsn = self._line().partition(" ")
        assert dsn, self.process.communicate()[1]
        return owner == "True", dsn

    def end(self, by: signal.Signals) -> int:
        self.process.send_signal(by)
        self.process.communicate()
        return self.process.returncode


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Where nothing is yet."""
    # pytest's own tmp_path has a closed parent, which is a case of its own here; and its name may be too long.
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))
    parent.chmod(0o711)
    yield from _cleaned(parent, parent / "data")


@pytest.fixture(scope="session")
def session_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))
    parent.chmod(0o711)
    with quick(parent / "data"):
        pass
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def made_dir(session_dir: Path) -> Iterator[Path]:
    """Where a cluster is: one for all, as making one costs a second. Tests leave it stopped and whole."""
    yield session_dir
    _end(session_dir)


def _cleaned(parent: Path, data_dir: Path) -> Iterator[Path]:
    yield data_dir
    try:
        _end(data_dir)
    finally:
        if data_dir.exists():
            shutil.rmtree(settle(data_dir).home)
        shutil.rmtree(parent)


def _end(data_dir: Path) -> None:
    left = [] if gone(data_dir) else servers(data_dir)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not left, "processes were left behind"


def servers(data_dir: Path) -> list[psutil.Process]:
    """Every process of the server of this directory, backends and orphans included."""
    home = str((data_dir / "moved").resolve() if (data_dir / "moved").is_symlink() else data_dir)
    return [found for found in psutil.process_iter(["cwd"]) if (found.info["cwd"] or "").startswith(home)]


def gone(data_dir: Path) -> bool:
    return eventually(lambda: not servers(data_dir))


def eventually(what: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 5
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


async def keep(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    finally:
        await connection.close()


async def sql(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


quick = partial(EmbeddedPostgres, durable=False)
KEPT = "SELECT answer FROM kept"


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


async def test_only_the_password_opens_it_and_only_a_socket_leads_to_it(made_dir: Path) -> None:
    with quick(made_dir) as dsn:
        password = made_dir / "password"
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
        assert stat.S_IMODE(settle(made_dir).socket_dir.stat().st_mode) == 0o700
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
    assert not settle(made_dir).socket_dir.exists()
    assert not (made_dir / "cluster" / "postmaster.pid").exists()


@pytest.mark.fault
async def test_sigterm_in_the_middle_of_a_start_leaves_nothing_behind(made_dir: Path) -> None:
    for milliseconds in (0, 5, 10, 20, 30, 40, 60):
        owner = Script(made_dir)
        await asyncio.sleep(milliseconds / 1000)
        assert owner.end(signal.SIGTERM) == 143
        assert not servers(made_dir)
        assert not settle(made_dir).socket_dir.exists()


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


async def test_a_server_that_somebody_else_started_is_not_disturbed(made_dir: Path) -> None:
    with quick(made_dir):
        place = settle(made_dir)
    command = [str(find_binaries() / "postgres"), "-D", str(place.cluster), "-c", "listen_addresses="]
    command += ["-k", str(place.cluster)]
    options: dict[str, Any] = {"user": place.user.uid, "group": place.user.gid} if place.user else {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **options) as manual:
        assert eventually((place.cluster / "postmaster.pid").exists)
        with pytest.raises(EmbeddedError, match=f"did not start .pid {manual.pid}"), quick(made_dir):
            pass
        assert manual.poll() is None
        manual.send_signal(signal.SIGINT)


async def test_a_long_path_gets_its_socket_elsewhere(data_dir: Path) -> None:
    long = data_dir / ("long" * 20) / ("ä, " * 20) / "data"
    data_dir.mkdir(mode=0o711)
    with quick(long) as dsn, quick(long) as attached:
        socket_dir = settle(long).socket_dir
        assert socket_dir.parent == Path(tempfile.gettempdir())
        assert attached == dsn
        assert await sql(dsn, "SELECT 1") == 1
    assert not socket_dir.exists()


async def test_a_socket_directory_that_somebody_else_made_is_refused(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o711)
    socket_dir = settle(data_dir).socket_dir
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    with pytest.raises(EmbeddedError, match="made by somebody else"), quick(data_dir):
        pass


async def test_a_failed_start_shows_the_log_and_lets_go(made_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match="shared_buffers"), quick(made_dir, settings={"shared_buffers": "a lot"}):
        pass
    server = quick(made_dir)
    with server:
        assert server.owner


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


@pytest.fixture
def closed_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="ninety-test-"))  # 0700
    yield from _cleaned(parent, parent / "data")


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

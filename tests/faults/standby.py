"""A standby of an embedded server, and its promotion: another timeline, as after a failover."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedded_postgres import EmbeddedPostgres
from embedded_postgres.location import Place, choose_location, give
from embedded_postgres.programs import find_binaries


@contextmanager
def standby(primary: EmbeddedPostgres, directory: Path) -> Iterator[EmbeddedPostgres]:
    """A server in `directory` that streams from the primary."""
    to = choose_location(directory)
    _run("pg_basebackup", "-d", dsn(primary), "-D", str(to.cluster), "-R", "-X", "stream", "-c", "fast", "--no-sync")
    shutil.copy(place_of(primary).password, to.password)
    for path in (to.password, to.cluster, *to.cluster.rglob("*")):
        give(path, to.user)
    server = EmbeddedPostgres(directory, durable=False)
    with server:
        yield server


def fail_over(primary: EmbeddedPostgres, to: EmbeddedPostgres) -> None:
    """Kill the primary once the standby has all of it, and promote that."""
    query(to, _RECEIVED.format(position=query(primary, "SELECT pg_current_wal_lsn()")))
    assert primary._process
    primary._process.kill()
    assert query(to, "SELECT pg_promote()") == "t"


def place_of(server: EmbeddedPostgres) -> Place:
    assert server._place
    return server._place


def dsn(server: EmbeddedPostgres) -> str:
    return place_of(server).dsn()


_RECEIVED = """DO $$ BEGIN
    FOR _ IN 1..3000 LOOP
        EXIT WHEN pg_last_wal_replay_lsn() >= '{position}'::pg_lsn;
        PERFORM pg_sleep(0.01);
    END LOOP;
    ASSERT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn, 'the standby does not follow';
END $$"""


def query(server: EmbeddedPostgres, statement: str) -> str:
    """Without a loop."""
    return _run("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-c", statement, dsn(server))


def _run(program: str, *arguments: str) -> str:
    path = find_binaries() / program
    if not path.exists():
        pytest.skip(f"there is no {path}")
    done = subprocess.run([str(path), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

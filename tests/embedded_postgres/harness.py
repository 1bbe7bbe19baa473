"""Real servers in other processes, and the look for what they leave behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from embedded_postgres import EmbeddedPostgres
from embedded_postgres.location import choose_location

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="changes users")

OWNER = """
import os, signal, sys, time
from pathlib import Path
from embedded_postgres import EmbeddedPostgres

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


quick = partial(EmbeddedPostgres, durable=False)


def cleaned(parent: Path, data_dir: Path) -> Iterator[Path]:
    yield data_dir
    try:
        end(data_dir)
    finally:
        if data_dir.exists():
            shutil.rmtree(choose_location(data_dir).home)
        shutil.rmtree(parent)


def end(data_dir: Path) -> None:
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


KEPT = "SELECT answer FROM kept"

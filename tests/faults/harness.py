"""A whole service as a process of its own, over real sockets, on a PostgreSQL that a test may kill."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx

from app.auth.keys import make_key

ADMIN_KEY = make_key()[1]
_READY = re.compile(r"Ninety is ready at (\S+)")


@contextmanager
def directory() -> Iterator[Path]:
    """A directory that the user who runs PostgreSQL can reach."""
    with tempfile.TemporaryDirectory(prefix="ninety-fault-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def service(
    data_dir: Path,
    database_url: str | None = None,
    *options: str,
    settings: Mapping[str, str] | None = None,
    code: Path | None = None,
) -> Iterator[tuple[str, int]]:
    """`ninety serve` on a free port: its URL and pid. Ended with SIGTERM; whatever happens, nothing stays. `code` is
    the directory of another release."""
    environment = _environment(data_dir, database_url) | dict(settings or {})
    if code:
        environment["PYTHONPATH"] = str(code)
    command = [sys.executable, "-m", "app", "serve", *options]
    log = data_dir.parent / "service.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True, cwd=code)
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = _READY.search(line)
        assert found, f"{line!r}\n{log.read_text()[-2000:]}"
        yield found[1], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def worker(data_dir: Path, database_url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """`ninety worker`, apart from the API."""
    environment = _environment(data_dir, database_url) | dict(settings)
    with (data_dir.parent / "service.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "app", "worker"], stdout=log, stderr=log, env=environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def run_cli(data_dir: Path, database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ninety …` to its end."""
    command = [sys.executable, "-m", "app", *arguments]
    environment = _environment(data_dir, database_url)
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def _environment(data_dir: Path, database_url: str | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NINETY_", "DATABASE_"))}
    inherited |= {"NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_DATA_DIR": str(data_dir), "NINETY_PORT": "0"}
    return inherited | ({"DATABASE_URL": database_url} if database_url else {})


def client(base: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=30)


@dataclass
class Tally:
    """What callers were told. `broken` counts connections that ended in place of an answer."""

    acknowledged: set[str] = field(default_factory=set)
    at: list[float] = field(default_factory=list)
    """When something was acknowledged, by the loop's clock."""
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    broken: int = 0


def busy() -> float:
    """How many times as much the machine has to run as it has cores."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def longest_gap(instants: list[float]) -> float:
    return max((later - earlier for earlier, later in pairwise(sorted(instants))), default=0.0)


async def open_tickets(base: str, tally: Tally, stop: asyncio.Event, pause: float = 0.0) -> None:
    """Open tickets one after the other; where one is not acknowledged, the same again with its key until it is."""
    async with client(base) as http:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{id(http)}-{number}"
            body = {"subject": "x", "external_id": name, "customer": {"external_id": f"c-{id(http)}"}}
            while not stop.is_set():
                try:
                    answer = await http.post("/v1/tickets", json=body, headers={"Idempotency-Key": name})
                except httpx.TransportError:
                    tally.broken += 1
                    continue
                tally.answers[answer.status_code] += 1
                if answer.status_code == 201:
                    tally.acknowledged.add(name)
                    tally.at.append(asyncio.get_running_loop().time())
                    await asyncio.sleep(pause)
                    break
                kind = answer.headers.get("content-type")
                if kind != "application/problem+json" or "retry-after" not in answer.headers:
                    tally.wrong.append(f"{answer.status_code} {answer.text}")
                    break
                await asyncio.sleep(0.05)

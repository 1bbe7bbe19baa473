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
    data_dir: Path, database_url: str | None = None, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """`ninety serve` on a free port: its URL and pid. Ended with SIGTERM; whatever happens, nothing stays."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NINETY_")}
    environment |= {"NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_DATA_DIR": str(data_dir), "NINETY_PORT": "0"}
    environment |= settings or {}
    environment.pop("DATABASE_URL", None)
    if database_url:
        environment["DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "app", "serve", *options]
    log = data_dir.parent / "service.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
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


def client(base: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=30)


@dataclass
class Tally:
    """What callers were told. `broken` counts connections that ended in place of an answer."""

    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    broken: int = 0


async def open_tickets(base: str, tally: Tally, stop: asyncio.Event) -> None:
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
                    break
                kind = answer.headers.get("content-type")
                if kind != "application/problem+json" or "retry-after" not in answer.headers:
                    tally.wrong.append(f"{answer.status_code} {answer.text}")
                    break
                await asyncio.sleep(0.05)

"""P3: an API process is killed at each step of a unit, and who asked asks another process again with their key."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.conftest import ADMIN_KEY
from tests.faults.failing import KILLED, POINTS

pytestmark = pytest.mark.fault
KILLS, LONG_KILLS = 4, 50
CUSTOMER = {"external_id": "c"}


class Services:
    """Each a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pids: list[int] = []

    async def start(self, point: str = "") -> str:
        """Its URL."""
        assert self._process.stdin
        self._process.stdin.write(f"{point}\n".encode())
        pid, port = (await self.said()).split()
        self.pids.append(int(pid))
        return f"http://127.0.0.1:{port}"

    async def said(self) -> str:
        assert self._process.stdout
        async with asyncio.timeout(180):
            line = (await self._process.stdout.readline()).decode().strip()
        assert line, "it ended"
        return line


@asynccontextmanager
async def services(dsn: str) -> AsyncIterator[Services]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.faults.failing", dsn, ADMIN_KEY)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    made = Services(process)
    try:
        yield made
    finally:
        # They hold the pipe, whose end `wait` waits for.
        for pid in made.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        await process.wait()


async def _ask(base: str, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": key}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
        return await http.post(path, json=body)


async def _ask_until_done(base: str, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
    """As long as the first one's session is not yet known to have ended, its key is in use."""
    async with asyncio.timeout(60):
        while (answer := await _ask(base, path, key, body)).status_code == 409:
            assert answer.json()["code"] == "idempotency_in_flight"
    return answer


async def test_a_process_that_is_killed_at_any_step_leaves_one_effect_of_a_request_that_is_repeated(
    database_url: str, sql: Any, shows: Callable[[str, str], None], pytestconfig: pytest.Config
) -> None:
    kills = LONG_KILLS if pytestconfig.getoption("--long") else KILLS
    opened, said = [], []
    async with services(database_url) as running:
        spared = await running.start()
        first = await _ask(spared, "/v1/tickets", "first", {"subject": "x", "customer": CUSTOMER})
        messages = f"/v1/tickets/{first.json()['id']}/messages"
        for point in POINTS:
            for number in range(kills):
                key = f"{POINTS.index(point)}-{number}"
                if number % 2:
                    said.append(key)
                    await _killed(running, point, spared, messages, key, {"body": key})
                else:
                    opened.append(key)
                    body = {"subject": "x", "external_id": key, "customer": CUSTOMER}
                    await _killed(running, point, spared, "/v1/tickets", key, body)
    effects = {
        "SELECT external_id FROM tickets WHERE external_id IS NOT NULL": opened,
        "SELECT body FROM messages WHERE body LIKE '_-%'": said,
        "SELECT 'x' FROM tickets": ["x"] * (len(opened) + 1),
        "SELECT 'x' FROM events WHERE type = 'ticket.created'": ["x"] * (len(opened) + 1),
        "SELECT 'x' FROM events WHERE type = 'message.created'": ["x"] * len(said),
    }
    found = {query: sorted(row[0] for row in await sql.fetch(query)) for query in effects}
    right = sum(found[query] == sorted(effect) for query, effect in effects.items())
    shows(
        "P3",
        f"{kills} kills at each of {len(POINTS)} steps of a unit, each repeated with its key: "
        f"{'exactly one effect' if right == len(effects) else 'effects are missing, or there twice'}",
    )
    assert found == {query: sorted(effect) for query, effect in effects.items()}


async def _killed(running: Services, point: str, spared: str, path: str, key: str, body: dict[str, Any]) -> None:
    doomed = await running.start(point)
    with pytest.raises(httpx.TransportError):
        await _ask(doomed, path, key, body)
    assert await running.said() == KILLED
    answer = await _ask_until_done(spared, path, key, body)
    assert answer.status_code == 201, answer.text
    again = await _ask(spared, path, key, body)
    assert (again.status_code, again.content) == (201, answer.content)

"""P13: a worker is killed between a receiver's answer and the record of it, again and again. How often says
NINETY_TEST_WEBHOOK_KILLS; the fault job takes 200."""

import asyncio
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from app.settings import Settings
from tests.support.openapi import Open
from tests.support.webhook_receiver import Received, Receiver, answer
from tests.webhooks.conftest import Hook, hook, hurry, settings, there

pytestmark = pytest.mark.fault
KILLS = int(os.environ.get("NINETY_TEST_WEBHOOK_KILLS", "10"))
__all__ = ["hook", "settings", "there"]


class Workers:
    """One worker at a time, each a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = 0

    async def start(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        self.pid = int(await self._process.stdout.readline())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.pid = 0


@asynccontextmanager
async def workers(dsn: str) -> AsyncIterator[Workers]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.faults.workers", dsn)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    made = Workers(process)
    try:
        yield made
    finally:
        if made.pid:
            made.kill()
        process.kill()
        await process.wait()


class Stage:
    """A receiver that holds the record of each delivery back the first time that it comes."""

    def __init__(self, lock: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._lock = lock
        self.held = asyncio.Event()
        self.holding = True
        self.seen = Counter[str]()

    async def answer(self, got: Received) -> bytes:
        self.seen[got.id] += 1
        if self.holding and self.seen[got.id] == 1:
            await self._lock.execute("BEGIN")
            await self._lock.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", got.id)
            self.held.set()
        return answer()

    async def record_is_awaited(self, sql: Any) -> None:
        """Somebody waits for the row: the answer has been read, and is about to be written down."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        await self.held.wait()
        while not await sql.fetchval(waiting):
            await asyncio.sleep(0.005)


async def test_a_worker_killed_between_answer_and_record_loses_nothing_and_repeats_under_the_same_id(
    settings: Settings, hook: Hook, open_ticket: Open, there: Receiver, sql: Any, shows: Callable[[str, str], None]
) -> None:
    made = await hook(there.url, types=["ticket.created"])
    lock = await asyncpg.connect(settings.database_url)
    stage = Stage(lock)
    there.answer = stage.answer
    async with workers(settings.database_url or "") as working, asyncio.timeout(60 + 5 * KILLS):
        for _ in range(KILLS):
            await open_ticket()
            await working.start()
            await stage.record_is_awaited(sql)
            working.kill()
            await lock.execute("ROLLBACK")
            stage.held.clear()
            await _hurry(sql)
        stage.holding = False
        await working.start()
        while await sql.fetchval("SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'"):
            await _hurry(sql)
            await asyncio.sleep(0.1)
    await lock.close()
    ids = defaultdict[str, set[str]](set)
    for got in there.received:
        event = Webhook(made["secret"]).verify(got.body, got.headers)
        ids[event["id"]].add(got.id)
    stored = {str(row["id"]) for row in await sql.fetch("SELECT id FROM webhook_deliveries")}
    twice = sum(stage.seen[id_] > 1 for id_ in stored)
    attempts = len(there.received)
    shows("P13", f"worker killed {KILLS} times: {len(stored)} deliveries, {attempts} attempts, {twice} more than once")
    assert len(stored) == KILLS
    assert stored == set(stage.seen)
    assert twice == KILLS
    assert sorted(len(each) for each in ids.values()) == [1] * KILLS


async def _hurry(sql: Any) -> None:
    """The server may still be at a dead worker's last statement, which holds some rows and waits for others."""
    while True:
        try:
            return await hurry(sql)
        except asyncpg.DeadlockDetectedError:
            continue

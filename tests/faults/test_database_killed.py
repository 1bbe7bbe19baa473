"""P1 and P23: PostgreSQL is killed while requests run."""

import asyncio

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from app.embedded import EmbeddedPostgres
from tests.faults.harness import Tally, directory, open_tickets, service

pytestmark = pytest.mark.fault
KILLS = 3
CALLERS = 8


async def test_no_acknowledged_ticket_is_lost_when_postgresql_is_killed_under_load() -> None:
    with directory() as place, service(place / "data") as (base, pid):
        tally, stop = Tally(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(open_tickets(base, tally, stop))
            for _ in range(KILLS):
                await _kill(base, pid, tally)
            stop.set()
        with EmbeddedPostgres(place / "data") as url:
            connection = await asyncpg.connect(url)
            stored = {row["external_id"] for row in await connection.fetch("SELECT external_id FROM tickets")}
            await connection.close()
    print(f"acknowledged {len(tally.acknowledged)}, answers {dict(tally.answers)}")
    assert len(tally.acknowledged) >= 50 * KILLS
    assert tally.acknowledged <= stored
    assert (tally.wrong, tally.broken) == ([], 0)
    assert set(tally.answers) <= {201, 409, 503}
    assert tally.answers[503]


async def _kill(base: str, pid: int, tally: Tally) -> None:
    """Kill the server under load, and see the service say so, live through it, and come back by itself."""
    [postmaster] = psutil.Process(pid).children()
    before = len(tally.acknowledged)
    while len(tally.acknowledged) < before + 50:
        await asyncio.sleep(0.01)
    postmaster.kill()
    # What was known of its readiness may stand for a moment still.
    while psutil.Process(pid).children() in ([], [postmaster]):
        await asyncio.sleep(0.05)
    async with httpx.AsyncClient(base_url=base, timeout=10) as http:
        assert (await http.get("/livez")).status_code == 200
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)

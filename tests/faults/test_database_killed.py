"""P1 and P23: PostgreSQL is killed while requests run."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from app.embedded import EmbeddedPostgres
from tests.faults.harness import ADMIN_KEY, directory, service

pytestmark = pytest.mark.fault
KILLS = 3
CALLERS = 8


@dataclass
class Tally:
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def test_no_acknowledged_ticket_is_lost_when_postgresql_is_killed_under_load() -> None:
    with directory() as place, service(place / "data") as (base, pid):
        tally, stop = Tally(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(_open_tickets(base, tally, stop))
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
    assert not tally.wrong
    assert set(tally.answers) <= {201, 409, 503}
    assert tally.answers[503]


async def _open_tickets(base: str, tally: Tally, stop: asyncio.Event) -> None:
    """Open tickets one after the other; where the answer is a 503, the same again with its key until it is known."""
    async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=30) as http:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{id(http)}-{number}"
            body = {"subject": "x", "external_id": name, "customer": {"external_id": f"c-{id(http)}"}}
            while not stop.is_set():
                answer = await http.post("/v1/tickets", json=body, headers={"Idempotency-Key": name})
                tally.answers[answer.status_code] += 1
                if answer.status_code == 201:
                    tally.acknowledged.add(name)
                    break
                problem = answer.json()
                if (
                    answer.headers.get("content-type") != "application/problem+json"
                    or "retry-after" not in answer.headers
                ):
                    tally.wrong.append(f"{answer.status_code} {problem}")
                    break
                await asyncio.sleep(0.05)


async def _kill(base: str, pid: int, tally: Tally) -> None:
    """Kill the server under load, and see the service say so, live through it, and come back by itself."""
    [postmaster] = psutil.Process(pid).children()
    before = len(tally.acknowledged)
    while len(tally.acknowledged) < before + 50:
        await asyncio.sleep(0.01)
    postmaster.kill()
    async with httpx.AsyncClient(base_url=base, timeout=10) as http:
        assert (await http.get("/livez")).status_code == 200
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)

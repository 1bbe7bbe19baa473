"""How long a claim takes where 100,000 tickets wait and 500 agents are online: one at a time, and eight at once."""

import asyncio
import time
from dataclasses import dataclass
from random import Random

import httpx

from bench import seeding
from bench.rounds import Spread
from bench.services import Service
from bench.wrk import LoadError

AT_ONCE = (1, 8)
_AGENTS = 500
_ONLINE = """
    WITH made AS (
        INSERT INTO agents (id, name) SELECT gen_random_uuid(), 'Agent ' || n FROM generate_series(1, $1) AS n
        RETURNING id
    )
    INSERT INTO agent_availability (agent_id, state, capacity, since, heard_at, expires_at)
    SELECT id, 'online', 1000, now(), now(), now() + interval '1 day' FROM made RETURNING agent_id
"""
# Each waits in the order it came; of every ten, one is due within the hour.
_WAIT = """
    UPDATE tickets SET waiting_since = created_at,
        due_at = CASE WHEN number % 10 = 0 THEN now() + interval '1 hour' * random() ELSE due_at END
    WHERE status IN ('new', 'open') AND waiting_since IS NULL
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """p99 in milliseconds, by how many claims there were at once: the median of the rounds with the best and worst."""

    waiting: int
    p99_ms: dict[int, Spread]


async def claim(service: Service, waiting: int, rounds: int, claims: int) -> Claimed:
    await seeding.top_up_waiting(service, waiting)
    async with service.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(_WAIT, timeout=600)
        agents = [str(row["agent_id"]) for row in await connection.fetch(_ONLINE, _AGENTS)]
    await seeding.settle(service)
    draw = Random(7)
    took: dict[int, list[float]] = {at_once: [] for at_once in AT_ONCE}
    for _ in range(rounds):
        for at_once in AT_ONCE:
            took[at_once].append(await _p99_ms(service, agents, draw, at_once, claims))
    return Claimed(waiting, {at_once: Spread.of(some) for at_once, some in took.items()})


async def _p99_ms(service: Service, agents: list[str], draw: Random, at_once: int, claims: int) -> float:
    took: list[float] = []
    left = iter(range(claims))
    async with httpx.AsyncClient(base_url=service.base_url, headers=service.headers, timeout=30) as client:

        async def ask() -> None:
            for _ in left:
                began = time.perf_counter()
                answer = await client.post("/v1/tickets/claim", json={"agent_id": draw.choice(agents)})
                took.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200 or not answer.json()["items"]:
                    raise LoadError(f"{service.name}: a claim answered {answer.status_code}: {answer.text[:300]}")

        await asyncio.gather(*(ask() for _ in range(at_once)))
    ranked = sorted(took)
    return ranked[-(-99 * len(ranked) // 100) - 1]

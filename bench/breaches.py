"""How long after its deadline a breach is noticed, when very many clocks are open and many fall due at once."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import seeding
from bench.processes import running
from bench.rounds import Spread
from bench.services import Service, sql
from bench.wrk import LoadError

# Far enough off that the deadlines are committed and the sweep is idle when they come.
_LEAD = timedelta(seconds=5)
_GIVE_UP_SECONDS = 15

# Both instants are the database's: a breach is at its deadline, `detected_at` is the clock of the sweep's statement.
_LAGS = """
SELECT extract(epoch FROM detected_at - due_at)::float8 * 1000 AS lag_ms
FROM sla_clocks WHERE id = ANY($1::uuid[]) AND detected_at IS NOT NULL"""


_TOLD = """
SELECT c.id, (
    SELECT count(*) FROM events e WHERE e.ticket_id = c.ticket_id AND e.subject_id = c.id AND e.type = 'sla.breached'
) AS told
FROM sla_clocks c WHERE c.id = ANY($1::uuid[])"""


async def detection_ms(service: Service, open_clocks: int, burst: int, bursts: int) -> dict[str, Spread]:
    """p99 (nearest rank) and the longest of detected_at - breached_at: the median of the bursts, best and worst."""
    await seeding.top_up_waiting(service, open_clocks)
    await seeding.settle(service)
    lags = [await _burst(service, burst) for _ in range(bursts)]
    return {"p99": Spread.of([_p99(some) for some in lags]), "longest": Spread.of([max(some) for some in lags])}


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of breaches while workers were killed."""

    lag_p99_ms: Spread
    kills: int
    fell_due: int
    lost: int
    twice: int


async def with_kills(service: Service, open_clocks: int, burst: int, bursts: int, log: Path) -> Killed:
    """Four workers besides, one of them killed every 0.35 s; the service's own is held still meanwhile."""
    await seeding.top_up_waiting(service, open_clocks)
    await seeding.settle(service)
    os.kill(service.pid, signal.SIGSTOP)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NINETY_", "DATABASE_"))}
    command = (sys.executable, "-m", "bench.sweepers", service.dsn)
    try:
        async with running(command, environment, log):
            await asyncio.sleep(2)
            ids: list[Any] = []
            p99s = [_p99(await _burst(service, burst, ids)) for _ in range(bursts)]
    finally:
        os.kill(service.pid, signal.SIGCONT)
    async with service.connection() as connection:
        counts = await connection.fetch(_TOLD, ids)
    kills = int(log.read_text().split()[-1])
    lost, twice = sum(row["told"] == 0 for row in counts), sum(row["told"] > 1 for row in counts)
    return Killed(Spread.of(p99s), kills, len(ids), lost, twice)


async def _burst(service: Service, size: int, seen: list[Any] | None = None) -> list[float]:
    async with service.connection() as connection:
        due_at = await connection.fetchval("SELECT clock_timestamp() + $1::interval", _LEAD)
        rows = await connection.fetch(sql("burst_ninety"), size, due_at)
        ids = [row["id"] for row in rows]
        if seen is not None:
            seen.extend(ids)
        if len(ids) < size:
            raise LoadError(f"only {len(ids)} clocks to let fall due, not {size}")
        if await connection.fetchval("SELECT clock_timestamp() >= $1", due_at):
            raise LoadError("the deadlines came before they were committed")
        # Sleeping, not asking: a reader that polls the same rows would be part of what is measured.
        await asyncio.sleep(_LEAD.total_seconds() + 2)
        for _ in range(_GIVE_UP_SECONDS):
            lags = [row["lag_ms"] for row in await connection.fetch(_LAGS, ids)]
            if len(lags) == size:
                return lags
            await asyncio.sleep(1)
    raise LoadError(f"{size - len(lags)} of {size} breaches were not noticed in {_GIVE_UP_SECONDS} s")


def _p99(values: list[float]) -> float:
    ranked = sorted(values)
    return ranked[-(-99 * len(ranked) // 100) - 1]

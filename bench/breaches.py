"""How long after its deadline a breach is noticed, when very many clocks are open and many fall due at once."""

import asyncio
from datetime import timedelta

from bench import seeding
from bench.rounds import Spread
from bench.services import Service, sql
from bench.wrk import LoadError

# Far enough off that the deadlines are committed and the sweep is idle when they come.
_LEAD = timedelta(seconds=2)
_GIVE_UP_SECONDS = 15

# Both instants are the database's: a breach is at its deadline, `detected_at` is the clock of the sweep's statement.
_LAGS = """
SELECT extract(epoch FROM detected_at - due_at)::float8 * 1000 AS lag_ms
FROM sla_clocks WHERE id = ANY($1::uuid[]) AND detected_at IS NOT NULL"""


async def detection_p99_ms(service: Service, open_clocks: int, burst: int, bursts: int) -> Spread:
    """p99 (nearest rank) of detected_at - breached_at: the median of the bursts, the best and the worst."""
    await seeding.top_up_waiting(service, open_clocks)
    await seeding.settle(service)
    return Spread.of([_p99(await _burst(service, burst)) for _ in range(bursts)])


async def _burst(service: Service, size: int) -> list[float]:
    async with service.connection() as connection:
        due_at = await connection.fetchval("SELECT clock_timestamp() + $1::interval", _LEAD)
        rows = await connection.fetch(sql("burst_ninety"), size, due_at)
        ids = [row["id"] for row in rows]
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

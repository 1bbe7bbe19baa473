"""What a process keeps in memory while it works."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.rounds import Spread

_EVERY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Memory:
    resident_mb: Spread
    growth_percent: float


async def watch(pid: int, load: asyncio.Task[object]) -> Memory:
    """Resident memory until the load ends.

    Growth is counted from the second quarter of the time, when pools and caches are full, to the last.
    """
    samples = []
    while not load.done():
        samples.append(resident_mb(pid))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(load), _EVERY_SECONDS)
    await load
    quarter = max(1, len(samples) // 4)
    early, late = median(samples[quarter : 2 * quarter] or samples), median(samples[-quarter:])
    return Memory(Spread.of(samples), 100 * (late - early) / early)


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)

"""What a process holds, sampled into its metrics each second: counting at each request would cost every request."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from uuid import UUID

from app import __version__
from app.db import Database
from app.migrate import schema_head
from app.web import metrics
from app.web.admission import Admission

_SAMPLE_SECONDS = 1.0

Process = Literal["api", "worker"]


class _Sampler:
    def __init__(self, process: Process, db: Database) -> None:
        self._process = process
        self._db = db
        self._counted: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def sample(self) -> None:
        connections, process = self._db.connections, self._process
        open_, idle = connections.pool.get_size(), connections.pool.get_idle_size()
        states = {"in_use": open_ - idle, "idle": idle, "limit": connections.pool.get_max_size()}
        for state, count in states.items():
            metrics.DB_CONNECTIONS.labels(process, state).set(count)
        metrics.DB_WAITING.labels(process).set(connections.waiting)
        for counter, total in (
            (metrics.DB_WAITS, connections.waits),
            (metrics.DB_WAIT_SECONDS, connections.waited_seconds),
            (metrics.DB_REFUSED, connections.refusals),
        ):
            counter.labels(process).inc(total - self._counted[counter._name])
            self._counted[counter._name] = total  # type: ignore[assignment]
        for sqlstate, total in self._db.connections.faults.items():
            metrics.DB_FAULTS.labels(process, sqlstate).inc(total - self._faults[sqlstate])
            self._faults[sqlstate] = total


@asynccontextmanager
async def sampled(
    process: Process, db: Database, admission: Admission | None = None, streams: Counter[UUID] | None = None
) -> AsyncIterator[None]:
    """While the block runs. `admission` and `streams` are those of an API process."""
    metrics.RELEASE.labels(process, __version__, schema_head()).set(1)
    sampler = _Sampler(process, db)

    def sample() -> None:
        sampler.sample()
        if admission:
            for kind, running in admission.running_by_kind.items():
                metrics.RUNNING.labels(kind).set(running)
            for kind, waiting in admission.waiting_by_kind.items():
                metrics.WAITING.labels(kind).set(waiting)
        if streams is not None:
            metrics.LISTENERS.set(streams.total())

    async def run() -> None:
        while True:
            sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    sampling = asyncio.create_task(run())
    try:
        yield
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling
        sample()

"""Reports read from a standby, where there is one: as of an instant that is at most so old. What fails there is read
from the primary."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import TypeVar

import structlog
from sqlalchemy import text

from app.db import FAULTS, Database, Query, Transaction
from app.errors import AppError, Unavailable
from app.settings import Settings
from app.web import metrics

T = TypeVar("T")
log = structlog.get_logger("ninety.standby")

_LOOK_SECONDS = 1.0
# Of a request's time, what is left for the primary where the standby hangs.
_SHARE = 0.5
# Whatever was committed before a heartbeat is there once that is. Not by the positions of the log: a standby that is
# cut off has replayed all that it knows of.
_LAG = Query(text("""SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float8 AS seconds
    FROM worker_heartbeats"""))  # fmt: skip


class Standby:
    """`usable`: whether it answered, and was not too far behind, when it was looked at last."""

    def __init__(self, standby: Database, primary: Database, most_lag: float) -> None:
        self.usable = False
        # A database of its own, with its own connections, watchdog and memory: what is known of the primary is newer.
        self._standby = standby
        self._primary = primary
        self._most_lag = most_lag

    @classmethod
    @asynccontextmanager
    async def open(cls, primary: Database, settings: Settings) -> AsyncIterator["Standby | None"]:
        """None where the settings name none."""
        if settings.read_database_url is None:
            yield None
            return
        theirs = settings.model_copy(update={"database_url": settings.read_database_url})
        async with Database.open(theirs) as db:
            standby = cls(db, primary, settings.read_max_lag_seconds)
            await standby.look()
            looking = asyncio.create_task(standby._run())
            try:
                yield standby
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> float:
        """By how many seconds it is behind; infinite where it does not answer."""
        error = None
        try:
            async with self._standby.transaction(reads=True, within=_LOOK_SECONDS) as tx:
                lag = await _lag(tx)
        except (*FAULTS, Unavailable) as failed:
            lag, error = inf, type(failed).__name__
        metrics.STANDBY_LAG.set(lag)
        was, self.usable = self.usable, lag <= self._most_lag
        if self.usable and not was:
            log.info("standby_used", lag_seconds=round(lag, 1))
        elif was and not self.usable:
            log.warning("standby_left", lag_seconds=round(lag, 1), error=error)
        return lag

    async def run(self, unit: Callable[[Transaction], Awaitable[T]], within: float) -> tuple[T, float | None]:
        """What `unit` reads, by how many seconds it is old at most, and None for that where it is the primary's."""
        until, answered = time.monotonic() + within, "primary"
        if self.usable:
            try:
                if found := await self._read(unit, within * _SHARE):
                    metrics.STANDBY_READS.labels("standby").inc()
                    return found
            except (*FAULTS, AppError) as failed:
                # A refusal as well: what is asked for may have been made since.
                log.info("standby_read_repeated", error=type(failed).__name__)
                answered = "repeated"
        metrics.STANDBY_READS.labels(answered).inc()
        return await self._primary.run(unit, until - time.monotonic(), reads=True), None

    async def _read(self, unit: Callable[[Transaction], Awaitable[T]], within: float) -> tuple[T, float] | None:
        """In one snapshot with its lag: behind one address there may be several standbys. None from one that is too far
        behind."""
        async with self._standby.transaction(reads=True, within=within) as tx:
            await tx.snapshot()
            lag = await _lag(tx)
            return (await unit(tx), lag) if lag <= self._most_lag else None


async def _lag(tx: Transaction) -> float:
    row = await tx.row(_LAG)
    # Without a heartbeat nothing is known; one from the future is that of a clock that is ahead.
    return inf if row is None or row["seconds"] is None else max(0.0, row["seconds"])

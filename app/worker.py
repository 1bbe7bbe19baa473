"""The worker: the loops that do what nobody asks for. Each is "work until nothing is left, then wait for the stop or
the interval"; a failed round is logged and counted, and never ends the loop. Any number of workers may run."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from uuid_utils.compat import uuid7

from app.db import Database
from app.operations.health import beat
from app.settings import Settings
from app.sla.sweep import BATCH, sweep
from app.tickets import exceptions, jobs
from app.web import idempotency, metrics

log = structlog.get_logger("ninety.worker")

_HEARTBEAT_SECONDS = 2.0
_JOB_SECONDS = 1.0
_EXCEPTION_SECONDS = 0.5
_CLEANING_SECONDS = 60.0


async def run(db: Database, settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop` is set."""
    worker_id = uuid7()

    async def heartbeat() -> bool:
        async with db.transaction() as tx:
            await beat(tx, worker_id)
        metrics.HEARTBEAT.set_to_current_time()
        return False

    async def clean() -> bool:
        async with db.transaction() as tx:
            return await idempotency.clean(tx) > 0

    await asyncio.gather(
        _loop("sweep", partial(_sweep, db), settings.sweep_interval_seconds, stop),
        _loop("heartbeat", heartbeat, _HEARTBEAT_SECONDS, stop),
        _loop("job", partial(jobs.work, db), _JOB_SECONDS, stop),
        _loop("exceptions", partial(exceptions.turn, db), _EXCEPTION_SECONDS, stop),
        _loop("clean", clean, _CLEANING_SECONDS, stop),
    )


async def _sweep(db: Database) -> bool:
    async with db.transaction() as tx:
        alerts = await sweep(tx)
    for alert in alerts:
        if alert["type"] == "sla.breached":
            metrics.DETECTION_LAG.observe(float(alert["lag_seconds"]))
        if alert["type"]:
            metrics.SWEPT.labels(alert["type"]).inc()
    return bool(alerts[0]["claimed"] == BATCH)


async def _loop(name: str, work: Callable[[], Awaitable[bool]], interval: float, stop: asyncio.Event) -> None:
    """`work` says whether there may be more to do at once."""
    while not stop.is_set():
        try:
            more = await work()
        except Exception as failed:
            metrics.LOOP_FAILURES.labels(name).inc()
            log.warning("round_failed", loop=name, error=repr(failed))
            more = False
        if not more:
            try:
                await asyncio.wait_for(stop.wait(), interval)
            except TimeoutError:
                continue

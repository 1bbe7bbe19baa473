"""The worker: the loops that do what nobody asks for. Each is "work until nothing is left, then wait for the stop or
the interval"; a failed round is logged and counted, and never ends the loop. Any number of workers may run."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from app import __version__
from app.availability import service as availability
from app.claims import watching as claims
from app.cubes import filling, folding
from app.db import FAULTS, Database
from app.errors import Unavailable
from app.events import hints, partitions, stream_tickets
from app.failures import Rounds
from app.goals import watching
from app.memberships import jobs as segment_jobs
from app.operations.health import record_heartbeat, record_stop
from app.operations.watching import Watch
from app.outlook import hands, learning, scoring, worsening
from app.settings import Settings
from app.simulations import running as simulations
from app.simulations import service as simulation_rows
from app.sla.sweep import BATCH, anything_due, sweep
from app.sla_exceptions import service as exceptions
from app.tickets import auto_close, incidents, quotas, rematch_jobs, reminders, search_index, snoozing
from app.tracing import Tracing
from app.web import idempotency, metrics
from app.webhooks import planning
from app.webhooks.sending import sender

_SWEEPS_AT_ONCE = 3
_HEARTBEAT_SECONDS = 2.0
_JOB_SECONDS = 1.0
_EXCEPTION_SECONDS = 0.5
_GOAL_SECONDS = 0.25
# Judging looks at a whole window: it takes a fifth of the time at most.
_GOAL_REST = 4.0
# Under load a search may find things later; what is asked for must not be slower.
_SEARCH_REST = 4.0
_SEARCH_SECONDS = 0.3
_CLOSING_SECONDS = 30.0
_SNOOZING_SECONDS = 0.5
_AVAILABILITY_SECONDS = 1.0
_CLAIMS_SECONDS = 1.0
# Looking at all who wait takes a tenth of the time at most.
_CLAIM_QUEUE_REST = 9.0
_SIMULATION_SECONDS = 0.5
# What was asked for the day after tomorrow holds up nothing of today: it takes half of the time at most.
_SIMULATION_REST = 1.0
_OUTLOOK_SECONDS = 0.5
# What is told of an outlook must not be of yesterday: it takes half of the time at most.
_OUTLOOK_REST = 1.0
_SCORING_SECONDS = 30.0
_CLEANING_SECONDS = 60.0
_PLANNING_SECONDS = 0.1
_SENDING_SECONDS = 0.05
_RECORDING_SECONDS = 0.02
_MONTHS_SECONDS = 600.0
_FACTS_SECONDS = 0.25
# Reports add what the cubes do not hold yet: it takes half of the time at most.
_CUBES_SECONDS = 5.0
_CUBES_REST = 1.0
_WATCHING_SECONDS = 5.0

log = structlog.get_logger("ninety.worker")


async def run(db: Database, settings: Settings, stop: asyncio.Event, tracing: Tracing | None = None) -> None:
    """Until `stop` is set."""
    worker_id = uuid7()
    log.info("worker_started", worker=str(worker_id), release=__version__, pid=os.getpid())

    async def heartbeat() -> bool:
        async with db.transaction() as tx:
            for lost in await record_heartbeat(tx, worker_id):
                log.warning("took_over", worker=str(worker_id), **lost)
        await partitions.settle_epoch(db)
        metrics.HEARTBEAT.set_to_current_time()
        return False

    async def clean() -> bool:
        async with db.transaction() as tx:
            await stream_tickets.clean(tx)
            await hints.clean(tx)
            await learning.clean(tx)
            await simulation_rows.clean(tx)
            return max(await idempotency.clean(tx), await quotas.clean(tx)) > 0

    loop = partial(_loop, tracing)
    await asyncio.gather(
        loop("sweep", partial(_sweep, db), settings.sweep_interval_seconds, stop),
        loop("heartbeat", heartbeat, _HEARTBEAT_SECONDS, stop),
        loop("job", partial(rematch_jobs.run_once, db), _JOB_SECONDS, stop),
        loop("segment_job", partial(segment_jobs.run_job_once, db), _JOB_SECONDS, stop),
        loop("reminders", partial(reminders.run_once, db), _SNOOZING_SECONDS, stop),
        loop("incidents", partial(incidents.run_once, db), _JOB_SECONDS, stop),
        loop("segments", partial(segment_jobs.run_once, db), _EXCEPTION_SECONDS, stop),
        loop("exceptions", partial(exceptions.run_once, db), _EXCEPTION_SECONDS, stop),
        loop("goals", partial(watching.run_once, db), _GOAL_SECONDS, stop, rest=_GOAL_REST),
        loop("search", partial(search_index.run_once, db), _SEARCH_SECONDS, stop, rest=_SEARCH_REST),
        loop("closing", partial(auto_close.run_once, db), _CLOSING_SECONDS, stop),
        loop("snoozing", partial(snoozing.run_once, db), _SNOOZING_SECONDS, stop),
        loop("availability", partial(availability.run_once, db), _AVAILABILITY_SECONDS, stop),
        loop("claims", partial(claims.take_back_once, db), _CLAIMS_SECONDS, stop),
        loop("claim_queue", partial(claims.look_once, db), _CLAIMS_SECONDS, stop, rest=_CLAIM_QUEUE_REST),
        loop("outlook_hands", partial(hands.look_once, db), _OUTLOOK_SECONDS, stop, rest=_CLAIM_QUEUE_REST),
        loop("outlook", partial(learning.run_once, db), _OUTLOOK_SECONDS, stop, rest=_OUTLOOK_REST),
        loop("outlook_worse", partial(worsening.look_once, db), _CLAIMS_SECONDS, stop, rest=_CLAIM_QUEUE_REST),
        loop("outlook_scores", partial(scoring.publish_once, db), _SCORING_SECONDS, stop),
        loop("facts", partial(filling.run_once, db), _FACTS_SECONDS, stop, rest=_CUBES_REST),
        loop("cubes", partial(folding.run_once, db), _CUBES_SECONDS, stop, rest=_CUBES_REST),
        loop("simulations", partial(simulations.run_once, db), _SIMULATION_SECONDS, stop, rest=_SIMULATION_REST),
        loop("clean", clean, _CLEANING_SECONDS, stop),
        _webhooks(db, settings, stop, tracing),
        loop("watch", Watch(db).run_once, _WATCHING_SECONDS, stop),
        loop("months", partial(partitions.run_once, db, settings.event_retention_days), _MONTHS_SECONDS, stop),
    )
    await _say_stopped(db, worker_id)


async def _say_stopped(db: Database, worker_id: UUID) -> None:
    """So that nobody takes it for one that died. Where the database is away, they do."""
    try:
        async with db.transaction() as tx:
            record_stop(tx, worker_id)
    except (*FAULTS, Unavailable) as failed:
        log.warning("stop_not_recorded", worker=str(worker_id), error=type(failed).__name__)
    log.info("worker_stopped", worker=str(worker_id))


async def _webhooks(db: Database, settings: Settings, stop: asyncio.Event, tracing: Tracing | None) -> None:
    loop = partial(_loop, tracing)
    async with sender(db, settings, tracing) as sending:
        await asyncio.gather(
            loop("webhook_planning", partial(planning.run_once, db), _PLANNING_SECONDS, stop),
            loop("webhook_sending", sending.run_once, _SENDING_SECONDS, stop),
            loop("webhook_recording", sending.record, _RECORDING_SECONDS, stop),
            loop("webhook_cleaning", partial(planning.clean, db), _CLEANING_SECONDS, stop),
        )


async def _sweep(db: Database) -> bool:
    """A batch; where it was full, several at once: a burst of deadlines is noticed as fast as the server can write."""
    if not await _sweep_batch(db):
        return False
    return any(await asyncio.gather(*(_sweep_batch(db) for _ in range(_SWEEPS_AT_ONCE))))


async def _sweep_batch(db: Database) -> bool:
    async with db.transaction() as tx:
        if not await anything_due(tx):
            return False
        alerts = await sweep(tx)
    for alert in alerts:
        if alert["type"] == "sla.breached":
            metrics.DETECTION_LAG.observe(max(0.0, float(alert["lag_seconds"])))
        if alert["type"]:
            metrics.SWEPT.labels(alert["type"]).inc()
    return bool(alerts[0]["claimed"] == BATCH)


async def _loop(
    tracing: Tracing | None,
    name: str,
    work: Callable[[], Awaitable[bool]],
    interval: float,
    stop: asyncio.Event,
    *,
    rest: float = 0,
) -> None:
    """`work` says whether there may be more to do at once. `rest`: so many times as long as it took it waits in any
    case."""
    rounds = Rounds(name)
    while not stop.is_set():
        began = time.monotonic()
        try:
            with tracing.round(name) if tracing else nullcontext():
                more = await work()
            rounds.done()
            pause = max((time.monotonic() - began) * rest, 0 if more else interval)
        except Exception as failed:
            metrics.LOOP_FAILURES.labels(name).inc()
            pause = max(rounds.failed(failed), interval)
        if pause:
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue

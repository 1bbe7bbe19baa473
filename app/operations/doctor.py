"""`ninety doctor`: looks at a running installation, says what is wrong with it and what to do. Changes nothing."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from sqlalchemy import text

from app.db import FAULTS, Database, Query, Transaction
from app.operations import start_checks
from app.operations.backlogs import backlogs, queues, readers
from app.operations.index_bloat import bloated
from app.operations.standby import Standby
from app.operations.start_checks import CannotStart
from app.settings import Settings
from app.webhooks.signing import SecretUnreadable, Vault

_SILENT_SECONDS = 10
_SKEW_SECONDS = 2
_LATE_SECONDS = 5
_JOB_SECONDS = 3_600
_MONTH_SECONDS = 14 * 86_400


class Level(StrEnum):
    ok = "ok"
    warning = "warning"
    problem = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy`: what to do, in one line."""

    level: Level
    subject: str
    said: str
    remedy: str = ""


Examination = Callable[[Transaction, Settings], AsyncIterator[Finding]]


async def examine(settings: Settings, schema_head: str) -> list[Finding]:
    """What is to be said of each subject, in the order in which it is best mended. Raises CannotStart where the
    database cannot be reached."""
    try:
        found = await start_checks.look(settings)
    except FAULTS as failed:
        raise CannotStart(start_checks.explained(failed, settings)) from failed
    told = _of_start(found, schema_head, settings)
    if any(each.level is Level.problem for each in told):
        # Nothing else can be asked of it.
        return told
    async with Database.open(settings) as db, Standby.open(db, settings) as standby:
        for name, examination in _EXAMINATIONS.items():
            async with db.transaction(reads=True) as tx:
                some = [finding async for finding in examination(tx, settings)]
            told += some or [Finding(Level.ok, name, "in order")]
        if standby:
            told.append(_of_standby(await standby.look(), settings))
    return told


def _of_standby(lag: float, settings: Settings) -> Finding:
    if lag <= settings.read_max_lag_seconds:
        return Finding(Level.ok, "standby", f"behind by {lag:.0f} s")
    said = f"behind by {lag:.0f} s" if lag < inf else "does not answer"
    remedy = "see pg_stat_wal_receiver there, and NINETY_READ_DATABASE_URL"
    return Finding(Level.warning, "standby", f"{said}, so that the primary answers reports", remedy)


def _of_start(found: start_checks.Found, schema_head: str, settings: Settings) -> list[Finding]:
    told = [Finding(Level.ok, "settings", "understood"), Finding(Level.ok, "database", f"answers {found.login}")]
    try:
        start_checks.check_found(found, schema_head, settings)
    except CannotStart as failed:
        return [*told, Finding(Level.problem, "role and schema", str(failed), "as said")]
    told.append(Finding(Level.ok, "role", settings.database_role))
    if found.without:
        remedy = start_checks.rails_remedy(found, settings)
        told.append(Finding(Level.warning, "guard rails", f"{', '.join(found.without)} not set", remedy))
    if found.schema is None or found.schema < schema_head:
        said = f"{found.schema or 'none'}, this release's is {schema_head}"
        return [*told, Finding(Level.problem, "schema", said, "run `ninety migrate`")]
    return [*told, Finding(Level.ok, "schema", found.schema)]


_WORKER = Query(text("""SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float8 AS silent
    FROM worker_heartbeats"""))  # fmt: skip
_OPEN = Query(text("""SELECT pid, datname, coalesce(application_name, '') AS application,
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
    FROM pg_stat_activity WHERE xact_start < clock_timestamp() - interval '1 minute' AND backend_type = 'client backend'
    ORDER BY xact_start LIMIT 5"""))  # fmt: skip
_KEYS = Query(text("""SELECT name, expires_at FROM api_keys WHERE revoked_at IS NULL
        AND expires_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '14 days'
    ORDER BY expires_at LIMIT 20"""))  # fmt: skip
_BROKEN = Query(text("""SELECT id, active, disabled_reason, failures, open_until FROM webhooks
    WHERE (active AND open_until > clock_timestamp()) OR (NOT active AND disabled_reason IS NOT NULL)
    ORDER BY id LIMIT 50"""))  # fmt: skip
_SECRETS = Query(text("""SELECT webhook_id, secret, sealed FROM webhook_secrets
    WHERE expires_at IS NULL OR expires_at > clock_timestamp() ORDER BY webhook_id LIMIT 1000"""))  # fmt: skip
_ROOM = Query(text("""SELECT current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int AS room"""))  # fmt: skip


async def _workers(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    row = await tx.row(_WORKER)
    silent = row["silent"] if row else None
    if silent is None or silent > _SILENT_SECONDS:
        said = "none was ever seen" if silent is None else f"none was seen for {silent:.0f} s"
        yield Finding(Level.problem, "worker", said, "start one: `ninety serve`, or `ninety worker` beside it")


async def _clock(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    asked = time.time()
    now = await tx.now()
    skew = (asked + time.time()) / 2 - now.timestamp()
    if abs(skew) > _SKEW_SECONDS:
        which = "ahead of" if skew > 0 else "behind"
        said = f"this machine is {abs(skew):.0f} s {which} the database's"
        yield Finding(Level.warning, "clock", said, "set both by NTP: tokens and webhooks' signatures go by this one")


async def _deadlines(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    state = await backlogs(tx)
    if state.due_clocks_seconds > _LATE_SECONDS:
        said = f"{state.due_clocks} have passed unnoticed, the oldest {state.due_clocks_seconds:.0f} s ago"
        yield Finding(Level.problem, "deadlines", said, "see `round_failed` with loop=sweep in the worker's log")


async def _readers(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    for reader in await readers(tx):
        if reader.stands_still:
            said, remedy = reader.explanation.split(": ", 1)
            yield Finding(Level.problem, "log", said, remedy)
    for row in await tx.rows(_OPEN):
        who = f"{row['application'] or 'somebody'} in {row['datname']}"
        said = f"a transaction of {who} is open for {row['seconds']:.0f} s, and holds up whoever reads the log"
        yield Finding(Level.warning, "log", said, f"end it: SELECT pg_terminate_backend({row['pid']})")


async def _months(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    state = await backlogs(tx)
    remedy = "see `round_failed` with loop=months in the worker's log: it makes what is missing"
    if state.log_ends_in_seconds < _MONTH_SECONDS:
        said = f"made for {max(0, state.log_ends_in_seconds) / 86_400:.0f} days to come, and no more"
        yield Finding(Level.problem, "months of the log", said, remedy)
    if state.unsorted_events:
        yield Finding(Level.warning, "months of the log", f"{state.unsorted_events} events have none", remedy)


async def _jobs(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    for queue in await queues(tx):
        if queue.oldest_seconds > _JOB_SECONDS:
            said = f"{queue.waiting} in {queue.name}, the oldest due for {queue.oldest_seconds:.0f} s"
            yield Finding(Level.warning, "jobs", said, "see `round_failed` in the worker's log")


async def _webhooks(tx: Transaction, settings: Settings) -> AsyncIterator[Finding]:
    for row in await tx.rows(_BROKEN):
        if row["active"]:
            said = f"{row['id']} is paused until {row['open_until']:%H:%M:%S} UTC: {row['failures']} failures in a row"
            remedy = "mend its receiver; it is tried again by itself"
        else:
            said = f"{row['id']} was turned off: {row['disabled_reason']}"
            remedy = "mend its receiver, then PATCH it to active"
        yield Finding(Level.warning, "webhooks", said, remedy)
    state = await backlogs(tx)
    if state.dead_deliveries:
        said = f"{state.dead_deliveries} deliveries were given up in the last day"
        yield Finding(Level.warning, "webhooks", said, "POST /v1/webhooks/{id}/redeliver once the receiver is well")
    if state.due_deliveries_seconds > _LATE_SECONDS:
        said = f"a delivery has waited {state.due_deliveries_seconds:.0f} s to be tried"
        yield Finding(Level.problem, "webhooks", said, "see `round_failed` with loop=webhook_sending")
    if settings.webhook_private_targets:
        said = "they may go to addresses that are not public"
        yield Finding(Level.warning, "webhooks", said, "unset NINETY_WEBHOOK_PRIVATE_TARGETS in production")


async def _secrets(tx: Transaction, settings: Settings) -> AsyncIterator[Finding]:
    vault, plain = Vault(settings.secret_keys), 0
    for row in await tx.rows(_SECRETS):
        plain += not row["sealed"]
        try:
            vault.opened(row["secret"], row["sealed"])
        except SecretUnreadable:
            said = f"that of webhook {row['webhook_id']} cannot be read"
            remedy = "add the key that it was encrypted with to NINETY_WEBHOOK_SECRET_KEYS, or rotate the secret"
            yield Finding(Level.problem, "webhooks' secrets", said, remedy)
    if plain:
        remedy = "set NINETY_WEBHOOK_SECRET_KEYS, then rotate them"
        yield Finding(Level.warning, "webhooks' secrets", f"{plain} are not encrypted", remedy)


async def _keys(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    for row in await tx.rows(_KEYS):
        said = f'"{row["name"]}" expires on {row["expires_at"]:%Y-%m-%d}'
        yield Finding(Level.warning, "API keys", said, "make another one and hand it over before")


async def _connections(tx: Transaction, settings: Settings) -> AsyncIterator[Finding]:
    row = await tx.row(_ROOM)
    processes = settings.workers + settings.worker
    # One more in each: the watchdog's.
    wanted = processes * (settings.pool_size + 1)
    if row and settings.database_pooler == "none" and wanted > row["room"]:
        said = f"this service alone may open {wanted}, the server has room for {row['room']}"
        yield Finding(Level.warning, "connections", said, "lower NINETY_POOL_SIZE, raise max_connections, or PgBouncer")


async def _indexes(tx: Transaction, _: Settings) -> AsyncIterator[Finding]:
    for bloat in await bloated(tx):
        said = f"{bloat.index} has {bloat.bytes / 2**20:.0f} MiB, {bloat.times:.0f} times what is in it"
        yield Finding(Level.warning, "indexes", said, f"REINDEX INDEX CONCURRENTLY {bloat.index}")


_EXAMINATIONS: dict[str, Examination] = {
    "worker": _workers, "clock": _clock, "deadlines": _deadlines, "log": _readers, "months of the log": _months,
    "jobs": _jobs, "webhooks": _webhooks, "webhooks' secrets": _secrets, "API keys": _keys,
    "connections": _connections, "indexes": _indexes,
}  # fmt: skip

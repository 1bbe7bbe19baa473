"""The connections of one process to the database: how they are made, who gets one, and when none is any good."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from app.errors import Overloaded, Unavailable
from app.settings import Settings
from app.watchdog import Watchdog

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PooledConnection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

# Of the connections, so many are kept for who only reads: a COMMIT may wait for a standby for as long as that is away.
_KEPT_FOR_READS = 0.25
# How long a switch of servers gets before a unit is run again.
SWITCHING_SECONDS = 0.2
_CONNECT_SECONDS = 5
# In which everything that was open is in use once, and so replaced.
_RENEWING_SECONDS = 60


# What ends a session's mistakes whatever becomes of this process. A dump does not keep what ALTER ROLE has set, and
# another login has none of it, so each connection brings it along.
GUARD_RAILS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def server_settings(settings: Settings) -> dict[str, str]:
    """What a connection begins with: the lesser role, since what it may not do no request can, and the guard rails. A
    pooler refuses both: the role is set in each transaction, and the rails belong to the login (ALTER ROLE)."""
    if settings.database_pooler == "pgbouncer":
        return {}
    # A statement is given up here before the server gives it up.
    statement = max(30, round(3 * settings.statement_timeout_seconds))
    return {**GUARD_RAILS, "role": settings.database_role, "statement_timeout": f"{statement}s"}


# What a server says that takes no writes: a standby, or a primary that became one.
READ_ONLY = "25006"

# InternalClientError is what asyncpg says when it finds out in mid-call that the connection was killed while idle.
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Connections:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", watchdog: Watchdog, settings: Settings) -> None:
        self.watchdog = watchdog
        self.pool = pool
        self._for_writes = asyncio.Semaphore(settings.pool_size - int(settings.pool_size * _KEPT_FOR_READS))
        # In use, or waited for.
        self._held = 0
        self._acquire_timeout = settings.pool_timeout_seconds
        self._renewed = -inf
        # Callers that wait for a connection now; those that waited since the start, how long in all, and in vain.
        self.waiting = 0
        self.waits = 0
        self.waited_seconds = 0.0
        self.refusals = 0
        # Failures that the database, or the way to it, has caused, by SQLSTATE or else `timeout` and `connection`.
        self.faults: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, prepare: Callable[[Connection], Coroutine[Any, Any, None]] | None = None
    ) -> AsyncIterator["Connections"]:
        """`prepare` is run on each new connection: unless told otherwise it teaches it JSON."""
        pooled = settings.database_pooler == "pgbouncer"
        pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            settings.database_url,
            min_size=0,
            max_size=settings.pool_size,
            init=prepare or _know_json,
            # The default resets session state with a round trip per release; this service never sets any.
            reset=_nothing_to_reset,
            server_settings=server_settings(settings),
            timeout=_CONNECT_SECONDS,
            # Statements stay prepared for good, unless a pooler hands each one to another server connection.
            statement_cache_size=0 if pooled else 400,
            max_cached_statement_lifetime=0,
        )

        async def ask() -> Connection:
            return await asyncpg.connect(settings.database_url, timeout=_CONNECT_SECONDS, statement_cache_size=0)

        watchdog = Watchdog(ask)
        async with pool, watchdog.running():
            yield cls(pool, watchdog, settings)

    def count_fault(self, failed: Exception) -> None:
        unnamed = "timeout" if isinstance(failed, TimeoutError) else "connection"
        self.faults[getattr(failed, "sqlstate", None) or unnamed] += 1

    async def acquire(self, *, reads: bool) -> PooledConnection:
        if self.watchdog.hanging:
            raise Unavailable("the database does not answer")
        if self._held < self.pool.get_max_size() and (reads or not self._for_writes.locked()):
            return await self._acquire(reads=reads)
        began = time.monotonic()
        self.waiting += 1
        try:
            return await self._acquire(reads=reads)
        finally:
            self.waiting -= 1
            self.waits += 1
            self.waited_seconds += time.monotonic() - began

    async def _acquire(self, *, reads: bool) -> PooledConnection:
        try:
            if not reads:
                await self._room_for_a_write()
            try:
                return await self._one()
            except BaseException:
                if not reads:
                    self._for_writes.release()
                raise
        except TimeoutError:
            self.refusals += 1
            raise Overloaded("no database connection became free in time") from None

    async def _room_for_a_write(self) -> None:
        if not self._for_writes.locked():
            await self._for_writes.acquire()
            return
        async with asyncio.timeout(self._acquire_timeout):
            await self._for_writes.acquire()

    async def _one(self) -> PooledConnection:
        # A timeout makes asyncpg start a task, so it is set only where there may be something to wait for.
        timeout = None if self._held < self.pool.get_max_size() else self._acquire_timeout
        self._held += 1
        try:
            # What lies idle may be what is not used again.
            if self.pool.get_idle_size() and time.monotonic() > self._renewed + _RENEWING_SECONDS:
                return await self.pool.acquire(timeout=timeout)
            return await self._new(timeout)
        except BaseException:
            self._held -= 1
            raise

    async def _new(self, within: float | None) -> PooledConnection:
        """One that is made, or becomes free. Raises Unavailable once the database is seen to hang."""
        waiting = asyncio.ensure_future(self.pool.acquire(timeout=within))
        given_up = False

        def give_up() -> None:
            nonlocal given_up
            given_up = waiting.cancel()

        self.watchdog.watch(waiting, give_up)
        try:
            return await waiting
        except asyncio.CancelledError:
            # The database may answer again by now; what was given up is none the less.
            if given_up and not _is_cancelled():
                raise Unavailable("the database does not answer") from None
            raise
        finally:
            self.watchdog.done(waiting)

    async def release(self, conn: PooledConnection, *, reads: bool) -> None:
        try:
            await self.pool.release(conn)
        finally:
            self._held -= 1
            if not reads:
                self._for_writes.release()

    async def renew(self) -> None:
        """No connection that is open now is used again, and the next one looks its host up anew."""
        now = time.monotonic()
        if now > self._renewed + SWITCHING_SECONDS:
            self._renewed = now
            await self.pool.expire_connections()


def _is_cancelled() -> bool:
    """The task that runs this, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def to_json(value: object) -> bytes:
    """As it is sent to the database. Raises TypeError for what is no JSON."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z)


async def _know_json(conn: Connection, /) -> None:
    async with conn.transaction():
        # jsonb's binary form is a version byte and the text.
        await conn.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda value: b"\x01" + to_json(value),
            decoder=lambda data: orjson.loads(data[1:]),
            format="binary",
        )


def _plain(value: object) -> str:
    # asyncpg's own UUIDs are a subclass, which orjson does not take for the real thing.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


async def _nothing_to_reset(_: Connection, /) -> None:
    return None

"""The database: how statements reach PostgreSQL. Only this and `group_commit.py` commit.

Statements are composed with SQLAlchemy Core, compiled once into a `Query`, and run by asyncpg itself: an engine or an
ORM session between the two costs half of the throughput. A `Transaction` sends reads at once and keeps writes until
the end, when all of them go out as one statement. So a request is one read and one write, and a transaction that
locks nothing needs no BEGIN: under READ COMMITTED a plain read gains nothing from one, and a single statement is
atomic by itself. Nothing here knows any table."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypeVar

import asyncpg

from app.connections import FAULTS, READ_ONLY, SWITCHING_SECONDS, Connections, PooledConnection
from app.errors import Unavailable
from app.group_commit import GroupCommit, may_join
from app.settings import Settings
from app.shared_reads import SharedReads
from app.statement_times import tell
from app.statements import Query, metadata
from app.transaction import NeedsLocks, Row, RunAgain, Transaction, Values

__all__ = ["FAULTS", "Database", "NeedsLocks", "Query", "Row", "RunAgain", "Transaction", "Values", "metadata"]

T = TypeVar("T")

# SQLSTATE of the 1/0 guard that fails the statement when an `expect_one_row` write matched no row.
_MISSED = "22012"

_MOST_REPEATS = 10


class Database:
    """The pool of one process."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self.connections = connections
        self._lane = GroupCommit(connections, settings).lane
        self._shared = SharedReads(connections, settings)
        self._timeout = settings.statement_timeout_seconds
        self._memo: dict[object, Any] = {}
        self._settings = settings
        self._pooled = settings.database_pooler == "pgbouncer"
        # A pooler gives each transaction another session, and takes no role with the connection.
        self._begin = f"BEGIN; SET LOCAL ROLE {settings.database_role}" if self._pooled else "BEGIN"

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Database"]:
        async with Connections.open(settings) as connections:
            db = cls(connections, settings)
            try:
                yield db
            finally:
                await db._lane.finish()
                await db._shared.lane.finish()

    def transaction(self, *, reads: bool = False, within: float = inf) -> "_Unit":
        """One unit of work: commits when the block ends, rolls back when it raises. `reads`: and nothing else, so that
        it gets a connection also where all others wait for their COMMIT. All its statements `within` so many
        seconds."""
        return _Unit(self, optimistic=False, repeated=False, until=time.monotonic() + within, reads=reads)

    async def run(self, unit: Callable[[Transaction], Awaitable[T]], within: float = inf, *, reads: bool = False) -> T:
        """`unit` in a transaction, run again where the database says that nothing of it happened and that a repeat
        may succeed: deadlocks, a connection that died while it lay idle, a server that takes no writes any more, a
        `retry_on`. All its statements `within` so many seconds. `reads` as in `transaction`."""
        attempt, repeats, until = 0, 0, time.monotonic() + within
        while True:
            attempt += 1
            tx: Transaction | None = None
            try:
                async with _Unit(self, optimistic=attempt == 1, repeated=repeats > 0, until=until, reads=reads) as tx:
                    return await unit(tx)
            except NeedsLocks:
                continue
            except RunAgain:
                repeats += 1
                if repeats > _MOST_REPEATS:
                    raise Unavailable("too many callers at the same rows") from None
            except FAULTS as failed:
                await self._refuse(tx, failed)
                if attempt > 3 or tx is None or not tx.was_connected or not _may_succeed_again(failed, tx):
                    raise
                if getattr(failed, "sqlstate", None) == READ_ONLY:
                    await asyncio.sleep(SWITCHING_SECONDS)
            await asyncio.sleep(random.uniform(0, 0.01 * attempt))  # noqa: S311 - jitter, not a secret

    async def _refuse(self, tx: Transaction | None, failed: Exception) -> None:
        """Raises what a write's own words for this failure are, if it has any."""
        explained = tx.refusals.get(getattr(failed, "constraint_name", None) or "") if tx else None
        if explained:
            async with self.transaction(reads=True) as looking:
                refusal = await explained(looking)
            raise refusal from None


class _Unit:
    """`Database.transaction`. A class, because every request enters one and a generator costs three times as much."""

    __slots__ = ("_db", "_optimistic", "_reads", "_repeated", "_tx", "_until")

    def __init__(self, db: Database, *, optimistic: bool, repeated: bool, until: float, reads: bool) -> None:
        self._db = db
        self._reads = reads
        self._optimistic = optimistic
        self._repeated = repeated
        self._until = until

    async def __aenter__(self) -> Transaction:
        db = self._db
        self._tx = tx = Transaction(
            self._connect, db._shared, db._begin, db._timeout, db._memo, db._settings,
            optimistic=self._optimistic, repeated=self._repeated, until=self._until,
        )  # fmt: skip
        if db._pooled:
            # A statement is parsed and run in two steps, which a pooler may send to two servers outside a transaction.
            try:
                await tx.begin()
            except BaseException as failed:
                await self.__aexit__(type(failed), failed, None)
                raise
        return tx

    async def _connect(self) -> PooledConnection:
        conn = await self._db.connections.acquire(reads=self._reads)
        self._db.connections.watchdog.watch(self, self._give_up)
        return conn

    def _give_up(self) -> None:
        # Nobody breaks off what may commit: whether it did would stay unknown. Of who only reads, nobody asks.
        if self._tx.conn and (self._reads or not self._tx.may_have_written):
            self._tx.conn.terminate()

    async def _release(self) -> None:
        conn, self._tx.conn = self._tx.conn, None
        if conn:
            self._db.connections.watchdog.done(self)
            await self._db.connections.release(conn, reads=self._reads)

    async def __aexit__(self, kind: object, failed: BaseException | None, trace: object) -> None:
        try:
            if failed is None:
                await self._commit()
            else:
                await self._undo(failed)
        finally:
            await self._release()

    async def _commit(self) -> None:
        tx, lane = self._tx, self._db._lane
        try:
            if tx._begun or not may_join(tx._pending):
                await tx._commit()
            elif entered := lane.enter():
                try:
                    await tx._commit()
                finally:
                    lane.leave(entered)
            else:
                await self._commit_together()
        except BaseException as failed:
            await self._undo(failed)
            raise

    async def _commit_together(self) -> None:
        """With the writes of other units, for which it waits without a connection: they may need it."""
        tx = self._tx
        await self._release()
        tx.may_have_written = True
        began = time.perf_counter()
        if await self._db._lane.join(tx._pending, tx._until):
            # Told of as slow by who sent it.
            tell(tx._pending, began, inf)
            return
        tx.may_have_written = False
        await tx._commit()

    async def _undo(self, failed: BaseException) -> None:
        if isinstance(failed, FAULTS):
            self._db.connections.count_fault(failed)
        await asyncio.shield(_undo(self._tx, failed))
        if getattr(failed, "sqlstate", None) == READ_ONLY:
            await self._db.connections.renew()


def _may_succeed_again(failed: Exception, tx: Transaction) -> bool:
    state = getattr(failed, "sqlstate", None)
    if state in {"40001", "40P01", _MISSED, READ_ONLY}:
        return True
    if state in {"23505", "23503"}:
        return getattr(failed, "constraint_name", None) in tx.retry_on
    # Who waited too long for a slow database must not make it slower by asking again.
    if tx.may_have_written or isinstance(failed, TimeoutError):
        return False
    lost_connection = state is None or state in {"08003", "08006", "57P01"}
    return lost_connection or isinstance(failed, asyncpg.InvalidCachedStatementError)


async def _undo(tx: Transaction, failed: BaseException) -> None:
    try:
        await tx._rollback()
    except FAULTS as also:
        # The connection is gone, and with it the transaction: the first failure is the one to report.
        failed.add_note(f"rollback failed as well: {also!r}")

"""The database: how statements reach PostgreSQL, and the only thing that commits.

Statements are composed with SQLAlchemy Core, compiled once into a `Query`, and run by asyncpg itself: an engine or an
ORM session between the two costs half of the throughput. A `Transaction` sends reads at once and keeps writes until
the end, when all of them go out as one statement. So a request is one read and one write, and a transaction that
locks nothing needs no BEGIN: under READ COMMITTED a plain read gains nothing from one, and a single statement is
atomic by itself. Nothing here knows any table."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from math import inf
from typing import Any, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import func, select

from app.connections import SWITCHING_SECONDS, Connections
from app.errors import AppError, Unavailable
from app.settings import Settings
from app.slow_statements import tell_if_slow
from app.statements import Query, composed, metadata

__all__ = ["FAULTS", "Database", "NeedsLocks", "Query", "Row", "RunAgain", "Transaction", "Values", "metadata"]

T = TypeVar("T")
Row = asyncpg.Record
# What reads like a row: a row itself, or the dict that it became. (A Record has the methods, not the ABC.)
Values = Mapping[str, Any] | Row

# Above this many rows a flush goes out as one COPY per table (or a pipelined `executemany`): composing would only make
# new texts.
_COMPOSED_ROWS = 24
_PREPARED_AT_ONCE = 500

# SQLSTATE of the 1/0 guard that fails the statement when an `expect_one_row` write matched no row.
_MISSED = "22012"

# A unit is run again each time another caller changed what it had read.
_MOST_REPEATS = 10
_NOW = Query(select(func.clock_timestamp().label("now")))

# What a server says that takes no writes: a standby, or a primary that became one.
READ_ONLY = "25006"

# InternalClientError is what asyncpg says when it finds out in mid-call that the connection was killed while idle.
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


# Finds out what to tell of a write that a constraint refused.
Explained = Callable[["Transaction"], Awaitable[AppError]]


class NeedsLocks(Exception):
    """Raised by a unit that was run without locks and finds that it needs them: `Database.run` runs it again."""


class RunAgain(Exception):
    """Raised by a unit that finds, once it has its locks, that it needs others which come before them in the order of
    locks. `Database.run` gives back what it holds and runs it again; `Transaction.repeated` is true then."""


class Transaction:
    """What a unit of work sees of the database. `db.transaction()` makes, commits and rolls back."""

    __slots__ = (
        "_begin", "_begun", "_conn", "_longest", "_optimistic", "_pending", "_until", "may_have_written", "memo",
        "refusals", "repeated", "retry_on", "settings",
    )  # fmt: skip

    def __init__(
        self,
        conn: "PoolConnectionProxy[Row]",
        begin: str,
        timeout: float,
        memo: dict[object, Any],
        settings: Settings,
        *,
        optimistic: bool = False,
        repeated: bool = False,
        until: float = inf,
    ) -> None:
        self._conn = conn
        self._begin = begin
        # What this process remembers of the database. Whoever keeps something here checks that it is still current.
        self.memo = memo
        self.settings = settings
        self._longest = timeout
        self._until = until
        self._pending: dict[Query, list[dict[str, Any]]] = {}
        self._begun = False
        self._optimistic = optimistic
        # Whether the unit was run before and raised `RunAgain`: it looks before it locks.
        self.repeated = repeated
        self.may_have_written = False
        self.retry_on: set[str] = set()
        self.refusals: dict[str, Explained] = {}

    @property
    def _timeout(self) -> float:
        """For the next statement. A deadline acts between statements and on them, and so never on a COMMIT. Raises
        TimeoutError."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(self._longest, left)

    @property
    def optimistic(self) -> bool:
        """Whether a unit may read without a lock what it then changes by writes that must hit: nobody has, or can take,
        locks for it, and it would be run again with them."""
        return self._optimistic and not self._begun

    async def rows(self, query: Query, /, **params: Any) -> list[Row]:
        """Read. Does not see what is still waiting to be written: call `flush` before, where it must."""
        return await self._read(self._conn.fetch, query, params)

    async def _read(self, fetch: Callable[..., Awaitable[T]], query: Query, params: dict[str, Any]) -> T:
        began = time.perf_counter()
        try:
            return await fetch(query.sql, *query.args(params), timeout=self._timeout)
        finally:
            tell_if_slow((query,), began, self.settings.slow_statement_seconds)

    async def now(self) -> datetime:
        """The database's clock, which is the only one."""
        row = await self.row(_NOW)
        assert row is not None
        now: datetime = row["now"]
        return now

    async def row(self, query: Query, /, **params: Any) -> Row | None:
        return await self._read(self._conn.fetchrow, query, params)

    async def locked_row(self, query: Query, /, **params: Any) -> Row | None:
        """Read with a lock, or write and read back: opens the transaction first, so that the lock lasts."""
        await self.begin()
        return await self.row(query, **params)

    async def locked_rows(self, query: Query, /, **params: Any) -> list[Row]:
        await self.begin()
        return await self.rows(query, **params)

    def write(self, query: Query, /, *, retry_on: str | None = None, **params: Any) -> None:
        """Queue a write; all of them leave together. Writes of one transaction must touch different rows.
        `retry_on` names a unique or foreign key whose violation means that a concurrent caller came first and that
        the whole unit is to be run again, now seeing that caller's row, or that it is gone."""
        self._pending.setdefault(query, []).append(params)
        if retry_on:
            self.retry_on.add(retry_on)

    def refuse(self, constraint: str, explained: Explained) -> None:
        """Where a queued write violates this constraint, `Database.run` raises what `explained` finds out in a
        transaction of its own, once this one is undone."""
        self.refusals[constraint] = explained

    def queued(self, query: Query, /) -> list[dict[str, Any]]:
        """What waits to be written by this query: may still be changed."""
        return self._pending.get(query, [])

    async def begin(self) -> None:
        """Open the transaction, where none is open yet."""
        if not self._begun:
            await self._conn.execute(self._begin, timeout=self._timeout)
            self._begun = True

    async def snapshot(self) -> None:
        """Open the transaction so that all its reads see one instant. Call it first."""
        await self.begin()
        await self._conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", timeout=self._timeout)

    async def flush(self) -> None:
        """Send what waits, inside the transaction."""
        await self.begin()
        await self._send()

    @asynccontextmanager
    async def nested(self, *, savepoint: bool) -> AsyncIterator[None]:
        """A part that counts in whole or, where it raises, not at all; the rest may go on. With a `savepoint` what it
        sent is undone, too, and a constraint refuses this part alone; without one, nothing may be flushed in it."""
        if savepoint:
            await self.begin()
            await self._conn.execute("SAVEPOINT nested", timeout=self._timeout)
        pending, queued = self._pending, {query: list(rows) for query, rows in self._pending.items()}
        try:
            yield
            if savepoint:
                await self.flush()
                await self._conn.execute("RELEASE SAVEPOINT nested", timeout=self._timeout)
        except BaseException:
            assert savepoint or self._pending is pending, "flushed without a savepoint"
            self._pending = queued
            if savepoint and not self._conn.is_closed():
                await self._conn.execute("ROLLBACK TO SAVEPOINT nested", timeout=self._longest)
            raise

    async def _send(self) -> None:
        pending, self._pending = self._pending, {}
        if not pending:
            return
        began = time.perf_counter()
        try:
            await self._send_all(pending)
        finally:
            tell_if_slow(pending, began, self.settings.slow_statement_seconds)

    async def _send_all(self, pending: dict[Query, list[dict[str, Any]]]) -> None:
        if sum(map(len, pending.values())) > _COMPOSED_ROWS and not any(query.expect_one_row for query in pending):
            await self.begin()
            for query, rows in pending.items():
                records = []
                for number, row in enumerate(rows):
                    records.append(query.args(row))
                    if number % _PREPARED_AT_ONCE == 0:
                        # An import has tens of thousands: the loop has its turns.
                        await asyncio.sleep(0)
                await self._send_many(query, records)
            return
        sql = composed(tuple((query, len(rows)) for query, rows in pending.items()))
        args = [arg for query, rows in pending.items() for row in rows for arg in query.args(row)]
        self.may_have_written = not self._begun
        # Where it is all there is, it commits by itself, and a deadline acts on no COMMIT.
        timeout = self._timeout if self._begun else self._longest
        await self._conn.execute(sql, *args, timeout=timeout)

    async def _send_many(self, query: Query, records: list[list[Any]]) -> None:
        if query.table and query.insert and not query.insert["tail"]:
            # COPY takes the same values in the same order, without a statement for each row.
            await self._conn.copy_records_to_table(
                query.table, records=records, columns=query.names, timeout=self._timeout
            )
        else:
            await self._conn.executemany(query.sql, records, timeout=self._timeout)

    async def _commit(self) -> None:
        await self._send()
        if self._begun:
            self.may_have_written = True
            # No timeout: cancelling a COMMIT leaves its outcome unknown.
            await self._conn.execute("COMMIT")

    async def _rollback(self) -> None:
        self._pending.clear()
        if self._begun and not self._conn.is_closed():
            await self._conn.execute("ROLLBACK", timeout=self._longest)


class Database:
    """The pool of one process."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self.connections = connections
        # Failures that the database, or the way to it, has caused, by SQLSTATE or else `timeout` and `connection`.
        self.faults: Counter[str] = Counter()
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
            yield cls(connections, settings)

    def transaction(self, *, reads: bool = False) -> "_Unit":
        """One unit of work: commits when the block ends, rolls back when it raises. `reads`: and nothing else, so that
        it gets a connection also where all others wait for their COMMIT."""
        return _Unit(self, optimistic=False, repeated=False, until=inf, reads=reads)

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
                if attempt > 3 or tx is None or not _may_succeed_again(failed, tx):
                    raise
                if getattr(failed, "sqlstate", None) == READ_ONLY:
                    await asyncio.sleep(SWITCHING_SECONDS)
            await asyncio.sleep(random.uniform(0, 0.01 * attempt))  # noqa: S311 - jitter, not a secret

    def count_fault(self, failed: Exception) -> None:
        unnamed = "timeout" if isinstance(failed, TimeoutError) else "connection"
        self.faults[getattr(failed, "sqlstate", None) or unnamed] += 1

    async def _refuse(self, tx: Transaction | None, failed: Exception) -> None:
        """Raises what a write's own words for this failure are, if it has any."""
        explained = tx.refusals.get(getattr(failed, "constraint_name", None) or "") if tx else None
        if explained:
            async with self.transaction(reads=True) as looking:
                refusal = await explained(looking)
            raise refusal from None


class _Unit:
    """`Database.transaction`. A class, because every request enters one and a generator costs three times as much."""

    __slots__ = ("_conn", "_db", "_optimistic", "_reads", "_repeated", "_tx", "_until")

    def __init__(self, db: Database, *, optimistic: bool, repeated: bool, until: float, reads: bool) -> None:
        self._db = db
        self._reads = reads
        self._optimistic = optimistic
        self._repeated = repeated
        self._until = until

    async def __aenter__(self) -> Transaction:
        try:
            self._conn = await self._db.connections.acquire(reads=self._reads)
        except FAULTS as failed:
            self._db.count_fault(failed)
            raise
        db = self._db
        self._tx = Transaction(
            self._conn, db._begin, db._timeout, db._memo, db._settings,
            optimistic=self._optimistic, repeated=self._repeated, until=self._until,
        )  # fmt: skip
        db.connections.watchdog.watch(self, self._give_up)
        if self._db._pooled:
            # A statement is parsed and run in two steps, which a pooler may send to two servers outside a transaction.
            try:
                await self._tx.begin()
            except BaseException:
                await self._release()
                raise
        return self._tx

    def _give_up(self) -> None:
        """Nobody breaks off what may commit: whether it did would stay unknown."""
        if not self._tx.may_have_written:
            self._conn.terminate()

    async def _release(self) -> None:
        self._db.connections.watchdog.done(self)
        await self._db.connections.release(self._conn, reads=self._reads)

    async def __aexit__(self, kind: object, failed: BaseException | None, trace: object) -> None:
        try:
            if failed is None:
                await self._commit()
            else:
                await self._undo(failed)
        finally:
            await self._release()

    async def _commit(self) -> None:
        try:
            await self._tx._commit()
        except BaseException as failed:
            await self._undo(failed)
            raise

    async def _undo(self, failed: BaseException) -> None:
        if isinstance(failed, FAULTS):
            self._db.count_fault(failed)
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

"""What a unit of work sees of the database. Reads are sent at once; writes are kept until the end, when all of them go
out as one statement. `db.py` begins and ends it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from math import inf
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import func, select, text

from app.connections import PooledConnection
from app.errors import AppError
from app.group_commit import MOST_ROWS
from app.settings import Settings
from app.shared_reads import SharedReads
from app.statement_times import tell
from app.statements import Query, composed

T = TypeVar("T")
Row = asyncpg.Record
# What reads like a row: a row itself, or the dict that it became. (A Record has the methods, not the ABC.)
Values = Mapping[str, Any] | Row

_PREPARED_AT_ONCE = 500
_NOW = Query(select(func.clock_timestamp().label("now")))
COMMIT = Query(text("COMMIT"))

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
        "_begin", "_begun", "_connect", "_longest", "_optimistic", "_pending", "_shared", "_until", "conn",
        "may_have_written", "memo", "refusals", "repeated", "retry_on", "settings", "was_connected",
    )  # fmt: skip

    def __init__(
        self,
        connect: Callable[[], Awaitable[PooledConnection]],
        shared: SharedReads,
        begin: str,
        timeout: float,
        memo: dict[object, Any],
        settings: Settings,
        *,
        optimistic: bool = False,
        repeated: bool = False,
        until: float = inf,
    ) -> None:
        # From its first statement on that it does not share with others.
        self.conn: PooledConnection | None = None
        self.was_connected = False
        self._connect = connect
        self._shared = shared
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
        """Does not see what is still waiting to be written: call `flush` before, where it must."""
        conn = await self._connected()
        return await self._read(conn.fetch, query, params)

    async def shared_rows(self, query: Query, /, **params: Any) -> list[Row]:
        """As `rows`: together with what others read by this query just now, where this unit has no connection yet."""
        if self.conn:
            return await self.rows(query, **params)
        return await self._shared.rows(query, params, self._until, lambda: self.rows(query, **params))

    async def _read(self, fetch: Callable[..., Awaitable[T]], query: Query, params: dict[str, Any]) -> T:
        began, slow = time.perf_counter(), self.settings.slow_statement_seconds
        try:
            found = await fetch(query.sql, *query.args(params), timeout=self._timeout)
        except BaseException as failed:
            tell((query,), began, slow, failed)
            raise
        tell((query,), began, slow, found=bool(found))
        return found

    async def _connected(self) -> PooledConnection:
        if self.conn is None:
            self.conn = await self._connect()
            self.was_connected = True
        return self.conn

    async def now(self) -> datetime:
        """The database's clock, which is the only one."""
        row = await self.row(_NOW)
        assert row is not None
        now: datetime = row["now"]
        return now

    async def row(self, query: Query, /, **params: Any) -> Row | None:
        conn = await self._connected()
        return await self._read(conn.fetchrow, query, params)

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
            conn = await self._connected()
            await conn.execute(self._begin, timeout=self._timeout)
            self._begun = True

    async def snapshot(self) -> None:
        """Open the transaction so that all its reads see one instant. Call it first."""
        await self.begin()
        conn = await self._connected()
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", timeout=self._timeout)

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
            await (await self._connected()).execute("SAVEPOINT nested", timeout=self._timeout)
        pending, queued = self._pending, {query: list(rows) for query, rows in self._pending.items()}
        try:
            yield
            if savepoint:
                await self.flush()
                await (await self._connected()).execute("RELEASE SAVEPOINT nested", timeout=self._timeout)
        except BaseException:
            assert savepoint or self._pending is pending, "flushed without a savepoint"
            self._pending = queued
            if savepoint and self.conn and not self.conn.is_closed():
                await self.conn.execute("ROLLBACK TO SAVEPOINT nested", timeout=self._longest)
            raise

    async def _send(self) -> None:
        pending, self._pending = self._pending, {}
        if not pending:
            return
        began, slow = time.perf_counter(), self.settings.slow_statement_seconds
        try:
            await self._send_all(pending)
        except BaseException as failed:
            tell(pending, began, slow, failed)
            raise
        tell(pending, began, slow)

    async def _send_all(self, pending: dict[Query, list[dict[str, Any]]]) -> None:
        # More go out as one COPY per table (or a pipelined `executemany`): composing would only make new texts.
        if sum(map(len, pending.values())) > MOST_ROWS and not any(query.expect_one_row for query in pending):
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
        # Where it is all there is, it commits by itself, and a deadline acts on no COMMIT.
        timeout = self._timeout if self._begun else self._longest
        conn = await self._connected()
        self.may_have_written = not self._begun
        await conn.execute(sql, *args, timeout=timeout)

    async def _send_many(self, query: Query, records: list[list[Any]]) -> None:
        conn = await self._connected()
        if query.table and query.insert and not query.insert["tail"]:
            # COPY takes the same values in the same order, without a statement for each row.
            await conn.copy_records_to_table(query.table, records=records, columns=query.names, timeout=self._timeout)
        else:
            await conn.executemany(query.sql, records, timeout=self._timeout)

    async def _commit(self) -> None:
        await self._send()
        if self._begun:
            self.may_have_written = True
            # No timeout: cancelling a COMMIT leaves its outcome unknown.
            conn = await self._connected()
            began = time.perf_counter()
            await conn.execute(COMMIT.sql)
            tell((COMMIT,), began, self.settings.slow_statement_seconds)

    async def _rollback(self) -> None:
        self._pending.clear()
        if self._begun and self.conn and not self.conn.is_closed():
            await self.conn.execute("ROLLBACK", timeout=self._longest)

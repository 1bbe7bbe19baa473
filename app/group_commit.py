"""Group commit: what several units of work insert at the same time leaves as one statement, with one COMMIT.

A unit that has locked nothing, and has only inserts to write, goes by itself where no other is under way. Those that
come meanwhile wait, without a connection, and leave together as soon as it is done. Their rows are sent as one JSON
array for each INSERT, so that the statement's text does not depend on how many there are (`json_to_recordset`)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import lru_cache
from math import inf
from typing import Any

import asyncpg

from app.connections import Connections, to_json
from app.settings import Settings
from app.statement_times import tell
from app.statements import Query

Writes = Mapping[Query, list[dict[str, Any]]]

_MOST_UNITS = 64
# A row that somebody holds must not hold up the units beside the one that wants it.
_LOCK_TIMEOUT = "50ms"
_ALONE_SECONDS = 0.05
# Beyond these a unit leaves by COPY.
MOST_ROWS = 24
# What has an exact form in JSON.
_TYPE = (
    r"(?:UUID|VARCHAR|TEXT|TIMESTAMP WITH TIME ZONE|DATE|JSONB|BIGINT|INTEGER|SMALLINT|BOOLEAN|FLOAT)(?:\[\])?"
)  # fmt: skip
_PARAMETER = re.compile(rf"\$(\d+)(?:::({_TYPE})(?![\w\[]))?")
_INSERT = re.compile(
    r"^(?P<head>INSERT INTO \w+ \([^)]*\)) (?P<source>(?:VALUES \(|SELECT ).*?)(?P<tail> ON CONFLICT .*)?$", re.DOTALL
)
# After these the server has lost the connection, or has no room: it is asked no more.
_OF_THE_SERVER = ("08", "53", "57", "58", "XX")


class Lane:
    """One of a process. `enter` and `leave` bracket a unit that goes by itself; `join` waits for a batch."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._timeout = settings.statement_timeout_seconds
        self._slow_seconds = settings.slow_statement_seconds
        self._busy = False
        self._alone: asyncio.TimerHandle | None = None
        self._waiting: list[_Waiting] = []
        self._under_way: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, connections: Connections, settings: Settings) -> AsyncIterator["Lane"]:
        """What is under way at the end is waited for."""
        lane = cls(connections, settings)
        try:
            yield lane
        finally:
            if lane._under_way:
                await asyncio.wait([lane._under_way])

    def enter(self) -> asyncio.TimerHandle | None:
        """What to `leave` with, where the caller may go by itself. Who takes longer is waited for no more."""
        if self._busy:
            return None
        self._busy = True
        self._alone = asyncio.get_running_loop().call_later(_ALONE_SECONDS, self._go_on)
        return self._alone

    def leave(self, entered: asyncio.TimerHandle) -> None:
        entered.cancel()
        if self._alone is entered:
            self._go_on()

    async def join(self, writes: Writes, until: float) -> bool:
        """Whether it is written; if not, nothing of it has happened, and the caller is to go by itself. Call it without
        a connection. Raises what left the outcome unknown, and TimeoutError where it is not under way at `until`."""
        waiting = _Waiting(writes)
        self._waiting.append(waiting)
        if not self._busy:
            # It became free while the caller gave its connection back.
            self._busy = True
            self._go_on()
        loop = asyncio.get_running_loop()
        late = loop.call_later(max(0, until - time.monotonic()), self._expire, waiting) if until < inf else None
        try:
            return await waiting.outcome
        finally:
            if late:
                late.cancel()
            # Whoever was cancelled writes nothing more, unless it is under way already.
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def _go_on(self) -> None:
        self._alone = None
        if self._waiting:
            # It is nobody's alone: what it logs bears no request's id.
            self._under_way = asyncio.create_task(self._run(), context=Context())
        else:
            self._busy = False

    def _expire(self, waiting: "_Waiting") -> None:
        if waiting in self._waiting:
            waiting.end(TimeoutError())

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_UNITS], self._waiting[_MOST_UNITS:]
            outcome = await self._outcome(batch)
            for waiting in batch:
                waiting.end(outcome)
        self._busy = False

    async def _outcome(self, batch: Sequence["_Waiting"]) -> bool | Exception:
        if len(batch) == 1:
            return False
        try:
            queries, arguments = _joined([waiting.writes for waiting in batch])
        except Exception:
            # One of them cannot be written, and says why by itself. The lane goes on.
            return False
        try:
            await self._send(queries, arguments)
        except asyncpg.PostgresError as failed:
            return failed if (failed.sqlstate or "08").startswith(_OF_THE_SERVER) else False
        except asyncpg.InvalidCachedStatementError:
            return False
        except Exception as failed:
            return failed
        return True

    async def _send(self, queries: tuple[Query, ...], arguments: list[str]) -> None:
        conn = await self._connections.acquire(reads=False)
        began = time.perf_counter()
        # It may be committed by the time that it seems to hang: nobody breaks it off.
        self._connections.watchdog.watch(self, lambda: None)
        try:
            await conn.execute(_statement(queries), *arguments, timeout=self._timeout)
        finally:
            tell(queries, began, self._slow_seconds)
            self._connections.watchdog.done(self)
            await self._connections.release(conn, reads=False)


class _Waiting:
    """A unit, its writes and what became of them."""

    __slots__ = ("outcome", "writes")

    def __init__(self, writes: Writes) -> None:
        self.writes = writes
        self.outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def end(self, outcome: bool | BaseException) -> None:
        if self.outcome.done():
            return
        if isinstance(outcome, BaseException):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


def may_join(writes: Writes) -> bool:
    """Whether these are inserts alone, of values that JSON holds exactly, and not too many."""
    return (
        0 < sum(map(len, writes.values())) <= MOST_ROWS
        and not any(query.expect_one_row for query in writes)
        and all(_parts(query) for query in writes)
    )


@lru_cache(maxsize=1024)
def _parts(query: Query) -> tuple[str, str, str, dict[int, str]] | None:
    """Head, source and tail of an INSERT, with `x.p1` for its parameters, and their types; None for any other."""
    found = _INSERT.match(query.sql)
    if not found:
        return None
    types = {int(number): type_ for number, type_ in _PARAMETER.findall(query.sql)}
    if not all(types.values()) or _PARAMETER.search(found["tail"] or ""):
        return None
    source = _PARAMETER.sub(lambda parameter: f"x.p{parameter[1]}", found["source"])
    return found["head"], source, found["tail"] or "", types


@lru_cache(maxsize=256)
def _statement(queries: tuple[Query, ...]) -> str:
    """One statement with a parameter, a JSON array of rows, for each INSERT."""
    inserts = []
    for number, query in enumerate(queries, 1):
        parts = _parts(query)
        assert parts is not None
        head, source, tail, types = parts
        columns = ", ".join(f"p{n} {type_}" for n, type_ in sorted(types.items()))
        rows = f"json_to_recordset(${number}::json) AS x({columns})"
        if source.startswith("VALUES ("):
            select = f"SELECT {source.removeprefix('VALUES (').removesuffix(')')} FROM {rows}"  # noqa: S608 # nosec B608
        else:
            select = f"SELECT y.* FROM {rows} CROSS JOIN LATERAL ({source}) AS y"  # noqa: S608 # nosec B608
        inserts.append(f"w{number} AS ({head} {select}{tail})")
    # It is local to the statement, and set before the inserts run.
    return f"WITH {', '.join(inserts)} SELECT set_config('lock_timeout', '{_LOCK_TIMEOUT}', true)"  # nosec B608


def _joined(units: Sequence[Writes]) -> tuple[tuple[Query, ...], list[str]]:
    """The inserts of all `units`, and the rows of each as JSON."""
    rows: dict[Query, list[dict[str, Any]]] = {}
    for writes in units:
        for query, given in writes.items():
            rows.setdefault(query, []).extend(given)
    names = {query: [f"p{n}" for n in range(1, len(query.names) + 1)] for query in rows}
    arguments = [
        [dict(zip(names[query], query.args(row), strict=True)) for row in query.added_up(given)]
        for query, given in rows.items()
    ]
    return tuple(rows), [to_json(argument).decode() for argument in arguments]

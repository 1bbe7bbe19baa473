"""What several units of work read at the same time by the same query is read by one statement. A read joins only what
has not been sent: what it finds is never older than the request."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from math import inf
from typing import Any

import asyncpg

from app.connections import FAULTS, Connections
from app.json_rows import argument, from_rows, recordset, types_of
from app.lanes import Lane
from app.settings import Settings
from app.statement_times import tell
from app.statements import Query

Rows = list[asyncpg.Record]


class SharedReads:
    """Of one process."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._timeout = settings.statement_timeout_seconds
        self._slow_seconds = settings.slow_statement_seconds
        self.lane = Lane[tuple[Query, dict[str, Any]], Rows](self._send, alike=lambda asked: asked[0])

    async def rows(
        self, query: Query, params: dict[str, Any], until: float, alone: Callable[[], Awaitable[Rows]]
    ) -> Rows:
        """`alone` reads them by itself. Raises TimeoutError."""
        if types_of(query.sql) is None:
            raise TypeError(f"{query.name}: each parameter of a shared read has a type that JSON holds exactly")
        entered = self.lane.enter()
        if entered:
            try:
                return await alone()
            finally:
                self.lane.leave(entered)
        began = time.perf_counter()
        found = await self.lane.join((query, params), until)
        if found is None:
            return await alone()
        # Told of as slow by who sent it.
        tell((query,), began, inf, found=bool(found))
        return found

    async def _send(self, asked: Sequence[tuple[Query, dict[str, Any]]]) -> list[Rows] | None:
        query = asked[0][0]
        try:
            given = argument(query, [params for _, params in asked], numbered=True)
        except Exception:
            # One of them cannot be asked, and says why by itself.
            return None
        try:
            found = await self._fetch(query, given)
        except TimeoutError:
            # Who waited too long for a slow database must not make it slower by asking again.
            raise
        except FAULTS:
            # A read that failed has done nothing: each of them finds out by itself why.
            return None
        answers: list[Rows] = [[] for _ in asked]
        for row in found:
            answers[row["n"]].append(row)
        return answers

    async def _fetch(self, query: Query, given: str) -> Rows:
        conn = await self._connections.acquire(reads=True)
        began = time.perf_counter()
        self._connections.watchdog.watch(self, conn.terminate)
        try:
            return await conn.fetch(_statement(query), given, timeout=self._timeout)
        finally:
            self._connections.watchdog.done(self)
            await self._connections.release(conn, reads=True)
            tell((query,), began, self._slow_seconds)


@lru_cache(maxsize=64)
def _statement(query: Query) -> str:
    """The query for each row of parameters, with the row's number as `n`."""
    types = types_of(query.sql)
    assert types is not None
    rows = recordset(1, types, "n INTEGER")
    return f"SELECT given.n, found.* FROM {rows} CROSS JOIN LATERAL ({from_rows(query.sql)}) AS found"  # noqa: S608 # nosec B608

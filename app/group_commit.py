"""Group commit: what several units of work insert at the same time leaves as one statement, with one COMMIT.

A unit that has locked nothing, and has only inserts to write, goes by itself where no other is under way. Those that
come meanwhile leave together as soon as it is done (`lanes.py`), their rows as one JSON array for each INSERT."""

import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import asyncpg

from app.connections import Connections
from app.json_rows import argument, from_rows, has_parameters, recordset, types_of
from app.lanes import Lane
from app.settings import Settings
from app.statement_times import tell
from app.statements import Query

Writes = Mapping[Query, list[dict[str, Any]]]

# A row that somebody holds must not hold up the units beside the one that wants it.
_LOCK_TIMEOUT = "50ms"
# Beyond these a unit leaves by COPY.
MOST_ROWS = 24
_INSERT = re.compile(
    r"^(?P<head>INSERT INTO \w+ \([^)]*\)) (?P<source>(?:VALUES \(|SELECT ).*?)(?P<tail> ON CONFLICT .*)?$", re.DOTALL
)
# After these the server has lost the connection, or has no room: it is asked no more.
_OF_THE_SERVER = ("08", "53", "57", "58", "XX")


class GroupCommit:
    """Of one process. A batch that fails in SQL has done nothing; any other failure leaves the outcome unknown."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._timeout = settings.statement_timeout_seconds
        self._slow_seconds = settings.slow_statement_seconds
        self.lane = Lane[Writes, bool](self._write)

    async def _write(self, units: Sequence[Writes]) -> list[bool] | None:
        try:
            queries, arguments = _joined(units)
        except Exception:
            # One of them cannot be written, and says why by itself. The lane goes on.
            return None
        try:
            await self._send(queries, arguments)
        except asyncpg.PostgresError as failed:
            if (failed.sqlstate or "08").startswith(_OF_THE_SERVER):
                raise
            return None
        except asyncpg.InvalidCachedStatementError:
            return None
        return [True] * len(units)

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


def may_join(writes: Writes) -> bool:
    """Whether these are inserts alone, of values that JSON holds exactly, and not too many."""
    return (
        0 < sum(map(len, writes.values())) <= MOST_ROWS
        and not any(query.expect_one_row for query in writes)
        and all(_parts(query) for query in writes)
    )


@lru_cache(maxsize=1024)
def _parts(query: Query) -> tuple[str, str, str, Mapping[int, str]] | None:
    """Head, source and tail of an INSERT from rows, and the types of its parameters; None for any other."""
    found, types = _INSERT.match(query.sql), types_of(query.sql)
    if not found or types is None or has_parameters(found["tail"] or ""):
        return None
    return found["head"], from_rows(found["source"]), found["tail"] or "", types


@lru_cache(maxsize=256)
def _statement(queries: tuple[Query, ...]) -> str:
    """One statement with a parameter, a JSON array of rows, for each INSERT."""
    inserts = []
    for number, query in enumerate(queries, 1):
        parts = _parts(query)
        assert parts is not None
        head, source, tail, types = parts
        rows = recordset(number, types)
        if source.startswith("VALUES ("):
            select = f"SELECT {source.removeprefix('VALUES (').removesuffix(')')} FROM {rows}"  # noqa: S608 # nosec B608
        else:
            select = f"SELECT found.* FROM {rows} CROSS JOIN LATERAL ({source}) AS found"  # noqa: S608 # nosec B608
        inserts.append(f"w{number} AS ({head} {select}{tail})")
    # It is local to the statement, and set before the inserts run.
    return f"WITH {', '.join(inserts)} SELECT set_config('lock_timeout', '{_LOCK_TIMEOUT}', true)"  # nosec B608


def _joined(units: Sequence[Writes]) -> tuple[tuple[Query, ...], list[str]]:
    """The inserts of all `units`, and the rows of each as JSON."""
    rows: dict[Query, list[dict[str, Any]]] = {}
    for writes in units:
        for query, given in writes.items():
            rows.setdefault(query, []).extend(given)
    return tuple(rows), [argument(query, query.added_up(given)) for query, given in rows.items()]

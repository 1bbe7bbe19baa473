"""Group commit: what several units of work write at the same time leaves as one statement, with one COMMIT.

A unit that has locked nothing, and has only inserts and guarded updates to write, goes by itself where no other is
under way. Those that come meanwhile leave together as soon as it is done (`lanes.py`), their rows as one JSON array for
each statement. Where a guarded update misses one of its rows nothing of the batch has happened."""

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
# A subquery could hold a WHERE of its own.
_UPDATE = re.compile(r"^(?P<head>UPDATE \w+ SET (?:(?!SELECT ).)*?) (?P<where>WHERE (?:(?!SELECT ).)*)$", re.DOTALL)
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
            self._connections.watchdog.done(self)
            await self._connections.release(conn, reads=False)
            tell(queries, began, self._slow_seconds)


def may_join(writes: Writes) -> bool:
    """Whether these are inserts and guarded updates alone, of values that JSON holds exactly, and not too many."""
    return 0 < sum(map(len, writes.values())) <= MOST_ROWS and all(_of_rows(query) for query in writes)


@lru_cache(maxsize=1024)
def _of_rows(query: Query) -> str | None:
    """The write of all rows of the one parameter `{}`; None for what cannot be written so."""
    types = types_of(query.sql)
    if types is None:
        return None
    rows = recordset("{}", types)
    if query.expect_one_row:
        found = _UPDATE.match(query.sql)
        return f"{from_rows(found['head'])} FROM {rows} {from_rows(found['where'])}" if found else None
    found = _INSERT.match(query.sql)
    if not found or has_parameters(found["tail"] or ""):
        return None
    source = from_rows(found["source"])
    if source.startswith("VALUES ("):
        select = f"SELECT {source.removeprefix('VALUES (').removesuffix(')')} FROM {rows}"  # noqa: S608 # nosec B608
    else:
        select = f"SELECT found.* FROM {rows} CROSS JOIN LATERAL ({source}) AS found"  # noqa: S608 # nosec B608
    return f"{found['head']} {select}{found['tail'] or ''}"


@lru_cache(maxsize=256)
def _statement(queries: tuple[Query, ...]) -> str:
    """One statement with a parameter, a JSON array of rows, for each of the writes."""
    writes, hits = list[str](), list[str]()
    for number, query in enumerate(queries, 1):
        of_rows = _of_rows(query)
        assert of_rows is not None
        writes.append(f"w{number} AS ({of_rows.replace('${}', f'${number}')})")
        if query.expect_one_row:
            hits.append(f"(SELECT count(*) FROM w{number}) = json_array_length(${number}::json)")  # noqa: S608 # nosec B608
    # It is local to the statement, and set before the writes run. What was queued last is done first: tickets are
    # locked before their clocks. Where a row was missed the division fails.
    check = f", 1 / CASE WHEN {' AND '.join(reversed(hits))} THEN 1 ELSE 0 END" if hits else ""
    return f"WITH {', '.join(writes)} SELECT set_config('lock_timeout', '{_LOCK_TIMEOUT}', true){check}"  # nosec B608


def _joined(units: Sequence[Writes]) -> tuple[tuple[Query, ...], list[str]]:
    """The writes of all `units`, and the rows of each as JSON. Rows that must be there are locked in one order."""
    rows: dict[Query, list[dict[str, Any]]] = {}
    for writes in units:
        for query, given in writes.items():
            rows.setdefault(query, []).extend(given)
    for query, given in rows.items():
        if query.expect_one_row:
            given.sort(key=lambda row: str(row["key_id"]))
    return tuple(rows), [argument(query, query.added_up(given)) for query, given in rows.items()]

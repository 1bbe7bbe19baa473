"""The whole database as text, to look for a word in it: every column of every table, bytes as they are. And what is
said to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from app.db import Database
from tests.support.sla import Sql


async def dump(sql: Sql, *but: str) -> dict[str, list[str]]:
    """What `pg_dump` would write, by relation: each one that holds rows, of whatever kind and schema, in an order of
    its own. Bytes are read as Latin-1, in which no word is lost."""
    found = await sql.fetch(_HOLDING_ROWS)
    return {name: sorted(map(_text, await sql.fetch(f"SELECT * FROM {name}"))) for (name,) in found if name not in but}


_HOLDING_ROWS = """
    SELECT CASE n.nspname WHEN 'public' THEN quote_ident(c.relname) ELSE format('%I.%I', n.nspname, c.relname) END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1"""


def _text(row: Any) -> str:
    return "|".join(
        f"{name}={value.decode('latin-1') if isinstance(value, bytes) else value}" for name, value in row.items()
    )


async def places_of(sql: Sql, *words: str) -> dict[str, list[str]]:
    """The tables in which each word occurs, whatever its case."""
    text = {table: "\n".join(rows).lower() for table, rows in (await dump(sql)).items()}
    return {word: sorted(table for table, rows in text.items() if word.lower() in rows) for word in words}


async def occurs(sql: Sql, word: str) -> bool:
    return bool((await places_of(sql, word))[word])


@contextmanager
def statements_to(db: Database) -> Iterator[list[str]]:
    """The statements that are sent from here on, through connections that are open already."""
    sent: list[str] = []

    def note(record: Any) -> None:
        sent.append(record.query)

    holders: Any = getattr(db.connections.pool, "_holders")  # noqa: B009 - asyncpg shows its connections in no other way
    connections = [holder._con for holder in holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(note)
    yield sent
    for connection in connections:
        connection.remove_query_logger(note)


@asynccontextmanager
async def held(sql: Sql, customer_id: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A transaction of `sql` that has the customer's lock. What it gives returns once somebody waits for that: they
    have read the customer before, and write about them after the commit at the end."""

    async def awaited() -> None:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not await sql.fetchval(waiting):
            await sql.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)

    await sql.execute("BEGIN")
    await sql.execute("SELECT FROM customers WHERE id = $1 FOR UPDATE", UUID(customer_id))
    yield awaited
    await sql.execute("COMMIT")

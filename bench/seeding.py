"""Tickets before the measuring: straight into the tables, in the proportions of a live service."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncpg

from bench.services import Service, sql
from bench.wrk import LoadError

# One statement holds its foreign key checks in memory until its end: a chunk keeps that small.
_CHUNK = 50_000
_WAITING_ONE_IN = 10
_YEAR = timedelta(days=365)
_RUNNING = "metric = 'first_response' AND stopped_at IS NULL"


async def seed(service: Service, count: int) -> None:
    """So many tickets over the past year, one in ten of them waiting for its first answer."""
    await _insert(service, count, _WAITING_ONE_IN, _YEAR)
    await settle(service)


async def settle(service: Service) -> None:
    """Statistics, visibility and dirty pages as a database has them that was not filled a second ago."""
    async with service.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("VACUUM ANALYZE", timeout=600)
        # Not every role of a given DATABASE_URL may ask for one; then the server's own comes when it comes.
        with suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CHECKPOINT", timeout=600)


async def top_up_waiting(service: Service, wanted: int) -> None:
    """At least so many running first_response clocks."""
    missing = wanted - await count_waiting(service)
    if missing > 0:
        await _insert(service, missing, 1, timedelta(hours=1))


async def count_waiting(service: Service) -> int:
    async with service.connection() as connection:
        count: int = await connection.fetchval(f"SELECT count(*) FROM sla_clocks WHERE {_RUNNING}")
        return count


async def count_tickets(service: Service) -> int:
    async with service.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM tickets")
        return count


async def write_waiting_ids(service: Service, file: Path, count: int) -> None:
    """Tickets with a running clock, in no order of the disk. Raises LoadError when there are too few."""
    await _write_ids(service, file, f"SELECT ticket_id AS id FROM sla_clocks WHERE {_RUNNING}", count)


async def write_any_ids(service: Service, file: Path, count: int) -> None:
    await _write_ids(service, file, "SELECT id FROM tickets", count)


async def _write_ids(service: Service, file: Path, query: str, count: int) -> None:
    async with service.connection() as connection:
        rows = await connection.fetch(f"SELECT id FROM ({query}) AS t ORDER BY random() LIMIT $1", count)
    if len(rows) < count:
        raise LoadError(f"{service.name} has {len(rows)} fitting tickets, not {count}")
    file.write_text("".join(f"{row['id']}\n" for row in rows))


async def _insert(service: Service, count: int, waiting_one_in: int, span: timedelta) -> None:
    statement = sql(service.seed)
    chunks = [min(_CHUNK, count - done) for done in range(0, count, _CHUNK)]
    async with service.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(sql("uuid7"))
        end = await connection.fetchval("SELECT now()")
        for chunk in chunks:
            part = span * (chunk / count)
            await connection.execute(statement, chunk, waiting_one_in, service.customer_id, part, end, timeout=300)
            end -= part

"""Reports at size: tickets straight into the tables, as many a day as of ten million in a year, of five metrics and
nine dimensions, and how long each kind of report takes, side by side with `percentile_cont` over the rows themselves.

`python -m bench.reports --tickets 10000000` measures at the size of the requirement, a whole year."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from app.cubes import filling, folding
from app.cubes.dimensions import PAIRS
from app.db import Database, Transaction
from app.migrate import migrate
from app.reports.backlog import backlog
from app.reports.response_times import response_times
from app.reports.schemas import BacklogQuery, ReportQuery
from app.settings import Settings
from bench.databases import database, server
from bench.services import sql

# As little as the server has time for in a statement, on a busy machine.
_CHUNK = 20_000
_SCOPES = frozenset({"reports:read"})
_TWO = ("priority", "channel", "type", "segment", "team", "region")
_RAW = """
SELECT {by}, count(*), percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY c.elapsed)
FROM sla_clocks c JOIN tickets t ON t.id = c.ticket_id
WHERE c.metric = 'first_response' AND c.stopped_at IS NOT NULL AND c.started_at >= $1 AND c.started_at < $2
GROUP BY 1, 2"""
_SIZES = """
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
WHERE relkind IN ('r', 'p') AND (relname LIKE 'report\\_facts%' OR relname IN ('report_cubes', 'report_deltas'))"""


@dataclass(frozen=True, slots=True)
class Measured:
    kind: str
    p95_ms: float
    bar_ms: float


def main(
    tickets: Annotated[int, typer.Option(min=1_000, max=10_000_000)] = 1_000_000,
    open_tickets: Annotated[int, typer.Option("--open", min=100, max=1_000_000)] = 100_000,
    requests: Annotated[int, typer.Option(min=1, max=1_000, help="Of each kind of report.")] = 20,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    asyncio.run(_run(tickets, min(open_tickets, tickets), requests, random.Random(seed)))


async def _run(tickets: int, open_tickets: int, requests: int, chance: random.Random) -> None:
    console = Console(width=120)
    with TemporaryDirectory() as place, server(Path(place)) as dsn:
        async with database(dsn, "ninety_bench_reports") as url:
            await asyncio.to_thread(migrate, url)
            await _seed(url, tickets, open_tickets)
            settings = Settings(database_url=url, statement_timeout_seconds=600)
            async with Database.open(settings) as db:
                began = time.monotonic()
                while await filling.run_once(db) or await folding.run_once(db):
                    pass
                console.print(f"facts and cubes made in {time.monotonic() - began:.0f} s")
                await _vacuum(url)
                _show(console, await _measured(db, url, requests, chance))
                console.print(await _said_of_size(url))


async def _seed(url: str, tickets: int, open_tickets: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(sql("uuid7"))
        await connection.execute(sql("seed_reports_names"))
        statement = sql("seed_reports")
        for first in range(0, tickets, _CHUNK):
            count = min(_CHUNK, tickets - first)
            await connection.execute(statement, first, count, tickets - open_tickets, timeout=600)
    finally:
        await connection.close()
    await _vacuum(url)


async def _vacuum(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM ANALYZE", timeout=600)
    finally:
        await connection.close()


async def _measured(db: Database, url: str, requests: int, chance: random.Random) -> list[Measured]:
    month = {"from": "2025-01-01", "to": "2025-02-01"}

    def two() -> dict[str, Any]:
        one, other = chance.choice(PAIRS)
        return chance.choice([
            {}, {"group_by": one}, {"group_by": f"{one},{other}"}, {"interval": "month", "group_by": one},
            {"priority": "high", "group_by": chance.choice(["channel", "team", "type"])}, {"interval": "week"},
        ])  # fmt: skip

    def agents() -> dict[str, Any]:
        return {"group_by": "agent", **month}

    def three() -> dict[str, Any]:
        return {"group_by": ",".join(chance.sample(_TWO, 3)), **month}

    def four() -> dict[str, Any]:
        return {"group_by": ",".join(chance.sample(_TWO, 2)), "priority": "high", "product": "product-1", **month}

    kinds: list[tuple[str, float, Callable[[], dict[str, Any]]]] = [
        ("at most two dimensions, any span", 50, two), ("agents over a month", 50, agents),
        ("three dimensions over a month", 150, three), ("four dimensions over a month", 150, four),
    ]  # fmt: skip
    found = [Measured(name, await _p95(requests, _report(db, make)), bar) for name, bar, make in kinds]
    found.append(Measured("backlog by priority", await _p95(requests, lambda: _backlog(db)), 50))
    return [*found, Measured("percentile_cont over the rows, a month", await _p95(3, lambda: _raw(url)), 0)]


def _report(db: Database, make: Callable[[], dict[str, Any]]) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        async with db.transaction() as tx:
            await tx.snapshot()
            return await response_times(tx, ReportQuery.model_validate(make()), _SCOPES)

    return ask


async def _backlog(db: Database) -> object:
    async def unit(tx: Transaction) -> object:
        return await backlog(tx, BacklogQuery.model_validate({"group_by": "priority"}), _SCOPES)

    return await db.run(unit)


async def _raw(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        span = [await connection.fetchval(f"SELECT timestamptz '2025-{month:02}-01Z'") for month in (1, 2)]
        return await connection.fetch(_RAW.format(by="t.priority, t.channel"), *span, timeout=600)
    finally:
        await connection.close()


async def _p95(times: int, ask: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds. The first one warms up."""
    await ask()
    taken = []
    for _ in range(max(times, 2)):
        began = time.perf_counter()
        await ask()
        taken.append(1_000 * (time.perf_counter() - began))
    return quantiles(taken, n=20, method="inclusive")[-1]


async def _said_of_size(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        size, clocks = await connection.fetchval(_SIZES), await connection.fetchval("SELECT count(*) FROM report_facts")
    finally:
        await connection.close()
    return f"{clocks:,} clocks, {size / clocks:.0f} bytes each in facts and cubes (at most 150)"


def _show(console: Console, measured: list[Measured]) -> None:
    table = Table("report", "p95", "bar")
    for each in measured:
        table.add_row(each.kind, f"{each.p95_ms:,.1f} ms", f"{each.bar_ms:g} ms" if each.bar_ms else "")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

"""Units that read by the same query at the same time are answered by one statement, each with what it asked for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import pytest
from hypothesis import given
from sqlalchemy import Integer, LargeBinary, Text, bindparam, column, func, select

from app import shared_reads
from app.db import Database, Query, Transaction
from app.settings import Settings
from tests.support.json_rows import ROWS, TYPES
from tests.support.lanes import held, together

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_numbers = (
    func.generate_series(1, bindparam("count", type_=Integer))
    .table_valued(column("n", Integer), name="numbers")
    .render_derived()
)
_NUMBERS = Query(select(_numbers.c.n.label("number"), bindparam("name", type_=Text).label("name")))
_DIVIDED = Query(select((120 / bindparam("by", type_=Integer)).label("result")))
_TYPED = Query(select(*(bindparam(name, type_=type_).label(name) for name, type_ in TYPES.items())))
_BY_BYTES = Query(select(func.length(bindparam("data", type_=LargeBinary))))


def _asks(query: Query, /, **params: Any) -> Callable[[Transaction], Awaitable[list[dict[str, Any]]]]:
    async def unit(tx: Transaction) -> list[dict[str, Any]]:
        return [dict(row) for row in await tx.shared_rows(query, **params)]

    return unit


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent for several."""
    sent: list[str] = []
    fetch = shared_reads.SharedReads._fetch

    async def counted(self: shared_reads.SharedReads, query: Query, given: str) -> list[asyncpg.Record]:
        sent.append(given)
        return await fetch(self, query, given)

    monkeypatch.setattr(shared_reads.SharedReads, "_fetch", counted)
    return sent


async def test_each_unit_gets_its_own_rows_by_one_statement(
    db: Database, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [_asks(_NUMBERS, count=n, name=f"it's {n}") for n in (3, 0, 1, 2)]
    found = await together(db, db._shared.lane, monkeypatch, *units)
    assert [[row["number"] for row in rows] for rows in found] == [[1, 2, 3], [], [1], [1, 2]]
    assert {row["name"] for row in found[3]} == {"it's 2"}
    assert len(statements) == 1
    alone = [await db.run(unit) for unit in units]
    assert len(statements) == 1
    assert [[{**row, "n": n} for row in rows] for n, rows in enumerate(alone)] == found


async def test_different_queries_share_no_statement(
    db: Database, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [_asks(_NUMBERS, count=1, name="a"), _asks(_DIVIDED, by=2)]
    numbers, divided, *more = await together(db, db._shared.lane, monkeypatch, *units, *units)
    assert (numbers[0]["number"], divided[0]["result"]) == (1, 60)
    assert [rows[0].get("number", rows[0].get("result")) for rows in more] == [1, 60]
    assert len(statements) == 2


async def test_every_type_is_read_as_by_a_statement_of_its_own(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = []

    @given(ROWS)
    def collect(row: dict[str, Any]) -> None:
        rows.append(row)

    collect()
    units = [_asks(_TYPED, **row) for row in rows]
    alone = [await db.run(unit) for unit in units]
    for start in range(0, len(units), 50):
        found = await together(db, db._shared.lane, monkeypatch, *units[start : start + 50])
        assert [[{k: v for k, v in row.items() if k != "n"} for row in each] for each in found] == alone[
            start : start + 50
        ]


async def test_of_many_units_only_the_one_that_is_refused_fails(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await together(
        db, db._shared.lane, monkeypatch, *(_asks(_DIVIDED, by=by) for by in (1, 2, 0, 3)), _asks(_DIVIDED)
    )
    assert isinstance(found[2], asyncpg.DivisionByZeroError)
    assert isinstance(found[4], KeyError)
    assert [rows[0]["result"] for rows in (found[0], found[1], found[3])] == [120, 60, 40]


async def test_a_parameter_that_json_does_not_hold_exactly_is_refused_also_alone(db: Database) -> None:
    with pytest.raises(TypeError, match="shared read"):
        await db.run(_asks(_BY_BYTES, data=None))


async def test_a_read_is_never_older_than_its_request(
    db: Database, sql: Sql, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = func.pg_sleep(bindparam("seconds", type_=Integer)).label("slept")
    query = Query(select(slow, func.statement_timestamp().label("began")))
    async with held(db._shared.lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(_asks(query, seconds=1))) for _ in range(2)]
        await waiting(2)
    async with asyncio.timeout(10):
        while not statements:
            await asyncio.sleep(0.005)
    asked = await sql.fetchval("SELECT clock_timestamp()")
    later = await db.run(_asks(query, seconds=0))
    assert later[0]["began"] > asked
    await asyncio.gather(*tasks)


async def test_units_that_wait_hold_no_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Database.open(settings.model_copy(update={"pool_size": 1})) as db:
        found = await together(db, db._shared.lane, monkeypatch, *(_asks(_DIVIDED, by=by) for by in (1, 2, 3, 4)))
        assert [rows[0]["result"] for rows in found] == [120, 60, 40, 30]


async def test_a_unit_that_is_cancelled_while_it_waits_stops_nobody(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(db._shared.lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(_asks(_DIVIDED, by=by))) for by in (1, 2, 3)]
        await waiting(3)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
    found: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [found[n][0]["result"] for n in (0, 2)] == [120, 40]


async def test_a_deadline_holds_while_a_unit_waits(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with held(db._shared.lane, monkeypatch):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await db.run(_asks(_DIVIDED, by=1), within=0.3)
        assert time.monotonic() - began < 5
        assert not db._shared.lane._waiting


async def test_a_lost_connection_is_asked_again_by_each(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = []

    async def loses(self: shared_reads.SharedReads, query: Query, given: str) -> list[asyncpg.Record]:
        lost.append(given)
        raise asyncpg.AdminShutdownError("terminating connection due to administrator command")

    monkeypatch.setattr(shared_reads.SharedReads, "_fetch", loses)
    found = await together(db, db._shared.lane, monkeypatch, *(_asks(_DIVIDED, by=by) for by in (1, 2)))
    assert [rows[0]["result"] for rows in found] == [120, 60]
    assert len(lost) == 1


async def test_a_unit_that_asks_nothing_takes_no_connection(db: Database) -> None:
    async def unit(tx: Transaction) -> None:
        assert tx.conn is None

    before = db.connections.pool.get_size()
    await asyncio.gather(*(db.run(unit) for _ in range(50)))
    assert db.connections.pool.get_size() == before

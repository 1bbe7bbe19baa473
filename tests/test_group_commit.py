"""Units that insert at the same time leave as one statement, and each of them is told what became of its own rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
from hypothesis import given
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app import lanes
from app.db import FAULTS, Database, Query, Transaction
from app.group_commit import MOST_ROWS, may_join
from app.settings import Settings
from tests.support.json_rows import ROWS, TYPES
from tests.support.lanes import held, together

_PROBES = Table("probes", MetaData(), Column("key", Integer), *(Column(name, type_) for name, type_ in TYPES.items()))
_INSERT = Query(insert(_PROBES), ["key", *TYPES])
_KEY = Query(insert(_PROBES), ["key"])
_SUMS = Table("sums", MetaData(), Column("name", Text), Column("sum", Integer))
_added = pg_insert(_SUMS)
_ADD = Query(
    _added.on_conflict_do_update(index_elements=["name"], set_={"sum": _SUMS.c.sum + _added.excluded.sum}),
    ["name", "sum"],
    adds="sum",
)
_CHANGE = Query(
    update(_PROBES).where(_PROBES.c.key == bindparam("key_id"), _PROBES.c.an_integer == bindparam("read")),
    ["an_integer", "a_span"],
    expect_one_row=True,
)
_LOCKED = Query(select(_PROBES.c.an_integer).where(_PROBES.c.key == bindparam("key_id")).with_for_update())
_CREATE = """
CREATE TABLE probes (number bigserial, key integer CONSTRAINT uq_probes UNIQUE, a_uuid uuid, a_word varchar,
    a_text text,
    an_instant timestamptz, a_date date, some_json jsonb, a_bigint bigint, an_integer integer, a_smallint smallint,
    a_boolean boolean, a_float double precision, texts text[], instants timestamptz[], smallints smallint[],
    a_span interval);
CREATE TABLE sums (name text PRIMARY KEY, sum integer CONSTRAINT ck_sums CHECK (sum < 1000));
GRANT ALL ON probes, sums, probes_number_seq TO PUBLIC"""

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Unit = Callable[[Transaction], Awaitable[None]]


@pytest.fixture
async def probes(sql: Sql) -> None:
    await sql.execute(_CREATE)


def _writes(*keys: int) -> Unit:
    async def unit(tx: Transaction) -> None:
        for key in keys:
            tx.write(_KEY, key=key)

    return unit


async def _transactions(sql: Sql) -> Any:
    return await sql.fetchval("SELECT count(DISTINCT xmin::text) FROM probes")


async def test_units_that_wait_leave_in_one_transaction_each_in_its_order(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = await together(db, db._lane, monkeypatch, *(_writes(10 * n, 10 * n + 1) for n in range(20)))
    assert outcomes == [None] * 20
    assert await _transactions(sql) == 1
    found = [row["key"] for row in await sql.fetch("SELECT key FROM probes ORDER BY number")]
    assert sorted(found) == [10 * n + one for n in range(20) for one in (0, 1)]
    assert [key % 10 for key in found] == [0, 1] * 20
    assert [key // 10 for key in found[::2]] == [key // 10 for key in found[1::2]]


async def test_a_unit_that_meets_nobody_waits_for_nobody(db: Database, sql: Sql, probes: None) -> None:
    for key in range(3):
        await db.run(_writes(key))
    assert await _transactions(sql) == 3


async def test_every_type_is_stored_as_by_a_statement_of_its_own(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = []

    @given(ROWS)
    def collect(row: dict[str, Any]) -> None:
        rows.append(row)

    collect()

    def writes(key: int, row: dict[str, Any]) -> Unit:
        async def unit(tx: Transaction) -> None:
            tx.write(_INSERT, key=key, **row)

        return unit

    assert len(rows) > 50
    for number, row in enumerate(rows):
        await db.run(writes(number, row))
    batch = lanes._MOST_UNITS
    for start in range(0, len(rows), batch):
        some = list(enumerate(rows))[start : start + batch]
        outcomes = await together(db, db._lane, monkeypatch, *(writes(len(rows) + number, row) for number, row in some))
        assert outcomes == [None] * len(some)
    columns = ", ".join(TYPES)
    differing = f"SELECT key % $1 FROM (SELECT key, ({columns})::text AS row FROM probes) AS p GROUP BY 1 HAVING count(DISTINCT row) > 1"  # noqa: E501
    assert await sql.fetch(differing, len(rows)) == []
    assert await _transactions(sql) < 1.1 * len(rows) + 1


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (Query(insert(Table("t", MetaData(), Column("c", LargeBinary)))), 1),
        (Query(update(_PROBES).where(_PROBES.c.key == bindparam("it")), ["an_integer"]), 1),
        (_KEY, MOST_ROWS + 1),
    ],
)
def test_what_json_does_not_hold_exactly_and_an_update_that_may_miss_go_by_themselves(query: Query, rows: int) -> None:
    assert may_join({_KEY: [{}]})
    assert not may_join({query: [{}] * rows})


async def test_of_many_units_only_the_one_that_is_refused_fails(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.run(_writes(7))
    outcomes = await together(db, db._lane, monkeypatch, *(_writes(key) for key in range(20)))
    assert [type(each) for each in outcomes if each] == [asyncpg.UniqueViolationError]
    assert outcomes[7]
    assert {row["key"] for row in await sql.fetch("SELECT key FROM probes")} == set(range(20))


async def test_a_unit_that_cannot_be_written_stops_nobody(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgets(tx: Transaction) -> None:
        tx.write(_KEY)

    outcomes = await together(db, db._lane, monkeypatch, _writes(1), forgets, _writes(2))
    assert [type(each) for each in outcomes] == [type(None), KeyError, type(None)]
    assert await together(db, db._lane, monkeypatch, _writes(3), _writes(4)) == [None] * 2


async def test_a_unit_whose_conflict_may_pass_is_run_again(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.run(_writes(7))
    tried: list[int] = []

    async def next_free(tx: Transaction) -> None:
        tried.append(7 + len(tried))
        tx.write(_KEY, retry_on="uq_probes", key=tried[-1])

    assert await together(db, db._lane, monkeypatch, _writes(1), next_free, _writes(2)) == [None] * 3
    assert tried == [7, 8]
    assert {row["key"] for row in await sql.fetch("SELECT key FROM probes")} == {1, 2, 7, 8}


async def test_what_is_counted_by_several_units_adds_up(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts(name: str, by: int) -> Unit:
        async def unit(tx: Transaction) -> None:
            tx.write(_ADD, name=name, sum=by)

        return unit

    await db.run(counts("a", 1))
    outcomes = await together(db, db._lane, monkeypatch, *(counts(name, 10) for name in "abab"), counts("a", 1000))
    # The last one alone is too much; a batch that fails has counted nothing.
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 4 + [asyncpg.CheckViolationError]
    assert {row["name"]: row["sum"] for row in await sql.fetch("SELECT * FROM sums")} == {"a": 21, "b": 20}
    assert await together(db, db._lane, monkeypatch, *(counts("a", 1) for _ in range(30))) == [None] * 30
    assert await sql.fetchval("SELECT sum FROM sums WHERE name = 'a'") == 51


def _adds(key: int, read: int, tried: list[int]) -> Unit:
    """Writes what was read without a lock; where somebody came between, again with one."""

    async def unit(tx: Transaction) -> None:
        tried.append(key)
        number = len(tried)
        if tx.optimistic:
            found = read
        else:
            row = await tx.locked_row(_LOCKED, key_id=key)
            assert row is not None
            found = row["an_integer"]
        tx.write(_CHANGE, key_id=key, read=found, an_integer=found + 1, a_span=timedelta(seconds=key))
        tx.write(_KEY, key=100 + number)

    return unit


async def test_guarded_updates_of_several_units_leave_together(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql.execute("INSERT INTO probes (key, an_integer) SELECT n, n FROM generate_series(0, 19) AS n")
    tried: list[int] = []
    outcomes = await together(db, db._lane, monkeypatch, *(_adds(key, key, tried) for key in range(19, -1, -1)))
    assert outcomes == [None] * 20
    assert len(tried) == 20
    rows = await sql.fetch("SELECT key, an_integer, a_span, xmin::text FROM probes WHERE key < 20 ORDER BY key")
    assert [(row["key"], row["an_integer"], row["a_span"]) for row in rows] == [
        (key, key + 1, timedelta(seconds=key)) for key in range(20)
    ]
    assert len({row["xmin"] for row in rows}) == 1


async def test_a_unit_that_misses_its_row_runs_again_and_nothing_is_written_twice(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody came between for one of them; and three are at one row."""
    await sql.execute("INSERT INTO probes (key, an_integer) SELECT n, 5 FROM generate_series(0, 4) AS n")
    tried: list[int] = []
    units = [_adds(0, 4, tried), _adds(1, 5, tried), *(_adds(2, 5, tried) for _ in range(3))]
    assert await together(db, db._lane, monkeypatch, *units) == [None] * 5
    assert sorted(tried) == [0, 0, 1, 2, 2, 2, 2, 2]
    found = await sql.fetch("SELECT an_integer FROM probes WHERE key < 5 ORDER BY key")
    assert [row["an_integer"] for row in found] == [6, 6, 8, 5, 5]
    assert await sql.fetchval("SELECT count(*) FROM probes WHERE key >= 100") == 5


async def test_a_unit_that_is_cancelled_while_it_waits_writes_nothing_and_stops_nobody(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(db._lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(_writes(key))) for key in range(3)]
        await waiting(3)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
        type(None), asyncio.CancelledError, type(None),
    ]  # fmt: skip
    assert {row["key"] for row in await sql.fetch("SELECT key FROM probes")} == {0, 2}


async def test_a_unit_that_is_cancelled_on_the_way_stops_nobody(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _slow(sql, 0.5)
    async with held(db._lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(_writes(key))) for key in range(3)]
        await waiting(3)
    await _running(sql)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert tasks[1].cancelled()
    assert {row["key"] for row in await sql.fetch("SELECT key FROM probes")} == {0, 1, 2}


async def test_the_end_of_the_service_waits_for_what_is_under_way(
    sql: Sql, probes: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _slow(sql, 0.5)
    async with Database.open(settings) as db:
        async with held(db._lane, monkeypatch) as waiting:
            tasks = [asyncio.create_task(db.run(_writes(key))) for key in range(3)]
            await waiting(3)
        await _running(sql)
        for task in tasks:
            task.cancel()
    assert {row["key"] for row in await sql.fetch("SELECT key FROM probes")} == {0, 1, 2}


async def test_nobody_waits_for_a_lane_that_has_become_free(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, entered = db.connections.release, db._lane.enter()
    assert entered

    async def leaves_then(*args: Any, **named: Any) -> None:
        await release(*args, **named)
        db._lane.leave(entered)

    async def unit(tx: Transaction) -> None:
        await tx.now()
        tx.write(_KEY, key=1)

    monkeypatch.setattr(db.connections, "release", leaves_then)
    await db.run(unit, within=10)
    assert await sql.fetchval("SELECT count(*) FROM probes") == 1


async def test_a_deadline_holds_while_a_unit_waits(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(db._lane, monkeypatch):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await db.run(_writes(1), within=0.3)
        assert time.monotonic() - began < 5
        assert not db._lane._waiting
    assert await sql.fetchval("SELECT count(*) FROM probes") == 0


async def test_a_lost_connection_leaves_the_outcome_unknown_and_repeats_nothing(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _slow(sql, 20)
    runs = []

    async def unit(tx: Transaction) -> None:
        runs.append(1)
        tx.write(_KEY, key=len(runs))

    async with held(db._lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(unit)) for _ in range(5)]
        await waiting(5)
    await sql.fetchval("SELECT pg_terminate_backend($1)", await _running(sql))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, FAULTS) for each in outcomes)
    assert len(runs) == 5
    await sql.execute("DROP TRIGGER slow ON probes")
    await db.run(_writes(9))
    assert [row["key"] for row in await sql.fetch("SELECT key FROM probes")] == [9]


async def test_a_log_that_cannot_be_written_keeps_no_connection(
    db: Database, sql: Sql, probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr("app.group_commit.tell", broken)
    outcomes = await together(db, db._lane, monkeypatch, _writes(1), _writes(2))
    assert [type(each) for each in outcomes] == [ValueError] * 2
    assert db.connections._held == 0


async def test_one_connection_is_enough(sql: Sql, probes: None, settings: Settings) -> None:
    async with Database.open(settings.model_copy(update={"pool_size": 1})) as db, asyncio.timeout(20):
        await asyncio.gather(*(db.run(_writes(key)) for key in range(50)))
    assert await sql.fetchval("SELECT count(*) FROM probes") == 50


async def _slow(sql: Sql, seconds: float) -> None:
    await sql.execute(f"""
        CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON probes FOR EACH STATEMENT EXECUTE FUNCTION slowly()""")


async def _running(sql: Sql) -> Any:
    """The process of the server that runs a batch."""
    sleeps = "wait_event = 'PgSleep' AND datname = current_database()"
    query = f"SELECT pid FROM pg_stat_activity WHERE query LIKE '%json_to_recordset%' AND {sleeps}"
    async with asyncio.timeout(10):
        while not (pid := await sql.fetchval(query)):
            await asyncio.sleep(0.01)
    return pid

"""What a process tells of its database connections and of the requests in it."""

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from sqlalchemy import literal_column, select

from app.db import Database, Query
from app.errors import Overloaded
from app.operations.process_metrics import sampled
from app.settings import Settings
from app.web import metrics
from app.web.admission import Admission, Costs, Kind

_BROKEN = Query(select(literal_column("1") / literal_column("0")))
_WAITS = ("waits", "wait_seconds", "refused")


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_waits_for_a_connection_are_counted_and_those_in_vain(database_url: str) -> None:
    before = {name: _value(f"ninety_db_{name}_total", process="worker") for name in _WAITS}
    settings = Settings(database_url=database_url, pool_size=1, pool_timeout_seconds=0.05)
    async with Database.open(settings) as db, sampled("worker", db), db.transaction(reads=True) as tx:
        await tx.now()
        with pytest.raises(Overloaded):
            async with db.transaction(reads=True) as other:
                await other.now()
    assert _value("ninety_db_waits_total", process="worker") == before["waits"] + 1
    assert _value("ninety_db_refused_total", process="worker") == before["refused"] + 1
    assert _value("ninety_db_wait_seconds_total", process="worker") >= before["wait_seconds"] + 0.05
    assert _value("ninety_db_connections", process="worker", state="limit") == 1
    assert _value("ninety_db_waiting", process="worker") == 0


async def test_who_waits_for_a_connection_is_seen_while_they_wait(database_url: str) -> None:
    async with Database.open(Settings(database_url=database_url, pool_size=1)) as db:

        async def read() -> None:
            async with db.transaction(reads=True) as other:
                await other.now()

        async with db.transaction(reads=True) as tx:
            await tx.now()
            waiting = asyncio.create_task(read())
            await asyncio.sleep(0)
            async with sampled("worker", db):
                await asyncio.sleep(0)
                assert _value("ninety_db_waiting", process="worker") == 1
                assert _value("ninety_db_connections", process="worker", state="in_use") == 1
        await waiting


async def test_faults_are_counted_by_their_sqlstate(database_url: str) -> None:
    before = _value("ninety_db_faults_total", process="worker", sqlstate="22012")
    async with Database.open(Settings(database_url=database_url)) as db, sampled("worker", db):
        for _ in range(2):
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with db.transaction() as tx:
                    await tx.row(_BROKEN)
            # A second sample counts nothing twice.
            await asyncio.sleep(1.1)
    assert _value("ninety_db_faults_total", process="worker", sqlstate="22012") == before + 2


async def test_a_server_that_refuses_is_a_fault_without_sqlstate() -> None:
    before = _value("ninety_db_faults_total", process="worker", sqlstate="connection")
    async with Database.open(Settings(database_url="postgresql://me@127.0.0.1:1/n")) as db, sampled("worker", db):
        with pytest.raises(ConnectionRefusedError):
            async with db.transaction() as tx:
                await tx.now()
    assert _value("ninety_db_faults_total", process="worker", sqlstate="connection") == before + 1


async def test_requests_are_counted_by_what_goes_first(db: Database) -> None:
    admission = Admission(8, Costs())
    admission.begin(Kind.work)
    admission.begin(Kind.bulk)
    with admission.paused[Kind.bulk], admission.paused[Kind.vital]:
        async with sampled("api", db, admission):
            await asyncio.sleep(0)
        assert (_value("ninety_http_running", kind="work"), _value("ninety_http_running", kind="bulk")) == (1, 0)
        assert (_value("ninety_http_waiting", kind="bulk"), _value("ninety_http_waiting", kind="work")) == (1, 0)
        assert admission.running == 1
    admission.end(Kind.bulk)
    assert (admission.running, admission.running_by_kind[Kind.work]) == (1, 1)


async def test_requests_leave_no_count_behind(app: FastAPI, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        client.get("/v1/tickets"), client.post("/v1/tickets", content=b"{"), client.get("/v1/nothing"),
        client.get("/livez"), client.head("/v1/tickets"),
    )  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 415, 404, 200, 200]
    admission: Admission = app.state.admission
    assert admission.running == 0
    assert not any(admission.running_by_kind.values())
    assert not any(admission.waiting_by_kind.values())


def test_what_a_dead_process_held_is_forgotten(tmp_path: Path) -> None:
    dead, alive = tmp_path / "gauge_livesum_999999999.db", tmp_path / "gauge_livesum_1.db"
    counted = tmp_path / "counter_999999999.db"
    for file in (dead, alive, counted):
        file.touch()
    metrics._forget_dead(str(tmp_path))
    assert not dead.exists()
    assert alive.exists()
    assert counted.exists()

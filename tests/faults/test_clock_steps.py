"""P11 and P12: clocks of machines that are wrong. A replica's own decides nothing; the database's may be put back and
forward by an hour, and nothing is told twice, nothing lasts less than no time, and `verify` finds nothing."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from glob import glob
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.db import Database
from app.main import create_app
from app.migrate import migrate
from app.operations.setup import set_up
from app.settings import Settings
from app.verification.clocks import verify
from embedded_postgres import EmbeddedPostgres, children
from tests.conftest import ADMIN_KEY, client_for
from tests.faults import harness
from tests.support.sla import Sql

pytestmark = pytest.mark.fault
HOUR = 3_600


def _faked(clock: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by what `clock` says."""
    found = glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        pytest.skip("there is no libfaketime")
    return {
        "LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


class Clock:
    def __init__(self, place: Path) -> None:
        self.path = place / "clock"
        self.put(0)

    def put(self, seconds: int) -> None:
        self.path.write_text(f"{seconds:+d}\n")
        self.path.chmod(0o644)


@pytest.fixture
def place() -> Iterator[Path]:
    with harness.directory() as made:
        yield made


@pytest.fixture
def clock(place: Path) -> Clock:
    return Clock(place)


@pytest.fixture
def server(place: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL whose clock is `clock`."""
    usual, faked = children._options, _faked(clock.path)

    def with_clock(user: children.User | None) -> dict[str, Any]:
        options = usual(user)
        return {**options, "env": {**options["env"], **faked}}

    monkeypatch.setattr(children, "_options", with_clock)
    with EmbeddedPostgres(place / "data", durable=False) as url:
        migrate(url)
        yield url


@asynccontextmanager
async def _service(url: str, place: Path) -> AsyncIterator[tuple[Database, httpx.AsyncClient, Sql]]:
    async with Database.open(Settings(database_url=url)) as db:
        await set_up(db, ADMIN_KEY)
    app, sql = create_app(Settings(database_url=url, admin_key=ADMIN_KEY, data_dir=place)), await asyncpg.connect(url)
    try:
        async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
            yield app.state.db, http, sql
    finally:
        await sql.close()


async def _made(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _opened(http: httpx.AsyncClient) -> dict[str, Any]:
    return await _made(http, "/v1/tickets", {"subject": "s", "customer": {"external_id": "c"}})


async def _durations(http: httpx.AsyncClient, tickets: list[dict[str, Any]]) -> list[float]:
    found = []
    for ticket in tickets:
        for each in (await http.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]:
            found += [each["elapsed_seconds"], each["paused_seconds"]]
    return found


async def test_a_database_clock_that_steps_by_an_hour_makes_no_duration_negative_and_tells_nothing_twice(
    server: str, place: Path, clock: Clock, shows: Callable[[str, str], None]
) -> None:
    tickets: list[dict[str, Any]] = []
    steps = (0, -HOUR, 0, HOUR, 0)
    async with _service(server, place) as (db, http, sql):
        for step in steps:
            clock.put(step)
            assert min([0, *await _durations(http, tickets)]) == 0
            for ticket in tickets[-3:-1]:
                await _made(http, f"/v1/tickets/{ticket['id']}/messages", {"body": "Yes."})
                patched = await http.patch(f"/v1/tickets/{ticket['id']}", json={"status": "pending"})
                assert patched.status_code == 200, patched.text
            tickets += [await _opened(http) for _ in range(3)]
            # The sweep tells of what has passed by this clock.
            await asyncio.sleep(0.5)
            assert [each async for _, found in verify(db, []) for each in found] == [], step
            report = await http.get("/v1/reports/response-times")
            assert report.status_code in (200, 422)
        assert await sql.fetchval("SELECT count(*) FROM sla_alerts") > 0
        twice = "SELECT data, ticket_id FROM events WHERE type = 'sla.breached' GROUP BY 1, 2 HAVING count(*) > 1"
        assert await sql.fetch(twice) == []
        assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE elapsed < '0'") == 0
    shows("P12", f"{len(tickets)} tickets over steps of {steps} s: 0 told twice, 0 durations negative, 0 differences")


async def test_a_replica_whose_clock_is_a_day_off_stores_nothing_of_it(
    place: Path, clock: Clock, shows: Callable[[str, str], None]
) -> None:
    faked = _faked(clock.path)
    clock.put(24 * HOUR)
    with EmbeddedPostgres(place / "database", durable=False) as url:
        with harness.service(place / "data", url, settings=faked) as (base, _):
            async with harness.client(base) as http:
                ticket = await _opened(http)
                path = f"/v1/tickets/{ticket['id']}"
                await _made(http, f"{path}/messages", {"body": "Yes."})
                await http.patch(path, json={"status": "resolved"})
                date = subprocess.run(["date", "+%s"], env=faked, capture_output=True, check=True).stdout
        sql = await asyncpg.connect(url)
        now = await sql.fetchval("SELECT clock_timestamp()")
        # The replica's clock was really off.
        assert int(date) - now.timestamp() > 23 * HOUR
        late = await _later_than(sql, now + timedelta(hours=1))
        await sql.close()
    assert late == []
    shows("P11", "a replica's clock a day ahead: 0 instants of it in the database")


_INSTANTS = """SELECT table_name::text, column_name::text FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'"""
# Instants that are meant to lie ahead.
_AHEAD = {"expires_at", "give_up_at", "next_at"}


async def _later_than(sql: Sql, instant: object) -> list[str]:
    return [
        f"{table}.{column}"
        for table, column in await sql.fetch(_INSTANTS)
        if column not in _AHEAD
        and await sql.fetchval(f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{column}" > $1)', instant)
    ]

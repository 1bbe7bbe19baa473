"""Reports read from a standby: as of an instant that is not too old, or from the primary, whatever becomes of the
standby."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.db import Database, Query, Transaction
from app.errors import NotFound
from app.main import create_app
from app.migrate import migrate
from app.operations.setup import set_up
from app.settings import Settings
from embedded_postgres import EmbeddedPostgres
from tests.conftest import ADMIN_KEY, client_for
from tests.faults.cluster import signal_all
from tests.faults.harness import directory
from tests.faults.standby import dsn, query, standby

pytestmark = pytest.mark.fault
# With a heartbeat each two seconds.
MOST_LAG = 4
BACKLOG = "/v1/reports/backlog"
_NAMES = ("response-times", "backlog", "handling-times", "availability", "self-service", "overload-offers", "quality")
REPORTS = [f"/v1/reports/{name}" for name in _NAMES]
_COUNT = Query(text("SELECT count(*) AS count FROM customers"))
_SLEEP = Query(text("SELECT pg_sleep(2)"))
_WRITE = Query(text("UPDATE customers SET name = name RETURNING id"))


@dataclass
class Pair:
    """A service with a worker, on a primary and its standby."""

    app: FastAPI
    http: httpx.AsyncClient
    primary: EmbeddedPostgres
    standby: EmbeddedPostgres

    async def report(self, path: str = BACKLOG, **headers: str) -> tuple[Any, int | None]:
        """And its age, where the standby answered."""
        answer = await self.http.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        age = answer.headers.get("age")
        return answer.json(), int(age) if age else None

    async def until(self, *, from_standby: bool) -> float:
        """After how many seconds reports are answered by it, or no longer."""
        since = time.monotonic()
        async with asyncio.timeout(30):
            while ((await self.report())[1] is not None) != from_standby:
                await asyncio.sleep(0.05)
        return time.monotonic() - since

    async def replayed(self) -> None:
        """The standby has all that the primary has by now."""
        position = await asyncio.to_thread(query, self.primary, "SELECT pg_current_wal_insert_lsn()")
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        async with asyncio.timeout(10):
            while await asyncio.to_thread(query, self.standby, replayed) != "t":
                await asyncio.sleep(0.01)

    async def tell(self, *statements: str) -> None:
        for statement in statements:
            await asyncio.to_thread(query, self.standby, statement)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with directory() as place:
        primary = EmbeddedPostgres(place / "1", durable=False)
        with primary as url:
            await asyncio.to_thread(migrate, url)
            async with Database.open(Settings(database_url=url)) as db:
                await set_up(db, ADMIN_KEY)
            with standby(primary, place / "2") as follower:
                app = create_app(
                    Settings(
                        database_url=url, read_database_url=dsn(follower), read_max_lag_seconds=MOST_LAG,
                        admin_key=ADMIN_KEY, data_dir=place,
                    )
                )  # fmt: skip
                async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
                    made = Pair(app, http, primary, follower)
                    await made.until(from_standby=True)
                    yield made


async def _open_tickets(http: httpx.AsyncClient, count: int) -> list[str]:
    body = {"subject": "x", "customer": {"external_id": "c"}}
    return [(await http.post("/v1/tickets", json=body)).json()["id"] for _ in range(count)]


def _open(backlog: Any) -> int:
    return sum(item["open"] for item in backlog["items"])


async def test_a_report_is_the_same_from_the_standby_as_from_the_primary(pair: Pair) -> None:
    agent = (await pair.http.post("/v1/agents", json={"name": "A"})).json()
    for ticket in await _open_tickets(pair.http, 3):
        said = {"author": {"kind": "agent", "id": agent["id"]}, "body": "Done."}
        answer = await pair.http.post(f"/v1/tickets/{ticket}/messages", json=said)
        assert answer.status_code == 201, answer.text
        answer = await pair.http.patch(f"/v1/tickets/{ticket}", json={"status": "resolved"})
        assert answer.status_code == 200, answer.text
    goal = (await pair.http.get("/v1/service-goals")).json()["items"][0]["id"]
    await pair.replayed()
    # One that ends now would have another end when it is asked for again.
    now = datetime.now(UTC)
    span = f"from={now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}&to={now:%Y-%m-%dT%H:%M:%SZ}"
    for path in (*REPORTS, f"/v1/service-goals/{goal}/history", f"/v1/service-goals/{goal}/why?{span}"):
        (here, age), (there, _) = await pair.report(path), await pair.report(path, **{"Cache-Control": "no-cache"})
        assert age is not None, path
        assert here == there, path


async def test_a_standby_that_no_longer_replays_answers_until_it_is_too_far_behind(
    pair: Pair, shows: Callable[[str, str], None]
) -> None:
    await pair.tell("SELECT pg_wal_replay_pause()")
    await _open_tickets(pair.http, 1)
    report, age = await pair.report()
    assert (_open(report), age is None) == (0, False)
    newest, none = await pair.report(**{"Cache-Control": "max-stale, No-Cache"})
    assert (_open(newest), none) == (1, None)
    ages, since = [age], time.monotonic()
    async with asyncio.timeout(20):
        while age is not None:
            assert _open(report) == 0
            await asyncio.sleep(0.1)
            report, age = await pair.report()
            ages.append(age)
    assert _open(report) == 1
    assert max(each for each in ages if each) == MOST_LAG
    shows("P23", f"replay paused: reports are the primary's after {time.monotonic() - since:.1f} s, at most {MOST_LAG}")
    await pair.tell("SELECT pg_wal_replay_resume()")
    await pair.until(from_standby=True)


async def test_a_standby_that_is_cut_off_is_seen_to_be_behind_also_while_nothing_happens(pair: Pair) -> None:
    await pair.tell("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
    assert await pair.until(from_standby=False) < MOST_LAG + 3
    await pair.tell("ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()")


async def test_what_the_standby_does_not_know_yet_is_asked_of_the_primary(pair: Pair) -> None:
    await pair.tell("SELECT pg_wal_replay_pause()")
    goal = {"key": "new", "name": "New", "target_seconds": 60, "window": {"rolling_seconds": 86_400}}
    made = await pair.http.post("/v1/service-goals", json=goal)
    assert made.status_code == 201, made.text
    assert (await pair.report(f"/v1/service-goals/{made.json()['id']}/history"))[1] is None
    assert (await pair.report())[1] is not None


async def test_a_standby_that_is_killed_costs_nobody_an_answer(pair: Pair) -> None:
    stop = asyncio.Event()

    async def ask() -> int:
        asked = 0
        while not stop.is_set():
            await pair.report()
            asked += 1
        return asked

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    await asyncio.sleep(0.5)
    assert pair.standby.pid
    signal_all(pair.standby.pid, signal.SIGKILL)
    await pair.until(from_standby=False)
    ready = await pair.http.get("/readyz")
    stop.set()
    assert min(await asyncio.gather(*asking)) > 0
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    await asyncio.to_thread(pair.standby.revive)
    await pair.until(from_standby=True)


async def test_a_standby_that_hangs_delays_nobody_for_long(pair: Pair, shows: Callable[[str, str], None]) -> None:
    assert pair.standby.pid
    signal_all(pair.standby.pid, signal.SIGSTOP)
    try:
        took = []
        for _ in range(3):
            since = time.monotonic()
            assert (await pair.report())[1] is None
            took.append(time.monotonic() - since)
    finally:
        signal_all(pair.standby.pid, signal.SIGCONT)
    shows("P23", f"standby stopped: the first report after {took[0]:.2f} s, then after {took[-1]:.2f} s")
    assert took[0] < 3
    assert took[-1] < 1
    await pair.until(from_standby=True)


async def _asked(pair: Pair, unit: Callable[[Transaction], Awaitable[Any]]) -> tuple[Any, float | None]:
    found: tuple[Any, float | None] = await pair.app.state.standby.run(unit, 10)
    return found


async def test_a_read_that_is_in_the_way_of_the_replay_is_repeated_on_the_primary(pair: Pair) -> None:
    await pair.tell("ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
    await _open_tickets(pair.http, 1)
    await pair.replayed()
    begun, runs = asyncio.Event(), 0

    async def unit(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        row = await tx.row(_COUNT)
        begun.set()
        await tx.row(_SLEEP)
        assert row
        return int(row["count"])

    asking = asyncio.create_task(_asked(pair, unit))
    await begun.wait()
    lock = "BEGIN; LOCK customers IN ACCESS EXCLUSIVE MODE; COMMIT"
    await asyncio.to_thread(query, pair.primary, lock)
    assert await asking == (1, None)
    assert runs == 2


async def test_a_read_that_writes_after_all_and_one_that_is_refused_run_on_the_primary(pair: Pair) -> None:
    async def writes(tx: Transaction) -> int:
        return len(await tx.locked_rows(_WRITE))

    await _open_tickets(pair.http, 1)
    assert await _asked(pair, writes) == (1, None)

    async def refused(_: Transaction) -> None:
        raise NotFound

    with pytest.raises(NotFound):
        await _asked(pair, refused)

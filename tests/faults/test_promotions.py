"""P33: after a failover every reader of the log goes on, however much was written before. The service runs on while a
standby is promoted in the place of its server, and then a standby of that one. `NINETY_OLDER_EVENTS=1000000` writes so
many beforehand."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.main import create_app
from app.migrate import migrate
from app.operations.setup import set_up
from app.settings import Settings
from embedded_postgres import EmbeddedPostgres
from tests.conftest import ADMIN_KEY, client_for
from tests.events.epochs import first_new, give_readers, new_ticket, seconds_until_seen, stand_at_the_end, write_past
from tests.faults.harness import busy, directory
from tests.faults.standby import dsn, fail_over, place_of, standby
from tests.support.sla import Sql
from tests.support.streams import listening, serving

pytestmark = pytest.mark.fault
OLDER = int(os.environ.get("NINETY_OLDER_EVENTS", "5000"))
_BAR_SECONDS = 1.0
CREATED = "types=ticket.created"


class Address:
    """Where the service finds its server: a directory that another one takes the place of."""

    def __init__(self, place: Path) -> None:
        self._link = place / "address"

    def lead_to(self, server: EmbeddedPostgres) -> str:
        """The DSN, which stays the same."""
        sockets, aside = place_of(server).socket_dir, self._link.with_name("address.new")
        aside.symlink_to(sockets)
        os.replace(aside, self._link)
        return dsn(server).replace(quote(str(sockets)), quote(str(self._link)))


@asynccontextmanager
async def _service(url: str, place: Path) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """With a worker."""
    await asyncio.to_thread(migrate, url)
    async with Database.open(Settings(database_url=url)) as db:
        await set_up(db, ADMIN_KEY)
    app = create_app(Settings(database_url=url, admin_key=ADMIN_KEY, data_dir=place, webhook_private_targets=True))
    async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
        yield app, http


@asynccontextmanager
async def _look(url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _live_before(sql: Sql, http: httpx.AsyncClient) -> str:
    """A past, at whose end all stand who follow the log; a client's position there."""
    await give_readers(http, "http://127.0.0.1:1/in")
    await write_past(sql, OLDER)
    await stand_at_the_end(sql)
    newest = await sql.fetchrow("SELECT xid::text::bigint, id FROM events ORDER BY xid DESC, id DESC LIMIT 1")
    assert newest
    return f"1.{newest[0]:x}.{newest[1]:x}"


async def _known(sql: Sql, epoch: int) -> None:
    """Until the service has found out that it is on another server."""
    async with asyncio.timeout(20):
        while await sql.fetchval("SELECT epoch FROM event_log") != epoch:
            await asyncio.sleep(0.01)


async def _first_new(sql: Sql, http: httpx.AsyncClient, port: int, position: str) -> dict[str, float]:
    """Of everybody who follows the log, after how many seconds they have the first event of this epoch."""
    since = time.monotonic()
    ticket = await new_ticket(http)
    readers = asyncio.create_task(seconds_until_seen(sql, ticket, since))
    async with listening(port, f"?{CREATED}", ADMIN_KEY, position) as stream:
        while not any(event.get("ticketid") == ticket["id"] for event in stream.events):
            await stream.read(len(stream.events) + 1)
    took = {"stream": time.monotonic() - since} | await readers
    since = time.monotonic()
    pages = await first_new(http, position, lambda event: event.get("ticketid") == ticket["id"], f"&{CREATED}")
    assert pages == 1
    return took | {"feed": time.monotonic() - since}


def _bar() -> float:
    """Seconds: longer where others use the machine at the same time."""
    return _BAR_SECONDS * max(1, busy())


@pytest.fixture
def place() -> Iterator[Path]:
    with directory() as made:
        yield made


async def test_after_each_of_two_promotions_the_first_new_event_comes_within_a_second(
    place: Path, shows: Callable[[str, str], None]
) -> None:
    address, server = Address(place), EmbeddedPostgres(place / "1", durable=False)
    with ExitStack() as servers:
        servers.enter_context(server)
        url = address.lead_to(server)
        async with _service(url, place) as (app, http), serving(app) as port:
            async with _look(url) as sql:
                position = await _live_before(sql, http)
            for epoch in (2, 3):
                other = servers.enter_context(standby(server, place / str(epoch)))
                fail_over(server, other)
                address.lead_to(server := other)
                async with _look(url) as sql:
                    await _known(sql, epoch)
                    took = await _first_new(sql, http, port, position)
                figures = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items())
                shows("P33", f"after promotion {epoch - 1}, {OLDER:,} older events: {figures}")
                assert max(took.values()) < _bar()

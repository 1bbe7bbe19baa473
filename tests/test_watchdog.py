import asyncio

import asyncpg
import pytest

from app.connections import Connections
from app.errors import Unavailable
from app.settings import Settings
from app.watchdog import Watchdog


async def test_one_that_stops_while_it_asks_leaves_no_question_and_no_connection_behind(database_url: str) -> None:
    asks = asyncio.Event()

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        asks.set()
        return await asyncpg.connect(database_url)

    before = asyncio.all_tasks()
    watchdog = Watchdog(connect)
    async with watchdog.running():
        watchdog.watch("a statement that takes its time", lambda: None)
        await asks.wait()
    left = asyncio.all_tasks() - before
    await asyncio.gather(*left, return_exceptions=True)
    found, watchdog._connection = watchdog._connection, None
    if found is not None:
        found.terminate()
    assert (left, found) == (set(), None)


async def test_who_was_given_up_is_told_so_also_where_the_database_answers_again_meanwhile(database_url: str) -> None:
    waits, answers_again = asyncio.Event(), asyncio.Event()

    async def prepare(_: "asyncpg.Connection[asyncpg.Record]") -> None:
        waits.set()
        try:
            await asyncio.sleep(60)
        finally:
            await answers_again.wait()

    async with Connections.open(Settings(database_url=database_url), prepare) as connections:
        watchdog = connections.watchdog
        asking = asyncio.create_task(connections.acquire(reads=True))
        await waits.wait()
        watchdog.hanging = True
        for _, give_up in list(watchdog._waiting.values()):
            give_up()
        await asyncio.sleep(0)
        watchdog.hanging = False
        answers_again.set()
        with pytest.raises(Unavailable):
            await asking

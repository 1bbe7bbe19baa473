"""Notices a database that does not answer: one that is stopped, or behind a network that swallows packets. A statement
may take its time, so a slow one is no sign; what is, is that nothing at all is answered beside it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger("ninety.database")

_LOOK_SECONDS = 0.1
# After so long it is asked whether the database answers at all.
_PATIENCE_SECONDS = 0.3
_ANSWER_SECONDS = 0.7

Connect = Callable[[], Awaitable["asyncpg.Connection[Any]"]]


class Watchdog:
    """`hanging`: whether the last question had no answer. What waits for the database is entered with `watch`, and
    given up once it hangs. A database that refuses connections is none that hangs: whoever asks it knows at once."""

    def __init__(self, connect: Connect) -> None:
        self.hanging = False
        self._connect = connect
        self._connection: asyncpg.Connection[Any] | None = None
        # In the order in which they began to wait.
        self._waiting: dict[object, tuple[float, Callable[[], object]]] = {}

    def watch(self, waiting: object, give_up: Callable[[], object]) -> None:
        self._waiting[waiting] = time.monotonic(), give_up

    def done(self, waiting: object) -> None:
        self._waiting.pop(waiting, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._run())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            self._hang_up()

    async def _run(self) -> None:
        asked = 0.0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            first = next(iter(self._waiting.values()), None)
            long_ago = time.monotonic() - _PATIENCE_SECONDS
            if not self.hanging and (first is None or first[0] > long_ago or asked > long_ago):
                continue
            hung, self.hanging = self.hanging, not await self._answers()
            asked = time.monotonic()
            if self.hanging and not hung:
                log.warning("database_hangs", waiting=len(self._waiting))
                for _, give_up in list(self._waiting.values()):
                    give_up()
            elif hung and not self.hanging:
                log.warning("database_answers_again")

    async def _answers(self) -> bool:
        asking = asyncio.create_task(self._ask())
        try:
            done, _ = await asyncio.wait({asking}, timeout=_ANSWER_SECONDS)
            if not done:
                # The answer may lie in the socket while this process had no time to read it.
                done, _ = await asyncio.wait({asking}, timeout=_LOOK_SECONDS / 2)
            return bool(done) and asking.result()
        finally:
            if not asking.done():
                # Also where the process ends just now: nobody else would close the connection that it makes.
                asking.cancel()
                self._hang_up()
                await asyncio.wait({asking})

    async def _ask(self) -> bool:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            await self._connection.execute("SELECT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            self._hang_up()
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

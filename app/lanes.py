"""What several units of work ask for at the same time goes out together. One that comes while no other is under way
goes by itself; those that come meanwhile wait, without a connection, and go in one batch as soon as it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from math import inf
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_MOST_UNITS = 64
_ALONE_SECONDS = 0.05


class Lane(Generic[Asked, Answer]):
    """`enter` and `leave` bracket a unit that goes by itself; `join` waits for a batch. `send` answers a batch of
    several, in its order; where nothing of it has happened, by None. Those of a batch are `alike`."""

    def __init__(
        self,
        send: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer] | None]],
        alike: Callable[[Asked], Hashable] = lambda _: None,
    ) -> None:
        self._send = send
        self._alike = alike
        self._busy = False
        self._alone: asyncio.TimerHandle | None = None
        self._waiting: list[_Waiting[Asked, Answer]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def finish(self) -> None:
        """Wait for what is under way."""
        if self._under_way:
            await asyncio.wait([self._under_way])

    def enter(self) -> asyncio.TimerHandle | None:
        """What to `leave` with, where the caller may go by itself. Who takes longer is waited for no more."""
        if self._busy:
            return None
        self._busy = True
        self._alone = asyncio.get_running_loop().call_later(_ALONE_SECONDS, self._go_on)
        return self._alone

    def leave(self, entered: asyncio.TimerHandle) -> None:
        entered.cancel()
        if self._alone is entered:
            self._go_on()

    async def join(self, asked: Asked, until: float) -> Answer | None:
        """The answer; None where nothing has happened, and the caller is to go by itself. Call it without a connection.
        Raises what left the outcome unknown, and TimeoutError where it is not under way at `until`."""
        waiting = _Waiting[Asked, Answer](asked)
        self._waiting.append(waiting)
        if not self._busy:
            # It became free while the caller gave its connection back.
            self._busy = True
            self._go_on()
        loop = asyncio.get_running_loop()
        late = loop.call_later(max(0, until - time.monotonic()), self._expire, waiting) if until < inf else None
        try:
            return await waiting.outcome
        finally:
            if late:
                late.cancel()
            # Whoever was cancelled asks for nothing more, unless it is under way already.
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def _go_on(self) -> None:
        self._alone = None
        if self._waiting:
            # It is nobody's alone: what it logs bears no request's id.
            self._under_way = asyncio.create_task(self._run(), context=Context())
        else:
            self._busy = False

    def _expire(self, waiting: "_Waiting[Asked, Answer]") -> None:
        if waiting in self._waiting:
            waiting.fail(TimeoutError())

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                answers = await self._send([waiting.asked for waiting in batch]) if len(batch) > 1 else None
            except Exception as failed:
                for waiting in batch:
                    waiting.fail(failed)
                continue
            for number, waiting in enumerate(batch):
                waiting.end(None if answers is None else answers[number])
        self._busy = False

    def _next(self) -> "list[_Waiting[Asked, Answer]]":
        first = self._alike(self._waiting[0].asked)
        batch: list[_Waiting[Asked, Answer]] = []
        others: list[_Waiting[Asked, Answer]] = []
        for waiting in self._waiting:
            fits = len(batch) < _MOST_UNITS and self._alike(waiting.asked) == first
            (batch if fits else others).append(waiting)
        self._waiting = others
        return batch


class _Waiting(Generic[Asked, Answer]):
    """A unit, what it asked for and what became of it."""

    __slots__ = ("asked", "outcome")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.outcome: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    def end(self, answer: Answer | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(answer)

    def fail(self, failed: Exception) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(failed)

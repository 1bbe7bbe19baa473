"""Between SIGTERM and the end of a process: first it says that it takes no more work, and answers whatever still comes,
for as long as a balancer needs to notice; then the streams are told, and the server closes its socket."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def on_termination(begin: Callable[[], None], end: Callable[[], None], drain_seconds: float) -> Iterator[None]:
    """`begin` is called when the process is asked to stop, and `end` after `drain_seconds`, before whoever else wants
    to know of the signal: uvicorn waits for open answers, and tells the application only then. Ctrl-C, and a second
    SIGTERM, wait for nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    draining = False

    def told(number: int, frame: FrameType | None) -> None:
        nonlocal draining
        loop.call_soon_threadsafe(begin)
        wait = drain_seconds if number == signal.SIGTERM and not draining else 0
        draining = True
        if wait:
            loop.call_soon_threadsafe(loop.call_later, wait, over, number, frame)
        else:
            over(number, frame)

    def over(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        _hand_on(before[signal.Signals(number)], number, frame)

    for number in before:
        signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is told:
                signal.signal(number, handler)


def _hand_on(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler is signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

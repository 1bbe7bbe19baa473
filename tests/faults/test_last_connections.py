"""A process that ends answers everybody who got through to it, down to the last connection."""

import asyncio
import os
import signal
from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.faults.harness import directory, service

pytestmark = pytest.mark.fault
CALLERS = 24
THINKS_SECONDS = 0.2
"""Every other caller, between connecting and asking."""


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two processes"])
async def test_who_has_connected_is_answered(options: tuple[str, ...]) -> None:
    with directory() as place, service(place / "data", None, *options) as (base, pid):
        told: Counter[str] = Counter()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in range(CALLERS):
                tasks.create_task(_call(base, told, stop, THINKS_SECONDS if number % 2 else 0))
            await asyncio.sleep(2)
            os.kill(pid, signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 30)
    assert told["answered"] > 100
    assert set(told) == {"answered", "refused"}


async def _call(base: str, told: Counter[str], stop: asyncio.Event, thinks: float) -> None:
    """Ask, each time over a connection of its own, until nobody is there any more."""
    at = urlsplit(base)
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
        except ConnectionRefusedError:
            told["refused"] += 1
            stop.set()
            return
        try:
            await asyncio.sleep(thinks)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await reader.read(1)
            told["answered" if answer else "hung up on"] += 1
        except ConnectionResetError:
            told["reset"] += 1
        finally:
            writer.close()

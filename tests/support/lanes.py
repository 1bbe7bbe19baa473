"""A lane that is taken, so that units come together in one batch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app import lanes
from app.db import Database, Transaction


@asynccontextmanager
async def held(
    lane: lanes.Lane[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """The lane is taken until the block ends; what is given waits until so many units wait for it."""
    monkeypatch.setattr(lanes, "_ALONE_SECONDS", 60)
    entered = lane.enter()
    assert entered

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while len(lane._waiting) < count:
                await asyncio.sleep(0.005)

    try:
        yield until
    finally:
        lane.leave(entered)


async def together(
    db: Database,
    lane: lanes.Lane[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
    *units: Callable[[Transaction], Awaitable[Any]],
) -> list[Any]:
    """What each unit gave or raised."""
    async with held(lane, monkeypatch) as waiting:
        tasks = [asyncio.create_task(db.run(unit)) for unit in units]
        await waiting(len(units))
    return await asyncio.gather(*tasks, return_exceptions=True)

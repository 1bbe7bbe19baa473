"""The service with webhooks that may go to this machine, a receiver on it, and a sender that a test turns by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db import Database
from app.settings import Settings
from app.webhooks import planning
from app.webhooks.sending import Sender, sender
from tests.conftest import ADMIN_KEY, settled
from tests.support.webhook_receiver import Receiver, receiver

Hook = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url, admin_key=ADMIN_KEY, data_dir=tmp_path, worker=False, webhook_private_targets=True
    )


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture
async def sending(db: Database, settings: Settings) -> AsyncIterator[Sender]:
    async with sender(db, settings) as made:
        yield made


@pytest.fixture
def hook(client: httpx.AsyncClient) -> Hook:
    """Makes a webhook: `await hook(receiver.url, types=[…])`."""

    async def make(url: str, **more: Any) -> dict[str, Any]:
        made = await client.post("/v1/webhooks", json={"url": url, "types": ["*"], **more})
        assert made.status_code == 201, made.text
        whole: dict[str, Any] = made.json()
        return whole

    return make


async def plan(db: Database) -> None:
    """Make deliveries of all that has happened."""
    await settled(getattr(db.connections.pool, "_connect_args")[0])  # noqa: B009 - asyncpg tells of it in no other way
    while await planning.run_once(db):
        continue


async def deliver(db: Database, sending: Sender) -> None:
    """Plan what the log has, send what is due, and write down what came of it, until nothing is left to do."""
    await plan(db)
    while await sending.run_once():
        await sending.settled()
        await sending.record()


async def hurry(sql: Any) -> None:
    """It is later: what waits is due, and no endpoint is paused."""
    await sql.execute("UPDATE webhook_deliveries SET next_at = now() WHERE state = 'pending'")
    await sql.execute("UPDATE webhooks SET open_until = now() WHERE open_until IS NOT NULL")


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)

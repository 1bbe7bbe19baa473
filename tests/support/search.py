"""Waiting for the index of words, without a worker."""

import asyncio
import secrets
from typing import Any, TypeAlias

import asyncpg
import httpx

from app.db import Database
from app.tickets import search_index
from tests.support.desk import Body, Desk, as_body
from tests.support.world import World

_BEHIND = """
SELECT EXISTS (
    SELECT FROM events e, event_readers r
    WHERE r.name = 'search' AND (e.epoch, e.xid, e.id) > (r.epoch, r.xid, r.event_id)
)"""


async def index(db: Database) -> None:
    """Until the index holds all that has happened. Whoever writes anywhere on the server holds up the log's readers,
    so there may be nothing to do yet."""
    for _ in range(500):
        turns = 0
        while await search_index.run_once(db):
            turns += 1
            assert turns < 20, "the index does not come to an end"
        async with db.connections.pool.acquire() as connection:
            if not await connection.fetchval(_BEHIND):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the log's end cannot be reached")


Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Searching:
    """A desk that is searched. Each test works with words of its own."""

    def __init__(self, desk: Desk, world: World) -> None:
        self.desk = desk
        self.world = world
        self.db: Database = world.app.state.db

    async def found(self, q: str, who: httpx.AsyncClient | None = None, **query: Any) -> list[str]:
        await index(self.db)
        answer = as_body(await (who or self.desk.agent).get("/v1/tickets", params={"q": q, **query}))
        return [ticket["id"] for ticket in answer["items"]]

    async def finds(self, q: str, ticket: Body, who: httpx.AsyncClient | None = None) -> bool:
        return ticket["id"] in await self.found(q, who, limit=200)


def word() -> str:
    """Letters only, and not the beginning of another."""
    return "q" + "".join(chr(ord("a") + byte % 26) for byte in secrets.token_bytes(12))

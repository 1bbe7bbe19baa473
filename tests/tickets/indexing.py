"""Waiting for the index of words, without a worker."""

import asyncio

from app.db import Database
from app.tickets import search_index

_BEHIND = """
SELECT EXISTS (SELECT FROM events e, event_readers r WHERE r.name = 'search' AND (e.xid, e.id) > (r.xid, r.event_id))"""


async def index(db: Database) -> None:
    """Until the index holds all that has happened. Whoever writes anywhere on the server holds up the log's readers,
    so there may be nothing to do yet."""
    for _ in range(500):
        turns = 0
        while await search_index.turn(db):
            turns += 1
            assert turns < 20, "the index does not come to an end"
        async with db._pool.acquire() as connection:
            if not await connection.fetchval(_BEHIND):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the log's end cannot be reached")

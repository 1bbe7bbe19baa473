"""`ninety demo`: a service with a week behind it and people at work, to look at and to try."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import httpx
import structlog
from sqlalchemy import exists, select

from app.db import Database, Query
from app.demo.setup import Cast, set_up
from app.demo.traffic import act
from app.errors import Conflict
from app.tickets.tables import tickets

log = structlog.get_logger("ninety.demo")
_ANY = Query(select(exists(select(tickets.c.id)).label("any")))


async def check_empty(db: Database) -> None:
    """Raises Conflict: nobody's own tickets are mixed with made-up ones."""
    row = await db.run(lambda tx: tx.row(_ANY))
    if row is not None and row["any"]:
        raise Conflict(
            "this database has tickets: give the demonstration an empty one (DATABASE_URL or NINETY_DATA_DIR)"
        )


def start(url: str, admin_key: str, tell: Callable[[Cast], None]) -> threading.Thread:
    """Plays the demonstration against a service of this process until the process ends; `tell` is called once the week
    behind it is there."""

    async def play() -> None:
        headers = {"Authorization": f"Bearer {admin_key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            cast = await set_up(http, admin_key)
            tell(cast)
            await act(url, http, cast)

    def run() -> None:
        try:
            asyncio.run(play())
        except Exception as failed:
            log.exception("demo_failed", error=repr(failed))
            # A service without its story is not what was asked for.
            os.kill(os.getpid(), signal.SIGTERM)

    # The service's own end takes it along.
    thread = threading.Thread(target=run, name="demo", daemon=True)
    thread.start()
    return thread

"""After a failover or a restore everybody who follows the log goes on, however much happened before."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from app.db import Database
from app.events import feed
from app.memberships import jobs as segment_jobs
from app.tickets import search_index
from app.webhooks import planning
from tests.conftest import settled
from tests.events.epochs import first_new, give_readers, new_ticket, unseen, write_past
from tests.support.sla import Sql
from tests.support.verification import drain

OLDER = feed.STRETCH
READERS: tuple[Callable[[Database], Awaitable[bool]], ...] = (
    planning.run_once,
    search_index.run_once,
    segment_jobs.run_once,
)


async def _work_off(db: Database) -> None:
    while await segment_jobs.run_job_once(db):
        pass
    await drain(db)
    for turn in READERS:
        turns = 0
        while await turn(db):
            turns += 1
            assert turns < OLDER // 100, "the log does not come to an end"


async def _promote(db: Database, sql: Sql) -> None:
    """What a failover brings, brought about here: a log that says that another server wrote it."""
    await sql.execute("UPDATE event_log SET written_by = written_by || ', before the failover'")
    before = await sql.fetchval("SELECT epoch FROM event_log")
    async with db.transaction() as tx:
        assert await feed.settle_epoch(tx) == before + 1


@pytest.mark.parametrize("ahead", [0, 5_000_000_000], ids=["failover", "restore"])
async def test_every_reader_goes_on_after_two_new_epochs_with_5000_older_events(
    client: httpx.AsyncClient, db: Database, sql: Sql, database_url: str, ahead: int
) -> None:
    """After a restore the older transactions have the higher numbers."""
    await give_readers(client)
    await write_past(sql, OLDER)
    await new_ticket(client)
    await settled(database_url)
    await _work_off(db)
    position = (await client.get("/v1/events?types=ticket.created")).json()["next_position"]
    if ahead:
        for statement in (
            "UPDATE events SET xid = (xid::text::bigint + $1)::text::xid8",
            "UPDATE event_readers SET xid = (xid::text::bigint + $1)::text::xid8",
        ):
            await sql.execute(statement, ahead)
        epoch, xid, id_ = position.split(".")
        position = f"{epoch}.{int(xid, 16) + ahead:x}.{id_}"
    for _ in range(2):
        await _promote(db, sql)
        # Nothing new, and nobody stays behind.
        await _work_off(db)
        behind = "SELECT name FROM event_readers WHERE epoch <> (SELECT epoch FROM event_log)"
        assert await sql.fetch(behind) == []
    ticket = await new_ticket(client)
    await settled(database_url)
    await _work_off(db)
    assert await unseen(sql, ticket) == []
    # And whoever reads the feed finds it at once, from before the failover and from the epoch's beginning.
    for after in (position, "2.0.0", "3.0.0"):
        for query in ("", "&types=ticket.created", f"&ticket_id={ticket['id']}"):
            assert await first_new(client, after, lambda event: event.get("ticketid") == ticket["id"], query) == 1


async def test_a_position_beyond_this_servers_transactions_waits_for_no_worker_to_begin_the_epoch(
    client: httpx.AsyncClient, db: Database, sql: Sql, database_url: str
) -> None:
    """The service runs on while its database is put back on another server: whoever asks first settles the epoch, and
    no reader takes its position for an unknown one and begins anew."""
    await give_readers(client)
    await new_ticket(client)
    await settled(database_url)
    await _work_off(db)
    ahead = 5_000_000_000
    for table in ("events", "event_readers"):
        await sql.execute(f"UPDATE {table} SET xid = (xid::text::bigint + {ahead})::text::xid8")
    await sql.execute("UPDATE event_log SET written_by = 'another'")
    await sql.execute("DELETE FROM webhook_deliveries")
    await _work_off(db)
    assert await sql.fetchval("SELECT epoch FROM event_log") == 2
    assert await sql.fetchval("SELECT count(*) FROM webhook_deliveries") == 0

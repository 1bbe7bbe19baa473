"""From which place on the log is read for webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from app.db import Database
from app.webhooks import planning
from app.webhooks.sending import Sender
from tests.conftest import settled
from tests.support.openapi import Open
from tests.support.webhook_receiver import Receiver
from tests.webhooks.conftest import Hook, deliver


async def test_the_first_webhook_is_told_from_now_on_and_the_next_one_takes_nothing_from_it(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any,
    database_url: str,
) -> None:  # fmt: skip
    read_up_to = "SELECT xid::text::bigint FROM event_readers WHERE name = 'webhooks'"
    before = await open_ticket()
    [newest] = await sql.fetchrow("SELECT max(xid::text::bigint) FROM events")
    assert not await planning.run_once(db)
    assert await sql.fetchval(read_up_to) < newest
    await settled(database_url)
    first = await hook(there.url, types=["ticket.created"])
    # Nobody has to read through what happened before.
    assert await sql.fetchval(read_up_to) > newest
    between = await open_ticket()
    await settled(database_url)
    second = await hook(there.url, types=["ticket.created"])
    after = await open_ticket()
    await deliver(db, sending)
    about: dict[str, set[str]] = {made["id"]: set() for made in (first, second)}
    for row in await sql.fetch("SELECT webhook_id, about_id FROM webhook_deliveries WHERE state = 'delivered'"):
        about[str(row["webhook_id"])].add(str(row["about_id"]))
    assert about == {first["id"]: {between["id"], after["id"]}, second["id"]: {after["id"]}}
    assert before["id"] not in about[first["id"]]
    # Turned off and on again it is the only one once more.
    for made in (first, second):
        await client.patch(f"/v1/webhooks/{made['id']}", json={"active": False})
    await open_ticket()
    [newest] = await sql.fetchrow("SELECT max(xid::text::bigint) FROM events")
    await settled(database_url)
    await client.patch(f"/v1/webhooks/{first['id']}", json={"active": True})
    assert await sql.fetchval(read_up_to) > newest


@pytest.mark.parametrize("alone", [True, False])
async def test_a_webhook_is_told_of_what_was_committed_after_its_making_and_of_nothing_before(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any,
    database_url: str, alone: bool,
) -> None:  # fmt: skip
    """Whoever reads all there is once the webhook is made, and then goes by it, misses nothing, however long others
    take with what they write, and whatever the clock of the server does."""
    if not alone:
        await hook(there.url, types=["ticket.created"])
    before = await open_ticket()
    # Written before the webhook is made, by who is not done yet.
    async with _another(database_url) as late:
        unseen = await _write(late, before["id"])
        made = await hook(there.url, types=["ticket.created"])
        known = {str(row["ticket_id"]) for row in await sql.fetch("SELECT ticket_id FROM events")}
        assert before["id"] in known
        assert unseen not in known
    # The clock of the server is set back.
    await sql.execute("UPDATE webhooks SET created_at = created_at + interval '1 hour'")
    after = await open_ticket()
    await deliver(db, sending)
    told = await sql.fetch("SELECT about_id FROM webhook_deliveries WHERE webhook_id = $1", made["id"])
    assert {str(row["about_id"]) for row in told} == {unseen, after["id"]}


async def test_a_webhook_that_is_turned_on_again_is_told_of_what_is_committed_from_then_on(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any,
    database_url: str,
) -> None:  # fmt: skip
    await hook(there.url, types=["ticket.created"])
    made = await hook(there.url, types=["ticket.created"])
    path = f"/v1/webhooks/{made['id']}"
    await client.patch(path, json={"active": False})
    meanwhile = await open_ticket()
    async with _another(database_url) as late:
        unseen = await _write(late, meanwhile["id"])
        assert (await client.patch(path, json={"active": True})).status_code == 200
    after = await open_ticket()
    # That it is on already changes nothing.
    await client.patch(path, json={"active": True, "types": ["ticket.created", "ticket.updated"]})
    await deliver(db, sending)
    told = await sql.fetch("SELECT about_id FROM webhook_deliveries WHERE webhook_id = $1", made["id"])
    assert {str(row["about_id"]) for row in told} == {unseen, after["id"]}


@asynccontextmanager
async def _another(database_url: str) -> AsyncIterator[Any]:
    """A transaction, committed at the end of the block."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def _write(connection: Any, like: str) -> str:
    """As if a ticket were opened."""
    ticket = await connection.fetchval(
        "INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)"
        " SELECT type, now(), actor_kind, new, new, data FROM events, gen_random_uuid() AS new"
        " WHERE ticket_id = $1 AND type = 'ticket.created' RETURNING ticket_id",
        like,
    )
    return str(ticket)

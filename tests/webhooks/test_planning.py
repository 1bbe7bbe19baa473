"""From which place on the log is read for webhooks."""

from typing import Any

import httpx

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

"""A snoozed ticket is out of the queue until its instant or its customer's next message, and no clock stops for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from app.tickets import snoozing
from tests.conftest import Person
from tests.support.sla import Sql, patch, reply
from tests.support.verification import Body, assert_verified, clocks, events, good, pointers, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _snooze(client: httpx.AsyncClient, ticket: Body, until: str | None, **more: Any) -> httpx.Response:
    return await client.post(f"/v1/tickets/{ticket['id']}/snooze", json={"until": until, **more})


async def _queue(client: httpx.AsyncClient, snoozed: bool) -> set[str]:
    items = good(await client.get("/v1/tickets", params={"snoozed": str(snoozed).lower()}))["items"]
    return {item["id"] for item in items}


async def test_a_snoozed_ticket_is_hidden_where_asked_until_its_instant_and_its_clocks_run(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket, other = await open_ticket(), await open_ticket()
    done = good(await _snooze(client, ticket, soon(0.7), reason="Waiting for a part."))
    assert done["snooze_reason"] == "Waiting for a part."
    assert (await _queue(client, False), await _queue(client, True)) == ({other["id"]}, {ticket["id"]})
    assert len(good(await client.get("/v1/tickets"))["items"]) == 2
    [clock] = await clocks(client, ticket, "first_response")
    assert clock["state"] == "running"
    await snoozing.run_once(db)
    assert await events(client, ticket, "ticket.woken") == []
    await asyncio.sleep(0.8)
    # Back at that instant, whoever notices it when.
    assert await _queue(client, False) == {ticket["id"], other["id"]}
    await snoozing.run_once(db)
    await snoozing.run_once(db)
    [woken] = await events(client, ticket, "ticket.woken")
    assert woken["data"] == {"because": "time"}
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["snoozed_until"] is None
    await assert_verified(db)


@pytest.mark.parametrize("way", ["message", "handoff", "merge"])
async def test_the_customers_next_word_wakes_it_and_a_note_does_not(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database, way: str
) -> None:
    customer = await person("customer")
    ticket, other = [await open_ticket(customer={"id": str(customer.id)}) for _ in range(2)]
    await reply(client, ticket)
    good(await _snooze(client, ticket, soon(600)))
    await reply(client, ticket, visibility="internal")
    await reply(client, ticket)
    assert ticket["id"] in await _queue(client, True)
    if way == "message":
        await reply(customer.http, ticket)
    elif way == "handoff":
        good(await customer.http.post(f"/v1/tickets/{ticket['id']}/handoff"))
    else:
        good(await client.post(f"/v1/tickets/{other['id']}/merge", json={"into": ticket["id"]}))
    assert ticket["id"] in await _queue(client, False)
    [woken] = await events(client, ticket, "ticket.woken")
    assert woken["data"] == {"because": "customer"}
    theirs = good(await customer.http.get(f"/v1/tickets/{ticket['id']}"))
    assert (theirs["snoozed_until"], theirs["snooze_reason"]) == (None, None)
    await assert_verified(db)


async def test_what_cannot_be_snoozed_is_refused(client: httpx.AsyncClient, open_ticket: Open, person: Make) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    assert (await _snooze(customer.http, ticket, soon(60))).status_code == 403
    assert pointers(await _snooze(client, ticket, soon(-60))) == ["/until"]
    assert (await customer.http.get("/v1/tickets?snoozed=false")).status_code == 403
    good(await _snooze(client, ticket, soon(60)))
    assert good(await _snooze(client, ticket, None))["snoozed_until"] is None
    await patch(client, ticket, status="resolved")
    refused = await _snooze(client, ticket, soon(60))
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_done")


async def test_resolving_takes_it_out_of_the_snoozed_ones(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    ticket = await open_ticket()
    good(await _snooze(client, ticket, soon(600)))
    await patch(client, ticket, status="resolved")
    assert await _queue(client, True) == set()

"""Who was told how long it takes hears when that is not so any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import asyncpg
import httpx
import pytest

from app.db import Database
from app.outlook import worsening
from tests.conftest import Person
from tests.outlook.test_learning import learn
from tests.outlook.test_outlook import known_past, outlook
from tests.support.sla import let_pass, patch, reply
from tests.support.verification import Body, events, good, instant, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
WORSE = "ticket.outlook_worsened"


async def look(db: Database, workers: int = 3) -> None:
    await learn(db)
    await asyncio.gather(*(worsening.look_once(db) for _ in range(workers)))


async def test_it_is_told_once_when_it_is_much_worse_and_again_when_it_is_worse_still(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make
) -> None:
    await known_past(client, db)
    customer = await person("customer")
    ticket = good(await customer.http.post("/v1/tickets", json={"subject": "Help", "description": "Please."}))
    await look(db)
    # 200 seconds were told; a wait of 300 in all is what it may become unsaid.
    await let_pass(sql, 90, ticket)
    await look(db)
    assert await events(customer.http, ticket, WORSE) == []
    await let_pass(sql, 20, ticket)
    for _ in range(2):
        await look(db)
        [told] = await events(customer.http, ticket, WORSE)
    found = await outlook(customer.http, ticket)
    assert told["actorkind"] == "system"
    for name in ("p50", "p80", "p95"):
        assert abs((instant(told["data"][name]) - instant(found["likely_by"][name])).total_seconds()) < 30
    late = (instant(told["data"]["p95"]) - instant(told["data"]["told_before"])).total_seconds()
    assert 100 < late < 140
    await let_pass(sql, 100, ticket)
    await look(db)
    assert len(await events(customer.http, ticket, WORSE)) == 1
    await let_pass(sql, 100, ticket)
    await look(db)
    assert len(await events(customer.http, ticket, WORSE)) == 2
    assert len(await events(client, ticket, WORSE)) == 2


@pytest.mark.parametrize("why", ["answered", "paused", "not_told", "spam"])
async def test_nobody_is_told_who_does_not_wait_or_was_told_nothing(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open, why: str
) -> None:
    if why != "not_told":
        await known_past(client, db)
    await write_targets(client, {"metric": "first_response", "seconds": 90, "pause_on": ["pending"]})
    ticket = await open_ticket()
    await learn(db)
    if why == "not_told":
        await known_past(client, db)
    match why:
        case "answered":
            await reply(client, ticket)
        case "paused":
            await patch(client, ticket, status="pending")
        case "spam":
            good(await client.post(f"/v1/tickets/{ticket['id']}/spam"))
    await let_pass(sql, 1000, ticket)
    await look(db)
    assert len(await events(client, ticket, WORSE)) == 0

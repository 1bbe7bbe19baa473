"""Whoever asks for a person reaches one."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.verification import Body, assert_verified, clocks, events, good, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _say(who: httpx.AsyncClient, ticket: Body, **more: object) -> Body:
    return good(await who.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Hello.", **more}))


async def _hand_off(who: httpx.AsyncClient, ticket: Body) -> httpx.Response:
    return await who.post(f"/v1/tickets/{ticket['id']}/handoff")


async def _needs_human(client: httpx.AsyncClient, ticket: Body) -> bool:
    return bool(good(await client.get(f"/v1/tickets/{ticket['id']}"))["needs_human"])


@pytest.mark.parametrize(
    ("status", "after"),
    [("new", "new"), ("open", "open"), ("pending", "open"), ("on_hold", "on_hold"), ("resolved", "open")],
)
async def test_it_succeeds_on_every_ticket_that_is_not_closed(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database, status: str, after: str
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": status}))
    handed = good(await _hand_off(customer.http, ticket))
    assert (handed["needs_human"], handed["status"]) == (True, after)
    assert len(await events(client, ticket, "ticket.handed_off")) == 1
    await assert_verified(db)


async def test_a_closed_ticket_is_handed_to_nobody(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "closed"}))
    refused = await _hand_off(client, ticket)
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_closed")


async def test_asking_again_changes_nothing(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    first, second = good(await _hand_off(client, ticket)), good(await _hand_off(client, ticket))
    assert second == first
    assert len(await events(client, ticket, "ticket.handed_off")) == 1


async def test_who_waits_for_the_first_answer_waits_from_when_they_wrote(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    before = await clocks(client, ticket, "first_response")
    good(await _hand_off(client, ticket))
    after = await clocks(client, ticket, "first_response")
    assert [(clock["started_at"], clock["state"]) for clock in after] == [(before[0]["started_at"], "running")]
    assert await clocks(client, ticket, "next_response") == []
    await assert_verified(db)


async def test_where_a_bots_answer_counted_the_wait_for_a_person_starts_at_the_handoff(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    targets = [{"metric": "first_response", "seconds": 60}, {"metric": "next_response", "seconds": 60}]
    await write_targets(client, *targets, bot_counts=True)
    bot = await person("service", scopes=["tickets:read", "tickets:write"])
    ticket = await open_ticket()
    await _say(bot.http, ticket)
    assert (await clocks(client, ticket, "first_response"))[0]["state"] == "met"
    handed = good(await _hand_off(bot.http, ticket))
    (waits,) = await clocks(client, ticket, "next_response")
    assert (waits["state"], waits["started_at"]) == ("running", handed["updated_at"])
    assert handed["due_at"] == waits["due_at"]
    await _say(client, ticket)
    assert (await clocks(client, ticket, "next_response"))[0]["state"] == "met"
    await assert_verified(db)


async def test_it_is_marked_until_a_person_answers_aloud(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    agent, bot = await person("agent"), await person("service", scopes=["tickets:read", "tickets:write"])
    ticket = await open_ticket()
    good(await _hand_off(bot.http, ticket))
    await _say(bot.http, ticket)
    await _say(agent.http, ticket, visibility="internal")
    assert await _needs_human(client, ticket)
    await _say(agent.http, ticket)
    assert not await _needs_human(client, ticket)

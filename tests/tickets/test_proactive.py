"""Tickets opened towards a customer: nobody is late before they write, and what they are told is confirmed."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from app.db import Database
from app.tickets import reminders
from tests.conftest import Person
from tests.support.events import actor_of
from tests.support.sla import Sql, sweep_dry
from tests.support.verification import Body, assert_verified, clocks, events, good, instant, pointers, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _promises(client: httpx.AsyncClient, ticket: Body) -> list[str]:
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/promises"))["items"]
    return [item["state"] for item in items]


async def test_what_an_agent_opens_has_their_words_and_no_first_response_to_wait_for(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    agent, customer = await person("agent"), await person("customer")
    body = {"subject": "A charge", "description": "Was this you?", "customer": {"id": str(customer.id)}}
    ticket = good(await agent.http.post("/v1/tickets", json={**body, "opened_by": "agent"}))
    assert await clocks(client, ticket, "first_response") == []
    (message,) = good(await customer.http.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]
    assert (message["body"], message["author"]) == ("Was this you?", {"kind": "agent", "id": str(agent.id)})
    good(await customer.http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "No!"}))
    assert [clock["state"] for clock in await clocks(client, ticket, "first_response")] == ["running"]
    await assert_verified(db)


async def test_a_confirmation_is_tracked_and_ends_the_promised_reminder(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(
        customer={"id": str(customer.id)}, opened_by="agent", asks_confirmation=True, remind_at=soon(3600)
    )
    assert (ticket["asks_confirmation"], ticket["confirmed_at"]) == (True, None)
    assert (await _promises(client, ticket), ticket["due_at"] is not None) == (["open"], True)
    confirmed = good(await customer.http.post(f"/v1/tickets/{ticket['id']}/confirm"))
    assert confirmed["confirmed_at"] == confirmed["updated_at"] > ticket["created_at"]
    assert await _promises(client, ticket) == ["withdrawn"]
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["due_at"] is None
    (event,) = await events(client, ticket, "ticket.confirmed")
    assert actor_of(event) == {"kind": "customer", "id": str(customer.id)}
    again = await customer.http.post(f"/v1/tickets/{ticket['id']}/confirm")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_confirm")
    await assert_verified(db)


async def test_a_reminder_that_was_not_sent_in_time_is_a_breach_whatever_comes_after(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    due = soon(0.3)
    ticket = await open_ticket(opened_by="agent", asks_confirmation=True, remind_at=due)
    confirmed = await open_ticket(opened_by="agent", asks_confirmation=True, remind_at=due)
    good(await client.post(f"/v1/tickets/{confirmed['id']}/confirm"))
    await asyncio.sleep(0.4)
    for _ in range(2):
        await sweep_dry(db)
    # It has come due by itself, once; and to who had confirmed before, nothing is due.
    assert await events(client, confirmed, "sla.breached") == []
    (breach,) = await events(client, ticket, "sla.breached")
    (clock,) = await clocks(client, ticket, "promise")
    assert (breach["data"]["metric"], clock["state"]) == ("promise", "breached")
    assert instant(clock["breached_at"]) == instant(clock["due_at"]) == instant(due)
    good(await client.post(f"/v1/tickets/{ticket['id']}/confirm"))
    assert await _promises(client, ticket) == ["broken"]
    assert len(await events(client, ticket, "sla.breached")) == 1
    assert await _promises(client, confirmed) == ["withdrawn"]
    await assert_verified(db)


async def test_other_promises_outlive_the_confirmation(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket(opened_by="agent", asks_confirmation=True)
    promise = {"text": "A call.", "due_at": soon(3600)}
    good(await client.post(f"/v1/tickets/{ticket['id']}/promises", json=promise))
    good(await client.post(f"/v1/tickets/{ticket['id']}/confirm"))
    assert await _promises(client, ticket) == ["open"]


async def test_what_asks_for_no_confirmation_is_not_confirmed(client: httpx.AsyncClient, open_ticket: Open) -> None:
    answer = await client.post(f"/v1/tickets/{(await open_ticket())['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_confirm")


async def test_only_what_is_opened_towards_a_customer_asks_for_a_confirmation(client: httpx.AsyncClient) -> None:
    body = {"subject": "Help", "customer": {"name": "A"}}

    async def refused(**more: object) -> list[str]:
        return pointers(await client.post("/v1/tickets", json={**body, **more}))

    assert await refused(asks_confirmation=True) == ["/asks_confirmation"]
    assert await refused(opened_by="agent", remind_at=soon(60)) == ["/remind_at"]
    assert await refused(opened_by="agent", asks_confirmation=True, remind_at="2020-01-01T00:00:00Z") == ["/remind_at"]


async def test_a_customer_opens_only_their_own(person: Make) -> None:
    customer = await person("customer")
    answer = await customer.http.post("/v1/tickets", json={"subject": "Help", "opened_by": "agent"})
    assert answer.status_code == 403


async def test_a_due_reminder_brings_the_ticket_back_into_the_queue_and_says_so_once(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    due = soon(0.5)
    waiting, confirmed, resolved = [
        await open_ticket(opened_by="agent", asks_confirmation=True, remind_at=due) for _ in range(3)
    ]
    good(await client.patch(f"/v1/tickets/{waiting['id']}", json={"status": "pending"}))
    good(await client.post(f"/v1/tickets/{waiting['id']}/snooze", json={"until": soon(3600)}))
    good(await client.post(f"/v1/tickets/{confirmed['id']}/confirm"))
    good(await client.patch(f"/v1/tickets/{resolved['id']}", json={"status": "resolved"}))
    await asyncio.sleep(0.6)
    for _ in range(2):
        await reminders.run_once(db)
    [told] = await events(client, waiting, "ticket.reminder_due")
    assert actor_of(told)["kind"] == "system"
    back = good(await client.get(f"/v1/tickets/{waiting['id']}"))
    assert (back["status"], back["snoozed_until"]) == ("open", None)
    for ticket in (confirmed, resolved):
        assert await events(client, ticket, "ticket.reminder_due") == []
    assert good(await client.get(f"/v1/tickets/{resolved['id']}"))["status"] == "resolved"
    await assert_verified(db)

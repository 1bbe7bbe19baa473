"""Merging tickets of two customers is refused; and where two were one when theirs were merged, and are two again, what
is done on the one's ticket touches nothing of the other's."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.verification import Body, assert_verified, events, good

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _merge(client: httpx.AsyncClient, source: Body, into: Body) -> httpx.Response:
    return await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": into["id"]})


async def _say(who: httpx.AsyncClient, ticket: Body, **more: Any) -> httpx.Response:
    return await who.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "A secret.", **more})


async def _whole(client: httpx.AsyncClient, ticket: Body) -> list[Body]:
    """What there is of a ticket, and on it."""
    path = f"/v1/tickets/{ticket['id']}"
    return [good(await client.get(path + more)) for more in ("", "/messages", "/events", "/attachments", "/links")]


@dataclass(frozen=True, slots=True)
class Apart:
    """`own` is the customer's and was merged into `others`, whose customer they were taken for."""

    customer: Person
    other: Person
    own: Body
    others: Body


@pytest.fixture
async def apart(client: httpx.AsyncClient, open_ticket: Open, person: Make) -> Apart:
    customer, other = await person("customer"), await person("customer")
    own, others = [await open_ticket(customer={"id": str(each.id)}, subject=str(each.id)) for each in (customer, other)]
    good(await client.post(f"/v1/customers/{customer.id}/merge", json={"into": str(other.id)}))
    good(await _merge(client, own, others))
    good(await client.post(f"/v1/customers/{customer.id}/unmerge"))
    return Apart(customer, other, own, others)


async def test_tickets_of_two_customers_are_not_merged(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    agent = await person("agent")
    one, other = await open_ticket(), await open_ticket()
    for source, into in ((one, other), (other, one)):
        before = await _whole(client, source), await _whole(client, into)
        refused = await _merge(agent.http, source, into)
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["pointer"], error["code"]) == (422, "/into", "customers_differ")
        assert (await _whole(client, source), await _whole(client, into)) == before
    await assert_verified(db)


async def test_they_are_once_the_two_are_one(client: httpx.AsyncClient, open_ticket: Open) -> None:
    one, other = await open_ticket(), await open_ticket()
    good(await client.post(f"/v1/customers/{one['customer_id']}/merge", json={"into": other["customer_id"]}))
    assert good(await _merge(client, one, other))["merged_into"] == other["id"]


async def test_what_the_customer_writes_opens_a_follow_up_of_their_own(
    client: httpx.AsyncClient, apart: Apart, person: Make, db: Database
) -> None:
    desk = await person("service", scopes=["tickets:read", "tickets:write"])
    before = await _whole(client, apart.others)
    author = {"kind": "customer"}
    named = {**author, "id": str(apart.customer.id)}
    said = [good(await _say(apart.customer.http, apart.own))]
    said += [good(await _say(who, apart.own, author=by)) for who in (desk.http, client) for by in (author, named)]
    assert apart.own["id"] not in {message["ticket_id"] for message in said}
    for message in said:
        assert message["author"] == named
        follow_up = good(await apart.customer.http.get(f"/v1/tickets/{message['ticket_id']}"))
        assert (follow_up["customer_id"], follow_up["subject"]) == (str(apart.customer.id), apart.own["subject"])
        linked = [event["data"] for event in await events(client, follow_up, "ticket.linked")]
        assert linked == [
            {"kind": "follow_up_of", "source_id": follow_up["id"], "target_id": apart.own["id"]}
        ]  # fmt: skip
    assert await _whole(client, apart.others) == before
    await assert_verified(db)


async def test_whatever_else_is_done_on_it_is_refused_as_on_a_closed_one(
    client: httpx.AsyncClient, apart: Apart, person: Make, db: Database
) -> None:
    agent = await person("agent")
    before, path = await _whole(client, apart.others), f"/v1/tickets/{apart.own['id']}"
    answers = [
        await _say(agent.http, apart.own),
        await _say(agent.http, apart.own, visibility="internal"),
        await _say(client, apart.own, visibility="internal", author={"kind": "customer"}),
        *[await who.post(f"{path}/handoff") for who in (apart.customer.http, agent.http)],
        *[await who.post(f"{path}/attachments", content=b"x") for who in (apart.customer.http, agent.http)],
        await apart.customer.http.post(f"{path}/messages", json={"body": "x", "status": "resolved"}),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "ticket_closed")}
    assert await _whole(client, apart.others) == before
    await assert_verified(db)


async def test_neither_learns_of_the_others_ticket(apart: Apart) -> None:
    for who, theirs in ((apart.customer, apart.others), (apart.other, apart.own)):
        own = apart.own if theirs is apart.others else apart.others
        paths = [f"/v1/tickets/{own['id']}{more}" for more in ("", "/events", "/messages", "/attachments")]
        for path in (*paths, f"/v1/tickets/by-number/{own['number']}", "/v1/tickets", "/v1/events"):
            answer = await who.http.get(path)
            assert answer.is_success, path
            assert not [word for word in (theirs["id"], theirs["customer_id"]) if word in answer.text], path

"""Customers beside the one who asked: what they see and do, by being added and as colleagues, and nobody else."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Uuid, bindparam, select

from app.db import Database, Query
from app.events.ticket_readers import READERS, TICKETS, customer_sees
from tests.conftest import Person, settled
from tests.support.desk import Body, as_body
from tests.support.expect import problem
from tests.support.search import index
from tests.support.streams import listening, serving

Persons = Callable[..., Awaitable[Person]]


@pytest.fixture
async def asker(person: Persons) -> Person:
    return await person("customer")


@pytest.fixture
async def other(person: Persons) -> Person:
    return await person("customer")


@pytest.fixture
async def ticket(client: httpx.AsyncClient, asker: Person) -> Body:
    body = {"subject": "Printer", "description": "It smokes.", "customer": {"id": str(asker.id)}}
    return as_body(await client.post("/v1/tickets", json=body))


def _path(ticket: Body, rest: str = "participants") -> str:
    return f"/v1/tickets/{ticket['id']}/{rest}"


async def _add(client: httpx.AsyncClient, ticket: Body, who: Person) -> Body:
    answer = await client.post(_path(ticket), json={"customer_id": str(who.id)})
    assert answer.status_code == 201, answer.text
    return as_body(answer)


async def _seen(who: Person, ticket: Body) -> set[str]:
    """By which ways somebody finds the ticket."""
    id_, http = ticket["id"], who.http
    found = {
        "get": (await http.get(f"/v1/tickets/{id_}")).status_code == 200,
        "number": (await http.get(f"/v1/tickets/by-number/{ticket['number']}")).status_code == 200,
        "messages": (await http.get(_path(ticket, "messages"))).status_code == 200,
        "files": (await http.get(_path(ticket, "attachments"))).status_code == 200,
        "audit": (await http.get(_path(ticket, "events"))).status_code == 200,
        "participants": (await http.get(_path(ticket))).status_code == 200,
        "list": id_ in [each["id"] for each in as_body(await http.get("/v1/tickets"))["items"]],
        "search": id_ in [each["id"] for each in as_body(await http.get("/v1/tickets?q=smokes"))["items"]],
        "best": id_ in [each["id"] for each in as_body(await http.get("/v1/tickets?q=smokes&sort=relevance"))["items"]],
        "count": as_body(await http.get("/v1/tickets?count=estimate"))["estimated_count"] == 1,
        "feed": id_ in [each.get("ticketid") for each in as_body(await http.get("/v1/events"))["items"]],
        "upload": (await http.post(_path(ticket, "attachments?name=a.txt"), content=b"a")).status_code == 201,
        "answer": (await http.post(_path(ticket, "messages"), json={"body": "Me too."})).status_code == 201,
    }
    return {way for way, is_found in found.items() if is_found}


EVERY_WAY = {
    "get", "number", "messages", "files", "audit", "participants", "list", "search", "best", "count", "feed", "upload",
    "answer",
}  # fmt: skip


async def test_a_participant_sees_and_answers_by_every_way_until_they_are_removed(
    client: httpx.AsyncClient, db: Database, other: Person, ticket: Body
) -> None:
    await index(db)
    assert await _seen(other, ticket) == set()
    assert (await _add(client, ticket, other))["customer_id"] == str(other.id)
    assert await _seen(other, ticket) == EVERY_WAY
    assert (await client.delete(_path(ticket, f"participants/{other.id}"))).status_code == 204
    assert await _seen(other, ticket) == set()


async def test_a_colleague_sees_it_as_long_as_the_organization_shares(
    client: httpx.AsyncClient, db: Database, asker: Person, other: Person, person: Persons
) -> None:
    shared = as_body(await client.post("/v1/organizations", json={"name": "Acme", "shared": True}))
    stranger = await person("customer")
    for who in (asker, other):
        await client.patch(f"/v1/customers/{who.id}", json={"organization_id": shared["id"]})
    body = {"subject": "Printer", "description": "It smokes.", "customer": {"id": str(asker.id)}}
    ticket = as_body(await client.post("/v1/tickets", json=body))
    await index(db)
    assert await _seen(other, ticket) == EVERY_WAY
    assert await _seen(stranger, ticket) == set()
    await client.patch(f"/v1/organizations/{shared['id']}", json={"shared": False})
    assert await _seen(other, ticket) == set()


async def test_who_leaves_the_organization_sees_it_no_more_and_what_was_asked_before_stays_their_own(
    client: httpx.AsyncClient, asker: Person, other: Person, ticket: Body
) -> None:
    shared = as_body(await client.post("/v1/organizations", json={"name": "Acme", "shared": True}))
    for who in (asker, other):
        await client.patch(f"/v1/customers/{who.id}", json={"organization_id": shared["id"]})
    assert await _seen(other, ticket) == set()  # it was opened for no organization
    body = {"subject": "Printer", "customer": {"id": str(asker.id)}}
    later = as_body(await client.post("/v1/tickets", json=body))
    assert "answer" in await _seen(other, later)
    await client.patch(f"/v1/customers/{other.id}", json={"organization_id": None})
    assert await _seen(other, later) == set()


async def test_what_is_not_reading_or_answering_stays_with_the_one_who_asked(
    client: httpx.AsyncClient, other: Person, ticket: Body
) -> None:
    await _add(client, ticket, other)
    refused = [
        await other.http.patch(f"/v1/tickets/{ticket['id']}", json={"status": "closed"}),
        await other.http.post(_path(ticket, "messages"), json={"body": "Done.", "status": "resolved"}),
        *[await other.http.post(_path(ticket, verb), json={}) for verb in ("handoff", "confirm")],
        await other.http.post(_path(ticket), json={"customer_id": str(other.id)}),
    ]
    for answer in refused:
        problem(answer, 403, "forbidden")
    shown = as_body(await other.http.get(f"/v1/tickets/{ticket['id']}?include=customer,messages"))
    assert shown["customer"] is None
    assert as_body(await other.http.get("/v1/tickets?include=customer"))["items"][0]["customer"] is None


async def test_notes_reach_no_participant(client: httpx.AsyncClient, other: Person, ticket: Body) -> None:
    await _add(client, ticket, other)
    await client.post(_path(ticket, "messages"), json={"body": "canary", "visibility": "internal"})
    for path in (f"/v1/tickets/{ticket['id']}?include=messages", _path(ticket, "messages"), "/v1/events"):
        assert "canary" not in (await other.http.get(path)).text
    said = as_body(await other.http.get("/v1/events?types=message.created"))["items"]
    assert [each["data"]["visibility"] for each in said] == ["public"]


async def test_their_message_is_the_customers_for_the_clocks(
    client: httpx.AsyncClient, asker: Person, other: Person, person: Persons
) -> None:
    targets = [
        {"metric": metric, "seconds": 600, "hours": "calendar"} for metric in ("first_response", "next_response")
    ]
    await client.post("/v1/sla-policies", json={"key": "p", "name": "P", "targets": targets})
    ticket = as_body(await client.post("/v1/tickets", json={"subject": "Ink", "customer": {"id": str(asker.id)}}))
    await _add(client, ticket, other)
    agent = await person("agent")
    await agent.http.post(_path(ticket, "messages"), json={"body": "Off and on?", "status": "pending"})
    said = as_body(await other.http.post(_path(ticket, "messages"), json={"body": "Still smokes."}))
    assert said["author"] == {"kind": "customer", "id": str(other.id)}
    after = as_body(await client.get(f"/v1/tickets/{ticket['id']}"))
    assert (after["status"], after["waiting_since"]) == ("open", said["created_at"])


async def test_adding_is_repeatable_and_told_once_and_the_asker_or_they_themselves_end_it(
    client: httpx.AsyncClient, asker: Person, other: Person, person: Persons, ticket: Body
) -> None:
    third = await person("customer")
    assert await _add(client, ticket, other) == await _add(client, ticket, other)
    await _add(client, ticket, third)
    problem(await other.http.delete(_path(ticket, f"participants/{third.id}")), 403, "forbidden")
    assert (await asker.http.delete(_path(ticket, f"participants/{third.id}"))).status_code == 204
    assert (await other.http.delete(_path(ticket, f"participants/{other.id}"))).status_code == 204
    problem(await client.delete(_path(ticket, f"participants/{other.id}")), 404, "not_found")
    told = as_body(await asker.http.get(_path(ticket, "events")))["items"]
    assert [(each["type"].split("_")[-1], each["subject"]) for each in told if "participant" in each["type"]] == [
        ("added", str(other.id)), ("added", str(third.id)), ("removed", str(third.id)), ("removed", str(other.id)),
    ]  # fmt: skip


async def test_nobody_unknown_nor_the_one_who_asked_is_added(
    client: httpx.AsyncClient, asker: Person, other: Person, ticket: Body
) -> None:
    await client.post(f"/v1/customers/{other.id}/erase")
    for id_, code in ((ticket["id"], "unknown"), (str(asker.id), "asked"), (str(other.id), "erased")):
        refused = problem(await client.post(_path(ticket), json={"customer_id": id_}), 422)
        assert [(each["pointer"], each["code"]) for each in refused["errors"]] == [("/customer_id", code)]


async def test_the_stream_tells_a_participant_and_a_colleague_and_nobody_else(
    app: Any, client: httpx.AsyncClient, asker: Person, other: Person, person: Persons
) -> None:
    colleague, stranger = await person("customer"), await person("customer")
    shared = as_body(await client.post("/v1/organizations", json={"name": "Acme", "shared": True}))
    for who in (asker, colleague):
        await client.patch(f"/v1/customers/{who.id}", json={"organization_id": shared["id"]})
    ticket = as_body(await client.post("/v1/tickets", json={"subject": "Ink", "customer": {"id": str(asker.id)}}))
    own = as_body(await stranger.http.post("/v1/tickets", json={"subject": "Mine"}))
    await _add(client, ticket, other)
    asked = "?types=message.created"
    async with (
        serving(app) as port,
        listening(port, asked, other.key) as participant,
        listening(port, asked, colleague.key) as member,
        listening(port, asked, stranger.key) as outside,
    ):
        for said_on in (ticket, own):
            await client.post(_path(said_on, "messages"), json={"body": "Hello."})
        for stream in (participant, member):
            assert [each["ticketid"] for each in await stream.read(1)] == [ticket["id"]]
        # The stranger's own comes after the other one, and first.
        assert [each["ticketid"] for each in await outside.read(1)] == [own["id"]]


async def test_who_was_merged_stands_where_they_took_part(
    client: httpx.AsyncClient, other: Person, person: Persons, ticket: Body
) -> None:
    twin = await person("customer")
    await _add(client, ticket, other)
    await client.post(f"/v1/customers/{other.id}/merge", json={"into": str(twin.id)})
    assert (await twin.http.get(f"/v1/tickets/{ticket['id']}")).status_code == 200
    assert [each["customer_id"] for each in as_body(await client.get(_path(ticket)))["items"]] == [str(twin.id)]
    await client.post(f"/v1/customers/{other.id}/unmerge")
    assert (await twin.http.get(f"/v1/tickets/{ticket['id']}")).status_code == 404
    assert (await other.http.get(f"/v1/tickets/{ticket['id']}")).status_code == 200


async def test_a_merge_of_tickets_takes_participants_along_and_shows_them_nothing_else(
    client: httpx.AsyncClient, asker: Person, other: Person, person: Persons, ticket: Body
) -> None:
    of_target = await person("customer")
    body = {"subject": "Ink", "description": "Out of ink.", "customer": {"id": str(asker.id)}}
    target = as_body(await client.post("/v1/tickets", json=body))
    await _add(client, ticket, other)
    await _add(client, target, of_target)
    await client.post(_path(ticket, "merge"), json={"into": target["id"]})
    assert as_body(await other.http.post(_path(ticket, "messages"), json={"body": "And?"}))["ticket_id"] == target["id"]
    assert "It smokes." in (await other.http.get(_path(target, "messages"))).text
    assert "It smokes." not in (await of_target.http.get(_path(target, "messages"))).text
    await client.post(_path(ticket, "unmerge"), json={})
    assert (await other.http.get(f"/v1/tickets/{target['id']}")).status_code == 404


async def test_what_a_participant_says_on_a_closed_ticket_goes_to_a_follow_up_that_they_see(
    client: httpx.AsyncClient, asker: Person, other: Person, ticket: Body
) -> None:
    await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "closed"})
    own = as_body(await asker.http.post(_path(ticket, "messages"), json={"body": "Again."}))["ticket_id"]
    await _add(client, ticket, other)
    said = as_body(await other.http.post(_path(ticket, "messages"), json={"body": "Here, too."}))
    assert said["ticket_id"] not in (own, ticket["id"])  # they do not take part in the one that was there
    assert said["author"]["id"] == str(other.id)
    assert (await other.http.get(f"/v1/tickets/{said['ticket_id']}")).status_code == 200
    assert as_body(await client.get(f"/v1/tickets/{said['ticket_id']}"))["customer_id"] == str(asker.id)
    again = as_body(await other.http.post(_path(ticket, "messages"), json={"body": "Hello?"}))
    assert again["ticket_id"] == said["ticket_id"]


async def test_a_customers_export_and_erasure_know_where_they_took_part(
    client: httpx.AsyncClient, other: Person, ticket: Body
) -> None:
    await _add(client, ticket, other)
    await other.http.post(_path(ticket, "attachments?name=secret.txt"), content=b"secret")
    await other.http.post(_path(ticket, "messages"), json={"body": "secret"})
    held = as_body(await client.get(f"/v1/customers/{other.id}/export"))
    assert [each["ticket_id"] for each in held["participations"]] == [ticket["id"]]
    await client.post(f"/v1/customers/{other.id}/erase")
    assert as_body(await client.get(_path(ticket)))["items"] == []
    assert "secret" not in (await client.get(_path(ticket, "messages"))).text
    assert "secret" not in (await client.get(_path(ticket, "attachments"))).text


async def test_the_list_of_a_participant_goes_on_page_by_page_in_every_order(
    client: httpx.AsyncClient, app: FastAPI, asker: Person, other: Person
) -> None:
    tickets = [{"subject": "T", "customer": {"id": str(who.id)}} for who in (asker, other, asker, other, asker)]
    made = [as_body(await client.post("/v1/tickets", json=ticket)) for ticket in tickets]
    for ticket in made[0], made[2]:
        await _add(client, ticket, other)
    # What may have changed since a walk began is shown once more.
    await settled(app.state.settings.database_url)
    for sort in ("created_at", "-created_at", "updated_at", "-updated_at", "priority"):
        found, path = [], f"/v1/tickets?limit=1&sort={sort}"
        while path:
            answer = await other.http.get(path)
            found += [each["id"] for each in as_body(answer)["items"]]
            path = answer.links.get("next", {}).get("url", "")
        assert sorted(found) == sorted(each["id"] for each in made[:4]), sort
    mine = as_body(await other.http.get("/v1/tickets?customer_id=me"))["items"]
    assert {each["id"] for each in mine} == {made[1]["id"], made[3]["id"]}


_its_id, _their_id = bindparam("ticket_id", type_=Uuid), bindparam("customer_id", type_=Uuid)
_ONE = Query(select(TICKETS.c.id).where(TICKETS.c.id == _its_id, customer_sees(TICKETS.c, _their_id)))


async def test_one_and_many_are_decided_alike(
    client: httpx.AsyncClient, db: Database, asker: Person, other: Person, person: Persons, ticket: Body
) -> None:
    """The stream decides for many customers at once what everything else decides for one."""
    twin, colleague, stranger = [await person("customer") for _ in range(3)]
    shared = as_body(await client.post("/v1/organizations", json={"name": "Acme", "shared": True}))
    for who in (asker, colleague):
        await client.patch(f"/v1/customers/{who.id}", json={"organization_id": shared["id"]})
    theirs = as_body(await client.post("/v1/tickets", json={"subject": "T", "customer": {"id": str(asker.id)}}))
    await _add(client, ticket, other)
    await client.post(f"/v1/customers/{other.id}/merge", json={"into": str(twin.id)})
    tickets = [UUID(each["id"]) for each in (ticket, theirs)]
    people = [each.id for each in (asker, other, twin, colleague, stranger)]
    async with db.transaction(reads=True) as tx:
        many = {(row["id"], row["customer_id"]) for row in await tx.rows(READERS, ids=tickets, among=people)}
        one = {(id_, who) for id_ in tickets for who in people if await tx.row(_ONE, ticket_id=id_, customer_id=who)}
    assert many == one
    assert one == {
        (tickets[0], asker.id), (tickets[0], twin.id), (tickets[1], asker.id), (tickets[1], colleague.id),
    }  # fmt: skip

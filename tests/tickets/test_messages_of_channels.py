"""What a channel says of a message: its own id, once for ever; what it answers; when it was sent. And replies that are
sent only where nothing has come meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.db import Database
from tests.conftest import Person
from tests.support.imports import item, message, send
from tests.support.sla import reply
from tests.support.verification import Body, assert_verified, clocks, good

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
ID = "<4711/a+b@mail.example>"


async def _say(client: httpx.AsyncClient, ticket: Body, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Hello.", **body})


async def test_a_message_that_comes_twice_from_its_channel_is_there_once(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket, other, chat = [await open_ticket(channel=channel) for channel in ("email", "email", "chat")]
    theirs = {"external_id": ID, "author": {"kind": "customer"}, "sent_at": "2026-01-01T00:00:00Z"}
    answers = await asyncio.gather(*(_say(client, ticket, **theirs) for _ in range(4)))
    first = good(answers[0])
    assert [good(answer) for answer in answers] == [first] * 4
    assert (first["external_id"], first["sent_at"]) == (ID, "2026-01-01T00:00:00Z")
    # Clocks go by the server's time, and one message is one message.
    assert first["created_at"] > ticket["created_at"]
    # Also on another ticket of the channel; another channel has ids of its own.
    assert good(await _say(client, other, **theirs)) == first
    assert good(await _say(client, chat, **theirs))["ticket_id"] == chat["id"]
    assert len(good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]) == 2
    good(await _say(client, ticket, external_id="<answer@here>", in_reply_to=ID))
    assert (await clocks(client, ticket, "first_response"))[0]["state"] == "met"
    await assert_verified(db)


async def test_the_ticket_of_an_answered_mail_is_found(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    customer, stranger = await person("customer"), await person("customer")
    ticket = await open_ticket(channel="email", customer={"id": str(customer.id)})
    said = good(await _say(client, ticket, external_id=ID, in_reply_to="<before@mail>"))
    note = good(await _say(client, ticket, external_id="note", visibility="internal"))
    path = "/v1/messages/by-external-id/%3C4711%2Fa+b@mail.example%3E"
    for who in (client, customer.http):
        assert good(await who.get(path)) == said
    assert said["in_reply_to"] == "<before@mail>"
    for who, at in ((stranger.http, path), (client, f"{path}?channel=chat"), (client, "/v1/messages/by-external-id/x")):
        assert (await who.get(at)).status_code == 404
    assert good(await client.get("/v1/messages/by-external-id/note"))["id"] == note["id"]
    assert (await customer.http.get("/v1/messages/by-external-id/note")).status_code == 404
    assert (await _say(customer.http, ticket, external_id="x")).status_code == 403


async def test_a_reply_to_what_has_changed_meanwhile_is_refused_with_what_came(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    path = f"/v1/tickets/{ticket['id']}"
    tag = (await client.get(path)).headers["ETag"]
    theirs = await reply(customer.http, ticket)
    await client.patch(path, json={"priority": "high"})
    refused = await client.post(f"{path}/messages", json={"body": "Late."}, headers={"If-Match": tag})
    assert refused.status_code == 412, refused.text
    came = refused.json()["errors"]
    assert [each["code"] for each in came][:1] == ["message.created"]
    assert theirs["id"] in came[0]["detail"]
    assert "ticket.updated" in {each["code"] for each in came}
    as_customer = await customer.http.post(f"{path}/messages", json={"body": "x"}, headers={"If-Match": tag})
    assert {each["code"] for each in as_customer.json()["errors"]} == {"message.created"}
    assert len(good(await client.get(f"{path}/messages"))["items"]) == 2
    tag = (await client.get(path)).headers["ETag"]
    both = await asyncio.gather(*(
        client.post(f"{path}/messages", json={"body": "Mine."}, headers={"If-Match": tag}) for _ in range(2)
    ))  # fmt: skip
    assert sorted(answer.status_code for answer in both) == [201, 412]
    await assert_verified(db)


async def test_messages_come_newest_first_where_asked(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    for number in range(4):
        await reply(client, ticket, body=str(number))
    found: list[str] = []
    params: dict[str, str] = {"sort": "-created_at", "limit": "2"}
    while True:
        page = good(await client.get(f"/v1/tickets/{ticket['id']}/messages", params=params))
        found += [each["body"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == ["3", "2", "1", "0", "Please help."]


async def test_an_import_brings_ids_and_old_numbers_and_an_id_that_is_taken_is_refused(
    client: httpx.AsyncClient,
) -> None:
    one = item("a", message(31, external_id=ID), channel="email", old_number=4711)
    twice = [message(31, external_id="x"), message(32, external_id="x")]
    outcomes = (await send(client, one, item("b", *twice, channel="email")))["items"]
    assert [each["outcome"] for each in outcomes] == ["created", "rejected"]
    assert outcomes[1]["problem"]["errors"][0]["pointer"] == "/timeline/1/external_id"
    assert good(await client.get(f"/v1/tickets/{outcomes[0]['ticket_id']}"))["old_number"] == "4711"
    found = good(await client.get("/v1/messages/by-external-id/%3C4711%2Fa+b@mail.example%3E"))
    assert found["ticket_id"] == outcomes[0]["ticket_id"]
    again = (await send(client, item("c", message(31, external_id=ID), channel="email")))["items"]
    assert again[0]["outcome"] == "rejected"

"""E-mails that become tickets, messages or nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.expect import problem
from tests.support.verification import Body, assert_verified, good

Make = Callable[..., Awaitable[Person]]
ANN, BEN = "ann@example.org", "ben@example.org"


async def _send(http: httpx.AsyncClient, *headers: str, sender: str = ANN, body: str = "Hello.") -> httpx.Response:
    raw = "\r\n".join([f"From: {sender}", *headers, "", body]).encode()
    return await http.post("/v1/inbound/email", content=raw, headers={"Content-Type": "message/rfc822"})


async def _taken(http: httpx.AsyncClient, *headers: str, **more: Any) -> Body:
    return good(await _send(http, *headers, **more))


async def _said(http: httpx.AsyncClient, taken: Body) -> list[Body]:
    found: list[Body] = good(await http.get(f"/v1/tickets/{taken['ticket_id']}/messages"))["items"]
    return found


async def test_a_mail_opens_a_ticket_of_its_sender(client: httpx.AsyncClient, db: Database) -> None:
    taken = await _taken(client, "Subject: Broken", "Message-ID: <1@x>", "Date: Mon, 30 Nov 2026 10:00:00 +0200")
    assert (taken["outcome"], taken["reason"]) == ("ticket", None)
    ticket = good(await client.get(f"/v1/tickets/{taken['ticket_id']}?include=customer"))
    assert (ticket["subject"], ticket["channel"], ticket["customer"]["email"]) == ("Broken", "email", ANN)
    [said] = await _said(client, taken)
    assert (said["id"], said["body"], said["external_id"]) == (taken["message_id"], "Hello.", "<1@x>")
    assert (said["author"], said["sent_at"]) == (
        {"kind": "customer", "id": ticket["customer_id"]},
        "2026-11-30T08:00:00Z",
    )
    await assert_verified(db)


@pytest.mark.parametrize(
    "named", ["In-Reply-To: <answer@here>", "In-Reply-To: answer@here", "References: <1@x> <answer@here>", "number"]
)
async def test_an_answer_of_the_customer_is_a_message_on_their_ticket(
    client: httpx.AsyncClient, db: Database, named: str
) -> None:
    first = await _taken(client, "Subject: Broken", "Message-ID: <1@x>")
    path = f"/v1/tickets/{first['ticket_id']}"
    answer = {"body": "Try this.", "external_id": "<answer@here>", "status": "pending"}
    assert (await client.post(f"{path}/messages", json=answer)).status_code == 201
    if named == "number":
        named = f"To: help+{good(await client.get(path))['number']}@example.org"
    text = "It works.\r\n\r\nOn Monday Ben wrote:\r\n> Try this."
    second = await _taken(client, "Message-ID: <2@x>", named, sender="Ann <ANN@example.org>", body=text)
    assert (second["outcome"], second["ticket_id"]) == ("message", first["ticket_id"])
    assert [each["body"] for each in await _said(client, first)] == ["Hello.", "Try this.", "It works."]
    assert good(await client.get(path))["status"] == "open"
    await assert_verified(db)


@pytest.mark.parametrize("named", ["In-Reply-To: <1@x>", "To: help+{number}@example.org"])
async def test_what_somebody_else_sends_to_a_ticket_opens_one_of_their_own(
    client: httpx.AsyncClient, named: str
) -> None:
    first = await _taken(client, "Message-ID: <1@x>")
    await _taken(client, "Message-ID: <ben@x>", sender=BEN)
    number = good(await client.get(f"/v1/tickets/{first['ticket_id']}"))["number"]
    second = await _taken(client, "Message-ID: <2@x>", named.format(number=number), sender=BEN)
    assert second["outcome"] == "ticket"
    assert len(await _said(client, first)) == 1


@pytest.mark.parametrize("named", ["In-Reply-To: <1@x>", "To: help+{number}@example.org"])
async def test_a_participants_answer_is_a_message_on_the_ticket_and_theirs(
    client: httpx.AsyncClient, db: Database, named: str
) -> None:
    first = await _taken(client, "Message-ID: <1@x>")
    path = f"/v1/tickets/{first['ticket_id']}"
    ben = good(await client.post("/v1/customers", json={"email": BEN}))["id"]
    good(await client.post(f"{path}/participants", json={"customer_id": ben}))
    good(await client.patch(path, json={"status": "pending"}))
    number = good(await client.get(path))["number"]
    second = await _taken(client, "Message-ID: <2@x>", named.format(number=number), sender=BEN, body="Me too.")
    assert (second["outcome"], second["ticket_id"]) == ("message", first["ticket_id"])
    said = (await _said(client, first))[-1]
    assert (said["body"], said["author"]) == ("Me too.", {"kind": "customer", "id": ben})
    assert good(await client.get(path))["status"] == "open"
    await assert_verified(db)


@pytest.mark.parametrize("named", ["In-Reply-To: <1@x>", "To: help+{number}@example.org"])
async def test_an_agents_answer_is_the_agents_and_stops_the_clock(
    client: httpx.AsyncClient, db: Database, named: str
) -> None:
    first = await _taken(client, "Message-ID: <1@x>")
    path = f"/v1/tickets/{first['ticket_id']}"
    agent = good(await client.post("/v1/agents", json={"name": "Ben", "email": "Ben@Example.org"}))["id"]
    number = good(await client.get(path))["number"]
    second = await _taken(client, "Message-ID: <2@x>", named.format(number=number), sender=BEN, body="Try this.")
    assert (second["outcome"], second["ticket_id"]) == ("message", first["ticket_id"])
    assert (await _said(client, first))[-1]["author"] == {"kind": "agent", "id": agent}
    clocks = good(await client.get(f"{path}/clocks"))["items"]
    assert {clock["state"] for clock in clocks if clock["metric"] == "first_response"} == {"met"}
    files = good(await client.get(f"{path}/attachments"))["items"]
    assert files[-1]["author"] == {"kind": "agent", "id": agent}
    await assert_verified(db)


async def test_an_agent_who_asked_answers_as_the_customer_and_one_who_left_as_nobody(
    client: httpx.AsyncClient,
) -> None:
    first, others = await _taken(client, "Message-ID: <1@x>", sender=BEN), await _taken(client, "Message-ID: <2@x>")
    agent = good(await client.post("/v1/agents", json={"name": "Ben", "email": BEN}))["id"]
    await _taken(client, "Message-ID: <3@x>", "In-Reply-To: <1@x>", sender=BEN)
    assert (await _said(client, first))[-1]["author"]["kind"] == "customer"
    good(await client.patch(f"/v1/agents/{agent}", json={"active": False}))
    stray = await _taken(client, "Message-ID: <4@x>", "In-Reply-To: <2@x>", sender=BEN)
    assert (stray["outcome"], len(await _said(client, others))) == ("ticket", 1)


async def test_a_mail_that_came_before_is_taken_once(client: httpx.AsyncClient) -> None:
    for headers in (["Message-ID: <1@x>"], []):
        first = await _taken(client, *headers)
        again = await _taken(client, *headers)
        assert again == {**first, "outcome": "none", "reason": "seen_before"}


@pytest.mark.parametrize(
    ("header", "reason"),
    [("Auto-Submitted: auto-replied", "auto_reply"), ("Return-Path: <>", "bounce"), (f"To: {ANN}", "loop")],
)
async def test_what_no_person_sent_becomes_nothing(client: httpx.AsyncClient, header: str, reason: str) -> None:
    first = await _taken(client, "Message-ID: <1@x>")
    taken = await _taken(client, "In-Reply-To: <1@x>", header)
    assert taken == {"outcome": "none", "reason": reason, "ticket_id": None, "message_id": None}
    assert len(await _said(client, first)) == 1
    assert len(good(await client.get("/v1/tickets"))["items"]) == 1


async def test_files_come_along_and_the_whole_mail_is_the_staffs(client: httpx.AsyncClient, person: Make) -> None:
    customer = await person("customer")
    good(await client.patch(f"/v1/customers/{customer.id}", json={"email": ANN}))
    parts = ["--b", "", "See this.", "--b", 'Content-Disposition: attachment; filename="../a.txt"', "", "abc", "--b--"]
    taken = await _taken(client, "Content-Type: multipart/mixed; boundary=b", body="\r\n".join(parts))
    path = f"/v1/tickets/{taken['ticket_id']}/attachments"
    files = good(await client.get(path))["items"]
    shown = [(file["name"], file["visibility"], file["message_id"]) for file in files]
    assert sorted(shown) == [
        ("a.txt", "public", taken["message_id"]), ("message.eml", "internal", taken["message_id"]),
    ]  # fmt: skip
    theirs = good(await customer.http.get(path))["items"]
    assert [file["name"] for file in theirs] == ["a.txt"]
    whole = next(file for file in files if file["name"] == "message.eml")
    assert (await client.get(f"{path}/{whole['id']}/content")).content.startswith(b"From: ann@example.org\r\n")


async def test_what_is_no_mail_is_refused(client: httpx.AsyncClient) -> None:
    assert problem(await _send(client, sender="nobody"), 422)["errors"][0]["pointer"] == "/header/From"
    problem(await client.post("/v1/inbound/email", json={}), 415)
    headers = {"Content-Type": "message/rfc822"}
    problem(await client.post("/v1/inbound/email", content=b"x" * (10 * 2**20 + 1), headers=headers), 413)

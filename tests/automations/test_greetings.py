"""Greetings: sent at once, by the system, and never a response."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.verification import Body, assert_verified, clocks, good, pointers

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _greet(client: httpx.AsyncClient, channel: str = "web", **more: Any) -> Body:
    body = {"channel": channel, "body": "Hello {{customer_name}}, this is {{ ticket_number }}.", **more}
    return good(await client.post("/v1/greetings", json=body))


async def _bodies(client: httpx.AsyncClient, ticket: Body) -> list[tuple[str, str]]:
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]
    return [(item["author"]["kind"], item["body"]) for item in items]


async def test_without_one_nobody_is_greeted(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await _greet(client, "phone")
    ticket = await open_ticket(channel="web")
    assert (ticket["greeted_at"], len(await _bodies(client, ticket))) == (None, 1)


async def test_who_writes_is_greeted_at_once_and_still_waits_for_an_answer(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await _greet(client)
    ticket = await open_ticket(channel="web", customer={"external_id": "c", "name": "Ada"})
    assert ticket["greeted_at"] == ticket["created_at"]
    assert await _bodies(client, ticket) == [
        ("customer", "Please help."), ("system", f"Hello Ada, this is {ticket['number']}."),
    ]  # fmt: skip
    (first,) = await clocks(client, ticket, "first_response")
    assert (first["state"], first["stopped_at"]) == ("running", None)
    await assert_verified(db)


async def test_the_greeting_is_in_the_customers_language_where_there_is_one(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    for language, body in ((None, "Hello."), ("fi", "Hei."), ("de-AT", "Servus."), ("de", "Guten Tag.")):
        await _greet(client, language=language, body=body)
    said = {}
    for language in ("fi", "FI-fi", "de-AT", "de-CH", "sv", None):
        customer = good(await client.post("/v1/customers", json={"name": "A", "language": language}))
        ticket = await open_ticket(channel="web", customer={"id": customer["id"]})
        said[language] = (await _bodies(client, ticket))[-1][1]
    assert said == {
        "fi": "Hei.", "FI-fi": "Hei.", "de-AT": "Servus.", "de-CH": "Guten Tag.", "sv": "Hello.", None: "Hello.",
    }  # fmt: skip


async def test_what_a_customer_is_called_is_put_in_as_it_is_and_read_as_nothing_else(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await _greet(client, body="{{customer_name}}|{{ticket_subject}}")
    name, subject = "{{ticket_number}} \\1 {x}", "{{customer_name}} %s"
    ticket = await open_ticket(channel="web", subject=subject, customer={"external_id": "c", "name": name})
    assert (await _bodies(client, ticket))[-1][1] == f"{name}|{subject}"


async def test_one_that_is_turned_off_greets_nobody(client: httpx.AsyncClient, open_ticket: Open) -> None:
    greeting = await _greet(client)
    good(await client.patch(f"/v1/greetings/{greeting['id']}", json={"active": False}))
    assert (await open_ticket(channel="web"))["greeted_at"] is None


async def test_nobody_is_greeted_who_was_written_to(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await _greet(client)
    assert (await open_ticket(channel="web", opened_by="agent"))["greeted_at"] is None


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
async def test_a_place_that_nothing_would_fill_is_refused(client: httpx.AsyncClient, verb: str) -> None:
    path, body = "/v1/greetings", {"body": "Hello {{customer.name}}."}
    if verb == "PATCH":
        path += f"/{(await _greet(client))['id']}"
    else:
        body["channel"] = "web"
    assert pointers(await client.request(verb, path, json=body)) == ["/body"]


async def test_a_channel_and_language_have_one(client: httpx.AsyncClient) -> None:
    for language in (None, "fi"):
        await _greet(client, language=language)
        again = {"channel": "web", "language": language and "FI", "body": "Hi."}
        assert (await client.post("/v1/greetings", json=again)).status_code == 409

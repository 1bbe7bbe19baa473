"""What a customer says of a resolution: who may, when, how often, who hears of it, and what an erasure leaves of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.articles import write
from tests.support.quality import rate
from tests.support.sla import Sql, patch, reply
from tests.support.verification import Body, assert_verified, events, good, pointers

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


def url(ticket: Body) -> str:
    return f"/v1/tickets/{ticket['id']}/satisfaction"


async def given(http: httpx.AsyncClient, ticket: Body) -> list[Body]:
    return list(good(await http.get(url(ticket)))["items"])


async def test_it_is_given_once_for_each_resolution(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    early = await customer.http.post(url(ticket), json={"score": 5})
    assert (early.status_code, early.json()["code"]) == (409, "nothing_to_rate")
    await reply(client, ticket, status="resolved")
    version = good(await client.get(f"/v1/tickets/{ticket['id']}"))["version"]
    said = {"comment": "Slow, but right.", "met": ["accuracy", "advice"], "missed": ["availability"]}
    first = await rate(customer.http, ticket, 4, **said)
    assert {name: first[name] for name in ("score", *said)} == {"score": 4, **said}
    again = await customer.http.post(url(ticket), json={"score": 1})
    assert (again.status_code, again.json()["code"]) == (409, "satisfaction_given")
    # Closing what is resolved resolves nothing again.
    await reply(customer.http, ticket)
    assert (await customer.http.post(url(ticket), json={"score": 1})).status_code == 409
    await patch(client, ticket, status="closed")
    second = await rate(customer.http, ticket, 1)
    assert second["id"] != first["id"]
    assert second["resolved_at"] > first["resolved_at"]
    assert await given(customer.http, ticket) == await given(client, ticket) == [first, second]
    assert [e["data"] for e in await events(client, ticket, "satisfaction.given")] == [
        {"resolved_at": first["resolved_at"], "score": 4, "met": said["met"], "missed": said["missed"]},
        {"resolved_at": second["resolved_at"], "score": 1, "met": [], "missed": []},
    ]
    assert [e["actorkind"] for e in await events(client, ticket, "satisfaction.given")] == ["customer"] * 2
    # It changes nothing of the ticket.
    assert version < good(await client.get(f"/v1/tickets/{ticket['id']}"))["version"] == version + 2
    await assert_verified(db)


async def test_who_asked_says_it_and_reads_it(client: httpx.AsyncClient, person: Make, open_ticket: Open) -> None:
    customer, friend, stranger = [await person("customer") for _ in range(3)]
    agent, lead = await person("agent"), await person("lead")
    service = await person("service", scopes=["tickets:read", "tickets:write"])
    ticket = await open_ticket(customer={"id": str(customer.id)})
    good(await client.post(f"/v1/tickets/{ticket['id']}/participants", json={"customer_id": str(friend.id)}))
    await patch(client, ticket, status="resolved")
    for who, status in ((agent, 403), (lead, 403), (friend, 403), (stranger, 404)):
        assert (await who.http.post(url(ticket), json={"score": 5})).status_code == status
    assert await given(client, ticket) == []
    # What they told a survey elsewhere is passed on.
    passed_on = await rate(service.http, ticket, 3, comment="Fine.")
    for who, status in ((friend, 403), (stranger, 404)):
        assert (await who.http.get(url(ticket))).status_code == status
    for who in (agent, lead, customer, service):
        assert await given(who.http, ticket) == [passed_on]
    told = good(await friend.http.get("/v1/events", params={"ticket_id": ticket["id"], "limit": 200}))["items"]
    assert "satisfaction.given" not in {event["type"] for event in told}
    assert {event["type"] for event in told} >= {"ticket.created"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/score"),
        ({"score": 0}, "/score"),
        ({"score": 6}, "/score"),
        ({"score": 4.5}, "/score"),
        ({"score": "5"}, "/score"),
        ({"score": 5, "met": ["speed"]}, "/met/0"),
        ({"score": 5, "met": ["advice", "advice"]}, "/met/1"),
        ({"score": 5, "met": ["advice"], "missed": ["accuracy", "advice"]}, "/missed/1"),
        ({"score": 5, "comment": "x" * 2001}, "/comment"),
    ],
)
async def test_what_cannot_be_is_refused(
    client: httpx.AsyncClient, open_ticket: Open, body: Body, pointer: str
) -> None:
    ticket = await open_ticket()
    await patch(client, ticket, status="resolved")
    assert pointers(await client.post(url(ticket), json=body)) == [pointer]
    assert await given(client, ticket) == []


@pytest.mark.parametrize("how", ["spam", "merged"])
async def test_what_was_not_resolved_is_not_rated(client: httpx.AsyncClient, open_ticket: Open, how: str) -> None:
    one, two = await open_ticket(customer={"external_id": "c"}), await open_ticket(customer={"external_id": "c"})
    path = f"/v1/tickets/{one['id']}"
    good(
        await client.post(f"{path}/spam")
        if how == "spam"
        else await client.post(f"{path}/merge", json={"into": two["id"]})
    )
    assert (await client.post(url(one), json={"score": 5})).json()["code"] == "nothing_to_rate"
    good(await client.post(f"{path}/{'not-spam' if how == 'spam' else 'unmerge'}"))
    await patch(client, one, status="resolved")
    await rate(client, one, 5)


async def test_the_words_count_as_what_the_customer_stores(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    await patch(client, ticket, status="resolved")
    before = await sql.fetchval("SELECT bytes FROM ticket_bytes WHERE ticket_id = $1", ticket["id"])
    await rate(customer.http, ticket, 5, comment="äx")
    assert await sql.fetchval("SELECT bytes FROM ticket_bytes WHERE ticket_id = $1", ticket["id"]) == before + 3
    await sql.execute("UPDATE customer_bytes SET bytes = 128 * 1024 * 1024 - 1, most = 128 * 1024 * 1024")
    other = await open_ticket(customer={"id": str(customer.id)}, description=None)
    await patch(client, other, status="resolved")
    assert (await customer.http.post(url(other), json={"score": 5, "comment": "xx"})).status_code == 429
    assert await given(client, other) == []


async def test_erasing_takes_the_words_and_leaves_the_figures(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await open_ticket()
    await patch(client, ticket, status="resolved")
    key = {"Idempotency-Key": "one"}
    body = {"score": 2, "comment": "Secretword.", "met": ["accuracy"]}
    said = good(await client.post(url(ticket), json=body, headers=key))
    exported = good(await client.get(f"/v1/customers/{ticket['customer_id']}/export"))
    assert exported["tickets"][0]["satisfaction"] == [said]
    assert "satisfaction.given" in {event["type"] for event in exported["tickets"][0]["events"]}
    good(await client.post(f"/v1/customers/{ticket['customer_id']}/erase"))
    assert await given(client, ticket) == [{**said, "comment": "[erased]"}]
    replayed = await client.post(url(ticket), json=body, headers=key)
    assert "Secretword" not in replayed.text
    for table in ("ticket_resolutions", "events", "idempotency_records"):
        assert not await sql.fetchval(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%Secretword%'"), table


Act = Callable[[httpx.AsyncClient, Body], Awaitable[Any]]


async def _handed_off(client: httpx.AsyncClient, ticket: Body) -> None:
    good(await client.post(f"/v1/tickets/{ticket['id']}/handoff"))


async def _by_bot(client: httpx.AsyncClient, ticket: Body) -> None:
    await reply(client, ticket, author={"kind": "bot"})


async def _by_person(client: httpx.AsyncClient, ticket: Body) -> None:
    await reply(client, ticket)


async def _note(client: httpx.AsyncClient, ticket: Body) -> None:
    await reply(client, ticket, visibility="internal")


@pytest.mark.parametrize(
    ("acts", "by_article", "expected"),
    [
        ([], False, "nobody"),
        ([_note], False, "nobody"),
        ([_by_bot], False, "bot"),
        ([_by_bot, _by_person], False, "person"),
        ([_by_person, _by_bot], False, "person"),
        ([], True, "article"),
        ([_by_bot], True, "article"),
        ([_by_person], True, "person"),
        ([_handed_off], True, "article"),
    ],
)
async def test_who_solved_it(
    client: httpx.AsyncClient,
    person: Make,
    open_ticket: Open,
    sql: Sql,
    acts: list[Act],
    by_article: bool,
    expected: str,
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    for act in acts:
        await act(client, ticket)
    if by_article:
        article = await write(client, key="k")
        body = {"article_id": article["id"]}
        good(await customer.http.post(f"/v1/tickets/{ticket['id']}/solved-by", json=body))
    else:
        await patch(customer.http, ticket, status="resolved")
    assert await sql.fetchval("SELECT solved_by FROM ticket_resolutions") == expected


@pytest.mark.parametrize(("kind", "expected"), [("agent", "person"), ("bot", "bot"), ("customer", "nobody")])
async def test_the_message_that_resolves_it_counts(
    person: Make, open_ticket: Open, sql: Sql, kind: str, expected: str
) -> None:
    service = await person("service", scopes=["tickets:read", "tickets:write"])
    ticket = await open_ticket()
    await reply(service.http, ticket, author={"kind": kind}, status="resolved")
    assert await sql.fetchval("SELECT solved_by FROM ticket_resolutions") == expected

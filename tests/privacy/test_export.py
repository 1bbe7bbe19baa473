"""All that is held of one customer, handed out."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from app.db import Database
from tests.conftest import Person, settled
from tests.support.sla import Sql
from tests.support.verification import Body, good, pointers, soon

Make = Callable[..., Awaitable[Person]]
Open = Callable[..., Awaitable[Body]]


async def _export(client: httpx.AsyncClient, customer: Body, **query: Any) -> Body:
    return good(await client.get(f"/v1/customers/{customer['id']}/export", params=query))


async def _made(client: httpx.AsyncClient, path: str, body: Body) -> Body:
    return good(await client.post(path, json=body))


@pytest.fixture
async def customer(client: httpx.AsyncClient) -> Body:
    organization = await _made(client, "/v1/organizations", {"name": "Their firm"})
    return await _made(
        client, "/v1/customers", {"external_id": "c", "name": "M.", "organization_id": organization["id"]}
    )


@pytest.fixture
async def ticket(client: httpx.AsyncClient, customer: Body) -> Body:
    """One with everything on it."""
    opened = await _made(
        client, "/v1/tickets", {"subject": "s", "description": "d", "customer": {"id": customer["id"]}}
    )
    path = f"/v1/tickets/{opened['id']}"
    said = await _made(client, f"{path}/messages", {"body": "First.", "visibility": "internal"})
    good(await client.patch(f"{path}/messages/{said['id']}", json={"body": "Second."}))
    await _made(client, f"{path}/promises", {"text": "A call.", "due_at": soon(3600)})
    excepted = {"ticket_id": opened["id"], "effect": "extend", "seconds": 60, "reason": "R"}
    await _made(client, "/v1/sla-exceptions", excepted)
    good(await client.post(f"{path}/attachments", params={"name": "a.txt"}, content=b"text"))
    other = await _made(client, "/v1/tickets", {"subject": "o", "customer": {"external_id": "other"}})
    await _made(client, f"{path}/links", {"kind": "relates_to", "ticket_id": other["id"]})
    return opened


async def test_everything_that_hangs_on_a_ticket_comes_with_it(
    client: httpx.AsyncClient, customer: Body, ticket: Body, sql: Sql
) -> None:
    whole = await _export(client, customer)
    assert whole["customer"] == customer
    assert whole["organization"]["name"] == "Their firm"
    [found] = whole["tickets"]
    path = f"/v1/tickets/{ticket['id']}"
    read = good(await client.get(path))
    assert found["ticket"] == {name: read[name] for name in found["ticket"]}
    assert [message["body"] for message in found["messages"]] == ["d", "Second."]
    [version] = found["messages"][1]["versions"]
    assert (version["version"], version["body"]) == (1, "First.")
    listed = {
        name: good(await client.get(f"{path}/{name}", params={"limit": 200}))["items"]
        for name in ("promises", "attachments")
    }
    assert {name: found[name] for name in listed} == listed
    fed = good(await client.get(f"{path}/events", params={"limit": 200}))["items"]
    assert [{**event, "data": None} for event in found["events"]] == [{**event, "data": None} for event in fed]
    # Not the feed's payload, which leaves texts out: all that the log holds.
    logged = await sql.fetch("SELECT data FROM events WHERE ticket_id = $1 ORDER BY id", UUID(ticket["id"]))
    assert [event["data"] for event in found["events"]] == [json.loads(row["data"]) for row in logged]
    [granted] = [event["data"] for event in found["events"] if event["type"] == "sla_exception.granted"]
    assert granted["after"]["reason"] == "R"
    [exception] = good(await client.get("/v1/sla-exceptions"))["items"]
    assert found["exceptions"] == [exception]
    [link] = found["links"]
    assert (link["kind"], link["source_id"]) == ("relates_to", ticket["id"])
    clocks = good(await client.get(f"{path}/clocks"))["items"]
    assert [(clock["id"], clock["due_at"]) for clock in found["clocks"]] == [
        (each["id"], each["due_at"]) for each in clocks
    ]


async def test_every_instant_ends_with_z_also_where_the_log_has_it_otherwise(
    client: httpx.AsyncClient, customer: Body, ticket: Body, sql: Sql, database_url: str
) -> None:
    good(await client.post(f"/v1/tickets/{ticket['id']}/snooze", json={"until": soon(3600)}))
    old = {
        "text": "t",
        "due_at": "2026-01-31T09:30:00+00:00",
        "cycle": 7,
        "nested": [{"at": "2026-01-31T09:30:00.5+00:00"}],
    }
    await sql.execute(
        "INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)"
        " VALUES ('promise.made', now(), 'system', $1, $1, $2)",
        UUID(ticket["id"]),
        json.dumps(old),
    )
    await settled(database_url)
    answer = await client.get(f"/v1/customers/{customer['id']}/export")
    [found] = good(answer)["tickets"]
    assert found["events"][-1]["data"] == {
        **old, "due_at": "2026-01-31T09:30:00Z", "nested": [{"at": "2026-01-31T09:30:00.5Z"}]
    }  # fmt: skip
    assert "+00:00" not in answer.text
    feed = await client.get("/v1/events", params={"limit": 200})
    assert good(feed)["items"][-1]["data"]["due_at"] == "2026-01-31T09:30:00Z"
    assert "+00:00" not in feed.text
    written = await sql.fetch("SELECT data::text AS data FROM events")
    assert [json.loads(row["data"]) for row in written if "+00:00" in row["data"]] == [old]


async def test_who_was_merged_into_them_and_their_keys_come_too_and_no_secret(
    client: httpx.AsyncClient, customer: Body
) -> None:
    source = await _made(client, "/v1/customers", {"name": "The same"})
    ticket = await _made(client, "/v1/tickets", {"subject": "s", "customer": {"id": source["id"]}})
    await _made(client, f"/v1/customers/{source['id']}/merge", {"into": customer["id"]})
    key = await _made(client, "/v1/api-keys", {"name": "k", "role": "customer", "customer_id": customer["id"]})
    answer = await client.get(f"/v1/customers/{customer['id']}/export")
    whole = good(answer)
    assert [each["name"] for each in whole["merged_customers"]] == ["The same"]
    assert [each["ticket"]["id"] for each in whole["tickets"]] == [ticket["id"]]
    assert [each["id"] for each in whole["api_keys"]] == [key["id"]]
    assert key["key"].rpartition("_")[2] not in answer.text
    assert "secret" not in answer.text


async def test_nothing_of_others_is_in_it_but_what_they_wrote_there(
    client: httpx.AsyncClient, customer: Body, ticket: Body
) -> None:
    stranger = await _made(client, "/v1/customers", {"name": "stranger"})
    theirs = await _made(client, "/v1/tickets", {"subject": "stranger", "customer": {"id": stranger["id"]}})
    path = f"/v1/tickets/{theirs['id']}/messages"
    await _made(client, path, {"body": "stranger", "author": {"kind": "customer", "id": stranger["id"]}})
    said = await _made(client, path, {"body": "Mine.", "author": {"kind": "customer", "id": customer["id"]}})
    answer = await client.get(f"/v1/customers/{customer['id']}/export")
    assert "stranger" not in answer.text
    assert good(answer)["messages_elsewhere"] == [said]
    assert (await _export(client, stranger))["messages_elsewhere"] == []


async def test_pages_of_tickets_hold_each_once_oldest_first(client: httpx.AsyncClient, customer: Body) -> None:
    opened = [
        await _made(client, "/v1/tickets", {"subject": f"{n}", "customer": {"id": customer["id"]}}) for n in range(5)
    ]
    page = await client.get(f"/v1/customers/{customer['id']}/export", params={"limit": 2})
    found = [each["ticket"]["id"] for each in good(page)["tickets"]]
    while page.json()["next_cursor"]:
        page = await client.get(page.links["next"]["url"])
        assert len(page.json()["tickets"]) <= 2
        found += [each["ticket"]["id"] for each in good(page)["tickets"]]
    assert found == [ticket["id"] for ticket in opened]


async def test_limits_and_cursors_are_checked(client: httpx.AsyncClient, customer: Body) -> None:
    path = f"/v1/customers/{customer['id']}/export"
    for query, pointer in (
        ({"limit": "0"}, "/query/limit"), ({"limit": "51"}, "/query/limit"), ({"cursor": "x"}, "/query/cursor"),
        ({"x": "1"}, "/query/x"),
    ):  # fmt: skip
        assert pointers(await client.get(path, params=query)) == [pointer]
    for n in range(2):
        await _made(client, "/v1/tickets", {"subject": f"{n}", "customer": {"id": customer["id"]}})
    cursor = (await _export(client, customer, limit=1))["next_cursor"]
    stranger = await _made(client, "/v1/customers", {})
    foreign = await client.get(f"/v1/customers/{stranger['id']}/export", params={"cursor": cursor})
    assert pointers(foreign) == ["/query/cursor"]


async def test_somebody_without_anything_and_nobody(client: httpx.AsyncClient) -> None:
    empty = await _export(client, await _made(client, "/v1/customers", {}))
    assert (empty["organization"], empty["tickets"], empty["api_keys"], empty["next_cursor"]) == (None, [], [], None)
    nowhere = await client.get("/v1/customers/01900000-0000-7000-8000-000000000000/export")
    assert nowhere.status_code == 404


async def test_an_erased_customers_export_has_no_word_of_theirs(
    client: httpx.AsyncClient, customer: Body, ticket: Body
) -> None:
    good(await client.post(f"/v1/customers/{customer['id']}/erase"))
    [found] = (await _export(client, customer))["tickets"]
    assert {message["body"] for message in found["messages"]} == {"[erased]"}
    assert found["ticket"]["subject"] == "[erased]"


_ALL_OF_IT = ["customers:read", "segments:read", "sla:read", "tickets:read"]


async def test_leads_and_above_export(client: httpx.AsyncClient, person: Make, customer: Body) -> None:
    for role, extra, status in (
        ("customer", {}, 403), ("agent", {}, 403), ("lead", {}, 200), ("service", {"scopes": _ALL_OF_IT}, 200),
        *(("service", {"scopes": sorted({*_ALL_OF_IT} - {scope})}, 403) for scope in _ALL_OF_IT),
    ):  # fmt: skip
        who = await person(role, **extra)
        assert (await who.http.get(f"/v1/customers/{customer['id']}/export")).status_code == status


async def test_a_ticket_of_many_megabytes_is_exported_whole_with_what_was_said_before(
    client: httpx.AsyncClient, customer: Body, ticket: Body, sql: Sql
) -> None:
    path = f"/v1/tickets/{ticket['id']}/messages"
    bodies = [f"{n} " + "ä" * 95_000 for n in range(24)]
    said = [await _made(client, path, {"body": body}) for body in bodies]
    for n in range(14):
        good(await client.patch(f"{path}/{said[0]['id']}", json={"body": f"{n} " + "ö" * 95_000}))
    [found] = (await _export(client, customer))["tickets"]
    assert [each["body"] for each in found["messages"]][3:] == bodies[1:]
    versions = [(each["version"], each["body"][:3]) for each in found["messages"][2]["versions"]]
    assert versions == [(1, "0 ä"), *((n + 2, f"{n} ö"[:3]) for n in range(13))]


async def test_who_reads_slowly_holds_no_connection_to_the_database(
    app: FastAPI, client: httpx.AsyncClient, db: Database, customer: Body, ticket: Body
) -> None:
    asked = asyncio.Event()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_message: Message) -> None:
        asked.set()
        await asyncio.Event().wait()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": f"/v1/customers/{customer['id']}/export", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", client.headers["authorization"].encode())],
    }  # fmt: skip
    reading = asyncio.create_task(app(scope, receive, send))
    await asked.wait()
    assert db.connections.pool.get_idle_size() == db.connections.pool.get_size()
    reading.cancel()

"""Messages edited and deleted: what was there is kept, what is shown changes, and no clock does."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx

from app.db import Database
from tests.support.sla import Sql, reply, the_clock
from tests.verification.test_verify import differences

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _messages(client: httpx.AsyncClient, ticket: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"/v1/tickets/{ticket['id']}/messages")).json()["items"]
    return items


async def test_case_28_a_message_edited_or_deleted_moves_nothing(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    answer = await reply(client, ticket)
    before = await the_clock(client, ticket)
    url = f"/v1/tickets/{ticket['id']}/messages"
    opening = (await _messages(client, ticket))[0]
    assert (await client.patch(f"{url}/{answer['id']}", json={"body": "Sorry, on it."})).status_code == 200
    assert await the_clock(client, ticket) == before
    for message in (answer, opening):
        assert (await client.delete(f"{url}/{message['id']}")).status_code == 204
        assert await the_clock(client, ticket) == before
    assert await differences(db) == []


async def test_what_a_message_said_is_kept_and_its_place_stays(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    answer = await reply(client, ticket, body="First.")
    url = f"/v1/tickets/{ticket['id']}/messages/{answer['id']}"
    edited = (await client.patch(url, json={"body": "Second."})).json()
    assert (edited["body"], edited["created_at"], edited["deleted_at"]) == ("Second.", answer["created_at"], None)
    assert edited["edited_at"] > answer["created_at"]
    await client.delete(url)
    [_, shown] = await _messages(client, ticket)
    assert (shown["id"], shown["body"]) == (answer["id"], "")
    assert shown["deleted_at"] is not None
    rows = await sql.fetch("SELECT version, body FROM message_versions WHERE message_id = $1", UUID(answer["id"]))
    assert [tuple(row) for row in rows] == [(1, "First."), (2, "Second.")]
    events = (await client.get(f"/v1/tickets/{ticket['id']}/events")).json()["items"]
    assert [event["type"] for event in events][-2:] == ["message.edited", "message.deleted"]
    assert "First." not in str(events)
    for again in (await client.patch(url, json={"body": "Third."}), await client.delete(url)):
        assert (again.status_code, again.json()["code"]) == (409, "message_deleted")


async def test_an_agent_changes_their_own_messages_only(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Any]], open_ticket: Open
) -> None:
    agent, other, lead = await person("agent"), await person("agent"), await person("lead")
    ticket = await open_ticket()
    answer = await reply(agent.http, ticket)
    url = f"/v1/tickets/{ticket['id']}/messages/{answer['id']}"
    assert (await other.http.patch(url, json={"body": "Mine."})).status_code == 403
    assert (await agent.http.patch(url, json={"body": "Better."})).status_code == 200
    assert (await lead.http.delete(url)).status_code == 204


async def test_a_customer_changes_none_and_sees_no_internal_one(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Any]]
) -> None:
    customer = await person("customer")
    ticket = (await customer.http.post("/v1/tickets", json={"subject": "Help", "description": "Mine."})).json()
    url = f"/v1/tickets/{ticket['id']}/messages"
    [own] = (await customer.http.get(url)).json()["items"]
    note = await reply(client, ticket, visibility="internal")
    assert (await customer.http.patch(f"{url}/{own['id']}", json={"body": "x"})).status_code == 403
    for unknown in (note["id"], ticket["id"]):
        answer = await customer.http.delete(f"{url}/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_staff_read_what_a_message_said_before(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Any]]
) -> None:
    agent, customer = await person("agent"), await person("customer")
    body = {"subject": "Help", "customer": {"id": str(customer.id)}}
    ticket = (await client.post("/v1/tickets", json=body)).json()
    said = (await agent.http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "One."})).json()
    url = f"/v1/tickets/{ticket['id']}/messages/{said['id']}"
    edited = (await agent.http.patch(url, json={"body": "Two."})).json()
    await agent.http.delete(url)
    versions = (await agent.http.get(f"{url}/versions")).json()["items"]
    assert [(each["version"], each["body"]) for each in versions] == [(1, "One."), (2, "Two.")]
    by = {"kind": "agent", "id": str(agent.id)}
    assert (versions[0]["replaced_at"], versions[0]["replaced_by"]) == (edited["edited_at"], by)
    assert (await customer.http.get(f"{url}/versions")).status_code == 403
    elsewhere = (await client.post("/v1/tickets", json=body)).json()["id"]
    assert (await client.get(f"/v1/tickets/{elsewhere}/messages/{said['id']}/versions")).status_code == 404

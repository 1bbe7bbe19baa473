"""What is the staff's own shows to customers neither by a field nor by a version, an instant, an id or a search."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY, Person, client_for, roomy
from tests.support.search import index
from tests.support.verification import good

Make = Callable[..., Awaitable[Person]]
Body = dict[str, Any]
_FIELDS = {"risk": (False, False), "order": (True, True), "shipped": (True, False)}


async def _seen(http: httpx.AsyncClient, ticket: Body) -> tuple[Body, str, list[Body]]:
    """The ticket, its ETag, the list by its last change."""
    answer = await http.get(f"/v1/tickets/{ticket['id']}")
    listed = await http.get("/v1/tickets?sort=-updated_at&updated_after=2020-01-01T00:00:00Z")
    return answer.json(), answer.headers["etag"], listed.json()["items"]


async def test_what_a_customer_sees_nothing_of_moves_nothing_that_they_see(
    client: httpx.AsyncClient, person: Make
) -> None:
    customer = await person("customer")
    for name in ("older", "newer"):
        ticket = good(await client.post("/v1/tickets", json={"subject": name, "customer": {"id": str(customer.id)}}))
        if name == "older":
            first = ticket
    good(await client.post("/v1/custom-fields", json=_field("risk")))
    path, before = f"/v1/tickets/{first['id']}", await _seen(customer.http, first)
    exception = {"effect": "extend", "seconds": 60, "reason": "x"}
    good(await client.post("/v1/sla-exceptions", json={**exception, "ticket_id": first["id"]}))
    good(
        await client.post(
            "/v1/sla-exceptions", json={**exception, "scope": "customer", "customer_id": str(customer.id)}
        )
    )
    good(await client.patch(path, json={"tags": ["fraud?"], "custom_fields": {"risk": "high"}}))
    good(await client.post(f"{path}/messages", json={"body": "Careful.", "visibility": "internal"}))
    assert await _seen(customer.http, first) == before
    whole = good(await client.get(path))
    assert whole["version"] > before[0]["version"]
    # A change that they see moves it on by one, whatever was hidden meanwhile, and their ETag holds until then.
    stale = await customer.http.patch(path, json={"status": "resolved"}, headers={"If-Match": f'"{whole["version"]}"'})
    assert stale.status_code == 412
    changed = await customer.http.patch(path, json={"status": "resolved"}, headers={"If-Match": before[1]})
    assert changed.json()["version"] == before[0]["version"] + 1
    after = await _seen(customer.http, first)
    assert (after[1], [item["subject"] for item in after[2]]) == (changed.headers["etag"], ["older", "newer"])
    assert after[0]["updated_at"] > before[0]["updated_at"]
    for seen in ({"priority": "high"}, {"assignee_id": str((await person("agent")).id)}):
        good(await client.patch(path, json=seen))
        answer = await customer.http.get(path, headers={"If-None-Match": after[1]})
        assert answer.status_code == 200
        after = await _seen(customer.http, first)
    good(await client.post(f"{path}/promises", json={"text": "A call.", "due_at": "2036-01-01T00:00:00Z"}))
    assert (await _seen(customer.http, first))[1] != after[1]


async def test_ids_of_an_audit_do_not_count_what_is_hidden(client: httpx.AsyncClient, person: Make) -> None:
    customer = await person("customer")
    ticket = good(await client.post("/v1/tickets", json={"subject": "x", "customer": {"id": str(customer.id)}}))
    path = f"/v1/tickets/{ticket['id']}"
    for _ in range(3):
        good(await client.post(f"{path}/messages", json={"body": "Hello."}))
    audit = [event["id"] for event in good(await customer.http.get(f"{path}/events"))["items"]]
    assert audit == [event["id"] for event in good(await customer.http.get("/v1/events"))["items"]]
    numbers = [UUID(id_).int & ((1 << 62) - 1) for id_ in audit]
    assert min(abs(b - a) for a, b in pairwise(numbers)) > 1_000_000
    assert {event.get("ticketversion") for event in good(await customer.http.get("/v1/events"))["items"]} == {None}


def _field(key: str, subject: str = "ticket") -> Body:
    visible, writable = _FIELDS[key]
    about = {"subject": subject, "key": key, "name": key, "type": "text"}
    return {**about, "visible_to_customers": visible, "writable_by_customers": writable}


async def test_a_customer_reads_and_sets_the_fields_that_are_defined_so(
    client: httpx.AsyncClient, person: Make
) -> None:
    customer = await person("customer")
    for key in _FIELDS:
        good(await client.post("/v1/custom-fields", json=_field(key)))
    good(await client.post("/v1/custom-fields", json=_field("order", "customer")))
    good(await client.patch(f"/v1/customers/{customer.id}", json={"attributes": {"order": "1", "risk": "high"}}))
    words = dict.fromkeys(_FIELDS, "x")
    opening = {"subject": "x", "customer": {"id": str(customer.id)}, "custom_fields": words}
    ticket = good(await client.post("/v1/tickets", json=opening))
    path = f"/v1/tickets/{ticket['id']}"
    seen = good(await customer.http.get(path, params={"include": "customer"}))
    assert seen["custom_fields"] == {"order": "x", "shipped": "x"}
    assert seen["customer"]["attributes"] == {"order": "1"}
    assert good(await customer.http.get("/v1/tickets"))["items"][0]["custom_fields"] == seen["custom_fields"]
    for key, status in (("order", 200), ("shipped", 403), ("risk", 403), ("unheard_of", 403)):
        answer = await customer.http.patch(path, json={"custom_fields": {key: "y"}})
        assert answer.status_code == status, key
        opened = await customer.http.post("/v1/tickets", json={"subject": "x", "custom_fields": {key: "y"}})
        assert opened.status_code == (201 if status == 200 else status), key
    assert good(await client.get(path))["custom_fields"] == {"order": "y", "shipped": "x", "risk": "x"}
    refused = [(await customer.http.patch(path, json={"custom_fields": {key: "y"}})).json() for key in ("risk", "none")]
    assert refused[0]["detail"].replace("risk", "none") == refused[1]["detail"]


@pytest.fixture
async def lenient(database_url: str, tmp_path: Any) -> AsyncIterator[FastAPI]:
    """A service whose customers set priority and tags."""
    settings: Settings = roomy(database_url, tmp_path).model_copy(update={"customers_set": ("priority", "tags")})
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def test_priority_and_tags_are_a_customers_by_setting(
    app: FastAPI, lenient: FastAPI, client: httpx.AsyncClient, person: Make, db: Database
) -> None:
    customer = await person("customer")
    for body in ({"subject": "x", "priority": "urgent"}, {"subject": "x", "tags": ["vip"]}):
        assert (await customer.http.post("/v1/tickets", json=body)).status_code == 403
    own = {"subject": "x", "customer": {"id": str(customer.id)}, "tags": ["chargeback"]}
    ticket = good(await client.post("/v1/tickets", json=own))
    path = f"/v1/tickets/{ticket['id']}"
    await index(db)
    assert good(await customer.http.get(path))["tags"] == []
    assert good(await customer.http.get("/v1/tickets?q=chargeback"))["items"] == []
    assert (await customer.http.get("/v1/tickets?tag=chargeback")).status_code == 403
    for change in ({"priority": "urgent"}, {"tags": ["vip"]}):
        assert (await customer.http.patch(path, json=change)).status_code == 403
    assert [item["id"] for item in good(await client.get("/v1/tickets?q=chargeback"))["items"]] == [ticket["id"]]
    async with client_for(lenient, customer.key) as there:
        set_so = good(await there.patch(path, json={"priority": "urgent", "tags": ["mine"]}))
        assert (set_so["priority"], set_so["tags"]) == ("urgent", ["mine"])
        assert [item["id"] for item in good(await there.get("/v1/tickets?tag=mine"))["items"]] == [ticket["id"]]
        assert (await there.post("/v1/tickets", json={"subject": "x", "priority": "low"})).status_code == 201
    async with client_for(lenient, ADMIN_KEY) as admin:
        seen = good(await admin.patch(path, json={"tags": ["theirs"]}))
    assert seen["version"] == set_so["version"] + 1

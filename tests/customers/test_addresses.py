"""One rule says what an e-mail address is, wherever one is taken."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.verification import good
from tests.support.world import World, unique

Send = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]

NONE = [
    "a@x..example", "a@.x", "a@x.", "a@x.example.", "@x.example", "a@", "a@b@c.example", "a,b@x.example",
    "<a@x.example",
    "a b@x.example", '"a b"@x.example', "Ann <a@x.example>", "<mailto:a@x.example>", "a@x.example?subject=Hi",
    "a@x.example/path", "a@[127.0.0.1]", "a@x。example", "a@x.example\u200b", "a\u202e@x.example", "a@x.example;",
]  # fmt: skip
TAKEN = {
    "mailto:{}@x.example": "{}@x.example", "<{}@x.example>": "{}@x.example", " {}@x.example ": "{}@x.example",
    "{}@münchen.example": "{}@münchen.example", "{}+tag@x.example": "{}+tag@x.example",
    "{}..b@x.example": "{}..b@x.example",
}  # fmt: skip


async def _customer(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.post("/v1/customers", json={"external_id": unique(), "email": email})


async def _upserted(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.put(f"/v1/customers/by-external-id/{unique()}", json={"email": email})


async def _changed(http: httpx.AsyncClient, email: str) -> httpx.Response:
    made = good(await http.post("/v1/customers", json={"external_id": unique()}))
    return await http.patch(f"/v1/customers/{made['id']}", json={"email": email})


async def _organization(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.post("/v1/organizations", json={"name": "O", "email": email})


async def _agent(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.post("/v1/agents", json={"name": "A", "email": email})


async def _ticket(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.post("/v1/tickets", json={"subject": "S", "customer": {"email": email}})


async def _found(http: httpx.AsyncClient, email: str) -> httpx.Response:
    return await http.get("/v1/customers", params={"email": email})


PLACES: list[Send] = [_customer, _upserted, _changed, _organization, _agent, _ticket, _found]


def _imported(email: str) -> dict[str, Any]:
    customer = {"external_id": unique(), "email": email}
    return {
        "external_id": unique(), "subject": "S", "customer": customer, "created_at": "2026-01-01T09:00:00Z",
        "timeline": [],
    }  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_no_address_is_refused_wherever_one_is_taken(world: World, place: Send) -> None:
    statuses = {written: (await place(world.admin, written)).status_code for written in NONE}
    assert {written for written, status in statuses.items() if status != 422} == set()


async def test_an_import_rejects_it_and_says_where(world: World) -> None:
    sent = {"tickets": [_imported(written) for written in NONE]}
    items = good(await world.admin.post("/v1/imports/tickets", json=sent))["items"]
    assert {(item["outcome"], item["problem"]["errors"][0]["pointer"]) for item in items} == {
        ("rejected", "/customer/email")
    }


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_one_is_stored_without_what_stands_around_it(world: World, place: Send) -> None:
    for written, stored in TAKEN.items():
        name = unique()
        answer = good(await place(world.admin, written.format(name)))
        if "email" in answer:
            assert answer["email"] == stored.format(name)


@pytest.mark.parametrize("sender", ["a@x..example", "a@b@c.example", "<a@x.example?subject=Hi>", "nobody"])
async def test_a_mail_from_no_address_is_refused(world: World, sender: str) -> None:
    raw = f"From: {sender}\r\nSubject: S\r\n\r\nHello.".encode()
    answer = await world.admin.post("/v1/inbound/email", content=raw, headers={"Content-Type": "message/rfc822"})
    assert answer.status_code == 422, answer.text

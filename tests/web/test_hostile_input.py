"""Never a 500, never the machinery's own words, and nothing stored that a later read chokes on: hostile values in every
place of every operation, by every role."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import Person
from tests.web import hostile
from tests.web.contract import Open, Operation, operations, things
from tests.web.expect import fine_or_problem

Make = Callable[..., Awaitable[Person]]
JSON = {"Content-Type": "application/json"}
ROLES = ("admin", "agent", "customer")
LISTS = (
    "/v1/tickets", "/v1/tickets?sort=updated_at", "/v1/customers", "/v1/agents", "/v1/teams", "/v1/sla-policies",
    "/v1/service-goals", "/v1/sla-clocks", "/v1/api-keys",
)  # fmt: skip
WRITERS = [
    "create_ticket", "update_ticket", "create_message", "create_customer", "upsert_customer", "update_customer",
    "create_service_goal", "update_service_goal", "create_sla_policy", "update_sla_policy", "import_tickets",
    "create_agent", "update_agent", "create_team", "update_team", "create_api_key",
]  # fmt: skip


@pytest.fixture
async def caller(request: pytest.FixtureRequest, client: httpx.AsyncClient, person: Make) -> Person:
    """Somebody of the role that the test is parametrized with."""
    role: str = request.param
    return Person(None, "", client) if role == "admin" else await person(role)


@pytest.fixture
async def ids(caller: Person, client: httpx.AsyncClient, open_ticket: Open, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What there is; the ticket is the caller's own where the caller is a customer."""
    own = str(caller.id) if "customer" in request.node.callspec.params.values() else None
    return await things(client, open_ticket, own)


def test_every_operation_with_a_body_is_walked(app: FastAPI) -> None:
    assert sorted(WRITERS) == sorted(operation.id for operation in operations(app) if operation.body is not None)


async def test_the_requests_that_are_made_hostile_are_valid_to_begin_with(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    for operation in operations(app):
        ids = await things(client, open_ticket)
        answer = await client.request(operation.method, operation.url(ids), json=operation.fresh_body())
        # Without a worker nobody is ready.
        assert answer.is_success or operation.path == "/readyz", (operation.id, answer.text)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("caller", ROLES, indirect=True)
async def test_a_hostile_body_is_refused_or_taken_literally(
    app: FastAPI, client: httpx.AsyncClient, caller: Person, ids: dict[str, Any], writer: str
) -> None:
    [operation] = [operation for operation in operations(app) if operation.id == writer]
    url = operation.url(ids)
    accepted = 0
    for body in hostile.bodies(operation.fresh_body()):
        answer = await caller.http.request(operation.method, url, content=body, headers=JSON)
        if answer.status_code == 403 and not accepted:
            fine_or_problem(answer)
            if "scope" in answer.json()["detail"]:
                return  # nothing of the body is looked at
        if fine_or_problem(answer):
            accepted += 1
            await _item_reads_fine(client, operation, answer, ids)
    await _all_reads_fine(client)
    await _all_reads_fine(caller.http)


async def _item_reads_fine(client: httpx.AsyncClient, operation: Operation, answer: httpx.Response, ids: Any) -> None:
    stored = answer.json()
    json.dumps(stored, allow_nan=False, ensure_ascii=False).encode()
    collection = operation.path.split("/")[2]
    if operation.id == "import_tickets":
        place = [f"/v1/tickets/{item['ticket_id']}" for item in stored["items"] if item["ticket_id"]]
    elif operation.id == "create_message":
        place = [f"/v1/tickets/{stored['ticket_id']}?include=clocks,messages,customer"]
    else:
        place = [f"/v1/{collection}/{stored['id']}"] if collection != "api-keys" else []
    for url in place:
        read = await client.get(url)
        assert read.status_code == 200, (operation.id, answer.request.content[:300], read.text)
        if "/v1/tickets/" in url:
            audit = await client.get(f"{url.partition('?')[0]}/events?limit=200")
            assert audit.status_code == 200, audit.text
        elif operation.id != "import_tickets":
            assert read.json() == stored


async def _all_reads_fine(client: httpx.AsyncClient) -> None:
    for path in LISTS:
        next_page: str | None = path
        while next_page:
            answer = await client.get(next_page)
            if not fine_or_problem(answer):
                assert answer.status_code == 403
                break
            next_page = answer.links["next"]["url"] if "next" in answer.links else None
    report = await client.get("/v1/reports/response-times?group_by=product,channel,team,agent,priority,policy")
    csv = await client.get(str(report.url), headers={"Accept": "text/csv"})
    assert fine_or_problem(report) == fine_or_problem(csv)


QUERY_VALUES = (
    *(text.encode("utf-8", "surrogatepass") for text in hostile.TEXTS if len(text) < 5_000),
    *(str(value).encode() for value in (-1, 0, 10**9, 2**63, 2**64, 1.5, "1e3", "+1", "0x10", "1" * 5_000, "True", "١")),
    b"\xff\xfe", b"\xed\xa0\x80", b"%00", b"%", b"a,b,,c", b"," * 1_000, b"x" * 9_000, b"open,open", b"first_response,nonsense",
)  # fmt: skip


@pytest.mark.parametrize("caller", ROLES, indirect=True)
async def test_a_hostile_query_is_refused_or_taken_literally(app: FastAPI, caller: Person, ids: dict[str, Any]) -> None:
    for operation in operations(app):
        if operation.method != "GET":
            continue
        url = operation.url(ids)
        for name in (*operation.query_names, "limit[]", "\ud800", "unknown"):
            parameter = quote(name.encode("utf-8", "surrogatepass"))
            for value in QUERY_VALUES:
                answer = await caller.http.get(f"{url}?{parameter}={quote(value)}")
                assert operation.path == "/readyz" or fine_or_problem(answer) in (True, False)
            twice = await caller.http.get(f"{url}?{parameter}=1&{parameter}=2")
            assert operation.path == "/readyz" or fine_or_problem(twice) in (True, False)


@pytest.mark.parametrize("caller", ROLES, indirect=True)
async def test_a_hostile_path_is_refused(app: FastAPI, caller: Person, ids: dict[str, Any]) -> None:
    values = (*hostile.TEXTS, *map(str, (-1, 0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**400)), "..", ".", "//", "a/b", "?", "#", "%2e%2e")
    for operation in operations(app):
        for name in operation.path_names:
            for value in values:
                url = operation.path.replace("{" + name + "}", quote(value.encode("utf-8", "surrogatepass"), safe=""))
                url = operation.url(ids).rpartition("/")[0] if not value else Operation(
                    operation.id, operation.method, url, operation.path_names, (), (), None
                ).url(ids)
                answer = await caller.http.request(operation.method, url, json=operation.fresh_body())
                if fine_or_problem(answer):
                    # The one text that a path may hold.
                    assert operation.id == "upsert_customer" or not value, (operation.id, value)


async def test_hostile_headers_are_refused_or_taken_literally(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    values = (b"", b" ", b'"', b'W/"1"', b"*", b'"1" "2"', b"," * 500, b"\xff\xfe", b"x" * 2_000, b"1" * 60_000, b"\xe2\x80\xae", b"'; drop")
    names = (
        b"If-Match", b"If-None-Match", b"Idempotency-Key", b"X-Request-ID", b"traceparent", b"Accept", b"Accept-Encoding",
        b"Range", b"Host", b"X-Forwarded-For", b"X-HTTP-Method-Override", b"Content-Type", b"Content-Encoding", b"Cookie",
    )  # fmt: skip
    ids = await things(client, open_ticket)
    for operation in operations(app):
        if operation.path == "/readyz" or operation.method == "DELETE":
            continue
        for name in names:
            answers = [
                await client.request(operation.method, operation.url(ids), json=operation.fresh_body(), headers=[(name, value)])
                for value in values
            ]
            for answer in answers:
                fine_or_problem(answer)


async def test_hostile_requests_at_once_harm_nobody_else(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    bodies = list(hostile.bodies({"subject": "x", "customer": {"external_id": "c"}}))[:150]
    attack = [client.post("/v1/tickets", content=body, headers=JSON) for body in bodies]
    [read, *answers] = await asyncio.gather(client.get(f"/v1/tickets/{ticket['id']}"), *attack)
    assert read.json() == ticket | {"clocks": None, "messages": None, "customer": None}
    for answer in answers:
        fine_or_problem(answer)

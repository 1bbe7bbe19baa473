"""Never a 500, never the machinery's own words, and nothing stored that a later read chokes on: hostile values in every
place of every operation, by every role."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from app.auth.roles import SCOPES
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.expect import fine_or_problem, problem
from tests.support.openapi import Open, Operation, operations, things
from tests.web import hostile, raw

Make = Callable[..., Awaitable[Person]]
JSON = [(b"content-type", b"application/json")]
# Each a different way through the code. `make security` asks as everybody, everything.
ROLES = ("admin", "agent", "customer")
EVERYBODY = (*ROLES, "lead", "service")
LISTS = (
    "/v1/tickets",
    "/v1/tickets?sort=updated_at",
    "/v1/customers",
    "/v1/organizations",
    "/v1/custom-fields",
    "/v1/agents",
    "/v1/teams",
    "/v1/availability",
    "/v1/sla-policies",
    "/v1/business-calendars",
    "/v1/sla-exceptions",
    "/v1/sla-jobs",
    "/v1/service-goals",
    "/v1/articles",
    "/v1/views",
    "/v1/macros",
    "/v1/sla-clocks",
    "/v1/api-keys",
    "/v1/webhooks",
)
WRITERS = (
    "create_ticket",
    "update_ticket",
    "create_message",
    "choose_at_overload",
    "update_message",
    "create_customer",
    "upsert_customer",
    "update_customer",
    "create_organization",
    "upsert_organization",
    "update_organization",
    "create_custom_field",
    "update_custom_field",
    "create_webhook",
    "update_webhook",
    "rotate_webhook_secret",
    "redeliver_webhook_deliveries",
    "create_service_goal",
    "update_service_goal",
    "create_sla_policy",
    "update_sla_policy",
    "reapply_sla_policy",
    "explain_sla_policies",
    "create_business_calendar",
    "update_business_calendar",
    "compute_business_time",
    "compute_staffing_forecast",
    "create_sla_exception",
    "create_sla_simulation",
    "create_segment",
    "update_segment",
    "preview_segment",
    "create_segment_override",
    "add_participant",
    "create_article",
    "update_article",
    "suggest_articles",
    "update_automation",
    "solve_ticket_by_article",
    "create_satisfaction",
    "create_promise",
    "withdraw_promise",
    "snooze_ticket",
    "merge_ticket",
    "merge_customer",
    "create_link",
    "update_tickets",
    "import_tickets",
    "create_agent",
    "update_agent",
    "claim_tickets",
    "update_availability",
    "create_team",
    "update_team",
    "create_greeting",
    "update_greeting",
    "create_view",
    "update_view",
    "create_macro",
    "update_macro",
    "apply_macro_to_tickets",
    "solve_problem",
    "create_api_key",
)


Attack = Callable[..., Awaitable[httpx.Response]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "caller" in metafunc.fixturenames:
        few = ROLES if "arsenal" in metafunc.fixturenames else ("admin",)
        roles = EVERYBODY if metafunc.config.getoption("--security") else few
        metafunc.parametrize("caller", roles, indirect=True)


@pytest.fixture
async def caller(request: pytest.FixtureRequest, client: httpx.AsyncClient, person: Make) -> Person:
    """Somebody of the role that the test is parametrized with."""
    role: str = request.param
    if role == "admin":
        return Person(None, ADMIN_KEY, client)
    return await person(role, **({"scopes": sorted(SCOPES)} if role == "service" else {}))


@pytest.fixture
async def attack(app: FastAPI, caller: Person, figure: Callable[[str, int], None]) -> AsyncIterator[Attack]:
    """Sends what the caller sends, and counts it."""
    sent = 0

    async def send(method: str, path: str, **what: Any) -> httpx.Response:
        nonlocal sent
        sent += 1
        return await raw.send(app, method, path, key=caller.key, **what)

    yield send
    figure("hostile requests", sent)


@pytest.fixture
def arsenal(request: pytest.FixtureRequest) -> hostile.Arsenal:
    whole = request.config.getoption("--security") or request.node.callspec.params["caller"] == "admin"
    return hostile.ALL if whole else hostile.FEW


@pytest.fixture
async def ids(
    caller: Person, client: httpx.AsyncClient, open_ticket: Open, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """What there is; the ticket is the caller's own where the caller is a customer."""
    own = str(caller.id) if request.node.callspec.params["caller"] == "customer" else None
    return await things(client, open_ticket, own)


def test_the_corpus_is_large(figure: Callable[[str, int], None]) -> None:
    """Different ones; each stands in every place that it fits: of bodies, queries, paths, headers."""
    values = [*hostile.TEXTS, *map(repr, hostile.NOT_TEXTS), *hostile.TOKENS, *hostile.QUERIES]
    headers = [(name, value) for name in hostile.HEADER_NAMES for value in hostile.HEADER_VALUES]
    assert len(set(values)) + len(set(headers)) >= 200
    figure("hostile inputs", len(set(values)) + len(set(headers)))


def test_every_operation_with_a_body_is_walked(app: FastAPI) -> None:
    assert sorted(WRITERS) == sorted(operation.id for operation in operations(app) if operation.body is not None)


async def test_the_requests_that_are_made_hostile_are_valid_to_begin_with(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    for operation in operations(app):
        ids = await things(client, open_ticket)
        answer = await client.request(operation.method, operation.url(ids), **operation.content(ids))
        # Without a worker nobody is ready, nothing is delivered that could be sent again, and nothing is offered.
        waits = operation.path == "/readyz" or operation.id in ("redeliver_webhook_delivery", "choose_at_overload")
        assert answer.is_success or (waits and answer.status_code in (409, 503)), (operation.id, answer.text)


@pytest.mark.parametrize("writer", WRITERS)
async def test_a_hostile_body_is_refused_or_taken_literally(
    app: FastAPI,
    client: httpx.AsyncClient,
    caller: Person,
    ids: dict[str, Any],
    writer: str,
    arsenal: hostile.Arsenal,
    attack: Attack,
) -> None:
    [operation] = [operation for operation in operations(app) if operation.id == writer]
    path = operation.url(ids)
    written: set[str] = set()
    for body in hostile.bodies(operation.fresh_body(ids), arsenal):
        answer = await attack(operation.method, path, headers=JSON, chunks=[body])
        if fine_or_problem(answer):
            await _reads_fine(client, operation, answer, body, written)
        elif answer.status_code == 403 and "scope" in answer.json()["detail"]:
            return  # nothing of the body is looked at
    audits = [f"{ticket}/{part}" for ticket in sorted(written)[:200] for part in ("events", "messages")]
    await _lists_read_fine(client, *audits)
    await _lists_read_fine(caller.http)


async def _reads_fine(
    client: httpx.AsyncClient, operation: Operation, answer: httpx.Response, body: bytes, written: set[str]
) -> None:
    stored = answer.json()
    json.dumps(stored, allow_nan=False, ensure_ascii=False).encode()
    for path in _places_of(operation, stored):
        read = await client.get(path)
        assert read.status_code == 200, (body[:300], read.text)
        if path.startswith("/v1/tickets/"):
            written.add(path.partition("?")[0].removesuffix("/promises").removesuffix("/satisfaction"))
        else:
            # A secret is shown once.
            assert read.json() == {name: value for name, value in stored.items() if name != "secret"}


# Where what an operation answers is read, and where each of its items is.
_READ_AT = {
    "create_message": "/v1/tickets/{ticket_id}?include=clocks,messages,customer",
    "update_message": "/v1/tickets/{ticket_id}?include=clocks,messages,customer",
    "create_link": "/v1/tickets/{source_id}",
    "create_segment_override": "/v1/segments/{segment_id}/overrides/{id}",
    "create_promise": "/v1/tickets/{ticket_id}/promises",
    "create_satisfaction": "/v1/tickets/{ticket_id}/satisfaction",
    "withdraw_promise": "/v1/tickets/{ticket_id}/promises",
    "update_automation": "/v1/automations/{key}",
    "update_availability": "/v1/agents/{agent_id}/availability",
    "solve_problem": "/v1/incident-jobs/{id}",
}
_OF_ITEMS = {"import_tickets", "update_tickets", "apply_macro_to_tickets", "claim_tickets"}
# What cannot be read alone: a list of it is read, or nothing was stored, or it is its agent's own.
_NOWHERE = {
    "create_api_key", "compute_business_time", "explain_sla_policies", "reapply_sla_policy", "create_view",
    "update_view", "preview_segment", "compute_staffing_forecast", "suggest_articles", "redeliver_webhook_deliveries",
}  # fmt: skip


def _places_of(operation: Operation, stored: dict[str, Any]) -> list[str]:
    if operation.id in _NOWHERE:
        return []
    if operation.id in _OF_ITEMS:
        refused = range(300, 600)
        done = (item["ticket_id"] for item in stored["items"] if item.get("status") not in refused)
        return [f"/v1/tickets/{ticket_id}" for ticket_id in done if ticket_id]
    return [_READ_AT.get(operation.id, f"/v1/{operation.path.split('/')[2]}/{{id}}").format(**stored)]


async def _lists_read_fine(client: httpx.AsyncClient, *more: str) -> None:
    for path in (*LISTS, *more):
        next_page: str | None = path + ("&" if "?" in path else "?") + "limit=200"
        while next_page:
            answer = await client.get(next_page)
            if not fine_or_problem(answer):
                assert answer.status_code == 403
                break
            next_page = answer.links["next"]["url"] if "next" in answer.links else None
    automations = await client.get("/v1/automations")  # always whole, so it has no `limit`
    assert fine_or_problem(automations) or automations.status_code == 403
    report = await client.get("/v1/reports/response-times?group_by=product,channel,team,agent,priority,policy")
    csv = await client.get(str(report.url), headers={"Accept": "text/csv"})
    assert fine_or_problem(report) == fine_or_problem(csv)
    for words in ("words", "%27%3B+drop", "%22a+b%22+-c"):
        fine_or_problem(await client.get(f"/v1/tickets?q={words}&count=estimate"))
    fine_or_problem(await client.get("/v1/events?limit=1000"))
    customers = await client.get("/v1/customers?limit=5")
    for customer in customers.json()["items"] if customers.status_code == 200 else ():
        fine_or_problem(await client.get(f"/v1/customers/{customer['id']}/export"))
    fine_or_problem(await client.get("/v1/reports/backlog?group_by=product,channel,team,agent,priority,policy,region"))


async def test_a_hostile_query_is_refused_or_taken_literally(
    app: FastAPI, ids: dict[str, Any], arsenal: hostile.Arsenal, attack: Attack
) -> None:
    values = [*map(hostile.quoted, arsenal.texts), *hostile.QUERIES]
    shared = ("limit", "cursor", "limit[]", "\ud800")
    reads = [op for op in operations(app) if op.method == "GET" and op.path != "/readyz"]
    for turn, operation in enumerate(reads):
        path = operation.url(ids)
        names = [hostile.quoted(name) for name in (*shared, *(set(operation.query_names) - set(shared)))]
        for name in names:
            # What all lists read by the same code meets every value at some list.
            for value in values[turn % 5 :: 5] if name in names[: len(shared)] else values:
                answer = await attack("GET", path, query=name + b"=" + value)
                fine_or_problem(answer)
        everything = b"&".join(name + b"=1" for name in names)
        for query in (everything, everything + b"&" + everything, b"&" * 1_000, b"=", b"%", b"x"):
            fine_or_problem(await attack("GET", path, query=query))


async def test_a_hostile_path_is_refused(
    app: FastAPI, ids: dict[str, Any], arsenal: hostile.Arsenal, attack: Attack
) -> None:
    numbers = map(str, (-1, 0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**400))
    # What a server makes of the bytes of a lone surrogate.
    texts = [text.encode(errors="replace").decode() for text in arsenal.texts]
    for operation in operations(app):
        for name in operation.path_names:
            for value in (*texts, *numbers, "..", ".", "//", "a/b", "?", "#", "?a=b#c", "%2e%2e", "%00"):
                path = operation.path.replace("{" + name + "}", value)
                for other in operation.path_names:
                    path = path.replace("{" + other + "}", str(ids[other]))
                body = json.dumps(operation.fresh_body(ids)).encode()
                answer = await attack(operation.method, path, headers=JSON, chunks=[body])
                if fine_or_problem(answer):
                    # An external id may be any text; nothing may stand where an id stands, which is the list.
                    assert operation.id.startswith("upsert_") or not value, (operation.id, value)


async def test_hostile_headers_are_refused_or_taken_literally(
    app: FastAPI, attack: Attack, ids: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    step = 1 if request.config.getoption("--security") else 8
    every = [(name, value) for name in hostile.HEADER_NAMES for value in hostile.HEADER_VALUES]
    walked = [op for op in operations(app) if op.path != "/readyz" and op.method != "DELETE"]
    for turn, operation in enumerate(walked):
        # Every operation meets every header, and every value of every header meets many operations.
        for name, value in every[turn % step :: step]:
            headers = [(name, value), *(JSON if name != b"content-type" else [])]
            body = json.dumps(operation.fresh_body(ids)).encode() if operation.body else b""
            fine_or_problem(await attack(operation.method, operation.url(ids), headers=headers, chunks=[body]))


async def test_hostile_requests_at_once_harm_nobody_else(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    bodies = list(hostile.bodies({"subject": "x", "customer": {"external_id": "c"}}))[:150]
    headers = {"Content-Type": "application/json"}
    attack = [client.post("/v1/tickets", content=body, headers=headers) for body in bodies]
    [read, *answers] = await asyncio.gather(client.get(f"/v1/tickets/{ticket['id']}"), *attack)
    assert read.json() == ticket | dict.fromkeys(("clocks", "messages", "customer", "assignee", "team", "last_message"))
    for answer in answers:
        fine_or_problem(answer)


async def test_injected_words_are_stored_as_they_are_and_do_nothing(client: httpx.AsyncClient) -> None:
    for text in ("'; drop table tickets; --", "%a%b%c%", "a & | b", "{{7*7}}", "\\x00\\"):
        made = await client.post(
            "/v1/tickets", json={"subject": text, "product": text, "customer": {"external_id": text}}
        )
        assert made.json()["subject"] == text
        for name in ("product", "tag"):
            found = (await client.get(f"/v1/tickets?{name}={quote(text)}")).json()["items"]
            assert [item["product"] for item in found] == ([text] if name == "product" else [])


@pytest.mark.parametrize("query", ["q=%ff%fe", "q=%e4", "%ff=1", "customer_id=%80", "q=%ed%a0%80"])
async def test_a_query_or_path_that_is_not_utf8_is_refused(app: FastAPI, query: str) -> None:
    """Read as other characters, it would find what nobody asked for."""
    async with client_for(app, ADMIN_KEY) as http:
        for answer in (await http.get(f"/v1/tickets?{query}"), await http.get("/v1/tickets/by-number/%ff")):
            problem(answer, 400, "malformed_request")
        assert (await http.get("/v1/tickets?q=%C3%A4")).is_success

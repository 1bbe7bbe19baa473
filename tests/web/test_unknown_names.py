"""Names that the contract does not know are refused by every operation, with what is known and the nearest one; and
what else is refused says what would be right."""

import secrets
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.sla.conditions import WORDS
from app.sla.core.enums import Channel, TicketType
from app.web.names import unknown
from tests.support.expect import problem
from tests.support.openapi import NOBODY, Open, Operation, operations

# What takes a file as its body.
_RAW = {"create_attachment", "import_email"}


def _of_the_contract(app: FastAPI) -> list[Operation]:
    """Without the probes of machines."""
    return [operation for operation in operations(app) if operation.path.startswith("/v1/")]


def test_the_nearest_name_is_told() -> None:
    assert unknown("priorty", ["priority", "product"]) == "unknown; did you mean priority? Known are: priority, product"
    assert unknown("zzz", ["priority"]) == "unknown; Known are: priority"


async def test_every_operation_refuses_a_parameter_that_it_does_not_know(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    ids: dict[str, Any] = {}
    for operation in _of_the_contract(app):
        path = operation.url(ids | dict.fromkeys(operation.path_names, NOBODY))
        wrong = {"pre_viev": "1"}
        content: dict[str, Any] = {"json": operation.fresh_body()} if operation.body is not None else {}
        if operation.id in _RAW:
            content = {"content": b"text"}
        found = problem(await client.request(operation.method, path, params=wrong, **content), 422, "invalid")
        [error] = [e for e in found["errors"] if e["pointer"] == "/query/pre_viev"]
        assert error["detail"].startswith("unknown"), operation.id
        assert all(name in error["detail"] for name in operation.query_names), (operation.id, error)


async def test_every_operation_refuses_a_field_that_it_does_not_know(app: FastAPI, client: httpx.AsyncClient) -> None:
    asked: list[Operation] = [o for o in operations(app) if o.body]
    assert len(asked) > 30
    for operation in asked:
        path = operation.url(dict.fromkeys(operation.path_names, NOBODY))
        name = min(operation.body or ())
        sent = {**operation.fresh_body(), f"{name}z": 1}
        found = problem(await client.request(operation.method, path, json=sent), 422, "invalid")
        [error] = [e for e in found["errors"] if e["pointer"] == f"/{name}z"]
        assert f"did you mean {name}?" in error["detail"], (operation.id, error)


@pytest.mark.parametrize(
    ("path", "body", "pointer", "near"),
    [
        ("/v1/tickets", {"subject": "s", "customer": {"emial": "a@b.c"}}, "/customer/emial", "email"),
        ("/v1/sla-policies", {"key": "k", "name": "n", "targets": [{"metric": "first_response", "secnds": 1}]},
         "/targets/0/secnds", "seconds"),
        ("/v1/views", {"name": "v", "filter": {"stauts": "new"}}, "/filter/stauts", "status"),
    ],
)  # fmt: skip
async def test_a_field_within_a_field_has_its_own_neighbours(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], pointer: str, near: str
) -> None:
    found = problem(await client.post(path, json=body), 422, "invalid")
    [error] = [e for e in found["errors"] if e["pointer"] == pointer]
    assert f"did you mean {near}?" in error["detail"]


async def test_a_name_with_brackets_is_the_name(client: httpx.AsyncClient, open_ticket: Open) -> None:
    word = secrets.token_hex(6)
    ticket = await open_ticket(tags=[word])
    await open_ticket()
    for query in (f"tag[]={word}", f"tag%5B%5D={word}&status[]=new&status[]=open", f"tag%5b%5d={word}&limit=1"):
        assert [t["id"] for t in (await client.get(f"/v1/tickets?{query}")).json()["items"]] == [ticket["id"]], query


async def test_brackets_at_the_end_of_a_value_belong_to_it(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket, _ = await open_ticket(product="list[]"), await open_ticket(product="list")
    for value in ("list[]", "list%5B%5D"):
        found = (await client.get(f"/v1/tickets?product={value}")).json()["items"]
        assert [each["id"] for each in found] == [ticket["id"]], value


async def test_a_plus_that_was_not_escaped_is_named(client: httpx.AsyncClient) -> None:
    found = problem(await client.get("/v1/tickets?created_after=2026-01-01T00:00:00+02:00"), 422)
    assert "%2B" in found["detail"]
    assert (await client.get("/v1/tickets?created_after=2026-01-01T00:00:00%2B02:00")).is_success


async def test_an_id_that_is_none_has_one_answer(app: FastAPI, client: httpx.AsyncClient) -> None:
    """A number at a ticket's place is told where numbers are read."""
    for operation in _of_the_contract(app):
        ids = [name for name in operation.path_names if name.endswith("_id") and name != "external_id"]
        for name in ids:
            path = operation.url(dict.fromkeys(operation.path_names, NOBODY) | {name: "1"})
            content: dict[str, Any] = {"json": operation.fresh_body()} if operation.body is not None else {}
            found = problem(await client.request(operation.method, path, **content), 404, "not_found")
            assert "ids are UUIDs" in found["detail"], operation.id
    assert "/v1/tickets/by-number/17" in problem(await client.get("/v1/tickets/17"), 404)["detail"]
    problem(await client.get("/v1/tickets/not-an-id"), 404, "not_found")
    problem(await client.get("/v1/tickets/word"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/teams", {"key": "Ä{}", "name": "T"}, "key"),
        ("/v1/customers", {"external_id": "a, (b)=(c) {}"}, "external_id"),
        ("/v1/customers", {"email": "{}@shop.example"}, "email"),
        ("/v1/organizations", {"external_id": "{}", "name": "O"}, "external_id"),
        ("/v1/agents", {"external_id": "{}", "name": "A"}, "external_id"),
        ("/v1/tickets", {"external_id": "{}", "subject": "S", "customer": {"external_id": "c"}}, "external_id"),
        ("/v1/articles", {"key": "a, {}", "title": "T", "body": "B", "language": "en"}, "key"),
        ("/v1/segments", {"key": "{}", "name": "S", "rule": {"all": []}}, "key"),
        ("/v1/custom-fields", {"key": "{}", "name": "F", "subject": "ticket", "type": "text"}, "key"),
    ],
)  # fmt: skip
async def test_a_taken_value_names_its_field_and_who_has_it(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    word = secrets.token_hex(6)
    sent = {name: value.replace("{}", word) if isinstance(value, str) else value for name, value in body.items()}
    first = (await client.post(path, json=sent)).json()
    for headers in ({}, {"Idempotency-Key": word}):
        found = problem(await client.post(path, json=sent, headers=headers), 409, "conflict")
        assert f"/{field}" in {error["pointer"] for error in found["errors"]}
        assert f"{path}/{first['id']} has it" in found["detail"]
        assert (await client.get(f"{path}/{first['id']}")).is_success
        assert word not in found["detail"].replace(first["id"], "")


async def test_no_regular_expression_is_an_explanation(client: httpx.AsyncClient) -> None:
    for path, body in (
        ("/v1/customers", {"email": "nobody"}), ("/v1/customers", {"region": "?"}),
        ("/v1/customers", {"language": "English!"}), ("/v1/customers", {"attributes": {"a b": 1}}),
        ("/v1/business-calendars", {"name": "C", "timezone": "UTC", "hours": {"mon": [["9", "25:00"]]}}),
        ("/v1/business-calendars", {"name": "C", "timezone": "UTC", "hours": {}, "holidays": ["tomorrow"]}),
    ):  # fmt: skip
        found = problem(await client.post(path, json=body), 422, "invalid")
        assert not [error for error in found["errors"] if "^" in error["detail"] or "pattern" in error["detail"]]


async def test_an_unquoted_tag_is_told_to_quote(client: httpx.AsyncClient, open_ticket: Open) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}"
    found = problem(await client.patch(path, json={"subject": "x"}, headers={"If-Match": "1"}), 412)
    assert 'the current version is "1"' in found["detail"]
    assert "double quotes" in found["detail"]


async def test_a_word_that_no_ticket_has_is_refused_where_it_is_written(client: httpx.AsyncClient) -> None:
    for field, wrong, near in (
        ("ticket.channel", "mail", "email"), ("ticket.type", "incidents", "incident"),
        ("ticket.priority", "hi", "high"),
        ("ticket.chanel", "email", "ticket.channel"),
    ):  # fmt: skip
        policy = {
            "key": secrets.token_hex(6), "name": "P", "targets": [{"metric": "first_response", "seconds": 1}],
            "conditions": {"all": [{"field": field, "op": "eq", "value": wrong}]},
        }  # fmt: skip
        found = problem(await client.post("/v1/sla-policies", json=policy), 422, "invalid")
        assert f"Did you mean {near}?" in found["detail"]
    assert WORDS["ticket.channel"] == list(Channel)
    assert WORDS["ticket.type"] == list(TicketType)

"""A condition on what no customer and no ticket can be is refused where it is written; what may come later is taken."""

from typing import Any

import httpx
import pytest

from tests.support.expect import problem
from tests.support.sla import Sql
from tests.support.verification import good

NOWHERE = "01890000-0000-7000-8000-000000000000"
OF_PEOPLE = [
    ("customer.region", "eq", "F I", "impossible_value"),
    ("customer.region", "in", ["FI", "F I"], "impossible_value"),
    ("customer.region", "ne", "-", "impossible_value"),
    ("customer.region", "contains", "F I", "impossible_value"),
    ("organization.region", "eq", "x" * 33, "impossible_value"),
    ("customer.language", "eq", "Finnish language", "impossible_value"),
    ("organization.language", "starts_with", "en_", "impossible_value"),
    ("customer.email", "eq", "a@x..example", "impossible_value"),
    ("customer.email", "eq", "mailto:a@x.example", "impossible_value"),
    ("customer.email", "contains", "a@b@", "impossible_value"),
    ("customer.name", "eq", " Ann", "impossible_value"),
    ("customer.name", "eq", "Rene\u0301", "impossible_value"),
    ("customer.external_id", "eq", "a\nb", "impossible_value"),
    ("customer.organization_id", "eq", NOWHERE, "unknown"),
    ("customer.organization_id", "eq", "acme", "unknown"),
    ("customer.organization_id", "contains", "acme", "unknown"),
    ("customer.attributes.tier", "eq", "gould", "unknown_word"),
    ("customer.attributes.tier", "in", ["gold", "gould"], "unknown_word"),
    ("customer.attributes.tier", "starts_with", "x", "unknown_word"),
    ("customer.attributes.seats", "eq", "five", "wrong_value_type"),
    ("customer.attributes.seats", "contains", "5", "wrong_value_type"),
    ("customer.attributes.since", "eq", "2026-02-30", "wrong_value_type"),
]
OF_TICKETS = [
    ("ticket.custom_fields.nothing", "eq", "x", "unknown_field"),
    ("ticket.custom_fields.nothing", "exists", False, "unknown_field"),
    ("ticket.custom_fields.plan", "eq", "golden", "unknown_word"),
    ("ticket.custom_fields.plan", "eq", True, "wrong_value_type"),
    ("ticket.tags", "contains", " x", "impossible_value"),
    ("ticket.subject", "eq", "x" * 501, "impossible_value"),
    ("ticket.product", "eq", "x" * 101, "impossible_value"),
]
POSSIBLE = [
    ("customer.region", "in", ["FI", "mars_1"]), ("customer.region", "starts_with", "F"),
    ("customer.language", "eq", "en-GB"), ("customer.language", "starts_with", "en-"),
    ("customer.email", "contains", "@x.example"), ("customer.email", "eq", "nobody.yet@x.example"),
    ("customer.external_id", "eq", "not-there-yet"), ("customer.attributes.undefined", "eq", "anything"),
    ("customer.attributes.tier", "eq", "gold"), ("customer.attributes.tier", "contains", "ol"),
    ("customer.attributes.seats", "gte", 5), ("customer.attributes.since", "lt", "2026-12-24"),
    ("customer.region", "exists", False), ("customer.name", "contains", "Ltd. "),
]  # fmt: skip


@pytest.fixture
async def defined(client: httpx.AsyncClient) -> None:
    for subject, key, type_, choices in (
        ("customer", "tier", "choice", ["gold", "silver"]), ("customer", "seats", "number", None),
        ("customer", "since", "date", None), ("ticket", "plan", "choice", ["gold", "silver"]),
    ):  # fmt: skip
        body = {"subject": subject, "key": key, "name": key, "type": type_, **({"choices": choices} if choices else {})}
        good(await client.post("/v1/custom-fields", json=body))


def policy(field: str, op: str, value: object) -> dict[str, Any]:
    condition = {"field": field, "op": op, "value": value}
    targets = [{"metric": "first_response", "seconds": 60}]
    return {"key": "p", "name": "P", "targets": targets, "conditions": {"all": [{"not": condition}], "any": []}}


async def refused(client: httpx.AsyncClient, method: str, path: str, body: Any) -> dict[str, str]:
    [error] = problem(await client.request(method, path, json=body), 422)["errors"]
    return dict(error)


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(("field", "op", "value", "code"), OF_PEOPLE)
async def test_a_rule_or_policy_about_what_no_customer_can_be_is_refused(
    client: httpx.AsyncClient, field: str, op: str, value: object, code: str
) -> None:
    rule = {"any": [{"field": field, "op": op, "value": value}]}
    segment = good(await client.post("/v1/segments", json={"key": "vip", "name": "V"}))
    for error in (
        await refused(client, "POST", "/v1/segments", {"key": "s", "name": "S", "rule": rule}),
        await refused(client, "PATCH", f"/v1/segments/{segment['id']}", {"rule": rule}),
        await refused(client, "POST", "/v1/segments/preview", {"rule": rule}),
    ):
        assert (error["pointer"].partition("/value")[0], error["code"]) == ("/rule/any/0", code)
    error = await refused(client, "POST", "/v1/sla-policies", policy(field, op, value))
    assert (error["pointer"].partition("/value")[0], error["code"]) == ("/conditions/all/0/not", code)


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(("field", "op", "value", "code"), OF_TICKETS)
async def test_a_policy_about_what_no_ticket_can_be_is_refused(
    client: httpx.AsyncClient, field: str, op: str, value: object, code: str
) -> None:
    error = await refused(client, "POST", "/v1/sla-policies", policy(field, op, value))
    assert error["code"] == code
    assert error["pointer"].startswith("/conditions/all/0/not")


@pytest.mark.parametrize("value", [-1, 1.5])
async def test_a_count_is_whole_and_not_below_zero(client: httpx.AsyncClient, value: float) -> None:
    rule = {"field": "customer.complaints", "op": "eq", "value": value}
    assert (await refused(client, "POST", "/v1/segments/preview", {"rule": rule}))["code"] == "impossible_value"
    good(await client.post("/v1/segments/preview", json={"rule": {**rule, "op": "lt", "value": 1.5}}))


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(("field", "op", "value"), POSSIBLE)
async def test_what_a_customer_may_be_one_day_is_taken(
    client: httpx.AsyncClient, field: str, op: str, value: object
) -> None:
    rule = {"field": field, "op": op, "value": value}
    good(await client.post("/v1/segments", json={"key": "s", "name": "S", "rule": rule}))
    good(await client.post("/v1/sla-policies", json=policy(field, op, value)))


@pytest.mark.usefixtures("defined")
async def test_free_words_and_defined_fields_of_tickets_are_taken(client: httpx.AsyncClient) -> None:
    conditions = [
        ("ticket.tags", "contains", "not-used-yet"), ("ticket.product", "eq", "Not sold yet"),
        ("ticket.subject", "contains", "  two blanks"), ("ticket.custom_fields.plan", "eq", "gold"),
        ("ticket.custom_fields.plan", "exists", False),
    ]  # fmt: skip
    rules = [{"field": field, "op": op, "value": value} for field, op, value in conditions]
    good(await client.post("/v1/sla-policies", json={**policy("", "", ""), "conditions": {"all": rules}}))


async def test_an_organization_that_is_there_is_taken_and_what_went_since_stays(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    organization = good(await client.post("/v1/organizations", json={"name": "O"}))
    rule: dict[str, Any] = {"field": "customer.organization_id", "op": "in", "value": [organization["id"]]}
    segment = good(await client.post("/v1/segments", json={"key": "s", "name": "S", "rule": rule}))
    written = good(await client.post("/v1/sla-policies", json=policy(**rule)))
    await sql.execute("DELETE FROM organizations")
    good(await client.patch(f"/v1/segments/{segment['id']}", json={"name": "T", "rule": rule}))
    conditions = policy(**rule)["conditions"]
    good(await client.patch(f"/v1/sla-policies/{written['id']}", json={"name": "Q", "conditions": conditions}))


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(
    ("filter_", "pointer"),
    [
        ({"segment": ["vipp"]}, "/filter/segment"),
        ({"team_id": [NOWHERE]}, "/filter/team_id"),
        ({"assignee_id": ["me", NOWHERE]}, "/filter/assignee_id"),
        ({"follower_id": [NOWHERE]}, "/filter/follower_id"),
        ({"customer_id": [NOWHERE]}, "/filter/customer_id"),
        ({"organization_id": ["none", NOWHERE]}, "/filter/organization_id"),
        ({"ids": [NOWHERE]}, "/filter/ids"),
        ({"custom_fields": {"nothing": ["x"]}}, "/filter/custom_fields/nothing"),
        ({"custom_fields": {"plan": ["gold", "golden"]}}, "/filter/custom_fields/plan"),
    ],
)
async def test_a_view_of_what_no_ticket_can_be_is_refused(
    client: httpx.AsyncClient, filter_: Any, pointer: str
) -> None:
    good(await client.post("/v1/segments", json={"key": "vip", "name": "V"}))
    error = await refused(client, "POST", "/v1/views", {"name": "View", "filter": filter_})
    assert error["pointer"] == pointer
    assert "Did you mean vip?" in error["detail"] or "segment" not in filter_
    fine = {"segment": ["none", "vip"], "tag": ["not-used-yet"], "product": ["Not sold yet"], "external_id": ["x-1"],
            "assignee_id": ["me", "none"], "custom_fields": {"plan": ["none", "gold"]}}  # fmt: skip
    view = good(await client.post("/v1/views", json={"name": "View", "filter": fine}))
    assert (await refused(client, "PATCH", f"/v1/views/{view['id']}", {"filter": filter_}))["pointer"] == pointer


@pytest.mark.usefixtures("defined")
@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"team_id": NOWHERE}, "/changes/team_id"),
        ({"assignee_id": NOWHERE}, "/changes/assignee_id"),
        ({"custom_fields": {"nothing": "x"}}, "/changes/custom_fields/nothing"),
        ({"custom_fields": {"plan": "golden"}}, "/changes/custom_fields/plan"),
    ],
)
async def test_a_macro_that_sets_what_no_ticket_can_be_is_refused(
    client: httpx.AsyncClient, changes: Any, pointer: str
) -> None:
    assert (await refused(client, "POST", "/v1/macros", {"name": "M", "changes": changes}))["pointer"] == pointer
    fine = {"assignee_id": "me", "team_id": None, "add_tags": ["not-used-yet"], "custom_fields": {"plan": "gold"}}
    macro = good(await client.post("/v1/macros", json={"name": "M", "changes": fine}))
    assert (await refused(client, "PATCH", f"/v1/macros/{macro['id']}", {"changes": changes}))["pointer"] == pointer


@pytest.mark.parametrize("named", ["customer_id", "ticket_id", "segment_id"])
async def test_an_exception_for_what_is_not_there_is_refused(client: httpx.AsyncClient, named: str) -> None:
    body = {"scope": named.removesuffix("_id"), named: NOWHERE, "effect": "exclude", "reason": "R"}
    for query in ("", "?dry_run=true"):
        assert (await refused(client, "POST", f"/v1/sla-exceptions{query}", body))["pointer"] == f"/{named}"


async def test_a_greeting_or_introduction_in_no_language_is_refused(client: httpx.AsyncClient) -> None:
    greeting = {"channel": "email", "language": "Finnish language", "body": "Hello."}
    assert (await refused(client, "POST", "/v1/greetings", greeting))["pointer"] == "/language"
    settings = {"introductions": {"Finnish language": "See:"}}
    path = "/v1/automations/self_service_first"
    assert "/introductions" in (await refused(client, "PATCH", path, {"settings": settings}))["pointer"]

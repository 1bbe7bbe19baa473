"""A word that no ticket can have is refused where it is written, with the words there are and the nearest one."""

from typing import Any

import httpx
import pytest

from tests.support.expect import problem
from tests.support.sla import Sql
from tests.support.verification import good

TARGETS = [{"metric": "first_response", "seconds": 60}]
NOWHERE = "01890000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("field", "op", "value", "near"),
    [
        ("ticket.channel", "eq", "mail", "email"),
        ("ticket.channel", "in", ["email", "fax"], None),
        ("ticket.channel", "starts_with", "mail", "email"),
        ("ticket.type", "eq", "incidents", "incident"),
        ("ticket.type", "ne", "Question", "question"),
        ("ticket.priority", "contains", "urgentt", "urgent"),
        ("ticket.team_id", "eq", NOWHERE, None),
        ("segment", "eq", "vipp", "vip"),
    ],
)
async def test_a_policy_with_a_word_that_no_ticket_can_have_is_refused(
    client: httpx.AsyncClient, field: str, op: str, value: object, near: str | None
) -> None:
    good(await client.post("/v1/segments", json={"key": "vip", "name": "V"}))
    good(await client.post("/v1/teams", json={"key": "t", "name": "T"}))
    conditions: dict[str, Any] = {"all": [{"field": field, "op": op, "value": value}], "any": []}
    body = {"key": "p", "name": "P", "position": 1, "targets": TARGETS, "conditions": conditions}
    [error] = problem(await client.post("/v1/sla-policies", json=body), 422)["errors"]
    assert (error["pointer"].partition("/value")[0], error["code"]) == ("/conditions/all/0", "unknown_word")
    assert f"Did you mean {near}?" in error["detail"] if near else "Did you mean" not in error["detail"]
    stock = good(await client.get("/v1/sla-policies"))["items"][0]
    changed = await client.patch(f"/v1/sla-policies/{stock['id']}", json={"conditions": conditions})
    assert changed.status_code == 422


async def test_words_that_there_are_are_taken_and_parts_of_them_too(client: httpx.AsyncClient) -> None:
    team = good(await client.post("/v1/teams", json={"key": "t", "name": "T"}))
    rules = [("ticket.channel", "contains", "mail"), ("ticket.type", "starts_with", "in"),
             ("ticket.team_id", "eq", team["id"]), ("ticket.type", "in", ["return", "complaint"])]  # fmt: skip
    conditions = {"all": [{"field": field, "op": op, "value": value} for field, op, value in rules], "any": []}
    body = {"key": "p", "name": "P", "position": 1, "targets": TARGETS, "conditions": conditions}
    good(await client.post("/v1/sla-policies", json=body))


async def test_a_policy_of_before_with_such_a_word_is_read_and_never_holds(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Any
) -> None:
    body = {"key": "p", "name": "P", "position": 1, "targets": [{"metric": "first_response", "seconds": 1}]}
    policy = good(await client.post("/v1/sla-policies", json=body))
    await sql.execute(
        "UPDATE sla_policy_versions SET conditions = $2 WHERE policy_id = $1::text::uuid",
        policy["id"], '{"all": [{"field": "ticket.channel", "op": "eq", "value": "mail"}], "any": []}',
    )  # fmt: skip
    ticket = await open_ticket()
    [clock, *_] = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
    assert clock["policy_id"] != policy["id"]


@pytest.mark.parametrize(
    ("filter_", "pointer", "near"),
    [
        ({"segment": "vipp"}, "/filter/segment", "vip"),
        ({"team_id": NOWHERE}, "/filter/team_id", None),
        ({"channel": "mail"}, "/filter/channel", None),
        ({"priority": "top"}, "/filter/priority", None),
    ],
)
async def test_a_goal_for_what_no_ticket_can_be_is_refused(
    client: httpx.AsyncClient, filter_: dict[str, str], pointer: str, near: str | None
) -> None:
    good(await client.post("/v1/segments", json={"key": "vip", "name": "V"}))
    body = {"key": "g", "name": "G", "target_seconds": 90, "window": {"rolling_seconds": 600}}
    [error] = problem(await client.post("/v1/service-goals", json={**body, "filter": filter_}), 422)["errors"]
    assert error["pointer"] == pointer
    assert near is None or f"Did you mean {near}?" in error["detail"]
    goal = good(await client.post("/v1/service-goals", json={**body, "filter": {"segment": "vip", "channel": "email"}}))
    changed = await client.patch(f"/v1/service-goals/{goal['id']}", json={"filter": filter_})
    assert changed.status_code == 422

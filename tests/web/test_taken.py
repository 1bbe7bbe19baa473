"""A unique value that another one has is refused before PostgreSQL does, which would write an error to its log."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.expect import problem
from tests.support.openapi import Open


@pytest.fixture
def refused_by_postgresql(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of constraints that were violated."""
    seen: list[str] = []

    async def explain(_: object, violation: asyncpg.PostgresError) -> None:
        seen.append(str(violation.constraint_name))
        raise violation

    for place in ("app.web.problems", "app.web.idempotency", "app.tickets.bulk"):
        monkeypatch.setattr(f"{place}.conflict", explain)
    return seen


_POLICY = {"key": "a", "name": "A", "position": 9, "targets": [{"metric": "first_response", "seconds": 90}]}
_CASES = [
    ("/v1/teams", {"key": "a", "name": "A"}, "key"),
    ("/v1/agents", {"external_id": "a", "name": "A"}, "external_id"),
    ("/v1/customers", {"external_id": "a", "name": "A"}, "external_id"),
    ("/v1/customers", {"email": "a@x.example"}, "email"),
    ("/v1/organizations", {"external_id": "a", "name": "A"}, "external_id"),
    ("/v1/segments", {"key": "a", "name": "A", "position": 1}, "key"),
    ("/v1/custom-fields", {"key": "a", "name": "A", "type": "text", "subject": "ticket"}, "key"),
    ("/v1/sla-policies", _POLICY, "key"),
    ("/v1/tickets", {"external_id": "a", "subject": "A", "customer": {"external_id": "c"}}, "external_id"),
]


@pytest.mark.parametrize(("path", "body", "field"), _CASES, ids=lambda each: each if isinstance(each, str) else "")
async def test_a_taken_value_is_told_with_who_has_it(
    client: httpx.AsyncClient, refused_by_postgresql: list[str], path: str, body: dict[str, Any], field: str
) -> None:
    first = await client.post(path, json=body)
    assert first.status_code == 201, first.text
    for headers in ({}, {"Idempotency-Key": "k"}):
        refused = problem(await client.post(path, json=body, headers=headers), 409, "conflict")
        assert f"/{field}" in [error["pointer"] for error in refused["errors"]]
        assert f"{path}/{first.json()['id']} has it" in refused["detail"]
    other = {**body, field: "b@x.example" if field == "email" else "b"}
    second = await client.post(path, json=other)
    assert second.status_code == 201, second.text
    if path not in ("/v1/custom-fields", "/v1/segments"):  # whose keys stay
        patched = await client.patch(f"{path}/{second.json()['id']}", json={field: body[field]})
        assert f"{path}/{first.json()['id']} has it" in problem(patched, 409, "conflict")["detail"]
        assert (await client.patch(f"{path}/{first.json()['id']}", json={field: body[field]})).status_code == 200
    assert refused_by_postgresql == []


async def test_of_those_who_make_the_same_at_once_one_does(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/v1/teams", json={"key": "a", "name": "A"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    [made] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert all(made in answer.json()["detail"] for answer in answers if answer.status_code == 409)


async def test_an_address_is_free_for_those_who_have_an_id_of_their_own(client: httpx.AsyncClient) -> None:
    shared = {"email": "a@x.example"}
    assert (await client.post("/v1/customers", json=shared)).status_code == 201
    known = await client.post("/v1/customers", json={**shared, "external_id": "a"})
    assert known.status_code == 201
    other = await client.post("/v1/customers", json={"email": "b@x.example", "external_id": "b"})
    path = f"/v1/customers/{other.json()['id']}"
    assert (await client.patch(path, json=shared)).status_code == 200
    # Without it, they would be the same as the first one.
    problem(await client.patch(path, json={"external_id": None}), 409, "conflict")


async def test_in_bulk_only_the_one_that_is_taken_is_refused(
    client: httpx.AsyncClient, open_ticket: Open, refused_by_postgresql: list[str]
) -> None:
    first, second, third = [(await open_ticket(external_id=name))["id"] for name in "abc"]
    patches = [{"id": one, "if_match": None, "external_id": name} for one, name in ((second, "a"), (third, "d"))]
    answer = await client.post("/v1/tickets/bulk", json={"tickets": patches})
    assert [item["status"] for item in answer.json()["items"]] == [409, 200]
    assert first in answer.json()["items"][0]["problem"]["detail"]
    assert refused_by_postgresql == []

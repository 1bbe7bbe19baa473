import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY, client_for
from tests.support.desk import Body, pointer

URL = "/v1/custom-fields"
SIZE: Body = {"subject": "ticket", "key": "size", "name": "Size", "type": "choice", "choices": ["S", "M"]}
NOTE: Body = {"subject": "ticket", "key": "note", "name": "Note", "type": "text"}


async def _defined(http: httpx.AsyncClient, **field: Any) -> Body:
    answer = await http.post(URL, json=field)
    assert answer.status_code == 201, answer.text
    made: Body = answer.json()
    return made


async def _listed(http: httpx.AsyncClient, **query: Any) -> list[str]:
    return [item["id"] for item in (await http.get(URL, params=query)).json()["items"]]


async def _logged(sql: Any, field: Body) -> list[tuple[str, str]]:
    query = "SELECT type, data::text FROM events WHERE subject_id = $1 ORDER BY id"
    return [(row["type"], row["data"]) for row in await sql.fetch(query, field["id"])]


async def _revision(sql: Any) -> int:
    revision: int = await sql.fetchval("SELECT revision FROM custom_field_revision")
    return revision


async def test_a_field_is_kept_as_given_and_read_again(client: httpx.AsyncClient) -> None:
    given = {**SIZE, "ticket_types": ["return", "complaint"], "required": True}
    answer = await client.post(URL, json=given)
    assert answer.status_code == 201
    field = answer.json()
    assert {name: field[name] for name in given} == given
    assert (field["archived_at"], field["version"]) == (None, 1)
    assert (answer.headers["location"], answer.headers["etag"]) == (f"{URL}/{field['id']}", '"1"')
    read = await client.get(answer.headers["location"])
    assert (read.json(), read.headers["etag"]) == (field, '"1"')


async def test_only_what_defines_it_must_be_said(client: httpx.AsyncClient) -> None:
    field = await _defined(client, **NOTE)
    assert (field["choices"], field["ticket_types"], field["required"]) == (None, None, False)


async def test_a_change_says_what_was_before_and_after(client: httpx.AsyncClient, sql: Any) -> None:
    field = await _defined(client, **SIZE)
    change = {"choices": ["L", "M"], "ticket_types": ["return"], "required": True, "name": "How big"}
    after = (await client.patch(f"{URL}/{field['id']}", json=change)).json()
    assert after == {**field, **change, "version": 2, "updated_at": after["updated_at"]}
    assert await _listed(client) == [field["id"]]
    assert (await client.delete(f"{URL}/{field['id']}")).status_code == 204
    (created, first), (updated, second), (archived, third) = await _logged(sql, field)
    assert (created, updated, archived) == ("custom_field.created", "custom_field.updated", "custom_field.archived")
    assert '"after": {' in first
    assert '"choices": {"after": ["L", "M"], "before": ["S", "M"]}' in second
    assert '"archived_at": {"after": "' in third


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(client: httpx.AsyncClient, sql: Any) -> None:
    field = await _defined(client, **SIZE)
    revision = await _revision(sql)
    for patch in ({}, {"name": "Size", "choices": ["S", "M"], "ticket_types": None, "required": False}):
        answer = await client.patch(f"{URL}/{field['id']}", json=patch)
        assert (answer.json(), answer.headers["etag"]) == (field, '"1"')
    assert len(await _logged(sql, field)) == 1
    assert await _revision(sql) == revision


async def test_fields_are_listed_by_subject_in_the_order_they_were_defined(client: httpx.AsyncClient) -> None:
    made = [await _defined(client, **{**NOTE, "subject": who}) for who in ("ticket", "customer", "organization")]
    made.append(await _defined(client, **SIZE))
    everything = [field["id"] for field in made]
    assert await _listed(client) == everything
    assert await _listed(client, subject="ticket") == [everything[0], everything[3]]
    assert (await client.get(URL, params={"subject": "agent"})).status_code == 422


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"key": "a b"}, "/key"), ({"key": ""}, "/key"), ({"key": "é"}, "/key"), ({"key": "x" * 65}, "/key"),
        ({"subject": "agent"}, "/subject"), ({"type": "list"}, "/type"), ({"name": " "}, "/name"),
        ({"choices": []}, "/choices"), ({"choices": None}, "/choices"), ({"choices": ["S", 1]}, "/choices/1"),
        ({"choices": ["S", "M", "s"]}, "/choices/2"), ({"choices": ["\ufb01ne", "fine"]}, "/choices/1"),
        ({"type": "text"}, "/choices"), ({"type": "boolean", "choices": ["true"]}, "/choices"),
        ({"ticket_types": []}, "/ticket_types"), ({"ticket_types": ["return", "refund"]}, "/ticket_types/1"),
        ({"ticket_types": ["task", "task"]}, "/ticket_types/1"),
        ({"subject": "customer", "ticket_types": ["task"]}, "/ticket_types"), ({"required": "yes"}, "/required"),
        ({"colour": 1}, "/colour"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_pointed_at(client: httpx.AsyncClient, change: Body, at: str) -> None:
    assert pointer(await client.post(URL, json={**SIZE, **change})) == at
    assert await _listed(client) == []


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"key": "other"}, "/key"), ({"subject": "customer"}, "/subject"), ({"type": "text"}, "/type"),
        ({"choices": ["a"]}, "/choices"), ({"ticket_types": ["refund"]}, "/ticket_types/0"),
        ({"name": None}, "/name"), ({"required": None}, "/required"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_change_is_refused_and_pointed_at(client: httpx.AsyncClient, change: Body, at: str) -> None:
    field = await _defined(client, **NOTE)
    path = f"{URL}/{field['id']}"
    assert pointer(await client.patch(path, json={"required": True, **change})) == at
    assert (await client.get(path)).json() == field


async def test_choices_of_a_choice_are_changed_and_never_taken_away_whole(client: httpx.AsyncClient) -> None:
    path = f"{URL}/{(await _defined(client, **SIZE))['id']}"
    for wrong, at in ((None, "/choices"), ([], "/choices"), (["S", "s"], "/choices/1")):
        assert pointer(await client.patch(path, json={"choices": wrong})) == at
    assert (await client.patch(path, json={"choices": ["M", "L", "XL"]})).json()["choices"] == ["M", "L", "XL"]


async def test_a_field_of_customers_is_for_no_type_of_tickets(client: httpx.AsyncClient) -> None:
    path = f"{URL}/{(await _defined(client, **{**NOTE, 'subject': 'customer'}))['id']}"
    assert pointer(await client.patch(path, json={"ticket_types": ["task"]})) == "/ticket_types"
    assert (await client.patch(path, json={"ticket_types": None})).status_code == 200


async def test_of_fifty_at_once_with_one_key_whatever_its_case_one_is_made(client: httpx.AsyncClient) -> None:
    keys = itertools.cycle(("size", "SIZE", "Size"))
    answers = await asyncio.gather(*(client.post(URL, json={**NOTE, "key": next(keys)}) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    assert len(await _listed(client)) == 1


async def test_a_key_is_unique_among_the_fields_of_its_subject(client: httpx.AsyncClient) -> None:
    for subject in ("ticket", "customer", "organization"):
        await _defined(client, **{**NOTE, "subject": subject})
        assert (await client.post(URL, json={**NOTE, "subject": subject, "key": "NOTE"})).status_code == 409


async def test_an_archived_field_is_read_but_not_listed_and_stays_as_it_is(client: httpx.AsyncClient, sql: Any) -> None:
    field = await _defined(client, **SIZE)
    path = f"{URL}/{field['id']}"
    assert (await client.delete(path)).status_code == (await client.delete(path)).status_code == 204
    read = await client.get(path)
    archived = read.json()
    assert archived == {**field, "archived_at": archived["archived_at"]}
    assert archived["archived_at"] > field["created_at"]
    assert await _listed(client) == []
    refused = await client.patch(path, json={"name": "Other"})
    assert (refused.status_code, refused.json()["code"]) == (409, "custom_field_archived")
    stale = await client.patch(path, json={"name": "Other"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await client.get(path)).json() == archived
    assert len(await _logged(sql, field)) == 2


async def test_the_key_of_an_archived_field_may_be_defined_again_as_another_field(client: httpx.AsyncClient) -> None:
    first = await _defined(client, **SIZE)
    await client.delete(f"{URL}/{first['id']}")
    second = await _defined(client, **{**NOTE, "key": "SIZE"})
    assert second["id"] != first["id"]
    assert (await client.post(URL, json=SIZE)).status_code == 409
    await client.delete(f"{URL}/{second['id']}")
    await _defined(client, **SIZE)


async def test_a_field_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    path = f"{URL}/00000000-0000-7000-8000-000000000000"
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert (await client.request(method, path, json=body)).status_code == 404


async def test_another_process_knows_of_every_change_at_once(client: httpx.AsyncClient, settings: Settings) -> None:
    other = create_app(settings)
    async with other.router.lifespan_context(other), client_for(other, ADMIN_KEY) as http:

        async def opens(**fields: Any) -> int:
            body = {"subject": "Help", "customer": {"external_id": "c"}, "custom_fields": fields}
            return (await http.post("/v1/tickets", json=body)).status_code

        assert await opens(size="M") == 422
        path = f"{URL}/{(await _defined(client, **SIZE))['id']}"
        assert (await opens(size="M"), await opens(size="L"), await opens()) == (201, 422, 201)
        await client.patch(path, json={"choices": ["L"], "required": True})
        assert (await opens(size="M"), await opens(size="L"), await opens()) == (422, 201, 422)
        await client.delete(path)
        assert (await opens(size="L"), await opens()) == (422, 201)

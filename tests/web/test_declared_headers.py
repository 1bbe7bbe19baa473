"""What an answer says in its headers is what the OpenAPI document says that it does."""

import httpx
from fastapi import FastAPI

from tests.conftest import openapi
from tests.support.openapi import Open, Operation, operations, things

_DECLARED = ("ETag", "Location", "Link", "Next-Position")
# Its answer does not end.
_LEFT_OUT = {"stream_events"}


def _declared(operation: Operation, status: int) -> set[str]:
    found = openapi()["paths"][operation.path][operation.method.lower()]["responses"]
    return {name for name in _DECLARED if name in found.get(str(status), {}).get("headers", {})}


async def _asked(client: httpx.AsyncClient, open_ticket: Open, operation: Operation) -> httpx.Response:
    """Of things of its own: many an operation leaves nothing for the next."""
    ids = await things(client, open_ticket)
    return await client.request(operation.method, operation.url(ids), **operation.content(ids))


async def test_every_success_has_the_headers_that_are_declared(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ids = await things(client, open_ticket)
    seen, wrong = set(), []
    for operation in (each for each in operations(app) if each.id not in _LEFT_OUT):
        answer = await client.request(operation.method, operation.url(ids), **operation.content(ids))
        if not answer.is_success:
            answer = await _asked(client, open_ticket, operation)
        if not answer.is_success:
            continue
        declared = _declared(operation, answer.status_code)
        sent = {name for name in _DECLARED if name in answer.headers}
        # There is no next page of most lists.
        if sent | ({"Link"} & declared) != declared:
            wrong.append((operation.id, answer.status_code, sent ^ declared))
        seen |= {operation.id}
    assert not wrong
    assert len(seen) > 140, len(seen)


async def test_what_has_a_tag_is_not_sent_twice_as_is_declared(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ids = await things(client, open_ticket)
    tried = 0
    for operation in (each for each in operations(app) if each.method == "GET" and each.id not in _LEFT_OUT):
        found = openapi()["paths"][operation.path]["get"]
        says = "304" in found["responses"]
        assert ("If-None-Match" in operation.header_names) == says, operation.id
        answer = await client.get(operation.url(ids), headers={"If-None-Match": "*"})
        assert (answer.status_code == 304) == says, (operation.id, answer.status_code)
        tried += says
    assert tried > 20


async def test_a_place_is_one_that_can_be_read(app: FastAPI, client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    read = 0
    for operation in (each for each in operations(app) if each.method == "POST"):
        if "Location" not in _declared(operation, 201) or operation.id == "create_api_key":
            continue
        answer = await client.request("POST", operation.url(ids), **operation.content(ids))
        assert answer.status_code == 201, (operation.id, answer.text)
        place = await client.get(answer.headers["location"])
        assert (place.status_code, place.json()["id"]) == (200, answer.json()["id"]), operation.id
        read += 1
    assert read > 15


async def test_a_merge_patch_is_taken_under_its_own_type(
    app: FastAPI, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ids = await things(client, open_ticket)
    for operation in (each for each in operations(app) if each.method == "PATCH"):
        content = openapi()["paths"][operation.path]["patch"]["requestBody"]["content"]
        assert content.keys() == {"application/json", "application/merge-patch+json"}
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = await client.patch(operation.url(ids), content=b"{}", headers=headers)
        assert answer.status_code in (200, 422), operation.id
        assert "application/json" not in answer.text, operation.id

"""Whoever presses "Try it out" at `/docs` sends the example of the document, and it is taken as it is."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.web.openapi_examples import EXAMPLES, ID
from tests.conftest import client_for, openapi
from tests.support.document import plain
from tests.support.openapi import Operation, operations, things

Open = Callable[..., Awaitable[dict[str, Any]]]
# What the id in a body is of; everything else goes as it is written.
IDS = {
    "merge_ticket": "into",
    "create_link": "into",
    "solve_ticket_by_article": "article_id",
    "add_participant": "into_customer",
    "update_tickets": "ticket_id",
    "apply_macro_to_tickets": "ticket_id",
    "merge_customer": "into_customer",
    "create_segment_override": "into_customer",
}
# Whoever does this is an agent, and not only somebody who may do everything.
AGENTS = {"claim_tickets", "announce_answer"}
# Nobody delivers here, so that it is still to be tried the first time; and nobody is offered anything.
REFUSED = {"redeliver_webhook_delivery": "delivery_pending", "choose_at_overload": "nothing_offered"}


@pytest.fixture
async def agent(app: FastAPI, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Who is online."""
    agent_id = (await client.post("/v1/agents", json={"name": "Ann"})).json()["id"]
    assert (await client.put(f"/v1/agents/{agent_id}/availability", json={"state": "online"})).is_success
    made = await client.post("/v1/api-keys", json={"name": "Ann", "role": "agent", "agent_id": agent_id})
    async with client_for(app, made.json()["key"]) as http:
        yield http


def bodies(operation: Operation) -> dict[str, dict[str, Any]]:
    """By media type."""
    found = plain(openapi())["paths"][operation.path][operation.method.lower()]
    content: dict[str, dict[str, Any]] = found.get("requestBody", {}).get("content", {})
    return content


def sent(media_type: str, example: object, id_: str) -> dict[str, Any]:
    """As the page sends it: JSON, or text as it stands."""
    text = example if isinstance(example, str) else json.dumps(example)
    media_type = "text/plain" if media_type == "*/*" else media_type
    return {"content": text.replace(ID, id_).encode(), "headers": {"Content-Type": media_type}}


async def test_the_example_of_every_body_is_taken(
    app: FastAPI, client: httpx.AsyncClient, agent: httpx.AsyncClient, open_ticket: Open
) -> None:
    refused, tried = {}, set()
    for operation in operations(app):
        if operation.method not in ("POST", "PUT"):
            continue
        ids = await things(client, open_ticket)
        http = agent if operation.id in AGENTS else client
        for media_type, content in (bodies(operation) or {"": {}}).items():
            body: dict[str, Any] = {}
            if media_type:
                assert "example" in content, (operation.id, media_type)
                body = sent(media_type, content["example"], str(ids.get(IDS.get(operation.id, ""), ID)))
                tried.add(operation.id)
            answer = await http.request(operation.method, operation.url(ids), **body)
            if operation.id in REFUSED and answer.json().get("code") == REFUSED[operation.id]:
                continue
            if not answer.is_success or '"rejected":1' in answer.text:
                refused[operation.id, media_type] = (answer.status_code, answer.text)
    assert refused == {}, json.dumps([[*of, *said] for of, said in refused.items()], indent=1)
    assert tried == EXAMPLES.keys()

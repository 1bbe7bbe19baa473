"""What `none`, `me` and double quotes mean, asked of every list and report that the document has."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import Person
from tests.support.document import plain
from tests.support.expect import problem
from tests.support.openapi import NOBODY
from tests.support.verification import good

Make = Callable[..., Awaitable[Person]]
_DOCUMENT = plain(create_app(Settings(database_url=None, worker=False)).openapi())
# Who they are is an agent.
_OF_AGENTS = {"agent", "agent_id", "assignee", "assignee_id", "follower_id"}
# What nothing is without.
_ALWAYS_THERE = {
    ("/v1/promises", "agent_id"),
    ("/v1/tickets", "follower_id"),
    ("/v1/reports/availability", "agent"),
    ("/v1/webhooks/deliveries", "webhook_id"),
}
_NEVER_EMPTY = {"ids", "customer"}
_TEXTS = {"external_id", "product", "region", "segment", "tag"}


def _kinds(schema: dict[str, Any]) -> set[str]:
    items = schema.get("items", {})
    return {each.get("format") or each.get("type", "") for each in (items, *items.get("anyOf", ()))}


_PARAMETERS = [
    (path, each["name"], each["schema"])
    for path, item in _DOCUMENT["paths"].items()
    if "{" not in path
    for each in item.get("get", {}).get("parameters", ())
    if each["in"] == "query"
]
_IDS = [(path, name) for path, name, schema in _PARAMETERS if "uuid" in _kinds(schema)]
_AGENTS = [(path, name) for path, name in _IDS if name in _OF_AGENTS]
_CALLED = [(path, name) for path, name, schema in _PARAMETERS if name in _TEXTS]


def _may_lack(path: str, name: str) -> bool:
    if (path, name) in _ALWAYS_THERE or name in _NEVER_EMPTY:
        return False
    # Every ticket has a customer; an exception need not.
    return name != "customer_id" or path == "/v1/sla-exceptions"


def test_no_list_of_ids_is_missed() -> None:
    single = {(path, name) for path, name, schema in _PARAMETERS if schema.get("format") == "uuid"}
    assert single == {("/v1/events", "ticket_id"), ("/v1/events/stream", "ticket_id")}
    assert {name for _, name in _IDS} >= _OF_AGENTS
    assert {name for _, name in _CALLED} == _TEXTS


@pytest.mark.parametrize(("path", "name"), _AGENTS)
async def test_me_is_the_agent_who_calls(client: httpx.AsyncClient, person: Make, path: str, name: str) -> None:
    agent = await person("agent")
    good(await agent.http.get(path, params={name: "me"}))
    good(await agent.http.get(path, params={name: f"me,{NOBODY}"}))
    refused = problem(await client.get(path, params={name: "me"}), 422)
    assert [each["pointer"] for each in refused["errors"]] == [f"/query/{name}"]


@pytest.mark.parametrize(("path", "name"), _IDS)
async def test_none_asks_for_what_is_without(client: httpx.AsyncClient, path: str, name: str) -> None:
    for asked in ("none", f"{NOBODY},none"):
        answer = await client.get(path, params={name: asked})
        assert answer.status_code == (200 if _may_lack(path, name) else 422), answer.text
    good(await client.get(path, params={name: f'"{NOBODY}",{NOBODY}'}))
    # In quotes it is a word, and a word is no id.
    problem(await client.get(path, params={name: '"none"'}), 422)


@pytest.mark.parametrize(("path", "name"), _CALLED)
async def test_a_text_is_taken_literally_in_quotes(client: httpx.AsyncClient, path: str, name: str) -> None:
    for asked in ("none", '"none"', '"a, b",c', "a"):
        if asked != "none" or path != "/v1/articles":
            assert (await client.get(path, params={name: asked})).status_code == 200, asked
    problem(await client.get(path, params={name: '"a'}), 422)

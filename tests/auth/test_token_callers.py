"""Who a token makes of its bearer: one caller for all that it lets them do, and one name in the log."""

from collections.abc import Awaitable, Callable
from itertools import combinations
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.dependencies import Actor
from tests.auth.test_tokens import forget
from tests.conftest import client_for
from tests.support.events import actor_of
from tests.support.identity_provider import Provider

Maker = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def app(trusting: FastAPI) -> FastAPI:
    return trusting


async def _actor(app: FastAPI, token: str) -> Actor:
    found: Actor = await app.state.credentials.actor(token)
    return found


async def _id_of(client: httpx.AsyncClient, path: str, **body: Any) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
async def tokens(provider: Provider, client: httpx.AsyncClient) -> list[str]:
    """One subject, who may do another thing with each of them."""
    ann, ben = [await _id_of(client, "/v1/agents", name=name) for name in ("Ann", "Ben")]
    ada, eve = [await _id_of(client, "/v1/customers", name=name) for name in ("Ada", "Eve")]
    both = "tickets:read tickets:write"
    said: list[dict[str, Any]] = [
        {}, {"scope": both}, {"scope": "tickets:write"}, {"agent_id": ann},
        {"role": "lead", "agent_id": ann}, {"role": "agent", "agent_id": ann}, {"role": "agent", "agent_id": ben},
        {"role": "service", "scope": both}, {"role": "service", "scope": "tickets:write"},
        {"role": "service", "scope": both, "agent_id": ann},
        {"role": "customer", "customer_id": ada}, {"role": "customer", "customer_id": eve},
        {"sub": "grace"}, {"sub": "grace\n"},
    ]  # fmt: skip
    return [provider.sign(**each) for each in said]


async def test_who_may_do_something_else_is_another_caller(app: FastAPI, provider: Provider, tokens: list[str]) -> None:
    actors = [await _actor(app, token) for token in tokens]
    assert [(a, b) for a, b in combinations(actors, 2) if a.id == b.id] == []
    # And who may do the same is the same one, however a token says it.
    said: list[dict[str, Any]] = [
        {"scope": "tickets:write tickets:read"},
        {"scope": "openid tickets:read tickets:write", "iat": 1},
    ]
    assert {(await _actor(app, provider.sign(**each))).id for each in said} == {actors[1].id}


async def test_an_answer_is_repeated_to_nobody_else(app: FastAPI, tokens: list[str], open_ticket: Maker) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}/messages"
    replayed = []
    for token in [*tokens, tokens[0]]:
        async with client_for(app, token) as http:
            answer = await http.post(path, json={"body": "Hello."}, headers={"Idempotency-Key": "k"})
            replayed.append("idempotency-replayed" in answer.headers)
    assert replayed == [False] * len(tokens) + [True]


async def test_how_often_a_caller_may_ask_is_as_their_own_role_may(app: FastAPI, tokens: list[str]) -> None:
    for token in tokens:
        async with client_for(app, token) as http:
            told = (await http.get("/v1/tickets?limit=1")).headers["ratelimit"]
        assert told.startswith(f'"{(await _actor(app, token)).role}";'), told


async def test_the_log_names_the_bearer_whatever_they_may(
    app: FastAPI, provider: Provider, client: httpx.AsyncClient
) -> None:
    """An administrator and a machine, who are nobody here: one id each, and no other subject's."""
    asked: list[dict[str, Any]] = [
        {},
        {"scope": "tickets:write tickets:read"},
        {"role": "service", "scope": "tickets:write"},
        {"sub": "grace"},
    ]
    names = []
    for number, each in enumerate(asked):
        async with client_for(app, provider.sign(**each)) as http:
            body = {"subject": "Hello", "customer": {"external_id": str(number)}}
            ticket = (await http.post("/v1/tickets", json=body)).json()
        events = (await client.get(f"/v1/tickets/{ticket['id']}/events")).json()["items"]
        names.append(next(actor_of(event) for event in events if event["type"] == "ticket.created"))
    assert [name["kind"] for name in names] == ["agent", "agent", "bot", "agent"]
    assert len({name["id"] for name in names[:3]}) == 1
    assert names[3]["id"] not in (None, names[0]["id"])


async def test_a_customers_token_stands_for_no_agent_whatever_it_says(
    app: FastAPI, provider: Provider, client: httpx.AsyncClient
) -> None:
    ann = await _id_of(client, "/v1/agents", name="Ann", external_id="ann")
    ada = await _id_of(client, "/v1/customers", name="Ada")
    actor = await _actor(app, provider.sign(role="customer", sub="ann", customer_id=ada, agent_id=ann))
    assert (actor.agent_id, str(actor.customer_id)) == (None, ada)


async def test_who_stands_for_another_customer_by_now_is_another_caller(
    app: FastAPI, provider: Provider, client: httpx.AsyncClient
) -> None:
    ada, eve = [await _id_of(client, "/v1/customers", name=name) for name in ("Ada", "Eve")]
    token = provider.sign(role="customer", customer_id=ada)
    before = await _actor(app, token)
    await client.post(f"/v1/customers/{ada}/merge", json={"into": eve})
    forget(app)
    after = await _actor(app, token)
    assert (before.id == after.id, str(after.customer_id)) == (False, eve)

"""Who a caller is, in their own words."""

from collections.abc import Awaitable, Callable

import httpx

from app.auth.roles import SCOPES, Role, granted
from tests.conftest import Person
from tests.support.verification import good


async def test_a_key_says_its_role_its_scopes_and_its_agent(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]]
) -> None:
    agent = await person("agent")
    mine = good(await agent.http.get("/v1/me"))
    assert (mine["kind"], mine["role"], mine["agent"]["id"]) == ("agent", "agent", str(agent.id))
    assert (mine["scopes"], mine["customer"]) == (sorted(granted(Role.agent, None)), None)
    admins = good(await client.get("/v1/me"))
    assert (admins["kind"], admins["scopes"], admins["agent"]) == ("agent", sorted(SCOPES), None)


async def test_the_team_is_told_where_there_is_one_alone(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]]
) -> None:
    agent = await person("agent")
    one, other = [good(await client.post("/v1/teams", json={"key": key, "name": key})) for key in ("billing", "night")]
    assert good(await agent.http.get("/v1/me"))["team"] is None
    for team_ids, told in (([one["id"]], one), ([one["id"], other["id"]], None)):
        good(await client.patch(f"/v1/agents/{agent.id}", json={"team_ids": team_ids}))
        mine = good(await agent.http.get("/v1/me"))
        assert mine["team"] == told
        assert sorted(mine["agent"]["team_ids"]) == sorted(team_ids)


async def test_customers_see_themselves_as_customers_do(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]]
) -> None:
    customer = await person("customer")
    good(await client.patch(f"/v1/customers/{customer.id}", json={"attributes": {"mood": "cross"}}))
    mine = good(await customer.http.get("/v1/me"))
    assert (mine["kind"], mine["role"], mine["customer"]["id"]) == ("customer", "customer", str(customer.id))
    assert (mine["customer"]["attributes"], mine["agent"], mine["team"]) == ({}, None, None)


async def test_a_key_with_any_scope_may_ask_and_a_machine_is_nobody(client: httpx.AsyncClient) -> None:
    body = {"name": "mail", "role": "service", "scopes": ["imports:write"]}
    key = good(await client.post("/v1/api-keys", json=body))["key"]
    mine = good(await client.get("/v1/me", headers={"Authorization": f"Bearer {key}"}))
    assert (mine["kind"], mine["scopes"], mine["agent"], mine["customer"]) == ("bot", ["imports:write"], None, None)


async def test_the_limits_are_those_that_the_headers_name(
    client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]]
) -> None:
    customer = await person("customer")
    for http in (client, customer.http):
        answer = await http.get("/v1/me")
        told, policy = good(answer)["limits"], answer.headers["ratelimit-policy"]
        assert f"q={told['requests_per_minute']};w=60" in policy
        assert f'"concurrency";q={told["requests_at_once"]};' in policy

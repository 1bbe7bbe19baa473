"""What is open, against the lists of tickets and a count by hand."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.sla import Sql, let_pass, patch, reply, write_policy

Open = Callable[..., Awaitable[dict[str, Any]]]
URL = "/v1/reports/backlog"
OPEN = "new,open,pending,on_hold"


async def _backlog(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(URL, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def _count(client: httpx.AsyncClient, **params: Any) -> int:
    return len((await client.get("/v1/tickets", params={"limit": 200, "status": OPEN, **params})).json()["items"])


@pytest.fixture
async def tickets(client: httpx.AsyncClient, sql: Sql, open_ticket: Open) -> list[dict[str, Any]]:
    """Open ones that wait, sooner and later, and that do not; and some that are done."""
    await write_policy(client, 60, warn_at=[50])
    team = (await client.post("/v1/teams", json={"key": "t", "name": "T"})).json()
    made = []
    for n in range(12):
        more = {"team_id": team["id"]} if n % 3 else {}
        product = "a" if n % 4 else None
        made.append(await open_ticket(priority=("low", "high")[n % 2], product=product, channel="email", **more))
    for n, seconds in enumerate((5, 40, 70, 100)):
        await let_pass(sql, seconds, made[n])
    for n in (3, 4, 5, 6):
        await reply(client, made[n])
    await patch(client, made[4], status="pending")
    # Answered, and asked again.
    await client.post(f"/v1/tickets/{made[5]['id']}/messages", json={"body": "And?", "author": {"kind": "customer"}})
    await patch(client, made[6], status="resolved")
    await patch(client, made[7], status="closed")
    return made


async def test_the_whole_backlog_is_one_item(client: httpx.AsyncClient, tickets: list[dict[str, Any]]) -> None:
    [item] = await _backlog(client)
    assert set(item["group"].values()) == {None}
    # Ten are open; 3 and 4 were answered, 5 waits again.
    assert (item["open"], item["waiting"]) == (10, 8)
    assert 70 <= item["oldest_wait_seconds"] < 90
    # 3 was answered late and is open still.
    assert (item["at_risk"], item["breached"]) == (1, 2)
    for state in ("at_risk", "breached"):
        assert item[state] == await _count(client, sla=state)


@pytest.mark.parametrize("names", ["priority", "team,product", "channel", "priority,channel,product,team"])
async def test_each_group_is_what_a_list_of_it_holds(
    client: httpx.AsyncClient, tickets: list[dict[str, Any]], names: str
) -> None:
    items = await _backlog(client, group_by=names)
    assert sum(item["open"] for item in items) == 10
    assert sum(item["waiting"] for item in items) == 8
    assert len({tuple(item["group"].values()) for item in items}) == len(items)
    columns = {"team": "team_id"}
    for item in items:
        asked = {name: item["group"][name] for name in names.split(",")}
        assert {name.removesuffix("_name") for name, value in item["group"].items() if value} <= set(asked)
        if None not in asked.values():
            given = {columns.get(name, name): value for name, value in asked.items()}
            assert item["open"] == await _count(client, **given)
            assert item["breached"] == await _count(client, sla="breached", **given)


async def test_by_policy_segment_region_and_agent(client: httpx.AsyncClient, open_ticket: Open) -> None:
    agent = (await client.post("/v1/agents", json={"name": "Kim"})).json()
    customer = (await client.post("/v1/customers", json={"name": "Ada", "region": "FI"})).json()
    ticket = await open_ticket(customer={"id": customer["id"]}, assignee_id=agent["id"])
    await open_ticket()
    policies = (await client.get("/v1/sla-policies")).json()["items"]
    found = await _backlog(client, group_by="policy,segment,region,agent")
    [item] = [item for item in found if item["group"]["region"] == "FI"]
    assert item["group"]["agent"] == agent["id"] == ticket["assignee_id"]
    assert item["group"]["policy"] in {policy["id"] for policy in policies}
    assert [item["open"] for item in found] == [1, 1]


async def test_where_nothing_is_open_there_is_nothing(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await patch(client, await open_ticket(), status="resolved")
    [item] = await _backlog(client)
    assert (item["open"], item["waiting"], item["oldest_wait_seconds"], item["at_risk"]) == (0, 0, None, 0)
    assert await _backlog(client, group_by="priority") == []

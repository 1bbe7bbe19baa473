"""Figures belong to who and what they were about when the clock ended: nothing that happens later regroups them."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.db import Database
from app.verification.clocks import repair, verify
from tests.conftest import Person
from tests.support.sla import Sql, patch, reply
from tests.support.verification import Body, assert_verified, good, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
URL = "/v1/reports/response-times"
GROUPS = "agent,assignee,team,priority,type,channel,product,region,organization,customer,policy"


async def groups(client: httpx.AsyncClient, names: str, **params: Any) -> list[tuple[Any, ...]]:
    """The groups of those who were answered, each as its values in order, and how many they are."""
    items = good(await client.get(URL, params={"group_by": names, **params}))["items"]
    return [(*(item["group"][name] for name in names.split(",")), item["answered"]) for item in items]


async def _everything_changes(client: httpx.AsyncClient, ticket: Body, other: Body) -> None:
    await patch(
        client, ticket, assignee_id=None, team_id=other["team"], priority="urgent", type="incident", channel="phone",
        product="b", organization_id=other["organization"], tags=["new"],
    )  # fmt: skip
    customer = {"region": "SE", "organization_id": other["organization"]}
    good(await client.patch(f"/v1/customers/{ticket['customer_id']}", json=customer))


async def test_the_answer_belongs_to_who_gave_it_and_to_what_the_ticket_was_then(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database
) -> None:
    a, b = await person("agent"), await person("agent")
    teams = [good(await client.post("/v1/teams", json={"key": key, "name": key}))["id"] for key in "tu"]
    houses = [good(await client.post("/v1/organizations", json={"name": name}))["id"] for name in "ov"]
    customer = good(await client.post("/v1/customers", json={"name": "C", "region": "FI"}))
    ticket = await open_ticket(
        customer={"id": customer["id"]}, assignee_id=str(a.id), team_id=teams[0], product="a", channel="email",
        organization_id=houses[0], tags=["x", "y"],
    )  # fmt: skip
    await reply(b.http, ticket, assignee_id=str(b.id))
    policy = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"][0]["policy_id"]
    then = (
        str(b.id), str(a.id), teams[0], "normal", "question", "email", "a", "FI", houses[0], customer["id"], policy, 1,
    )  # fmt: skip
    assert await groups(client, GROUPS) == [then]
    assert await groups(client, "tag") == [("x", 1), ("y", 1)]
    await _everything_changes(client, ticket, {"team": teams[1], "organization": houses[1]})
    assert await groups(client, GROUPS) == [then]
    assert await groups(client, "tag") == [("x", 1), ("y", 1)]
    # The same names filter, and an item says what its ids are called.
    for name, value in zip(GROUPS.split(","), then, strict=False):
        [found] = good(await client.get(URL, params={name: value, "group_by": name}))["items"]
        assert found["answered"] == 1
        assert f"{name}_name" not in found["group"] or found["group"][f"{name}_name"], name
    # So do goals.
    body = {"name": "G", "target_seconds": 90, "window": {"rolling_seconds": 600}}
    for key, filter_, count in (
        ("then", {"team_id": teams[0], "priority": "normal", "channel": "email", "region": "FI"}, 1),
        ("now", {"team_id": teams[1]}, 0),
        ("region", {"region": "SE"}, 0),
    ):
        goal = good(await client.post("/v1/service-goals", json={**body, "key": key, "filter": filter_}))
        assert good(await client.get(f"/v1/service-goals/{goal['id']}/status"))["answered"] == count, key
    for name, value in {"agent": str(a.id), "assignee": str(b.id), "region": "SE", "tag": "new"}.items():
        assert [item["answered"] for item in good(await client.get(URL, params={name: value}))["items"]] == [0]
    await assert_verified(db)


async def test_another_customer_of_the_ticket_regroups_no_answer(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ids = [good(await client.post("/v1/customers", json={"name": "C", "region": r}))["id"] for r in ("FI", "SE")]
    ticket = await open_ticket(customer={"id": ids[0]})
    await reply(client, ticket)
    good(await client.post(f"/v1/customers/{ids[0]}/merge", json={"into": ids[1]}))
    assert await groups(client, "customer,region") == [(ids[0], "FI", 1)]
    # What still runs is the other one's, until it ends.
    [running] = good(await client.get(URL, params={"metric": "resolution", "group_by": "customer,region"}))["items"]
    assert (running["group"]["customer"], running["group"]["region"]) == (ids[1], "SE")
    await patch(client, ticket, status="resolved")
    await assert_verified(db)
    good(await client.post(f"/v1/customers/{ids[1]}/erase"))
    assert await groups(client, "customer,region") == [(ids[0], "FI", 1)]
    assert await groups(client, "customer,region", metric="resolution") == [(ids[1], "SE", 1)]
    await assert_verified(db)


async def test_a_clock_that_runs_on_belongs_to_nobody_until_it_ends_again(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database, sql: Sql
) -> None:
    agent, other = await person("agent"), await person("agent")
    ticket = await open_ticket(assignee_id=str(agent.id))
    await patch(agent.http, ticket, status="resolved", priority="high")
    assert await groups(client, "agent,priority", metric="resolution") == [(str(agent.id), "high", 1)]
    await patch(agent.http, ticket, status="open")
    await patch(agent.http, ticket, priority="low")
    [item] = good(await client.get(URL, params={"metric": "resolution", "group_by": "agent,priority"}))["items"]
    assert (item["group"]["agent"], item["group"]["priority"], item["running"]) == (None, "low", 1)
    assert await sql.fetchval("SELECT customer_id FROM sla_clocks WHERE metric = 'resolution'") is None
    await reply(other.http, ticket, status="resolved")
    assert await groups(client, "agent,priority", metric="resolution") == [(str(other.id), "low", 1)]
    await assert_verified(db)


async def test_the_policy_is_the_tickets_where_it_has_no_target_for_the_metric(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    policy = await write_targets(client, {"metric": "first_response", "seconds": 60})
    ticket = await open_ticket()
    for metric in ("first_response", "resolution"):
        [item] = good(await client.get(URL, params={"metric": metric, "group_by": "policy"}))["items"]
        assert (item["group"]["policy"], item["group"]["policy_name"]) == (policy["id"], "Own")
    [item] = good(await client.get("/v1/reports/backlog", params={"group_by": "policy"}))["items"]
    assert item["group"]["policy"] == policy["id"]
    await patch(client, ticket, status="resolved")
    await write_targets(client, {"metric": "resolution", "seconds": 60}, key="later", position=0)
    [item] = good(await client.get(URL, params={"metric": "resolution", "group_by": "policy"}))["items"]
    assert item["group"]["policy"] == policy["id"]
    await assert_verified(db)


async def test_what_ended_stays_with_a_policy_that_the_ticket_left_and_that_is_archived(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    conditions = {"all": [{"field": "ticket.tags", "op": "contains", "value": "own"}], "any": []}
    policy = await write_targets(client, {"metric": "first_response", "seconds": 60}, conditions=conditions)
    ticket = await open_ticket(tags=["own"])
    await reply(client, ticket)
    await reply(client, ticket, author={"kind": "customer"})
    await reply(client, ticket)
    await patch(client, ticket, tags=[])
    assert (await client.delete(f"/v1/sla-policies/{policy['id']}")).status_code == 204
    for metric in ("first_response", "next_response"):
        assert await groups(client, "policy", metric=metric) == [(policy["id"], 1)]
        [item] = good(await client.get(URL, params={"metric": metric, "policy": policy["id"]}))["items"]
        assert item["answered"] == 1
    [running] = good(await client.get(URL, params={"metric": "resolution", "group_by": "policy"}))["items"]
    assert running["group"]["policy"] != policy["id"]
    await assert_verified(db)


async def test_verify_finds_an_attribution_that_the_log_does_not_say_and_repair_mends_it(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database, sql: Sql
) -> None:
    agent = await person("agent")
    ticket = await open_ticket(priority="high")
    await reply(agent.http, ticket)
    wrong: dict[str, Any] = {"responder_id": ticket["id"], "priority": "low", "region": "XX", "tags": ["z"]}
    for name, value in wrong.items():
        await sql.execute(f"UPDATE sla_clocks SET {name} = $1 WHERE metric = 'first_response'", value)
    found = [difference.field async for _, some in verify(db) for difference in some]
    assert sorted(found) == sorted(wrong)
    for row in await sql.fetch("SELECT id FROM tickets"):
        await repair(db, row["id"])
    await assert_verified(db)
    assert await groups(client, "agent,priority") == [(str(agent.id), "high", 1)]

"""Who an import brings along: customers with what is known of them, organizations, teams, and who wrote what."""

from typing import Any

import httpx

from app.db import Database
from tests.support.imports import at, imported, item, message, send
from tests.support.sla import Sql, sweep_dry, write_policy
from tests.support.verification import good
from tests.verification.test_verify import differences

WHOLE: dict[str, Any] = {
    "external_id": "c-9", "name": "Ada", "email": "Ada@Shop.example", "region": "FI", "language": "fi",
    "organization": {"external_id": "o-1", "name": "Shop"},
}  # fmt: skip


async def test_a_customer_comes_with_what_is_known_of_them_from_all_tickets_of_the_batch(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    bare = {"external_id": "c-9", "name": "A. L."}
    outcomes = (await send(client, item("a", customer=bare), item("b", customer=WHOLE)))["items"]
    tickets = [good(await client.get(f"/v1/tickets/{each['ticket_id']}?include=customer")) for each in outcomes]
    customer = tickets[0]["customer"]
    known = ("name", "email", "region", "language")
    assert [customer[name] for name in known] == ["A. L.", "Ada@Shop.example", "FI", "fi"]
    organization = good(await client.get(f"/v1/organizations/{customer['organization_id']}"))
    assert (organization["external_id"], organization["name"]) == ("o-1", "Shop")
    assert {ticket["organization_id"] for ticket in tickets} == {organization["id"]}
    # Whoever is known already stays as they are, and nobody is made twice.
    again = await imported(client, item("c", customer={**WHOLE, "region": "SE"}))
    assert (again["customer"]["region"], again["customer"]["id"]) == ("FI", customer["id"])
    assert await sql.fetchval("SELECT count(*) FROM organizations WHERE external_id = 'o-1'") == 1


async def test_a_customer_known_by_their_address_is_that_one_and_an_address_is_one_persons(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    live = good(await client.post("/v1/customers", json={"email": "ada@shop.example"}))
    ticket = await imported(client, item("a", customer=WHOLE))
    assert ticket["customer_id"] == live["id"]
    good(await client.post("/v1/customers", json={"external_id": "eve", "email": "eve@shop.example"}))
    taken = item("b", customer={"external_id": "c-2", "email": "EVE@shop.example"})
    two = [item(name, customer={"external_id": name, "email": "bo@shop.example"}) for name in ("x", "y")]
    refused, first, second = (await send(client, taken, *two))["items"]
    assert [each["outcome"] for each in (refused, first, second)] == ["rejected", "created", "rejected"]
    for each in (refused, second):
        assert each["problem"]["errors"][0]["pointer"] == "/customer/email"
    assert await sql.fetchval("SELECT count(*) FROM customers WHERE external_id IN ('c-2', 'y')") == 0


async def test_messages_have_their_agents_and_new_ones_are_named_in_the_answer(client: httpx.AsyncClient) -> None:
    good(await client.post("/v1/agents", json={"name": "Known", "external_id": "known"}))
    known, new = ({"external_id": name} for name in ("known", "new"))
    assigned = {"at": at(33), "kind": "assignee", "assignee": {"external_id": "other"}}
    [outcome, plain] = (
        await send(client, item("a", message(31, agent=known), message(32, agent=new), assigned), item("b"))
    )["items"]
    assert (outcome["new_agents"], plain["new_agents"]) == (["new", "other"], [])
    found = good(await client.get(f"/v1/tickets/{outcome['ticket_id']}/messages"))["items"]
    agents = {each["id"]: each for each in good(await client.get("/v1/agents"))["items"]}
    authors = [agents[each["author"]["id"]] for each in found]
    assert [(agent["external_id"], agent["active"]) for agent in authors] == [("known", True), ("new", False)]
    wrong = message(31, "customer", agent={"external_id": "known"})
    [refused] = (await send(client, item("c", wrong)))["items"]
    assert refused["problem"]["errors"][0]["pointer"] == "/timeline/0"


async def test_a_team_is_named_by_its_key_and_an_unknown_one_refused(client: httpx.AsyncClient, sql: Sql) -> None:
    team = good(await client.post("/v1/teams", json={"key": "Billing", "name": "Billing"}))
    assert (await imported(client, item("a", team="billing")))["team_id"] == team["id"]
    [refused] = (await send(client, item("b", team="nowhere", customer={"external_id": "nobody"})))["items"]
    assert refused["problem"]["errors"][0]["pointer"] == "/team"
    assert await sql.fetchval("SELECT count(*) FROM customers WHERE external_id = 'nobody'") == 0


async def test_warnings_of_the_past_are_facts_too_as_if_it_had_happened_live(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await write_policy(client, {"high": 100, "normal": 400}, warn_at=[50, 80])
    raised = {"at": at(34), "kind": "priority", "priority": "high"}
    await send(
        client, item("in time", message(31)), item("late", message(59)),
        item("raised", raised, message(35)), item("open"),
    )  # fmt: skip
    rows = await sql.fetch(
        "SELECT t.external_id, e.type, (e.data ->> 'target_seconds')::int, (e.data ->> 'percent')::int, e.imported"
        " FROM events e JOIN tickets t ON t.id = e.ticket_id WHERE e.type IN ('sla.at_risk', 'sla.breached')"
        " AND e.data ->> 'metric' = 'first_response' ORDER BY 1, e.id"
    )
    whole = [("sla.at_risk", 400, 50, True), ("sla.at_risk", 400, 80, True), ("sla.breached", 400, 0, True)]
    fast = [("sla.at_risk", 100, 50, True), ("sla.at_risk", 100, 80, True), ("sla.breached", 100, 0, True)]
    told = {name: [tuple(row)[1:] for row in rows if row[0] == name] for name in ("in time", "late", "raised", "open")}
    assert told["in time"] == []
    assert told["late"] == told["open"] == whole
    # At 34 minutes past, 240 of 400 seconds had gone; all of the new 100 had, too.
    assert sorted(told["raised"]) == sorted([whole[0], *fast])
    assert await sql.fetchval("SELECT count(*) FROM sla_alerts") >= len(rows)
    assert await sweep_dry(db) == 0
    assert await differences(db) == []

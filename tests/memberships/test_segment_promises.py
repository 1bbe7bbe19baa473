"""What segments, and what is known of customers, do to promises: policies that ask for them, exceptions of every scope,
and segments that are not judged."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.db import Database
from app.memberships import service
from app.sla import job_queue
from app.sla_exceptions.service import run_once
from tests.support.segments import (
    PRO,
    assert_all_verified,
    field,
    make_customer,
    make_pro,
    make_segment,
    settled,
    settled_for_good,
)
from tests.support.sla import Sql, patch, reply, the_clock
from tests.support.verification import Body, events, good, instant, pointers, soon, write_targets

Open = Callable[..., Awaitable[Body]]
FIRST = {"metric": "first_response", "seconds": 3600}
FAST = {"metric": "first_response", "seconds": 30}


async def _policies(client: httpx.AsyncClient, condition: Body, key: str = "fast", position: int = 0) -> Body:
    """Half a minute where the condition holds, before an hour for all."""
    return await write_targets(client, FAST, key=key, position=position, conditions={"all": [condition], "any": []})


async def _target(client: httpx.AsyncClient, ticket: Body) -> Any:
    return (await the_clock(client, ticket))["target_seconds"]


async def _change(client: httpx.AsyncClient, customer: Body, **values: Any) -> Body:
    return good(await client.patch(f"/v1/customers/{customer['id']}", json=values))


async def test_26_a_segment_membership_changes_and_its_open_tickets_re_match(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await make_segment(client, "pro", PRO)
    await settled(db)
    await write_targets(client, FIRST, position=1)
    fast = await _policies(client, field("segment", "eq", "pro"))
    customer = await make_customer(client)
    running, answered, resolved = [await open_ticket(customer={"id": customer["id"]}) for _ in range(3)]
    await reply(client, answered)
    await patch(client, resolved, status="resolved")
    before = await the_clock(client, running)
    await _change(client, customer, attributes={"plan": "pro"})
    after = await the_clock(client, running)
    assert (before["target_seconds"], after["target_seconds"], after["policy_id"]) == (3600, 30, fast["id"])
    assert (after["started_at"], after["original_due_at"]) == (before["started_at"], before["original_due_at"])
    assert [await _target(client, ticket) for ticket in (answered, resolved)] == [3600, 3600]
    [applied] = await events(client, running, "sla.policy_applied")
    assert applied["data"]["because"] == "customer changed"
    # What is opened, or reopened, from now on is promised the same.
    assert await _target(client, await open_ticket(customer={"id": customer["id"]})) == 30
    await patch(client, resolved, status="open")
    assert (await events(client, resolved, "sla.policy_applied"))[0]["data"]["because"] == "reopened"
    # By hand, and back.
    segment = good(await client.get("/v1/segments"))["items"][0]
    override = {"customer_id": customer["id"], "effect": "exclude", "reason": "Not theirs."}
    made = good(await client.post(f"/v1/segments/{segment['id']}/overrides", json=override))
    assert await _target(client, running) == 3600
    await client.delete(f"/v1/segments/{segment['id']}/overrides/{made['id']}")
    assert await _target(client, running) == 30
    explained = good(await client.get(f"/v1/tickets/{running['id']}/explain"))["policies"]
    assert [(each["key"], each["taken"]) for each in explained[:2]] == [("fast", True), ("own", False)]
    await settled(db)
    await assert_all_verified(db)


async def test_a_rules_change_re_matches_the_tickets_of_those_who_moved(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    segment = await make_segment(client, "pro", PRO)
    await settled(db)
    await write_targets(client, FIRST, position=1)
    await _policies(client, field("segment", "in", ["pro", "pro"]))
    inside, outside = await make_pro(client), await make_customer(client)
    tickets = [await open_ticket(customer={"id": each["id"]}) for each in (inside, outside)]
    assert [await _target(client, ticket) for ticket in tickets] == [30, 3600]
    good(await client.patch(f"/v1/segments/{segment['id']}", json={"rule": {"not": PRO}}))
    await settled(db)
    assert [await _target(client, ticket) for ticket in tickets] == [3600, 30]
    job = good(await client.get("/v1/sla-jobs"))["items"][-1]
    assert (job["kind"], job["state"], job["tickets_seen"], job["tickets"]) == ("segment_changed", "done", 2, 2)
    assert (await client.delete(f"/v1/segments/{segment['id']}")).status_code == 204
    await settled(db)
    assert [await _target(client, ticket) for ticket in tickets] == [3600, 3600]
    await assert_all_verified(db)


async def test_policies_read_customers_and_their_organization(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, FIRST, position=1)
    # This process has opened a ticket before there is a policy that asks for more.
    await open_ticket()
    rule = {"any": [field("customer.region", "eq", "FI"), field("organization.attributes.tier", "gte", 2)]}
    await _policies(client, rule)
    finn = await make_customer(client, region="FI", external_id="finn")
    acme = good(await client.post("/v1/organizations", json={"name": "Acme", "attributes": {"tier": 1}}))
    theirs = await make_customer(client, organization_id=acme["id"])
    tickets = [await open_ticket(customer={"id": each["id"]}) for each in (finn, theirs)]
    assert [await _target(client, ticket) for ticket in tickets] == [30, 3600]
    good(await client.patch(f"/v1/organizations/{acme['id']}", json={"attributes": {"tier": 2}}))
    await settled(db)
    assert await _target(client, tickets[1]) == 30
    explained = good(await client.get(f"/v1/tickets/{tickets[1]['id']}/explain"))["policies"]
    assert explained[0]["taken"]
    await _change(client, finn, region="SE")
    assert await _target(client, tickets[0]) == 3600
    facts = {"customer.region": "SE", "segment": ["x"], "ticket.priority": "low"}
    explained = good(await client.post("/v1/sla-policies/explain", json={"facts": facts}))["policies"]
    assert (explained[0]["matches"], explained[0]["failed"]) == (False, rule)
    imported = {"external_id": "i", "subject": "Old", "created_at": "2020-01-01T00:00:00Z",
                "customer": {"external_id": "finn"}}  # fmt: skip
    await _change(client, finn, region="FI")
    [item] = good(await client.post("/v1/imports/tickets", json={"tickets": [imported]}))["items"]
    assert await _target(client, {"id": item["ticket_id"]}) == 30
    await settled(db)
    await assert_all_verified(db)


async def test_of_very_many_tickets_of_a_customer_a_job_matches_the_rest(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MOST", 3)
    await write_targets(client, FIRST, position=1)
    await _policies(client, field("customer.region", "eq", "FI"))
    customer = await make_customer(client)
    tickets = [await open_ticket(customer={"id": customer["id"]}) for _ in range(5)]
    await _change(client, customer, region="FI")
    assert [await _target(client, ticket) for ticket in tickets] == [30, 30, 30, 3600, 3600]
    await settled(db)
    assert [await _target(client, ticket) for ticket in tickets] == [30] * 5
    await assert_all_verified(db)


async def test_the_second_look_at_a_customers_tickets_is_at_those_that_changed_meanwhile(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    await write_targets(client, FIRST, position=1)
    await _policies(client, field("customer.region", "eq", "FI"))
    customer = await make_customer(client)
    before, meanwhile = [await open_ticket(customer={"id": customer["id"]}) for _ in range(2)]
    earlier = "created_at = created_at - interval '1 hour', updated_at = updated_at - interval '1 hour'"
    await sql.execute(f"UPDATE tickets SET {earlier} WHERE id = $1", before["id"])
    # As if they were changed while the tickets were opened.
    await sql.execute("UPDATE customers SET region = 'FI' WHERE id = $1", customer["id"])
    async with db.transaction() as tx:
        job_queue.look_again(tx, job_queue.Kind.customer_changed, UUID(customer["id"]), await tx.now())
    await settled_for_good(db)
    assert [await _target(client, ticket) for ticket in (before, meanwhile)] == [3600, 30]


async def test_conditions_that_no_policy_can_have_are_refused(client: httpx.AsyncClient, db: Database) -> None:
    await make_segment(client, "pro", PRO)
    wrong = {
        "/conditions/all/0/value": [
            field("segment", "eq", "por"), field("segment", "contains", "PRO"), field("segment", "in", ["pro", "x"]),
        ],
        "/conditions/all/0/field": [field("customer.open_tickets", "gt", 1), field("customer.age", "gt", 1)],
        "/conditions/all/0/op": [field("segment", "lt", "pro")],
    }  # fmt: skip
    for pointer, conditions in wrong.items():
        for condition in conditions:
            body = {"key": "k", "name": "K", "targets": [FIRST], "conditions": {"all": [condition]}}
            [found] = pointers(await client.post("/v1/sla-policies", json=body))
            assert found.startswith(pointer)
    body["conditions"] = {"all": [field("customer.open_tickets", "gt", 1)]}
    refused = await client.post("/v1/sla-policies", json=body)
    assert "make a segment" in refused.json()["detail"]
    for condition in (field("segment", "exists", True), field("segment", "not_in", ["pro"])):
        body |= {"key": condition["op"], "conditions": {"all": [condition]}}
        good(await client.post("/v1/sla-policies", json=body))


async def _grant(client: httpx.AsyncClient, **body: Any) -> Body:
    return good(await client.post("/v1/sla-exceptions", json={"reason": "Storm.", "applies_to": "running", **body}))


async def test_an_exception_for_a_segment_reaches_its_members_as_they_come_and_go(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    segment = await make_segment(client, "pro", PRO)
    await settled(db)
    await write_targets(client, FIRST, position=1)
    inside, outside = await make_pro(client), await make_customer(client)
    tickets = [await open_ticket(customer={"id": each["id"]}) for each in (inside, outside)]
    granted = await _grant(client, scope="segment", segment_id=segment["id"], effect="extend", seconds=600)
    assert (granted["ticket_id"], granted["segment_id"], granted["state"]) == (None, segment["id"], "in_force")
    later = [await open_ticket(customer={"id": each["id"]}) for each in (inside, outside)]
    await settled(db)
    assert [await _target(client, ticket) for ticket in (*tickets, *later)] == [4200, 3600, 4200, 3600]
    await _change(client, outside, attributes={"plan": "pro"})
    await _change(client, inside, attributes={"plan": None})
    assert [await _target(client, ticket) for ticket in (*tickets, *later)] == [3600, 4200, 3600, 4200]
    assert (await client.delete(f"/v1/sla-exceptions/{granted['id']}")).status_code == 204
    await settled(db)
    assert [await _target(client, ticket) for ticket in (*tickets, *later)] == [3600] * 4
    assert good(await client.get(f"/v1/sla-exceptions?segment_id={segment['id']}"))["items"][0]["state"] == "revoked"
    assert good(await client.get("/v1/sla-exceptions?scope=ticket,everything"))["items"] == []
    await assert_all_verified(db)


async def test_an_exception_for_a_customer_or_for_everything(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    await write_targets(client, FIRST, position=1)
    mine, other = await make_customer(client), await make_customer(client)
    before = [await open_ticket(customer={"id": each["id"]}) for each in (mine, other)]
    resolved = await open_ticket(customer={"id": mine["id"]})
    await patch(client, resolved, status="resolved")
    await _grant(client, scope="customer", customer_id=mine["id"], effect="retarget", seconds=900)
    freeze = {"effect": "freeze", "starts_at": soon(60), "expires_at": soon(120), "metrics": ["first_response"]}
    await _grant(client, scope="everything", **freeze)
    await settled(db)
    after = [await open_ticket(customer={"id": each["id"]}) for each in (mine, other)]
    clocks = [await the_clock(client, ticket) for ticket in (*before, *after)]
    assert [clock["target_seconds"] for clock in clocks] == [900, 3600, 900, 3600]
    for clock in clocks:
        due = instant(clock["due_at"]) - instant(clock["started_at"])
        assert round(due.total_seconds()) == clock["target_seconds"] + 60
    # What was resolved meanwhile gets them when it is reopened.
    await patch(client, resolved, status="open")
    clock = await the_clock(client, resolved, "resolution")
    assert clock["state"] == "running"
    assert clock["target_seconds"] == 900
    report = good(await client.get("/v1/reports/response-times?exceptions=without"))["items"][0]
    assert report["breached"] == 0
    await assert_all_verified(db)


async def test_an_exception_for_many_begins_and_expires_by_itself(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    await write_targets(client, FIRST, position=1)
    ticket = await open_ticket()
    granted = await _grant(
        client, scope="everything", effect="extend", seconds=60, starts_at=soon(0.4), expires_at=soon(1.2)
    )
    await settled(db)
    assert await _target(client, ticket) == 3600
    await asyncio.sleep(0.5)
    assert await run_once(db)
    early = await open_ticket()
    await settled(db)
    assert [await _target(client, each) for each in (ticket, early)] == [3660, 3660]
    await asyncio.sleep(0.9)
    assert await run_once(db)
    late = await open_ticket()
    await settled(db)
    assert [await _target(client, each) for each in (ticket, early, late)] == [3660, 3660, 3600]
    rows = await sql.fetch("SELECT type FROM events WHERE type LIKE 'sla_exception.%' ORDER BY id")
    assert [row["type"] for row in rows] == [f"sla_exception.{verb}" for verb in ("granted", "started", "expired")]
    assert good(await client.get(f"/v1/sla-exceptions/{granted['id']}"))["state"] == "expired"
    await assert_all_verified(db)


async def test_an_import_gets_the_exceptions_of_its_time(client: httpx.AsyncClient, db: Database) -> None:
    await write_targets(client, {"metric": "resolution", "seconds": 3600}, position=1)
    ahead = {"scope": "everything", "effect": "extend", "seconds": 60, "expires_at": soon(3600)}
    await _grant(client, **ahead, starts_at="2020-01-01T00:10:00Z")
    await _grant(client, **ahead, starts_at="2020-01-02T00:00:00Z")
    about = {"subject": "Old", "created_at": "2020-01-01T00:00:00Z", "customer": {"external_id": "c"}}
    solved = {"at": "2020-01-01T00:30:00Z", "kind": "status", "status": "resolved"}
    tickets = [{**about, "external_id": "open"}, {**about, "external_id": "done", "timeline": [solved]}]
    items = good(await client.post("/v1/imports/tickets", json={"tickets": tickets}))["items"]
    targets = [(await the_clock(client, {"id": each["ticket_id"]}, "resolution"))["target_seconds"] for each in items]
    assert targets == [3720, 3660]
    await assert_all_verified(db)


async def test_a_segment_that_is_not_judged_has_no_deadlines(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    segment = await make_segment(client, "spared", PRO, judged=False)
    await settled(db)
    await write_targets(client, FIRST, position=1)
    customer = await make_pro(client)
    before = await open_ticket(customer={"id": customer["id"]})
    clock = await the_clock(client, before)
    assert (clock["excluded"], clock["due_at"]) == (True, None)
    good(await client.patch(f"/v1/segments/{segment['id']}", json={"judged": True}))
    await settled(db)
    clock = await the_clock(client, before)
    assert (clock["excluded"], clock["target_seconds"]) == (False, 3600)
    good(await client.patch(f"/v1/segments/{segment['id']}", json={"judged": False}))
    await settled(db)
    assert (await the_clock(client, before))["excluded"]
    await _change(client, customer, attributes={"plan": None})
    assert not (await the_clock(client, before))["excluded"]
    await assert_all_verified(db)


async def test_scopes_and_ids_that_do_not_fit_are_refused(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    nobody = "01900000-0000-7000-8000-000000000000"
    rest: Body = {"effect": "extend", "seconds": 60, "reason": "Storm."}
    wrong: list[tuple[str, Body]] = [
        ("/ticket_id", {}),
        ("/ticket_id", {"scope": "everything", "ticket_id": ticket["id"]}),
        ("/customer_id", {"scope": "customer"}),
        ("/customer_id", {"scope": "customer", "customer_id": nobody}),
        ("/segment_id", {"scope": "segment", "segment_id": nobody}),
        ("/segment_id", {"ticket_id": ticket["id"], "segment_id": nobody}),
        ("/seconds", {"scope": "everything", "seconds": None}),
    ]
    for pointer, body in wrong:
        assert pointers(await client.post("/v1/sla-exceptions", json={**rest, **body})) == [pointer], body

"""Segments as their users see them: who belongs, why, since when, and what changes that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx

from app.db import Database
from app.verification.memberships import repair_members
from tests.support.segments import (
    PRO,
    assert_all_verified,
    field,
    keys_of,
    make_customer,
    make_pro,
    make_segment,
    member_differences,
    settled,
)
from tests.support.sla import Sql
from tests.support.verification import Body, good, pointers, soon

Open = Callable[..., Awaitable[Body]]


async def _told(sql: Sql, customer: Body) -> list[tuple[str, str]]:
    rows = await sql.fetch(
        "SELECT type, data ->> 'key' AS key FROM events"
        " WHERE subject_id = $1 AND type LIKE 'segment.member%' ORDER BY id",
        UUID(customer["id"]),
    )
    return [(row["type"].removeprefix("segment.member_"), row["key"]) for row in rows]


async def test_a_customer_belongs_by_the_rule_at_once_and_as_long_as_it_holds(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await make_segment(client, "pro", PRO, position=2)
    await make_segment(client, "finns", field("customer.region", "eq", "FI"), position=1)
    await settled(db)
    customer = await make_pro(client, region="FI", external_id="c")
    assert await keys_of(client, customer) == ["finns", "pro"]
    good(await client.patch(f"/v1/customers/{customer['id']}", json={"region": "SE"}))
    assert await keys_of(client, customer) == ["pro"]
    good(await client.put("/v1/customers/by-external-id/c", json={"region": "FI", "attributes": {"plan": "free"}}))
    assert await keys_of(client, customer) == ["finns"]
    assert await _told(sql, customer) == [
        ("added", "finns"), ("added", "pro"), ("removed", "finns"), ("added", "finns"), ("removed", "pro"),
    ]  # fmt: skip
    stays = good(await client.get(f"/v1/customers/{customer['id']}/segments?past=true"))["items"]
    assert [(stay["key"], stay["until"] is None, stay["reason"], stay["rule_version"]) for stay in stays] == [
        ("finns", False, "rule", 1), ("finns", True, "rule", 1), ("pro", False, "rule", 1),
    ]  # fmt: skip
    assert stays[0]["until"] <= stays[1]["since"]
    assert await member_differences(db) == []


async def test_a_rules_change_is_a_job_that_tells_how_far_it_is(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    pros = [await make_pro(client) for _ in range(3)]
    other = await make_customer(client)
    segment = await make_segment(client, "pro", PRO)
    job = good(await client.get("/v1/segment-jobs"))["items"][-1]
    assert (job["kind"], job["subject_id"], job["state"]) == ("rule_changed", segment["id"], "waiting")
    await settled(db)
    done = good(await client.get(f"/v1/segment-jobs/{job['id']}"))
    assert (done["state"], done["customers_seen"], done["customers_total"]) == ("done", 4, 4)
    assert (done["added"], done["removed"]) == (3, 0)
    members = f"/v1/segments/{segment['id']}/members"
    assert [each["customer_id"] for each in good(await client.get(members))["items"]] == [each["id"] for each in pros]
    pages = [good(await client.get(f"{members}?limit=2"))]
    pages.append(good(await client.get(members, params={"limit": 2, "cursor": pages[0]["next_cursor"]})))
    assert [len(page["items"]) for page in pages] == [2, 1]
    changed = await client.patch(f"/v1/segments/{segment['id']}", json={"rule": {"not": PRO}})
    assert good(changed)["rule_version"] == 2
    await settled(db)
    [now] = good(await client.get(members))["items"]
    assert (now["customer_id"], now["rule_version"], now["reason"]) == (other["id"], 2, "rule")
    versions = good(await client.get(f"/v1/segments/{segment['id']}/versions"))["items"]
    assert [(each["version"], each["rule"]) for each in versions] == [(2, {"not": PRO}), (1, PRO)]
    assert await _told(sql, pros[0]) == [("added", "pro"), ("removed", "pro")]
    # What changes no rule makes no version and no job.
    jobs = len(good(await client.get("/v1/segment-jobs"))["items"])
    good(await client.patch(f"/v1/segments/{segment['id']}", json={"name": "Others", "position": 3}))
    assert len(good(await client.get("/v1/segment-jobs"))["items"]) == jobs
    assert (await client.delete(f"/v1/segments/{segment['id']}")).status_code == 204
    await settled(db)
    assert good(await client.get(members))["items"] == []
    assert await keys_of(client, other) == []
    refused = await client.patch(f"/v1/segments/{segment['id']}", json={"name": "Again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "segment_archived")
    assert await member_differences(db) == []


async def test_overrides_let_in_and_keep_out_and_expire_by_themselves(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    segment = await make_segment(client, "pro", PRO)
    await settled(db)
    url = f"/v1/segments/{segment['id']}/overrides"
    inside, outside = await make_pro(client), await make_customer(client)
    kept_out = good(await client.post(url, json={"customer_id": inside["id"], "effect": "exclude", "reason": "Fraud."}))
    let_in = good(
        await client.post(
            url,
            json={"customer_id": outside["id"], "effect": "include", "reason": "VIP.", "expires_at": soon(0.6)},
        )
    )
    assert await keys_of(client, inside) == []
    [stay] = good(await client.get(f"/v1/customers/{outside['id']}/segments"))["items"]
    assert (stay["reason"], stay["override_id"], stay["override_reason"]) == ("override", let_in["id"], "VIP.")
    again = await client.post(url, json={"customer_id": inside["id"], "effect": "include", "reason": "No."})
    assert (again.status_code, again.json()["code"]) == (409, "overridden")
    # It outweighs the facts, as long as it lasts.
    good(await client.patch(f"/v1/customers/{inside['id']}", json={"name": "Still"}))
    assert await keys_of(client, inside) == []
    good(await client.patch(f"/v1/customers/{outside['id']}", json={"name": "Still"}))
    assert await member_differences(db) == []
    await asyncio.sleep(0.7)
    await settled(db)
    assert await keys_of(client, outside) == []
    over = good(await client.get(f"{url}/{let_in['id']}"))
    assert over["ended_at"] == over["expires_at"]
    assert (await client.delete(f"{url}/{kept_out['id']}")).status_code == 204
    assert await keys_of(client, inside) == ["pro"]
    listed = good(await client.get(url, params={"customer_id": inside["id"]}))["items"]
    assert [(each["id"], each["ended_at"] is None, each["made_by"]["kind"]) for each in listed] == [
        (kept_out["id"], False, "agent")
    ]
    types = await sql.fetch("SELECT type FROM events WHERE type LIKE 'segment_override%' ORDER BY id")
    assert [row["type"] for row in types] == [
        f"segment_override.{verb}" for verb in ("created", "created", "expired", "deleted")
    ]
    # Where the rule holds them anyway, only the reason changes.
    made = good(await client.post(url, json={"customer_id": inside["id"], "effect": "include", "reason": "Sure."}))
    [stay] = good(await client.get(f"/v1/customers/{inside['id']}/segments"))["items"]
    assert (stay["override_id"], stay["rule_version"]) == (made["id"], None)
    assert await member_differences(db) == []


async def test_an_organizations_change_reaches_its_customers(client: httpx.AsyncClient, db: Database) -> None:
    rule = {"all": [field("organization.attributes.tier", "gte", 2), field("organization.region", "ne", "SE")]}
    await make_segment(client, "big", rule)
    await settled(db)
    acme = good(await client.post("/v1/organizations", json={"name": "Acme", "attributes": {"tier": 1}}))
    customer = await make_customer(client, organization_id=acme["id"])
    alone = await make_customer(client)
    assert await keys_of(client, customer) == []
    good(await client.patch(f"/v1/organizations/{acme['id']}", json={"attributes": {"tier": 3}}))
    await settled(db)
    assert (await keys_of(client, customer), await keys_of(client, alone)) == (["big"], [])
    good(await client.patch(f"/v1/customers/{customer['id']}", json={"organization_id": None}))
    assert await keys_of(client, customer) == []
    assert await member_differences(db) == []


async def test_figures_of_their_history_follow_their_tickets_and_the_time(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    before = await make_customer(client, external_id="before")
    await open_ticket(customer={"id": before["id"]}, type="complaint")
    await make_segment(client, "busy", field("customer.open_tickets", "gte", 2), position=1)
    await make_segment(client, "angry", field("customer.complaints", "gt", 0), position=2)
    await make_segment(client, "recent", field("customer.tickets_last_30_days", "gte", 1), position=3)
    await make_segment(client, "quiet", field("customer.last_ticket_at", "exists", False), position=4)
    await make_segment(client, "let_down", field("customer.breaches_last_90_days", "gt", 0), position=5)
    await settled(db)
    assert await keys_of(client, before) == ["angry", "recent"]
    ticket = await open_ticket(customer={"id": before["id"]})
    new = await make_customer(client)
    assert await keys_of(client, new) == ["quiet"]
    await settled(db)
    assert await keys_of(client, before) == ["busy", "angry", "recent"]
    good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "resolved"}))
    await settled(db)
    assert await keys_of(client, before) == ["angry", "recent"]
    assert await member_differences(db) == []
    # A month later, for the log tells of nothing.
    await sql.execute("UPDATE tickets SET created_at = created_at - interval '31 days'")
    await sql.execute("UPDATE segment_rechecks SET at = at - interval '31 days'")
    await settled(db)
    assert await keys_of(client, before) == ["angry"]
    assert await sql.fetchval("SELECT count(*) FROM segment_rechecks") == 0
    assert await member_differences(db) == []


async def test_who_is_new_belongs_from_the_start_however_they_come(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await make_segment(client, "all", field("customer.external_id", "exists", True))
    await settled(db)
    ticket = await open_ticket(customer={"external_id": "opened"})
    assert ticket["segment"] == "all"
    imported = {"external_id": "i", "subject": "Old", "created_at": "2020-01-01T00:00:00Z",
                "customer": {"external_id": "imported"}}  # fmt: skip
    good(await client.post("/v1/imports/tickets", json={"tickets": [imported]}))
    found = good(await client.get("/v1/tickets?segment=all"))["items"]
    assert {item["external_id"] for item in found} == {None, "i"}
    assert (await open_ticket(customer={"email": "a@b.test"}))["segment"] is None
    await assert_all_verified(db)


async def test_a_tickets_segment_is_the_first_one_and_stays(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await make_segment(client, "pro", PRO, position=5)
    await make_segment(client, "vip", field("customer.attributes.vip", "eq", True), position=1)
    await settled(db)
    customer = await make_customer(client, attributes={"plan": "pro", "vip": True}, region="FI")
    ticket = await open_ticket(customer={"id": customer["id"]})
    assert ticket["segment"] == "vip"
    good(await client.patch(f"/v1/customers/{customer['id']}", json={"attributes": {"vip": None}}))
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["segment"] == "vip"
    assert (await open_ticket(customer={"id": customer["id"]}))["segment"] == "pro"
    assert [item["id"] for item in good(await client.get("/v1/tickets?segment=vip"))["items"]] == [ticket["id"]]
    assert len(good(await client.get("/v1/tickets?segment=vip,pro&sort=due_at"))["items"]) == 2
    clocks = good(await client.get("/v1/sla-clocks?segment=vip"))["items"]
    assert {clock["ticket_id"] for clock in clocks} == {ticket["id"]}
    report = good(await client.get("/v1/reports/response-times?group_by=segment,region"))["items"]
    assert [(item["group"]["segment"], item["group"]["region"], item["running"]) for item in report] == [
        ("pro", "FI", 1), ("vip", "FI", 1),
    ]  # fmt: skip
    goal = {"key": "g", "name": "G", "target_seconds": 90, "window": {"rolling_seconds": 600}}
    for filter_, running in (({"segment": "vip"}, 1), ({"region": "FI"}, 2), ({"region": "SE"}, 0)):
        made = good(await client.post("/v1/service-goals", json={**goal, "key": str(filter_), "filter": filter_}))
        assert made["filter"] == {"priority": None, "channel": None, "team_id": None, "segment": None, "region": None,
                                  **filter_}  # fmt: skip
        assert good(await client.get(f"/v1/service-goals/{made['id']}/status"))["running"] == running


async def test_a_preview_counts_and_stores_nothing(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    pros = {(await make_pro(client))["id"] for _ in range(12)}
    await make_customer(client)
    events = await sql.fetchval("SELECT count(*) FROM events")
    found = good(await client.post("/v1/segments/preview", json={"rule": PRO}))
    assert (found["count"], len(found["sample"])) == (12, 10)
    assert set(found["sample"]) <= pros
    everybody = good(await client.post("/v1/segments/preview", json={"rule": {"all": []}}))
    assert everybody["count"] == 13
    figures = {"rule": {"not": field("customer.open_tickets", "gt", 0)}}
    assert good(await client.post("/v1/segments/preview", json=figures))["count"] == 13
    assert await sql.fetchval("SELECT count(*) FROM events") == events
    assert await sql.fetchval("SELECT count(*) FROM segment_members") == 0


async def test_bad_rules_are_refused_with_a_pointer_and_change_nothing(client: httpx.AsyncClient, sql: Sql) -> None:
    deep: Any = PRO
    for _ in range(9):
        deep = {"all": [deep]}
    bottomless: Any = PRO
    for _ in range(100):
        bottomless = {"not": bottomless}
    wrong = {
        "/rule" + "/all/0" * 8: deep,
        "/rule/field": field("customer.shoe_size", "eq", 1),
        "/rule/any/0/field": {"any": [field("ticket.priority", "eq", "high")]},
        "/rule/value": field("customer.created_at", "lt", "yesterday"),
        "/rule/all/1/op": {"all": [PRO, field("customer.name", "gt", "a")]},
    }
    for pointer, rule in wrong.items():
        for method, path in (("POST", "/v1/segments"), ("POST", "/v1/segments/preview")):
            body = {"rule": rule} | ({} if path.endswith("preview") else {"key": "k", "name": "K"})
            assert pointers(await client.request(method, path, json=body)) == [pointer], rule
    answer = await client.post("/v1/segments", json={"key": "k", "name": "K", "rule": bottomless})
    assert answer.status_code in (400, 422)
    assert await sql.fetchval("SELECT count(*) FROM segments") == 0
    segment = await make_segment(client, "k", PRO)
    fixed = await client.patch(f"/v1/segments/{segment['id']}", json={"key": "other"})
    assert pointers(fixed) == ["/key"]
    assert "never changes" in fixed.json()["detail"]
    assert pointers(await client.patch(f"/v1/segments/{segment['id']}", json={"rule": {"any": 1}})) == ["/rule/any"]
    nobody = {"customer_id": "01900000-0000-7000-8000-000000000000", "effect": "include", "reason": "No."}
    assert pointers(await client.post(f"/v1/segments/{segment['id']}/overrides", json=nobody)) == ["/customer_id"]
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type = 'segment.updated'") == 0


async def test_verify_prints_and_mends_what_is_stored_wrongly(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await make_segment(client, "pro", PRO)
    await settled(db)
    pro, other = await make_pro(client), await make_customer(client)
    await sql.execute("DELETE FROM segment_members WHERE customer_id = $1", UUID(pro["id"]))
    await sql.execute(
        "INSERT INTO segment_members (customer_id, segment_id, since, rule_version)"
        " SELECT $1, id, clock_timestamp(), 1 FROM segments",
        UUID(other["id"]),
    )
    found = await member_differences(db)
    assert {(str(each.customer_id), each.field, each.stored, each.computed) for each in found} == {
        (pro["id"], "member", False, True), (other["id"], "member", True, False),
    }  # fmt: skip
    await repair_members(db, found)
    assert await member_differences(db) == []
    assert (await keys_of(client, pro), await keys_of(client, other)) == (["pro"], [])

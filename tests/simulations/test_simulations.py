"""What if: the past under other policies, counted by hand, and nothing else touched."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from app.simulations import running, service
from tests.support.expect import problem
from tests.support.imports import at, item, message, send
from tests.support.simulations import SPAN, URL, assert_nothing_would_change, removed, simulated
from tests.support.sla import Sql, write_policy
from tests.support.verification import Body, good

OWN = "01890a5d-ac96-774b-bcce-b302099a8057"


def _policy(seconds: int, **more: Any) -> Body:
    return {"key": "p", "name": "P", "targets": [{"metric": "first_response", "seconds": seconds}], **more}


def _first(found: Body, side: str) -> Body:
    [metric] = [each for each in found["metrics"] if each["metric"] == "first_response"]
    figures: Body = metric[side]
    return figures


async def _touched(sql: Sql) -> list[Any]:
    """Everything that a simulation must leave as it is."""
    tables = ("tickets", "sla_clocks", "sla_alerts", "events", "sla_policies", "sla_jobs", "webhook_deliveries")
    return [
        await sql.fetchval(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")
        for table in tables
    ]


async def _answered_after(client: httpx.AsyncClient, *minutes: int, **more: Any) -> list[str]:
    made = await send(
        client, *(item(f"i-{number}-{json.dumps(more)[:40]}", message(30 + number), **more) for number in minutes)
    )
    assert made["created"] == len(minutes)
    return [each["ticket_id"] for each in made["items"]]


async def test_another_target_makes_and_mends_breaches(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    await write_policy(client, 600)
    ids = await _answered_after(client, 5, 8, 12, 20)
    before = await _touched(sql)
    found = await simulated(client, db, policies=[_policy(1_000)])
    assert (found["tickets_seen"], found["tickets_replayed"], found["tickets_total"]) == (4, 4, 4)
    assert _first(found, "before") == {
        "clocks": 4, "met": 2, "breached": 2, "attainment": 50, "answered": 4, "mean_seconds": 675,
    }  # fmt: skip
    assert _first(found, "after") == {**_first(found, "before"), "met": 3, "breached": 1, "attainment": 75}
    # Each has another deadline.
    assert found["tickets_changed"] == 4
    page = good(await client.get(f"{URL}/{found['id']}/tickets?limit=3"))
    rest = good(await client.get(f"{URL}/{found['id']}/tickets?limit=3&cursor={page['next_cursor']}"))
    named = {each["ticket_id"]: each for each in (*page["items"], *rest["items"])}
    assert sorted(named) == sorted(ids)
    assert named[ids[2]] == {
        "ticket_id": ids[2], "metrics": ["first_response"], "breaches_before": 1, "breaches_after": 0,
    }  # fmt: skip
    assert await _touched(sql) == before
    stricter = await simulated(client, db, policies=[_policy(300)])
    assert (_first(stricter, "after")["met"], _first(stricter, "after")["breached"]) == (1, 3)
    none = await simulated(client, db, policies=[])
    assert (_first(none, "after")["met"], _first(none, "after")["breached"]) == (0, 0)
    assert await _touched(sql) == before


async def test_a_ticket_comes_under_what_matched_it_then(client: httpx.AsyncClient, db: Database) -> None:
    """A ticket that was urgent from its twelfth minute on was under the policy for all others before."""
    await write_policy(client, 6_000)
    change = {"at": at(42), "kind": "priority", "priority": "urgent"}
    await send(client, item("u", change, message(50)), item("n", message(50)))
    urgent = {"all": [{"field": "ticket.priority", "op": "eq", "value": "urgent"}]}
    drafts = [
        _policy(60 * 19, key="urgent", position=1, conditions=urgent),
        _policy(60 * 30, position=2),
    ]
    found = await simulated(client, db, policies=drafts)
    assert (_first(found, "after")["met"], _first(found, "after")["breached"]) == (1, 1)
    other = [{**drafts[0], "targets": [{"metric": "first_response", "seconds": 60 * 20}]}, drafts[1]]
    assert _first(await simulated(client, db, policies=other), "after")["met"] == 2
    # A field that no policy read then: who matched it is told by what the ticket was when it came in.
    tagged = {"all": [{"field": "ticket.tags", "op": "contains", "value": "vip"}]}
    await send(client, item("t", {"at": at(60), "kind": "tags", "tags": ["vip"]}, message(70)))
    found = await simulated(client, db, policies=[_policy(60 * 35, key="vip", position=1, conditions=tagged)])
    sides = _first(found, "after")
    assert (sides["clocks"], sides["met"], sides["breached"]) == (3, 0, 1)


async def test_calendars_may_be_sent_and_change_waits_too(client: httpx.AsyncClient, db: Database) -> None:
    hours = {"thu": [["09:00", "09:40"], ["10:00", "12:00"]]}
    calendar = good(await client.post("/v1/business-calendars", json={"name": "C", "timezone": "UTC", "hours": hours}))
    target = {"metric": "first_response", "seconds": 1_200, "hours": "business"}
    business = _policy(0, targets=[target], calendar_id=calendar["id"], position=1)
    good(await client.post("/v1/sla-policies", json=business))
    await send(client, item("a", message(75)))
    await assert_nothing_would_change(client, db)
    found = await simulated(client, db)
    assert _first(found, "before")["mean_seconds"] == 25 * 60
    wider = {"id": calendar["id"], "timezone": "UTC", "hours": {"thu": [["00:00", "24:00"]]}}
    found = await simulated(client, db, calendars=[wider])
    assert _first(found, "after")["mean_seconds"] == 45 * 60
    own = {**wider, "id": OWN, "hours": {"thu": [["09:00", "09:40"]]}}
    found = await simulated(client, db, policies=[{**business, "calendar_id": own["id"]}], calendars=[own])
    assert _first(found, "after")["mean_seconds"] == 10 * 60


async def test_exceptions_are_granted_besides_those_that_were(client: httpx.AsyncClient, db: Database) -> None:
    await write_policy(client, 600)
    first, _ = await _answered_after(client, 12, 13)
    other = await send(client, item("o", message(45), customer={"external_id": "c-2"}))
    given = {"effect": "extend", "seconds": 180, "starts_at": "2013-03-01T00:00:00Z"}
    for scope, met in (
        ({}, 2),
        ({"scope": "ticket", "ticket_id": first}, 1),
        ({"scope": "customer", "customer_id": await _customer_of(client, other["items"][0]["ticket_id"])}, 0),
        ({"starts_at": "2013-03-22T00:00:00Z"}, 0),
        # Once it runs, it begins.
        ({"starts_at": at(31), "applies_to": "running"}, 2),
        ({"starts_at": at(31), "applies_to": "started"}, 0),
        ({"effect": "exclude", "seconds": None}, 0),
    ):
        found = await simulated(client, db, exceptions=[{**given, **scope}])
        assert _first(found, "before")["met"] == 0
        if "effect" in scope:
            assert found["metrics"][0]["metric"] == "first_response"
            assert _first(found, "after")["clocks"] == 0
        else:
            assert _first(found, "after")["met"] == met, scope
        await removed(client, found["id"])


async def _customer_of(client: httpx.AsyncClient, ticket_id: str) -> str:
    return str(good(await client.get(f"/v1/tickets/{ticket_id}"))["customer_id"])


async def test_only_what_fits_is_counted(client: httpx.AsyncClient, db: Database) -> None:
    await write_policy(client, 600)
    await _answered_after(client, 5, channel="email")
    await _answered_after(client, 15, channel="chat")
    found = await simulated(client, db, filter={"channel": "email"})
    assert (found["tickets_replayed"], _first(found, "before")["clocks"]) == (1, 1)
    late = await simulated(client, db, **{"from": "2013-03-21T09:30:01Z"})
    assert late["metrics"] == []
    early = await simulated(client, db, to="2013-03-21T09:30:00Z")
    assert (early["tickets_seen"], early["tickets_replayed"]) == (2, 0)


async def test_what_was_live_is_replayed_and_what_is_in_force_changes_nothing(
    client: httpx.AsyncClient, db: Database
) -> None:
    urgent = {"all": [{"field": "ticket.priority", "op": "in", "value": ["high", "urgent"]}]}
    for policy in (_policy(3_600), {**_policy(60, key="u", position=1), "conditions": urgent}):
        good(await client.post("/v1/sla-policies", json=policy))
    ids = []
    for number in range(3):
        ticket = good(await client.post("/v1/tickets", json={"subject": "S", "customer": {"external_id": "c"}}))
        ids.append(ticket["id"])
        if number:
            patch = {"priority": "urgent", "status": "pending", "tags": ["x"]}
            good(await client.patch(f"/v1/tickets/{ticket['id']}", json=patch))
            good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"tags": []}))
        if number == 2:
            good(await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "B", "status": "resolved"}))
            good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"priority": "low"}))
            good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "open"}))
    await assert_nothing_would_change(client, db)
    found = await simulated(client, db, policies=[_policy(7_200)])
    assert found["tickets_changed"] == 3


async def test_it_is_cancelled_at_any_moment(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    await write_policy(client, 600)
    await _answered_after(client, *range(5))
    made = good(await client.post(URL, json={**SPAN, "policies": []}))
    await removed(client, made["id"])
    assert not await running.run_once(db)
    # In the middle of a batch: it waits for that, and then it is gone with what it found.
    made = good(await client.post(URL, json={**SPAN, "policies": []}))
    _, gone = await asyncio.gather(running.run_once(db), client.delete(f"{URL}/{made['id']}"))
    assert gone.status_code == 204
    assert await sql.fetchval("SELECT count(*) FROM sla_simulations") == 0
    assert await sql.fetchval("SELECT count(*) FROM sla_simulation_tickets") == 0
    assert not await running.run_once(db)
    problem(await client.get(f"{URL}/{made['id']}"), 404)
    problem(await client.get(f"{URL}/{made['id']}/tickets"), 404)


async def test_a_caller_has_five_and_they_expire(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    body = {**SPAN, "policies": []}
    made = [good(await client.post(URL, json=body)) for _ in range(5)]
    await sql.execute("UPDATE sla_simulations SET finished_at = now() WHERE id = $1", made[3]["id"])
    sixth = good(await client.post(URL, json=body))
    # What is done makes room first, then the oldest.
    kept = {made[0]["id"], made[1]["id"], made[2]["id"], made[4]["id"], sixth["id"]}
    assert {each["id"] for each in good(await client.get(URL))["items"]} == kept
    good(await client.post(URL, json=body))
    listed = good(await client.get(URL))["items"]
    assert {each["id"] for each in listed} & kept == kept - {made[0]["id"]}
    at_once = await asyncio.gather(*(client.post(URL, json=body) for _ in range(3)))
    assert {each.status_code for each in at_once} == {201}
    listed = good(await client.get(URL))["items"]
    assert len(listed) == 5
    assert "drafts" not in listed[0]
    assert datetime.fromisoformat(listed[0]["expires_at"]) - datetime.fromisoformat(
        listed[0]["created_at"]
    ) == timedelta(days=7)
    await sql.execute("UPDATE sla_simulations SET created_at = now() - interval '8 days' WHERE place > 1")
    async with db.transaction() as tx:
        await service.clean(tx)
    assert len(good(await client.get(URL))["items"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"to": "1980-01-01T00:00:00Z"}, "/to"),
        ({"policies": [{**_policy(60), "calendar_id": OWN}]}, "/policies/0/calendar_id"),
        (
            {"policies": [_policy(60, conditions={"all": [{"field": "ticket.nothing", "op": "eq", "value": 1}]})]},
            "/policies/0/conditions/all/0/field",
        ),
        ({"policies": [_policy(60), {**_policy(60), "targets": []}]}, "/policies/1/targets"),
        (
            {"policies": [_policy(0, targets=[{"metric": "resolution", "seconds": 5, "hours": "business"}])]},
            "/policies/0/targets/0/hours",
        ),
        ({"calendars": [{"id": OWN, "timezone": "Mars", "hours": {}}]}, "/calendars/0/timezone"),
        ({"exceptions": [{"effect": "extend", "starts_at": at(0)}]}, "/exceptions/0/seconds"),
        ({"exceptions": [{"effect": "freeze", "starts_at": at(0)}]}, "/exceptions/0/expires_at"),
        ({"exceptions": [{"effect": "exclude", "starts_at": at(0), "scope": "ticket"}]}, "/exceptions/0/scope"),
        (
            {
                "exceptions": [
                    {
                        "effect": "exclude", "starts_at": at(0), "scope": "segment",
                        "segment_id": OWN,
                    }
                ]
            },
            "/exceptions/0/segment_id",
        ),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(client: httpx.AsyncClient, body: Body, pointer: str) -> None:
    answer = problem(await client.post(URL, json={**SPAN, "policies": [], **body}), 422)
    assert pointer in [each["pointer"] for each in answer["errors"]]


async def test_what_a_ticket_became_after_its_answer_moves_no_clock(client: httpx.AsyncClient, db: Database) -> None:
    await write_policy(client, 6_000)
    await send(client, item("u", message(50), {"at": at(55), "kind": "priority", "priority": "urgent"}))
    urgent = {"all": [{"field": "ticket.priority", "op": "eq", "value": "urgent"}]}
    drafts = [_policy(60, key="urgent", position=1, conditions=urgent), _policy(60 * 30, position=2)]
    assert _first(await simulated(client, db, policies=drafts), "after")["met"] == 1

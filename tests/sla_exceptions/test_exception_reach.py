"""What an exception reaches, and what it can never take back: a breach that has happened, and what a customer was
told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.segments import settled, settled_for_good
from tests.support.sla import Sql, reply, the_clock
from tests.support.verification import Body, assert_verified, drain, events, good, soon, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
URL = "/v1/sla-exceptions"
EVERYTHING = {"scope": "everything", "effect": "exclude", "reason": "Storm."}


async def _report(client: httpx.AsyncClient, metric: str = "first_response", **params: Any) -> Body:
    [item] = good(await client.get("/v1/reports/response-times", params={"metric": metric, **params}))["items"]
    return dict(item)


@pytest.mark.parametrize("applies_to", ["started", "running"])
async def test_a_broken_promise_stays_broken_whatever_is_excepted(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database, applies_to: str
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    path = f"/v1/tickets/{ticket['id']}/promises"
    made = good(await client.post(path, json={"text": "A call.", "due_at": soon(0.3)}))
    await asyncio.sleep(0.4)
    good(await client.post(URL, json={**EVERYTHING, "applies_to": applies_to, "expires_at": soon(0.5)}))
    await drain(db)
    good(await client.post(URL, json={"ticket_id": ticket["id"], "effect": "extend", "seconds": 9999, "reason": "x"}))
    await drain(db)
    reached = applies_to == "running"
    for http in (client, customer.http):
        [promise] = good(await http.get(path))["items"]
        assert promise["state"] == "broken"
    clock = await the_clock(client, ticket, "promise")
    if reached:
        # Excluded before it was extended: out of judgement, and broken nonetheless.
        assert (clock["state"], clock["excluded"], clock["breached_at"]) == ("breached", True, made["due_at"])
    assert (await _report(client, "promise", exceptions="without"))["breached"] == 1
    assert [each["data"]["metric"] for each in await events(client, ticket, "sla.breached")] == ["promise"]
    good(await client.post(f"{path}/{made['id']}/keep"))
    [promise] = good(await customer.http.get(path))["items"]
    assert promise["state"] == "broken"
    await assert_verified(db)


async def test_one_second_of_excluding_everything_takes_nobody_out_of_the_goal(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    waiting = [await open_ticket() for _ in range(3)]
    goal = {"key": "g", "name": "G", "target_seconds": 90, "window": {"rolling_seconds": 3600}}
    id_ = good(await client.post("/v1/service-goals", json=goal))["id"]
    given = {**EVERYTHING, "starts_at": "2020-01-01T00:00:00Z", "expires_at": soon(1)}
    assert good(await client.post(URL, json=given, params={"dry_run": "true"})) == {"tickets": 0, "clocks": 0}
    granted = good(await client.post(URL, json=given))
    assert (granted["applies_to"], granted["reached"]) == ("started", {"tickets": 0, "clocks": 0})
    during = await open_ticket()
    await drain(db)
    status = good(await client.get(f"/v1/service-goals/{id_}/status"))
    assert (status["running"], status["excluded"]) == (3, 1)
    assert [(await the_clock(client, ticket))["excluded"] for ticket in (*waiting, during)] == [False] * 3 + [True]
    await asyncio.sleep(1.1)
    await open_ticket()
    status = good(await client.get(f"/v1/service-goals/{id_}/status"))
    assert (status["running"], status["excluded"]) == (4, 1)
    await assert_verified(db)


async def test_nor_does_one_second_of_excluding_their_customer_or_their_segment(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    everybody = {"field": "customer.region", "op": "exists", "value": False}
    segment = good(await client.post("/v1/segments", json={"key": "all", "name": "A", "rule": everybody}))
    waiting = [await open_ticket(customer={"external_id": "c"}) for _ in range(3)]
    scopes = ({"scope": "customer", "customer_id": waiting[0]["customer_id"]},
              {"scope": "segment", "segment_id": segment["id"]})  # fmt: skip
    for scope in scopes:
        given = {"effect": "exclude", "reason": "x", "starts_at": "2020-01-01T00:00:00Z", "expires_at": soon(1)}
        granted = good(await client.post(URL, json={**given, **scope}))
        assert (granted["applies_to"], granted["reached"]) == ("started", {"tickets": 0, "clocks": 0})
    await settled(db)
    assert [(await the_clock(client, ticket))["excluded"] for ticket in waiting] == [False] * 3
    assert (await _report(client))["running"] == 3
    await assert_verified(db)


@pytest.mark.parametrize("how", ["granted", "revoked", "not judged"])
async def test_an_exception_moves_no_clock_to_a_newer_version_of_its_policy(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, how: str
) -> None:
    nobody_s = {"field": "customer.region", "op": "exists", "value": False}
    segment = good(await client.post("/v1/segments", json={"key": "all", "name": "A", "rule": nobody_s}))
    await settled(db)
    policy = await write_targets(client, {"metric": "first_response", "seconds": 60})
    ticket = await open_ticket()
    exception = good(await client.post(URL, json={**EVERYTHING, "effect": "extend", "seconds": 5}))
    await settled_for_good(db)
    targets = [{"metric": "first_response", "seconds": 9999}]
    good(await client.patch(f"/v1/sla-policies/{policy['id']}", json={"targets": targets}))
    if how == "granted":
        good(await client.post(URL, json={**EVERYTHING, "applies_to": "running", "metrics": ["resolution"]}))
    elif how == "revoked":
        assert (await client.delete(f"{URL}/{exception['id']}")).status_code == 204
    else:
        good(await client.patch(f"/v1/segments/{segment['id']}", json={"judged": False}))
    await settled_for_good(db)
    clock = await the_clock(client, ticket)
    assert (clock["policy_version"], clock["excluded"]) == (1, how == "not judged")
    assert clock["target_seconds"] == 60
    await assert_verified(db)


async def test_what_it_reaches_is_counted_before_and_when_it_is_granted(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    tickets = [await open_ticket(customer={"external_id": f"c-{n % 2}"}) for n in range(4)]
    await reply(client, tickets[0])
    customer = {"scope": "customer", "customer_id": tickets[0]["customer_id"]}
    for body, reached in (
        ({"ticket_id": tickets[1]["id"]}, {"tickets": 1, "clocks": 2}),
        ({"ticket_id": tickets[1]["id"], "applies_to": "started"}, {"tickets": 0, "clocks": 0}),
        ({**customer, "applies_to": "running", "metrics": ["first_response"]}, {"tickets": 1, "clocks": 1}),
        ({**customer, "applies_to": "running"}, {"tickets": 2, "clocks": 3}),
        ({"scope": "everything", "applies_to": "running"}, {"tickets": 4, "clocks": 7}),
    ):
        given = {"effect": "exclude", "reason": "x", **body}
        before = await sql.fetchval("SELECT count(*) FROM events")
        answer = await client.post(URL, json=given, params={"dry_run": "true"})
        assert (answer.status_code, answer.json()) == (200, reached), body
        assert await sql.fetchval("SELECT count(*) FROM events") == before
        granted = good(await client.post(URL, json=given))
        assert granted["reached"] == reached, body
        await drain(db)
        excluded = await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE excluded")
        assert excluded == reached["clocks"], body
        good_gone = await client.delete(f"{URL}/{granted['id']}")
        assert good_gone.status_code == 204
        await drain(db)
    assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE excluded") == 0
    await assert_verified(db)


async def test_a_late_answer_that_is_excluded_afterwards_is_out_of_judgement_and_late(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    ticket = await open_ticket()
    await asyncio.sleep(1.1)
    before = await _report(client)
    assert (before["breached"], before["excluded"]) == (1, 0)
    good(await client.post(URL, json={"ticket_id": ticket["id"], "effect": "exclude", "reason": "x"}))
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["excluded"]) == ("breached", True)
    assert clock["breached_at"] == clock["due_at"] == clock["original_due_at"]
    after = await _report(client)
    assert (after["breached"], after["excluded"], after["attainment"]) == (0, 1, None)
    assert after["mean_floor"] >= before["mean_floor"]
    assert (await _report(client, exceptions="without"))["breached"] == 1
    await reply(client, ticket)
    assert (await the_clock(client, ticket))["state"] == "breached"
    assert len(await events(client, ticket, "sla.breached")) == 1
    await assert_verified(db)

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.events import actor_of
from tests.support.sla import patch, reply, sweep_dry, the_clock
from tests.support.verification import (
    Body,
    assert_verified,
    clocks,
    events,
    good,
    instant,
    pointers,
    soon,
    write_targets,
)

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
NOWHERE = "01900000-0000-7000-8000-000000000000"
ONE = {"external_id": "one"}
METRICS = ("first_response", "next_response", "resolution", "promise")


@pytest.fixture
def open_ticket(open_ticket: Open) -> Open:
    """All of one customer, as what is merged is."""

    async def make(**body: Any) -> Body:
        return await open_ticket(**{"customer": ONE, **body})

    return make


async def _merge(client: httpx.AsyncClient, source: Body, into: Body) -> httpx.Response:
    return await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": into["id"]})


async def _merged(client: httpx.AsyncClient, source: Body, into: Body) -> Body:
    answer = await _merge(client, source, into)
    assert answer.status_code == 200, answer.text
    return good(answer)


async def _read(client: httpx.AsyncClient, ticket: Body) -> Body:
    return good(await client.get(f"/v1/tickets/{ticket['id']}"))


async def _clocks(client: httpx.AsyncClient, ticket: Body) -> list[Body]:
    found = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
    moving = {"elapsed_seconds": 0, "remaining_seconds": 0, "paused_seconds": 0}
    return [{**clock, **moving} for clock in found]


async def _refused(client: httpx.AsyncClient, source: Body, into: Body) -> None:
    answer = await _merge(client, source, into)
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot_merge"), answer.text


async def test_case_21_the_source_closes_and_the_target_is_as_it_was(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    target, source = await open_ticket(), await open_ticket()
    await reply(client, source, author={"kind": "customer"})
    promise = {"text": "A call.", "due_at": soon(600)}
    assert (await client.post(f"/v1/tickets/{source['id']}/promises", json=promise)).status_code == 201
    before, status = await _clocks(client, target), await _read(client, target)
    merged = await _merged(client, source, target)
    assert (merged["status"], merged["merged_into"]) == ("closed", target["id"])
    assert merged["closed_at"] is not None
    read = await _read(client, source)
    assert {name: read[name] for name in merged} == merged
    ended = {
        metric: [(clock["state"], clock["ended_reason"]) for clock in await clocks(client, source, metric)]
        for metric in METRICS
    }
    cancelled = [("cancelled", "merged")]
    assert ended == {
        "first_response": cancelled, "next_response": [], "resolution": cancelled, "promise": cancelled,
    }  # fmt: skip
    assert await _clocks(client, target) == before
    after = await _read(client, target)
    moved = ("updated_at", "version", "merged_from")
    assert {**after, **{name: status[name] for name in moved}} == status
    # The target's first response is its own: an answer to it still stops its clock.
    said = await reply(client, target)
    assert (await the_clock(client, target))["stopped_at"] == said["created_at"]
    await assert_verified(db)


async def test_what_had_ended_on_the_source_stays_as_it_was_judged(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await reply(client, source)
    await reply(client, source, author={"kind": "customer"})
    judged = await the_clock(client, source)
    await _merged(client, source, target)
    assert await the_clock(client, source) == judged
    assert judged["state"] == "met"
    assert [clock["ended_reason"] for clock in await clocks(client, source, "next_response")] == ["merged"]
    await assert_verified(db)


async def test_a_deadline_that_had_passed_stays_broken(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    source, target = await open_ticket(), await open_ticket(priority="low")
    await asyncio.sleep(1.1)
    await _merged(client, source, target)
    await sweep_dry(db)
    clock = await the_clock(client, source)
    assert (clock["state"], clock["ended_reason"]) == ("breached", "merged")
    assert len(await events(client, source, "sla.breached")) == 1
    await assert_verified(db)


async def test_a_paused_and_a_resolved_source_can_be_merged(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    target = await open_ticket()
    for word, states in (("pending", ["cancelled"]), ("resolved", ["stopped"])):
        source = await open_ticket()
        await patch(client, source, status=word)
        assert (await _merged(client, source, target))["status"] == "closed"
        assert [clock["state"] for clock in await clocks(client, source, "resolution")] == states
    await assert_verified(db)


async def test_a_closed_source_is_merged_too_and_says_nothing_of_its_status(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    closed = await patch(client, source, status="closed")
    merged = await _merged(client, source, target)
    assert (merged["merged_into"], merged["closed_at"]) == (target["id"], closed["closed_at"])
    assert len(await events(client, source, "ticket.status_changed")) == 1
    await assert_verified(db)


async def test_it_stands_in_the_audit_of_both(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    agent = await person("agent")
    source, target = await open_ticket(), await open_ticket()
    await _merged(agent.http, source, target)
    [merged] = await events(client, source, "ticket.merged")
    [absorbed] = await events(client, target, "ticket.absorbed")
    assert merged["data"] == {"into": target["id"], "number": target["number"]}
    waited = absorbed["data"].pop("waiting_since")
    assert instant(waited) == instant(source["created_at"])
    assert absorbed["data"] == {"source_id": source["id"], "number": source["number"]}
    assert actor_of(merged) == actor_of(absorbed) == {"kind": "agent", "id": str(agent.id)}
    [moved] = await events(client, source, "ticket.status_changed")
    assert (moved["data"]["before"], moved["data"]["after"]) == ("new", "closed")
    await assert_verified(db)


async def test_a_ticket_is_merged_once_and_not_into_itself(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target, other = await open_ticket(), await open_ticket(), await open_ticket()
    await _refused(client, source, source)
    await _merged(client, source, target)
    for into in (target, other):
        await _refused(client, source, into)
    # Nor does anything go into what is merged away, not even the ticket that it went into.
    for ticket in (target, other):
        await _refused(client, ticket, source)
    assert (await _read(client, target))["status"] == "new"
    await _merged(client, target, other)
    await assert_verified(db)


async def test_nothing_is_merged_into_a_closed_ticket(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await patch(client, target, status="closed")
    await _refused(client, source, target)
    assert (await _read(client, source))["status"] == "new"
    assert {clock["state"] for clock in await _clocks(client, source)} == {"running"}
    assert await events(client, source, "ticket.merged") == []
    await assert_verified(db)


async def test_what_is_not_there_is_named(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket, nowhere = await open_ticket(), {"id": NOWHERE}
    assert pointers(await _merge(client, ticket, nowhere)) == ["/into"]
    assert (await _merge(client, nowhere, ticket)).status_code == 404
    assert pointers(await client.post(f"/v1/tickets/{ticket['id']}/merge", json={})) == ["/into"]


async def test_two_merged_into_each_other_at_once_do_not_both_go(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    for _ in range(5):
        one, other = await open_ticket(), await open_ticket()
        answers = await asyncio.gather(_merge(client, one, other), _merge(client, other, one))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert sorted([(await _read(client, t))["status"] for t in (one, other)]) == ["closed", "new"]
    await assert_verified(db)


async def test_customers_do_not_merge(client: httpx.AsyncClient, open_ticket: Open, person: Make) -> None:
    customer = await person("customer")
    tickets = [await open_ticket(customer={"id": str(customer.id)}) for _ in range(2)]
    assert (await _merge(customer.http, *tickets)).status_code == 403


async def test_a_promise_goes_with_the_ticket_that_it_was_made_on(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    path = f"/v1/tickets/{source['id']}/promises"
    await client.post(path, json={"text": "A call.", "due_at": soon(0.4)})
    await _merged(client, source, target)
    await asyncio.sleep(0.5)
    [clock] = await clocks(client, source, "promise")
    [promise] = good(await client.get(path))["items"]
    await assert_verified(db)
    assert (clock["state"], clock["ended_reason"]) == ("cancelled", "merged")
    assert promise["state"] not in ("open", "broken")

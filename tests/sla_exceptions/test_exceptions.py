import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from app.sla_exceptions.service import run_once
from tests.conftest import Person
from tests.support.sla import Sql, patch, reply, the_clock
from tests.support.verification import (
    Body,
    after,
    assert_verified,
    clocks,
    events,
    good,
    instant,
    pointers,
    soon,
    write_calendar,
    write_targets,
)

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
URL = "/v1/sla-exceptions"
NOWHERE = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
async def ticket(client: httpx.AsyncClient, open_ticket: Open) -> Body:
    """An hour for the first response, two for the resolution."""
    hour = {"metric": "first_response", "seconds": 3600}
    await write_targets(client, hour, {"metric": "resolution", "seconds": 7200})
    return await open_ticket()


async def grant(client: httpx.AsyncClient, ticket: Body, effect: str, **more: Any) -> Body:
    answer = await client.post(URL, json={"ticket_id": ticket["id"], "effect": effect, "reason": "Storm.", **more})
    assert answer.status_code == 201, answer.text
    granted = good(answer)
    assert answer.headers["location"] == f"{URL}/{granted['id']}"
    read = good(await client.get(answer.headers["location"]))
    assert read == granted
    return granted


async def _dues(client: httpx.AsyncClient, ticket: Body) -> list[Any]:
    found = [await the_clock(client, ticket, metric) for metric in ("first_response", "resolution")]
    return [clock["due_at"] and instant(clock["due_at"]) for clock in found]


async def test_extend_moves_each_deadline_by_its_seconds(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    before = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600)
    assert (granted["state"], granted["scope"], granted["metrics"]) == ("in_force", "ticket", [])
    assert (granted["seconds"], granted["expires_at"], granted["revoked_at"]) == (600, None, None)
    assert await _dues(client, ticket) == [due + timedelta(seconds=600) for due in before]
    clock = await the_clock(client, ticket)
    assert (instant(clock["original_due_at"]), clock["target_seconds"]) == (before[0], 4200)
    await grant(client, ticket, "extend", seconds=60)
    assert await _dues(client, ticket) == [due + timedelta(seconds=660) for due in before]
    await assert_verified(db)


async def test_metrics_that_are_named_are_the_only_ones(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    first, resolution = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600, metrics=["resolution"])
    assert granted["metrics"] == ["resolution"]
    assert await _dues(client, ticket) == [first, resolution + timedelta(seconds=600)]
    await assert_verified(db)


async def test_retarget_sets_other_seconds_and_the_last_one_counts(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    started = instant((await the_clock(client, ticket))["started_at"])
    await grant(client, ticket, "retarget", seconds=900, metrics=["first_response"])
    assert (await _dues(client, ticket))[0] == started + timedelta(seconds=900)
    await grant(client, ticket, "retarget", seconds=1800, metrics=["first_response"])
    clock = await the_clock(client, ticket)
    assert (instant(clock["due_at"]), clock["target_seconds"]) == (started + timedelta(seconds=1800), 1800)
    await assert_verified(db)


async def test_retarget_gives_a_deadline_to_what_had_none(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    bare = await open_ticket()
    assert (await the_clock(client, bare, "resolution"))["due_at"] is None
    await grant(client, bare, "retarget", seconds=900, metrics=["resolution"])
    clock = await the_clock(client, bare, "resolution")
    assert clock["due_at"] == clock["original_due_at"]
    assert instant(clock["due_at"]) == instant(clock["started_at"]) + timedelta(seconds=900)
    await assert_verified(db)


async def test_exclude_leaves_a_clock_out_of_judgement(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    await grant(client, ticket, "exclude")
    clock = await the_clock(client, ticket)
    assert (clock["excluded"], clock["due_at"], clock["remaining_seconds"]) == (True, None, None)
    await reply(client, ticket)
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["ended_reason"]) == ("stopped", None)
    await assert_verified(db)


async def test_what_is_excluded_and_ends_unanswered_says_so(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    await grant(client, ticket, "exclude", metrics=["first_response"])
    await patch(client, ticket, status="resolved")
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["ended_reason"]) == ("cancelled", "exception")
    assert (await the_clock(client, ticket, "resolution"))["state"] == "met"
    await assert_verified(db)


async def test_freeze_stops_time_between_two_instants(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    before = await _dues(client, ticket)
    start, end = soon(600), soon(1200)
    granted = await grant(client, ticket, "freeze", starts_at=start, expires_at=end)
    assert granted["state"] == "waiting"
    # Known beforehand: the deadline moves at once.
    length = instant(end) - instant(start)
    assert await _dues(client, ticket) == [due + length for due in before]
    clock = await the_clock(client, ticket)
    assert clock["paused_seconds"] == 0
    assert clock["target_seconds"] == 3600
    await assert_verified(db)


async def test_a_freeze_behind_the_deadline_moves_nothing(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    before = await _dues(client, ticket)
    await grant(client, ticket, "freeze", starts_at=soon(8000), expires_at=soon(9000))
    assert await _dues(client, ticket) == before
    await assert_verified(db)


async def test_exceptions_count_in_business_time(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    calendar = await write_calendar(client)
    target = {"metric": "first_response", "seconds": 3600, "hours": "business"}
    await write_targets(client, target, calendar_id=calendar["id"])
    ticket = await open_ticket()
    await grant(client, ticket, "extend", seconds=40 * 3600)
    clock = await the_clock(client, ticket)
    assert instant(clock["due_at"]) == await after(client, calendar, clock["started_at"], 41 * 3600)
    await assert_verified(db)


async def test_granted_to_begin_later_it_acts_from_then_on(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    before = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600, starts_at=soon(0.4))
    assert granted["state"] == "waiting"
    await run_once(db)
    assert await _dues(client, ticket) == before
    await asyncio.sleep(0.5)
    assert await run_once(db)
    assert not await run_once(db)
    assert await _dues(client, ticket) == [due + timedelta(seconds=600) for due in before]
    assert good(await client.get(f"{URL}/{granted['id']}"))["state"] == "in_force"
    [started] = await events(client, ticket, "sla_exception.started")
    assert (started["subject"], started["actorkind"]) == (granted["id"], "system")
    await assert_verified(db)


async def test_it_expires_by_itself_is_told_once_and_stays_with_what_ran(
    client: httpx.AsyncClient, ticket: Body, db: Database, sql: Sql
) -> None:
    before = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600, expires_at=soon(0.4))
    await asyncio.sleep(0.5)
    assert good(await client.get(f"{URL}/{granted['id']}"))["state"] == "expired"
    # Several workers have seen it before the first of them gets to tell.
    async with sql.transaction():
        await sql.execute("SELECT 1 FROM tickets FOR UPDATE")
        workers = [asyncio.create_task(run_once(db)) for _ in range(3)]
        await asyncio.sleep(0.3)
    assert await asyncio.gather(*workers) == [True, True, True]
    assert not await run_once(db)
    [expired] = await events(client, ticket, "sla_exception.expired")
    assert expired["subject"] == granted["id"]
    assert instant(expired["time"]) == instant(granted["expires_at"])
    assert await _dues(client, ticket) == [due + timedelta(seconds=600) for due in before]
    # Re-matched, a clock that ran while it was in force keeps it; one that starts afterwards has none of it.
    await patch(client, ticket, priority="high")
    assert await _dues(client, ticket) == [due + timedelta(seconds=600) for due in before]
    await patch(client, ticket, status="resolved")
    await reply(client, ticket, author={"kind": "customer"})
    again = (await clocks(client, ticket, "first_response"))[1]
    assert (again["cycle"], again["target_seconds"]) == (2, 3600)
    await assert_verified(db)


async def test_one_that_was_over_before_it_could_begin_changes_nothing(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    before = await _dues(client, ticket)
    await grant(client, ticket, "extend", seconds=600, starts_at=soon(0.2), expires_at=soon(0.3))
    await asyncio.sleep(0.4)
    assert await run_once(db)
    assert not await run_once(db)
    assert [event["type"] for event in await events(client, ticket) if "exception" in event["type"]] == [
        "sla_exception.granted", "sla_exception.expired",
    ]  # fmt: skip
    assert await _dues(client, ticket) == before
    await assert_verified(db)


async def test_a_clock_that_starts_while_it_lasts_gets_it(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    await write_targets(client, {"metric": "next_response", "seconds": 60}, key="next", position=0)
    await grant(client, ticket, "extend", seconds=600)
    await patch(client, ticket, priority="high")
    await reply(client, ticket)
    await reply(client, ticket, author={"kind": "customer"})
    [clock] = await clocks(client, ticket, "next_response")
    assert clock["target_seconds"] == 660
    assert instant(clock["due_at"]) == instant(clock["started_at"]) + timedelta(seconds=660)
    await assert_verified(db)


async def test_revoked_what_runs_is_judged_without_it_and_what_has_ended_keeps_it(
    client: httpx.AsyncClient, ticket: Body, db: Database
) -> None:
    before = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600)
    await reply(client, ticket)
    for _ in range(2):
        assert (await client.delete(f"{URL}/{granted['id']}")).status_code == 204
    assert await _dues(client, ticket) == [before[0] + timedelta(seconds=600), before[1]]
    read = good(await client.get(f"{URL}/{granted['id']}"))
    assert read["state"] == "revoked"
    assert read["revoked_at"] is not None
    assert len(await events(client, ticket, "sla_exception.revoked")) == 1
    await assert_verified(db)


async def test_revoked_before_it_begins_it_never_does(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    before = await _dues(client, ticket)
    granted = await grant(client, ticket, "extend", seconds=600, starts_at=soon(0.2))
    await client.delete(f"{URL}/{granted['id']}")
    await asyncio.sleep(0.3)
    assert not await run_once(db)
    assert await _dues(client, ticket) == before
    assert await events(client, ticket, "sla_exception.started") == []
    await assert_verified(db)


async def test_a_breach_that_an_exception_takes_back_stays_in_the_log(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    ticket = await open_ticket()
    await asyncio.sleep(1.1)
    await grant(client, ticket, "extend", seconds=3600)
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["breached_at"]) == ("running", None)
    [breach] = await events(client, ticket, "sla.breached")
    assert breach["data"]["target_seconds"] == 1
    await reply(client, ticket)
    assert (await the_clock(client, ticket))["state"] == "met"
    await assert_verified(db)


async def test_what_has_ended_takes_no_exception(client: httpx.AsyncClient, ticket: Body, db: Database) -> None:
    await reply(client, ticket, status="resolved")
    before = await _dues(client, ticket)
    await grant(client, ticket, "extend", seconds=600)
    assert await _dues(client, ticket) == before
    await assert_verified(db)


WRONG: list[tuple[Body, str]] = [
    ({"effect": "extend"}, "/seconds"),
    ({"effect": "retarget"}, "/seconds"),
    ({"effect": "extend", "seconds": 0}, "/seconds"),
    ({"effect": "exclude", "seconds": 60}, "/seconds"),
    ({"effect": "freeze", "seconds": 60, "expires_at": "2099-01-01T00:00:00Z"}, "/seconds"),
    ({"effect": "freeze"}, "/expires_at"),
    ({"effect": "exclude", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ({"effect": "exclude", "starts_at": "2099-01-01T00:00:00Z", "expires_at": "2098-01-01T00:00:00Z"}, "/expires_at"),
    ({"effect": "exclude", "starts_at": "2099-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z"}, "/expires_at"),
    ({"effect": "forgive"}, "/effect"),
    ({"effect": "exclude", "metrics": ["patience"]}, "/metrics/0"),
    ({"effect": "exclude", "ticket_id": NOWHERE}, "/ticket_id"),
    ({"effect": "exclude", "reason": ""}, "/reason"),
    ({"effect": "exclude", "scope": "galaxy"}, "/scope"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG, ids=lambda part: str(part)[:70])
async def test_a_wrong_part_is_named_and_nothing_is_granted(
    client: httpx.AsyncClient, ticket: Body, wrong: Body, pointer: str
) -> None:
    body = {"ticket_id": ticket["id"], "reason": "Storm.", **wrong}
    assert pointers(await client.post(URL, json=body)) == [pointer]
    assert good(await client.get(URL))["items"] == []
    assert await events(client, ticket, "sla_exception.granted") == []


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for method in ("GET", "DELETE"):
        assert (await client.request(method, f"{URL}/{NOWHERE}")).status_code == 404


async def test_a_lead_grants_an_agent_does_not_and_no_customer_hears_of_it(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    lead, agent, customer = await person("lead"), await person("agent"), await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    body = {"ticket_id": ticket["id"], "effect": "extend", "seconds": 60, "reason": "Storm."}
    for refused in (agent, customer):
        assert (await refused.http.post(URL, json=body)).status_code == 403
    before = good(await customer.http.get(f"/v1/tickets/{ticket['id']}/events"))
    granted = await grant(lead.http, ticket, "extend", seconds=60)
    assert granted["granted_by"] == {"kind": "agent", "id": str(lead.id)}
    assert (await agent.http.delete(f"{URL}/{granted['id']}")).status_code == 403
    assert good(await agent.http.get(URL))["items"] == [granted]
    assert (await lead.http.delete(f"{URL}/{granted['id']}")).status_code == 204
    assert good(await customer.http.get(f"/v1/tickets/{ticket['id']}/events")) == before
    types = [event["type"] for event in await events(client, ticket) if "exception" in event["type"]]
    assert types == ["sla_exception.granted", "sla_exception.revoked"]
    await assert_verified(db)


async def test_exceptions_are_listed_newest_first_and_by_ticket(
    client: httpx.AsyncClient, ticket: Body, open_ticket: Open
) -> None:
    first = await grant(client, ticket, "extend", seconds=60)
    other = await open_ticket()
    second = await grant(client, other, "exclude")
    assert [item["id"] for item in good(await client.get(URL))["items"]] == [second["id"], first["id"]]
    for one, granted in ((ticket, first), (other, second)):
        assert good(await client.get(f"{URL}?ticket_id={one['id']}"))["items"] == [granted]


async def test_a_clock_that_is_excluded_and_ends_in_a_pause_is_what_the_log_says(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 3600, "pause_on": ["pending"]})
    ticket = await open_ticket()
    await grant(client, ticket, "exclude")
    await patch(client, ticket, status="pending")
    await reply(client, ticket)
    assert (await the_clock(client, ticket))["stopped_at"]
    await assert_verified(db)


async def test_those_of_no_ticket_are_asked_for(client: httpx.AsyncClient, ticket: Body) -> None:
    of_ticket = await grant(client, ticket, "exclude")
    body = {"scope": "customer", "customer_id": ticket["customer_id"], "effect": "exclude", "reason": "Storm."}
    of_customer = good(await client.post(URL, json=body))
    for query, found in [
        ("ticket_id=none", [of_customer]),
        ("customer_id=none", [of_ticket]),
        (f"ticket_id=none,{ticket['id']}&segment_id=none", [of_customer, of_ticket]),
    ]:
        items = good(await client.get(f"{URL}?{query}"))["items"]
        assert [item["id"] for item in items] == [each["id"] for each in found], query

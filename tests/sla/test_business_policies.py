import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.sla import patch, reply, the_clock
from tests.support.verification import (
    ALWAYS,
    Body,
    after,
    assert_verified,
    clocks,
    drain,
    good,
    instant,
    pointers,
    write_calendar,
    write_targets,
)

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
URL = "/v1/sla-policies"
BY_CUSTOMER = {"author": {"kind": "customer"}}


def target(metric: str, seconds: int, **more: Any) -> Body:
    return {"metric": metric, "seconds": seconds, **more}


def business(metric: str, seconds: int, **more: Any) -> Body:
    return target(metric, seconds, hours="business", **more)


@pytest.mark.parametrize("seconds", [1, 90, 3600, 40 * 3600, 200 * 3600])
async def test_a_ticket_is_due_when_so_many_business_seconds_have_passed(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, seconds: int
) -> None:
    calendar = await write_calendar(client, holiday_region="FI")
    await write_targets(client, business("first_response", seconds), calendar_id=calendar["id"])
    ticket = await open_ticket()
    clock = await the_clock(client, ticket)
    due_at = await after(client, calendar, clock["started_at"], seconds)
    assert instant(clock["due_at"]) == instant(clock["original_due_at"]) == due_at
    assert (clock["hours"], clock["calendar_id"], clock["calendar_version"]) == ("business", calendar["id"], 1)
    assert clock["target_seconds"] == seconds
    other = await the_clock(client, ticket, "resolution")
    assert (other["hours"], other["calendar_id"], other["due_at"]) == ("calendar", None, None)
    await assert_verified(db)


async def test_calendar_hours_beside_business_hours_count_every_hour(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    calendar = await write_calendar(client)
    targets = target("first_response", 7200), business("resolution", 7200)
    await write_targets(client, *targets, calendar_id=calendar["id"])
    ticket = await open_ticket()
    first, last = await the_clock(client, ticket), await the_clock(client, ticket, "resolution")
    assert instant(first["due_at"]) == instant(first["started_at"]) + timedelta(hours=2)
    assert instant(last["due_at"]) == await after(client, calendar, last["started_at"], 7200)
    assert (first["hours"], last["hours"]) == ("calendar", "business")
    await assert_verified(db)


async def test_what_was_answered_while_closed_took_no_time(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    # Whatever the day of the test: its dates, and those around it, are closed.
    today = instant((await open_ticket())["created_at"]).date()
    dates: Body = {str(today + timedelta(days=n)): [] for n in range(-1, 3)}
    calendar = await write_calendar(client, date_hours=dates)
    await write_targets(client, business("first_response", 60), calendar_id=calendar["id"])
    ticket = await open_ticket()
    waiting = await the_clock(client, ticket)
    assert (waiting["elapsed_seconds"], waiting["remaining_seconds"]) == (0, 60)
    await reply(client, ticket)
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["elapsed_seconds"]) == ("met", 0)
    await assert_verified(db)


async def test_business_hours_need_a_calendar_that_is_there_and_not_archived(client: httpx.AsyncClient) -> None:
    body = {"key": "b", "name": "B", "targets": [target("resolution", 60), business("first_response", 60)]}
    assert pointers(await client.post(URL, json=body)) == ["/targets/1/hours"]
    unknown = "01900000-0000-7000-8000-000000000000"
    assert pointers(await client.post(URL, json={**body, "calendar_id": unknown})) == ["/calendar_id"]
    calendar = await write_calendar(client)
    used = good(await client.post(URL, json={**body, "calendar_id": calendar["id"]}))
    assert used["calendar_id"] == calendar["id"]
    assert pointers(await client.patch(f"{URL}/{used['id']}", json={"calendar_id": None})) == ["/targets/1/hours"]
    await client.delete(f"/v1/business-calendars/{calendar['id']}")
    late = {**body, "key": "late", "calendar_id": calendar["id"]}
    assert pointers(await client.post(URL, json=late)) == ["/calendar_id"]
    assert good(await client.get(f"{URL}/{used['id']}")) == used


async def test_a_policy_goes_on_using_its_archived_calendar(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    calendar = await write_calendar(client)
    await write_targets(client, business("first_response", 7200), calendar_id=calendar["id"])
    await client.delete(f"/v1/business-calendars/{calendar['id']}")
    clock = await the_clock(client, await open_ticket())
    assert instant(clock["due_at"]) == await after(client, calendar, clock["started_at"], 7200)
    await assert_verified(db)


async def test_a_change_that_does_not_touch_an_archived_calendar_is_no_new_use_of_it(
    client: httpx.AsyncClient,
) -> None:
    calendar = await write_calendar(client)
    policy = await write_targets(client, business("first_response", 7200), calendar_id=calendar["id"])
    await client.delete(f"/v1/business-calendars/{calendar['id']}")
    assert (await client.patch(f"{URL}/{policy['id']}", json={"name": "Renamed"})).status_code == 200


async def test_an_edited_calendar_moves_what_runs_and_leaves_what_has_ended(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    calendar = await write_calendar(client, timezone="UTC", hours=ALWAYS)
    await write_targets(client, business("first_response", 20 * 3600), calendar_id=calendar["id"])
    running, answered = await open_ticket(), await open_ticket()
    await reply(client, answered)
    before, judged = await the_clock(client, running), await the_clock(client, answered)
    half = {day: [["00:00", "12:00"]] for day in ALWAYS}
    changed = good(await client.patch(f"/v1/business-calendars/{calendar['id']}", json={"hours": half}))
    assert await the_clock(client, running) | {"elapsed_seconds": 0, "remaining_seconds": 0} == before | {
        "elapsed_seconds": 0, "remaining_seconds": 0,
    }  # fmt: skip
    fresh = await the_clock(client, await open_ticket())
    assert (fresh["calendar_version"], changed["version"]) == (2, 2)
    await drain(db)
    clock = await the_clock(client, running)
    assert clock["calendar_version"] == 2
    assert instant(clock["due_at"]) == await after(client, calendar, clock["started_at"], 20 * 3600)
    assert instant(clock["due_at"]) > instant(before["due_at"])
    assert clock["original_due_at"] == before["original_due_at"]
    assert await the_clock(client, answered) == judged
    assert judged["calendar_version"] == 1
    await assert_verified(db)
    # One pass at once, and one for whoever was opening a ticket just then.
    jobs = good(await client.get("/v1/sla-jobs"))["items"]
    assert {job["kind"] for job in jobs} == {"calendar_changed"}
    assert sorted(job["state"] for job in jobs) == ["done", "waiting"]
    [done] = [job for job in jobs if job["state"] == "done"]
    assert (done["subject_id"], done["deadlines"], done["breaches"]) == (calendar["id"], 1, 0)


async def test_a_calendar_that_closes_takes_a_deadline_that_had_passed_back_but_not_what_was_told(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Any
) -> None:
    calendar = await write_calendar(client, timezone="UTC", hours=ALWAYS)
    await write_targets(client, business("first_response", 1), calendar_id=calendar["id"])
    ticket = await open_ticket()
    await asyncio.sleep(1.1)
    assert (await the_clock(client, ticket))["state"] == "breached"
    day = instant(ticket["created_at"]).date()
    closed: Body = {str(day + timedelta(days=n)): [] for n in range(3)}
    await client.patch(f"/v1/business-calendars/{calendar['id']}", json={"date_hours": closed})
    await drain(db)
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["elapsed_seconds"]) == ("running", 0)
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type = 'sla.breached'") == 1
    await assert_verified(db)


async def test_what_pauses_a_clock_is_usual_for_its_metric_unless_the_target_says_otherwise(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    shown = await write_targets(client, target("first_response", 3600), target("resolution", 7200))
    assert [each["pause_on"] for each in shown["targets"]] == [[], ["on_hold", "pending"]]
    usual = await open_ticket()
    given = {"pause_on": ["pending"]}
    await client.patch(
        f"{URL}/{shown['id']}",
        json={"targets": [target("first_response", 3600, **given), target("resolution", 7200, pause_on=[])]},
    )
    explicit = await open_ticket()
    for word in ("pending", "on_hold"):
        for ticket in (usual, explicit):
            await patch(client, ticket, status=word)
        states = [
            (await the_clock(client, ticket, metric))["state"]
            for ticket in (usual, explicit)
            for metric in ("first_response", "resolution")
        ]
        assert states == ["running", "paused", "paused" if word == "pending" else "running", "running"]
    held = await the_clock(client, usual, "resolution")
    assert held["due_at"] is None
    assert held["original_due_at"] is not None
    assert held["remaining_seconds"] == pytest.approx(7200, abs=60)
    await patch(client, usual, status="open")
    back = await the_clock(client, usual, "resolution")
    late = instant(back["due_at"]) - instant(back["original_due_at"])
    assert late.total_seconds() == pytest.approx(back["paused_seconds"])
    assert back["paused_seconds"] > 0
    await assert_verified(db)


async def test_a_pause_while_closed_costs_nothing(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    today = instant((await open_ticket())["created_at"]).date()
    dates: Body = {str(today + timedelta(days=n)): [] for n in range(-1, 3)}
    calendar = await write_calendar(client, date_hours=dates)
    await write_targets(client, business("resolution", 60), calendar_id=calendar["id"])
    ticket = await open_ticket()
    due_at = (await the_clock(client, ticket, "resolution"))["due_at"]
    await patch(client, ticket, status="pending")
    await patch(client, ticket, status="open")
    clock = await the_clock(client, ticket, "resolution")
    assert (clock["due_at"], clock["paused_seconds"]) == (due_at, 0)
    await assert_verified(db)


@pytest.mark.parametrize("on_reopen", ["resume", "new_cycle"])
async def test_reopening_resumes_the_resolution_or_begins_the_next(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, on_reopen: str
) -> None:
    await write_targets(client, target("resolution", 3600), on_reopen=on_reopen)
    ticket = await open_ticket()
    await reply(client, ticket, status="resolved")
    [first] = await clocks(client, ticket, "resolution")
    assert first["state"] == "met"
    said = await reply(client, ticket, **BY_CUSTOMER)
    found = await clocks(client, ticket, "resolution")
    if on_reopen == "resume":
        [again] = found
        assert (again["state"], again["stopped_at"], again["paused_seconds"]) == ("running", None, 0)
        left_out = instant(said["created_at"]) - instant(first["stopped_at"])
        assert instant(again["due_at"]) == instant(first["due_at"]) + left_out
        assert again["original_due_at"] == first["original_due_at"]
    else:
        assert found[0] == first
        assert (found[1]["cycle"], found[1]["started_at"], found[1]["state"]) == (2, said["created_at"], "running")
        assert instant(found[1]["due_at"]) == instant(said["created_at"]) + timedelta(hours=1)
    await assert_verified(db)


async def test_where_a_customer_does_not_reopen_their_words_open_a_follow_up_with_a_clock(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    await write_targets(client, target("next_response", 60), reopen_on_customer_message=False)
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    await reply(client, ticket, status="resolved")
    said = [await reply(customer.http, ticket) for _ in range(3)]
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["status"] == "resolved"
    assert await clocks(client, ticket, "next_response") == []
    follow_up = {"id": said[0]["ticket_id"]}
    assert follow_up["id"] != ticket["id"]
    assert {message["ticket_id"] for message in said} == {follow_up["id"]}
    [clock] = await clocks(client, follow_up, "first_response")
    assert (clock["state"], clock["started_at"]) == ("running", said[0]["created_at"])
    # Where that is resolved too, the next one opens another; and whatever they write on, it goes there.
    await reply(client, follow_up, status="resolved")
    again = [await reply(customer.http, {"id": id_}) for id_ in (follow_up["id"], ticket["id"])]
    assert len({message["ticket_id"] for message in again} - {follow_up["id"], ticket["id"]}) == 1
    assert [clock["state"] for clock in await clocks(client, ticket, "resolution")] == ["stopped"]
    # A pending one is another matter: the customer has given the answer that was waited for.
    other = await open_ticket(customer={"id": str(customer.id)})
    await reply(client, other, status="pending")
    await reply(customer.http, other)
    assert good(await client.get(f"/v1/tickets/{other['id']}"))["status"] == "open"
    assert [clock["state"] for clock in await clocks(client, other, "next_response")] == ["running"]
    await assert_verified(db)


@pytest.mark.parametrize("counts", [True, False])
async def test_a_bot_answers_the_next_message_only_where_bots_count(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, counts: bool
) -> None:
    targets = [target(metric, 60) for metric in ("first_response", "next_response")]
    await write_targets(client, *targets, bot_counts=counts)
    ticket = await open_ticket()
    await reply(client, ticket)
    await reply(client, ticket, **BY_CUSTOMER)
    await reply(client, ticket, author={"kind": "bot"})
    [clock] = await clocks(client, ticket, "next_response")
    assert clock["state"] == ("met" if counts else "running")
    await assert_verified(db)


async def test_the_way_of_reopening_is_versioned_with_the_policy(client: httpx.AsyncClient) -> None:
    policy = await write_targets(client, target("resolution", 60))
    assert (policy["on_reopen"], policy["reopen_on_customer_message"]) == ("resume", True)
    path = f"{URL}/{policy['id']}"
    changed = good(await client.patch(path, json={"on_reopen": "new_cycle", "reopen_on_customer_message": False}))
    assert (changed["version"], changed["on_reopen"], changed["reopen_on_customer_message"]) == (2, "new_cycle", False)
    assert good(await client.get(f"{path}/versions"))["items"] == [changed, policy]
    assert pointers(await client.patch(path, json={"on_reopen": "restart"})) == ["/on_reopen"]

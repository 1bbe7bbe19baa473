import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.sla import patch, reply
from tests.support.verification import (
    ALWAYS,
    Body,
    assert_verified,
    drain,
    good,
    instant,
    pointers,
    soon,
    write_calendar,
    write_targets,
)

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
NOWHERE = "01900000-0000-7000-8000-000000000000"


def condition(field: str, value: object, op: str = "eq") -> Body:
    return {"field": f"ticket.{field}", "op": op, "value": value}


async def _explained(client: httpx.AsyncClient, ticket: Body) -> Body:
    return good(await client.get(f"/v1/tickets/{ticket['id']}/explain"))


async def _clock(client: httpx.AsyncClient, ticket: Body, metric: str = "first_response") -> Body:
    [found] = [each for each in (await _explained(client, ticket))["clocks"] if each["clock"]["metric"] == metric]
    return dict(found)


async def _business(
    client: httpx.AsyncClient, seconds: int, metric: str = "first_response", **calendar: object
) -> Body:
    made = await write_calendar(client, **calendar)
    target = {"metric": metric, "seconds": seconds, "hours": "business"}
    return await write_targets(client, target, calendar_id=made["id"])


def _sum(explained: Body) -> float:
    total: float = sum(span["seconds"] for span in explained["counted"])
    return total


def _wall(text: str, zone: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"


@pytest.mark.parametrize("hours", [1, 20, 100])
async def test_what_counts_up_to_the_deadline_is_the_target(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, hours: int
) -> None:
    await _business(client, hours * 3600, holiday_region="FI")
    ticket = await open_ticket()
    found = await _clock(client, ticket)
    due_at = found["clock"]["due_at"]
    assert _sum(found) == pytest.approx(hours * 3600, abs=1e-3)
    assert found["counted"][-1]["end"] == due_at
    assert found["counted_more"] is False
    for span in found["counted"]:
        assert (instant(span["end"]) - instant(span["start"])).total_seconds() == pytest.approx(span["seconds"])
        local = instant(span["start"]).astimezone(ZoneInfo("Europe/Helsinki"))
        assert local.weekday() < 5
        assert 9 <= local.hour < 17
    starts = [span["start"] for span in found["counted"]]
    assert starts == sorted(set(starts))
    assert found["timezone"] == "Europe/Helsinki"
    assert found["due_local"].startswith(_wall(due_at, "Europe/Helsinki"))
    assert found["arithmetic"][-1] == f"So it is due on {found['due_local']}."
    assert "business hours (Europe/Helsinki)" in found["arithmetic"][0]
    assert f"The target is {hours} h." in found["arithmetic"]
    await assert_verified(db)


async def test_a_clock_of_every_hour_counts_one_span(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    found = await _clock(client, ticket)
    clock = found["clock"]
    assert found["counted"] == [{"start": clock["started_at"], "end": clock["due_at"], "seconds": 90}]
    assert (found["timezone"], found["pauses"]) == ("UTC", [])
    assert "The target is 1 min 30 s." in found["arithmetic"]
    bare = await _clock(client, ticket, "resolution")
    assert (bare["due_local"], bare["clock"]["due_at"]) == (None, None)
    assert any("No policy has a target" in line for line in bare["arithmetic"])


async def test_a_clock_that_has_ended_counts_up_to_its_end(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await _business(client, 3600, timezone="UTC", hours=ALWAYS)
    ticket = await open_ticket()
    await asyncio.sleep(0.1)
    await reply(client, ticket)
    found = await _clock(client, ticket)
    assert _sum(found) == pytest.approx(found["clock"]["elapsed_seconds"])
    assert found["counted"][-1]["end"] == found["clock"]["stopped_at"]
    await assert_verified(db)


async def test_many_spans_are_listed_up_to_a_bound(client: httpx.AsyncClient, open_ticket: Open) -> None:
    quarters = [
        [f"{hour:02}:{minute:02}", f"{hour:02}:{minute + 5:02}"] for hour in range(12) for minute in (0, 15, 30)
    ]
    await _business(client, 100 * 3600, timezone="UTC", hours=dict.fromkeys(ALWAYS, quarters))
    found = await _clock(client, await open_ticket())
    assert (len(found["counted"]), found["counted_more"]) == (400, True)


async def test_pauses_are_listed_and_left_out(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    await _business(client, 3600, "resolution", timezone="UTC", hours=ALWAYS)
    ticket = await open_ticket()
    await patch(client, ticket, status="pending")
    held = await _clock(client, ticket, "resolution")
    [pause] = held["pauses"]
    assert (pause["kind"], pause["end"], held["due_local"]) == ("status", None, None)
    assert any("paused in its present status" in line for line in held["arithmetic"])
    await asyncio.sleep(0.2)
    await patch(client, ticket, status="open")
    await patch(client, ticket, status="on_hold")
    await patch(client, ticket, status="open")
    found = await _clock(client, ticket, "resolution")
    assert [pause["kind"] for pause in found["pauses"]] == ["status", "status"]
    assert sum(p["seconds"] for p in found["pauses"]) == pytest.approx(found["clock"]["paused_seconds"])
    assert found["clock"]["paused_seconds"] >= 0.2
    assert _sum(found) == pytest.approx(3600)
    for pause in found["pauses"]:
        for span in found["counted"]:
            apart = span["end"] <= pause["start"] or span["start"] >= pause["end"]
            assert apart, (span, pause)
    assert any(line.startswith("It stood still for") for line in found["arithmetic"])
    await assert_verified(db)


_THURSDAY, _TUESDAY = "Thu 2026-04-02", "Tue 2026-04-07"
_EASTER = [f"{_THURSDAY} 16:30 to 17:00: 30 min.", "Fri 2026-04-03 is closed.", "Mon 2026-04-06 is closed."]
_TO_TUESDAY = [*_EASTER, f"{_TUESDAY} 09:00 to 10:30: 1 h 30 min.", f"So it is due on {_TUESDAY} 10:30."]
# What it says at least of a ticket that was opened then, and answered then.
_WAYS: list[tuple[str, str | None, list[str]]] = [
    ("16:30", None, ["The target is 2 h.", *_TO_TUESDAY]),
    ("16:30", "16:40", [f"10 min had passed by {_THURSDAY} 16:40.", *_TO_TUESDAY]),
    ("20:00", None, [f"{_TUESDAY} 09:00 to 11:00: 2 h.", f"So it is due on {_TUESDAY} 11:00."]),
    ("10:00", None, [f"So it is due on {_THURSDAY} 12:00."]),
]


async def test_the_arithmetic_goes_day_by_day_to_the_deadline(client: httpx.AsyncClient) -> None:
    await _business(client, 7200, timezone="Europe/Helsinki", holiday_region="FI")
    tickets = [
        {
            "external_id": f"{opened} {answered}", "subject": "Help", "customer": {"external_id": "c"},
            "created_at": f"2026-04-02T{opened}:00+03:00",
            "timeline": [
                {"at": f"2026-04-02T{at}:00+03:00", "kind": "message", "author": "agent", "body": "Hello."}
                for at in (answered,) if at
            ],
        }
        for opened, answered, _ in _WAYS
    ]  # fmt: skip
    items = good(await client.post("/v1/imports/tickets", json={"tickets": tickets}))["items"]
    for item, (opened, _, lines) in zip(items, _WAYS, strict=True):
        found = (await _clock(client, {"id": item["ticket_id"]}))["arithmetic"]
        start = f"first_response 1 started on {_THURSDAY} {opened}; business hours (Europe/Helsinki) count."
        assert found[0] == start
        assert [line for line in found if line in lines] == lines
    # The way is straight: there is nothing between the wait so far and the deadline.
    assert len(found) == 4


async def test_a_long_way_to_the_deadline_is_cut_short_in_the_middle(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    # Not the day it is now: that would make a part of an hour.
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    await _business(client, 100 * 3600, hours={day: [["09:00", "10:00"]]}, date_hours={})
    found = (await _clock(client, await open_ticket()))["arithmetic"]
    steps = [line for line in found if " to " in line]
    assert len(steps) == 14
    assert "And so on, 86 times." in found
    assert steps[-1].endswith(": 1 h.")


async def test_time_spent_resolved_is_listed_as_such(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "resolution", "seconds": 3600})
    ticket = await open_ticket()
    answered = await reply(client, ticket, status="resolved")
    again = await reply(client, ticket, author={"kind": "customer"})
    found = await _clock(client, ticket, "resolution")
    [pause] = found["pauses"]
    assert (pause["kind"], pause["start"], pause["end"]) == ("resolved", answered["created_at"], again["created_at"])
    assert _sum(found) == pytest.approx(3600)
    await assert_verified(db)


async def test_exceptions_are_part_of_the_arithmetic(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    for more in (
        {"effect": "extend", "seconds": 600},
        {"effect": "retarget", "seconds": 1800},
        {"effect": "freeze", "starts_at": soon(60), "expires_at": soon(120)},
    ):
        body = {"ticket_id": ticket["id"], "reason": "Storm.", **more}
        assert (await client.post("/v1/sla-exceptions", json=body)).status_code == 201
    found = await _clock(client, ticket)
    [pause] = found["pauses"]
    assert pause["kind"] == "frozen"
    assert _sum(found) == pytest.approx(2400)
    text = " ".join(found["arithmetic"])
    for part in ("makes the target 30 min", "add 10 min", "stops time from"):
        assert part in text
    await client.post("/v1/sla-exceptions", json={"ticket_id": ticket["id"], "effect": "exclude", "reason": "Storm."})
    text = " ".join((await _clock(client, ticket))["arithmetic"])
    assert "leaves it out of judgement" in text
    await assert_verified(db)


async def test_a_promise_says_by_when(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    body = {"text": "A call.", "due_at": soon(600)}
    await client.post(f"/v1/tickets/{ticket['id']}/promises", json=body)
    found = await _clock(client, ticket, "promise")
    assert any(line.startswith("It was promised by") for line in found["arithmetic"])
    assert _sum(found) == pytest.approx(600, abs=5)


async def test_policies_come_in_order_with_the_first_condition_that_fails(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    target = {"metric": "first_response", "seconds": 60}
    phone, vip, high = (
        condition("channel", "phone"),
        condition("tags", "vip", "contains"),
        condition("priority", "high"),
    )
    second = await write_targets(client, target, key="second", position=2, conditions={"all": [high, vip]})
    first = await write_targets(client, target, key="first", position=1, conditions={"all": [high, phone, vip]})
    third = await write_targets(client, target, key="third", position=3, conditions={"any": [phone, high]})
    ticket = await open_ticket(priority="high", tags=["vip"])
    explained = await _explained(client, ticket)
    tried = [(p["key"], p["matches"], p["taken"], p["failed"]) for p in explained["policies"]]
    assert tried == [
        ("first", False, False, phone),
        ("second", True, True, None),
        ("third", True, False, None),
        ("first-answer", True, False, None),
    ]
    assert (explained["policy_id"], explained["policy_version"]) == (second["id"], 1)
    assert (explained["because"], explained["applied_at"]) == ("opened", ticket["created_at"])
    assert [p["id"] for p in explained["policies"][:3]] == [first["id"], second["id"], third["id"]]
    asked = good(await client.post("/v1/sla-policies/explain", json={"ticket_id": ticket["id"]}))
    assert asked["policies"] == explained["policies"]
    assert (asked["policy_id"], asked["policy_version"]) == (second["id"], 1)


async def test_facts_are_explained_without_a_ticket(client: httpx.AsyncClient) -> None:
    target = {"metric": "first_response", "seconds": 60}
    high, vip = condition("priority", "high"), condition("tags", "vip", "contains")
    own = await write_targets(client, target, conditions={"all": [high, vip]})
    for facts, failed in (
        ({"ticket.priority": "low"}, high),
        ({"ticket.priority": "high"}, vip),
        ({"ticket.priority": "high", "ticket.tags": ["vip"]}, None),
        ({}, high),
    ):
        found = good(await client.post("/v1/sla-policies/explain", json={"facts": facts}))
        assert found["policies"][0]["failed"] == failed
        assert (found["policy_id"] == own["id"]) == (failed is None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/ticket_id"),
        ({"ticket_id": NOWHERE, "facts": {}}, "/ticket_id"),
        ({"facts": {"ticket.nonsense": 1}}, "/facts/ticket.nonsense"),
        ({"facts": {"a/b~c": 1}}, "/facts/a~1b~0c"),
        ({"facts": []}, "/facts"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(client: httpx.AsyncClient, body: Body, pointer: str) -> None:
    assert pointers(await client.post("/v1/sla-policies/explain", json=body)) == [pointer]


async def test_it_says_when_and_why_the_ticket_came_under_its_policy(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    policy = await write_targets(client, {"metric": "first_response", "seconds": 600})
    stale = await _explained(client, ticket)
    # What would be taken today, and what the ticket stands under, are two things.
    assert [p["taken"] for p in stale["policies"]] == [True, False]
    assert stale["policy_id"] != policy["id"]
    await patch(client, ticket, priority="high")
    explained = await _explained(client, ticket)
    assert (explained["policy_id"], explained["because"]) == (policy["id"], "priority changed")
    assert instant(explained["applied_at"]) > instant(ticket["created_at"])
    await client.delete(f"/v1/sla-policies/{policy['id']}")
    await drain(db)
    assert (await _explained(client, ticket))["because"] == "policy archived"
    await assert_verified(db)


async def test_a_local_deadline_is_of_the_calendars_zone(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await _business(client, 3600, timezone="Asia/Kolkata")
    found = await _clock(client, await open_ticket())
    local = instant(found["clock"]["due_at"]).astimezone(ZoneInfo("Asia/Kolkata"))
    assert local.utcoffset() == timedelta(hours=5, minutes=30)
    assert found["due_local"].startswith(f"{local:%a %Y-%m-%d %H:%M}")


async def test_customers_get_none_of_it(client: httpx.AsyncClient, open_ticket: Open, person: Make) -> None:
    customer, agent = await person("customer"), await person("agent")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    assert (await customer.http.get(f"/v1/tickets/{ticket['id']}/explain")).status_code == 403
    assert (await customer.http.post("/v1/sla-policies/explain", json={"facts": {}})).status_code == 403
    assert (await agent.http.get(f"/v1/tickets/{ticket['id']}/explain")).status_code == 200
    assert (await client.get(f"/v1/tickets/{NOWHERE}/explain")).status_code == 404
    nowhere = await client.post("/v1/sla-policies/explain", json={"ticket_id": NOWHERE})
    assert nowhere.status_code in (404, 422)

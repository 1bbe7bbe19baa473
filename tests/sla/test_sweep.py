import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.db import Database
from tests.support.sla import (
    Sql,
    a_few_at_a_time,
    let_pass,
    patch,
    reply,
    sweep_dry,
    sweep_once,
    the_clock,
    told,
    write_policy,
)

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _open_many(open_ticket: Open, count: int) -> list[dict[str, Any]]:
    return await a_few_at_a_time(open_ticket() for _ in range(count))


async def test_a_breach_is_stamped_with_its_deadline_whenever_it_is_noticed(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    await let_pass(sql, 1000)
    await sweep_dry(db)
    clock = await the_clock(client, ticket)
    assert clock["state"] == "breached"
    assert clock["breached_at"] == clock["due_at"]
    assert datetime.fromisoformat(clock["detected_at"]) > datetime.fromisoformat(clock["breached_at"])
    occurred = await sql.fetchval("SELECT occurred_at FROM events WHERE type = 'sla.breached'")
    assert occurred == datetime.fromisoformat(clock["due_at"])


async def test_no_reader_sees_a_passed_deadline_as_running_before_the_sweep_has(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    ticket, fresh = await open_ticket(), await open_ticket()
    await let_pass(sql, 90.001, ticket)
    one = await the_clock(client, ticket)
    [beside, _] = (await client.get(f"/v1/tickets/{ticket['id']}?include=clocks")).json()["clocks"]
    for clock in (one, beside):
        assert (clock["state"], clock["breached_at"], clock["detected_at"]) == ("breached", clock["due_at"], None)
        assert clock["remaining_seconds"] < 0
        assert not clock["at_risk"]
    for state, expected in (("running", fresh), ("breached", ticket)):
        [listed] = (await client.get(f"/v1/sla-clocks?state={state}")).json()["items"]
        assert (listed["ticket_id"], listed["state"]) == (expected["id"], state)


async def test_case_08_a_reply_after_the_deadline_before_the_sweep_is_one_breach(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    await let_pass(sql, 95, ticket)
    await reply(client, ticket)
    assert (await the_clock(client, ticket))["state"] == "breached"
    await sweep_dry(db)
    assert [alert for alert in await told(sql) if alert[0] == "breached"] == [("breached", 90, 0)]
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type = 'sla.met'") == 0
    clock = await the_clock(client, ticket)
    assert clock["state"] == "breached"
    assert clock["detected_at"] is not None


async def test_case_09_resolved_late_between_two_sweeps_is_one_breach(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    await let_pass(sql, 95, ticket)
    await patch(client, ticket, status="resolved")
    await sweep_dry(db)
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["ended_reason"]) == ("breached", "resolved_without_response")
    assert ("breached", 90, 0) in await told(sql)


async def test_warnings_are_given_once_a_percent_each_when_its_time_comes(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, 1000, warn_at=[50, 80])
    ticket = await open_ticket()
    warned: list[tuple[str, int, int]] = []
    for seconds, expected in ((400, []), (200, [50]), (100, []), (150, [80]), (200, [0]), (1000, [])):
        await let_pass(sql, seconds, ticket)
        for _ in range(3):
            await sweep_once(db)
        warned += [("at_risk" if percent else "breached", 1000, percent) for percent in expected]
        assert await told(sql) == warned
        assert (await the_clock(client, ticket))["at_risk"] is (len(warned) in (1, 2))


async def test_everything_missed_is_told_in_the_order_in_which_it_happened(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, 1000, warn_at=[50, 80])
    await open_ticket()
    await let_pass(sql, 5000)
    assert await sweep_once(db) == 1
    assert await told(sql) == [("at_risk", 1000, 50), ("at_risk", 1000, 80), ("breached", 1000, 0)]
    at = [
        row["occurred_at"]
        for row in await sql.fetch("SELECT occurred_at FROM events WHERE type LIKE 'sla.%' ORDER BY id")
    ]
    assert at == sorted(at)


async def test_case_06_what_has_ended_or_has_no_target_is_out_of_the_sweep(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, {"urgent": 60})
    answered, resolved, closed, low = [
        await open_ticket(priority=word) for word in ("urgent", "urgent", "urgent", "low")
    ]
    await reply(client, answered)
    await patch(client, resolved, status="resolved")
    await patch(client, closed, status="closed")
    assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE next_at IS NOT NULL") == 0
    await let_pass(sql, 10**6)
    assert await sweep_dry(db) == 0
    assert (await the_clock(client, low))["state"] == "running"
    await reply(client, low)
    assert (await the_clock(client, low))["state"] == "stopped"
    assert await told(sql) == []


async def test_a_breached_clock_that_is_told_of_is_out_of_the_sweep(db: Database, sql: Sql, open_ticket: Open) -> None:
    await open_ticket()
    await let_pass(sql, 1000)
    assert await sweep_once(db) == 1
    assert await sweep_once(db) == 0


@pytest.mark.parametrize("sweepers", [2, 8])
async def test_case_23_concurrent_sweeps_tell_of_each_breach_once(
    db: Database, sql: Sql, open_ticket: Open, sweepers: int
) -> None:
    tickets = await _open_many(open_ticket, 60)
    await let_pass(sql, 1000)
    await asyncio.gather(*(sweep_dry(db, batch=7) for _ in range(sweepers)))
    await sweep_dry(db)
    for kind, percent in (("breached", 0), ("at_risk", 80)):
        rows = await sql.fetch("SELECT ticket_id FROM events WHERE type = 'sla.' || $1", kind)
        assert sorted(str(row["ticket_id"]) for row in rows) == sorted(ticket["id"] for ticket in tickets)
        count = await sql.fetchval("SELECT count(*) FROM sla_alerts WHERE kind = $1 AND percent = $2", kind, percent)
        assert count == len(tickets)
    assert (
        await sql.fetchval(
            "SELECT count(*) FROM sla_clocks WHERE due_at IS NOT NULL AND (detected_at IS NULL OR next_at IS NOT NULL)"
        )
        == 0
    )


async def test_a_new_target_un_breaches_and_its_own_breach_is_a_second_event(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, {"high": 60, "low": 3600})
    ticket = await open_ticket(priority="high")
    await let_pass(sql, 100, ticket)
    await sweep_dry(db)
    first = await the_clock(client, ticket)
    await patch(client, ticket, priority="low")
    calmer = await the_clock(client, ticket)
    assert (calmer["state"], calmer["breached_at"], calmer["detected_at"]) == ("running", None, None)
    assert (calmer["original_due_at"], calmer["started_at"]) == (first["due_at"], first["started_at"])
    await sweep_dry(db)
    assert await told(sql) == [("breached", 60, 0)]
    await let_pass(sql, 3600, ticket)
    await sweep_dry(db)
    assert await told(sql) == [("breached", 60, 0), ("breached", 3600, 0)]
    assert (await the_clock(client, ticket))["state"] == "breached"


async def test_case_04_back_under_the_first_target_a_breach_is_the_one_already_told(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, {"high": 60, "low": 3600})
    ticket = await open_ticket(priority="high")
    await let_pass(sql, 100, ticket)
    await sweep_dry(db)
    first = await the_clock(client, ticket)
    after_the_sweep = await sql.fetchval("SELECT clock_timestamp()")
    for _ in range(2):
        await patch(client, ticket, priority="low")
        await sweep_dry(db)
        await patch(client, ticket, priority="high")
        assert (await the_clock(client, ticket))["state"] == "breached"
        await sweep_dry(db)
    assert await told(sql) == [("breached", 60, 0)]
    again = await the_clock(client, ticket)
    for name in ("due_at", "breached_at", "original_due_at", "target_seconds"):
        assert again[name] == first[name], name
    assert datetime.fromisoformat(again["detected_at"]) < after_the_sweep


async def test_case_05_a_recorded_breach_survives_another_policy(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    policy = await write_policy(client, 60)
    ticket = await open_ticket()
    await let_pass(sql, 100, ticket)
    await sweep_dry(db)
    targets = [{"metric": "first_response", "seconds": 9000}]
    assert (await client.patch(f"/v1/sla-policies/{policy['id']}", json={"targets": targets})).status_code == 200
    assert (await the_clock(client, ticket))["state"] == "breached"
    await patch(client, ticket, tags=["vip"])
    assert (await the_clock(client, ticket))["state"] == "running"
    await sweep_dry(db)
    assert await told(sql) == [("breached", 60, 0)]
    assert await sql.fetchval("SELECT count(*) FROM sla_alerts WHERE kind = 'breached'") == 1


async def test_case_05_what_passed_unnoticed_is_told_before_another_target_comes(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    def targets(seconds: int) -> list[dict[str, Any]]:
        return [{"metric": "resolution", "seconds": seconds, "warn_at_percent": [50]}]

    policy = await write_policy(client, 60, targets=targets(60))
    late, at_risk = await open_ticket(), await open_ticket()
    await let_pass(sql, 100, late)
    await let_pass(sql, 40, at_risk)
    # Resolved late, and reopened under another promise, before any sweep.
    await patch(client, late, status="resolved")
    answer = await client.patch(f"/v1/sla-policies/{policy['id']}", json={"targets": targets(9000)})
    assert answer.status_code == 200
    await patch(client, late, status="open")
    await patch(client, at_risk, tags=["vip"])
    assert [(await the_clock(client, ticket, "resolution"))["state"] for ticket in (late, at_risk)] == ["running"] * 2
    await sweep_dry(db)
    assert sorted(await told(sql, late)) == [("at_risk", 60, 50), ("breached", 60, 0)]
    assert await told(sql, at_risk) == [("at_risk", 60, 50)]


async def test_case_22_of_ten_concurrent_first_replies_one_is_the_response(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    # Again and again: the first rounds mostly wait for connections, and race little.
    for _ in range(6):
        ticket = await open_ticket()
        messages = await asyncio.gather(*(reply(client, ticket) for _ in range(10)))
        clock = await the_clock(client, ticket)
        assert clock["stopped_at"] == min(message["created_at"] for message in messages)
        for type_ in ("sla.met", "ticket.status_changed"):
            told_of = "SELECT count(*) FROM events WHERE type = $1 AND ticket_id = $2"
            assert await sql.fetchval(told_of, type_, UUID(ticket["id"])) == 1


async def test_case_27_the_agent_who_answered_leaves_and_it_stays_answered(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    agent = (await client.post("/v1/agents", json={"name": "Kim"})).json()
    ticket = await open_ticket()
    await reply(client, ticket, author={"kind": "agent", "id": agent["id"]})
    before = await the_clock(client, ticket)
    assert (await client.delete(f"/v1/agents/{agent['id']}")).status_code == 204
    assert await the_clock(client, ticket) == before
    assert before["state"] == "met"


async def test_case_01_a_reply_with_a_status_records_both(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    message = await reply(client, ticket, status="resolved")
    clock = await the_clock(client, ticket)
    assert (clock["state"], clock["stopped_at"], clock["ended_reason"]) == ("met", message["created_at"], None)
    assert (await client.get(f"/v1/tickets/{ticket['id']}")).json()["status"] == "resolved"
    types = await sql.fetch("SELECT type FROM events WHERE ticket_id = $1 ORDER BY id", UUID(ticket["id"]))
    happened = [row["type"] for row in types if row["type"] in ("message.created", "ticket.status_changed")]
    assert happened == ["message.created", "message.created", "ticket.status_changed", "ticket.status_changed"]


async def test_a_bigger_burst_than_a_batch_is_taken_oldest_first(db: Database, sql: Sql, open_ticket: Open) -> None:
    tickets = await _open_many(open_ticket, 9)
    for n, ticket in enumerate(tickets):
        await let_pass(sql, 100 + n, ticket)
    assert await sweep_once(db, batch=4) == 4
    rows = await sql.fetch("SELECT ticket_id FROM events WHERE type = 'sla.breached'")
    assert {str(row["ticket_id"]) for row in rows} == {ticket["id"] for ticket in tickets[-4:]}
    assert await sweep_dry(db, batch=4) == 5


async def test_a_deadline_that_is_still_to_come_is_left_alone(db: Database, sql: Sql, open_ticket: Open) -> None:
    await open_ticket()
    before = await sql.fetchrow("SELECT * FROM sla_clocks")
    assert await sweep_once(db) == 0
    assert await sql.fetchrow("SELECT * FROM sla_clocks") == before
    assert before is not None
    assert before["next_at"] == before["started_at"] + timedelta(seconds=72)

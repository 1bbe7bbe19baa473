"""What becomes of an imported past: rows, log and clocks as if it had happened live, and nobody is told."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import Database
from tests.support.imports import at, imported, item, message, send, status, waits
from tests.support.sla import Sql, let_pass, patch, sweep_dry, told, write_policy
from tests.verification.test_verify import differences

Open = Callable[..., Awaitable[dict[str, Any]]]


async def _recent(sql: Sql, seconds_ago: float) -> str:
    now: datetime = await sql.fetchval("SELECT clock_timestamp()")
    return (now - timedelta(seconds=seconds_ago)).isoformat()


def _figures(clock: dict[str, Any]) -> tuple[Any, ...]:
    return clock["state"], clock["stopped_at"], clock["elapsed_seconds"], clock["ended_reason"]


async def test_a_ticket_goes_in_as_it_was_and_ends_as_its_timeline_says(client: httpx.AsyncClient) -> None:
    ticket = await imported(
        client,
        item(
            "INC-1",
            message(31, visibility="internal"),
            message(32, "customer"),
            message(33),
            status(34, "pending"),
            {"at": at(35), "kind": "priority", "priority": "high"},
            {"at": at(36), "kind": "assignee", "assignee": {"external_id": "a-1"}},
            {"at": at(37), "kind": "tags", "tags": ["x", "y"]},
            status(38, "resolved"),
            tags=["w"], type="incident", channel="email", product="Laser 9",
        ),
    )  # fmt: skip
    shown = {name: ticket[name] for name in ("external_id", "status", "priority", "type", "channel", "tags", "product")}
    assert shown == {
        "external_id": "INC-1", "status": "resolved", "priority": "high", "type": "incident", "channel": "email",
        "tags": ["x", "y"], "product": "Laser 9",
    }  # fmt: skip
    assert (ticket["created_at"], ticket["updated_at"], ticket["resolved_at"]) == (at(30), at(38), at(38))
    assert [(m["author"]["kind"], m["visibility"], m["created_at"]) for m in ticket["messages"]] == [
        ("agent", "internal", at(31)), ("customer", "public", at(32)), ("agent", "public", at(33)),
    ]  # fmt: skip
    assert ticket["customer"]["external_id"] == "c-1"
    [clock] = waits(ticket)
    assert (clock["started_at"], *_figures(clock)) == (at(30), "breached", at(33), 180, None)
    assert clock["breached_at"] == at(31, 30)


async def test_agents_of_the_past_are_made_inactive_and_known_ones_are_left_as_they_are(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    known = (await client.post("/v1/agents", json={"name": "Kim", "external_id": "a-1"})).json()
    entries = [{"at": at(31 + n), "kind": "assignee", "assignee": {"external_id": f"a-{n}"}} for n in range(3)]
    ticket = await imported(client, item("x", *entries, {"at": at(40), "kind": "assignee", "assignee": None}))
    assert ticket["assignee_id"] is None
    agents = await sql.fetch("SELECT id, external_id, active FROM agents ORDER BY external_id")
    assert [(row["external_id"], row["active"]) for row in agents] == [("a-0", False), ("a-1", True), ("a-2", False)]
    assert agents[1]["id"] == UUID(known["id"])


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        ([message(31)], ("met", at(31), 60, None)),
        ([message(31, second=30)], ("met", at(31, 30), 90, None)),
        ([message(31, second=31)], ("breached", at(31, 31), 91, None)),
        ([message(30)], ("met", at(30), 0, None)),
        ([message(31, "bot"), message(32, "system")], ("breached", None, None, None)),
        ([status(31, "open")], ("breached", None, None, None)),
        ([status(31, "resolved")], ("cancelled", None, 60, "resolved_without_response")),
        ([status(31, "closed", "customer")], ("cancelled", None, 60, "closed_by_customer")),
        ([status(32, "closed", "customer")], ("breached", None, 120, "closed_by_customer")),
    ],
)
async def test_clocks_are_judged_as_if_it_had_happened_live(
    client: httpx.AsyncClient, timeline: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    [clock] = waits(await imported(client, item("x", *timeline)))
    state, stopped_at, elapsed, reason = _figures(clock)
    assert (state, stopped_at, elapsed if expected[2] is not None else None, reason) == expected


@pytest.mark.parametrize("word", ["resolved", "closed"])
async def test_a_ticket_that_was_done_when_it_was_written_down_waits_for_nobody(
    client: httpx.AsyncClient, db: Database, sql: Sql, word: str
) -> None:
    ticket = await imported(client, item("x", status=word, created_at=await _recent(sql, 5)))
    [clock] = waits(ticket)
    assert _figures(clock) == ("cancelled", None, 0, "resolved_without_response")
    await let_pass(sql, 10**6)
    assert await sweep_dry(db) == 0


async def test_what_changes_nothing_has_not_happened(client: httpx.AsyncClient, db: Database) -> None:
    same = [
        status(31, "resolved"), status(35, "resolved"), {"at": at(36), "kind": "priority", "priority": "normal"},
        {"at": at(37), "kind": "tags", "tags": []}, {"at": at(38), "kind": "assignee", "assignee": None},
    ]  # fmt: skip
    ticket = await imported(client, item("x", *same))
    assert ticket["resolved_at"] == at(31)
    events = (await client.get(f"/v1/tickets/{ticket['id']}/events")).json()["items"]
    assert [event["type"] for event in events if event["type"].startswith("ticket.")] == [
        "ticket.created", "ticket.status_changed",
    ]  # fmt: skip
    assert await differences(db) == []


async def test_a_message_on_its_own_moves_no_status(client: httpx.AsyncClient) -> None:
    ticket = await imported(client, item("x", message(31), status(32, "resolved"), message(33, "customer")))
    assert ticket["status"] == "resolved"
    assert len(waits(ticket)) == 1


async def test_reopened_by_the_customer_after_no_answer_there_is_a_second_cycle(client: httpx.AsyncClient) -> None:
    timeline = [status(31, "resolved"), message(50, "customer"), status(50, "open", "customer"), message(51)]
    ticket = await imported(client, item("x", *timeline))
    assert [(c["cycle"], c["started_at"], *_figures(c)) for c in waits(ticket)] == [
        (1, at(30), "cancelled", None, 60, "resolved_without_response"),
        (2, at(50), "met", at(51), 60, None),
    ]
    assert ticket["resolved_at"] is None


async def test_case_20_breaches_of_history_are_facts_and_nobody_is_told(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    past = [item("met", message(31)), item("late", message(59)), item("open"), item("gone", status(31, "closed"))]
    await send(client, *past)
    facts = await sql.fetch(
        "SELECT type, imported FROM events WHERE type IN ('sla.breached', 'sla.met', 'sla.cancelled')"
    )
    assert sorted((row["type"], row["imported"]) for row in facts) == [
        ("sla.breached", True), ("sla.breached", True), ("sla.cancelled", True), ("sla.met", True),
    ]  # fmt: skip
    assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE next_at IS NOT NULL") == 0
    before = await told(sql)
    assert await sweep_dry(db) == 0
    assert await told(sql) == before
    detected = await sql.fetch("SELECT ticket_id FROM sla_clocks WHERE detected_at IS NOT NULL")
    assert len(detected) == 2


async def test_everything_of_an_import_is_marked_imported(client: httpx.AsyncClient, sql: Sql) -> None:
    first = await sql.fetchval("SELECT max(id) FROM events")
    assignee = {"at": at(31), "kind": "assignee", "assignee": {"external_id": "a"}}
    await imported(client, item("x", assignee, message(32), status(33, "resolved"), status(34, "open", "customer")))
    rows = await sql.fetch("SELECT type, imported FROM events WHERE id > $1", first)
    assert {row["type"] for row in rows} >= {
        "customer.created", "agent.created", "ticket.created", "ticket.updated", "message.created",
        "ticket.status_changed", "sla.breached",
    }  # fmt: skip
    assert all(row["imported"] for row in rows)
    assert await sql.fetchval("SELECT bool_and(imported) FROM tickets")


async def test_what_still_runs_is_told_of_from_now_on_and_nothing_that_had_passed(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await write_policy(client, 1000, warn_at=[10, 50])
    ticket = await imported(client, item("x", created_at=await _recent(sql, 200)))
    assert ticket["clocks"][0]["state"] == "running"
    assert await sweep_dry(db) == 0
    await let_pass(sql, 400)
    await sweep_dry(db)
    # The first one is a fact of the import.
    assert await told(sql) == [("at_risk", 1000, 10), ("at_risk", 1000, 50)]
    await let_pass(sql, 1000)
    await sweep_dry(db)
    assert await told(sql) == [("at_risk", 1000, 10), ("at_risk", 1000, 50), ("breached", 1000, 0)]
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type LIKE 'sla.%' AND imported") == 1


async def test_a_breach_of_the_past_is_not_told_when_the_ticket_is_matched_again(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    policy = await write_policy(client, 60, warn_at=[50])
    ticket = await imported(client, item("x"))
    before = await told(sql)
    targets = [{"metric": "first_response", "seconds": 60, "warn_at_percent": [50]}]
    body = {"targets": targets, "name": "The same promise"}
    await client.patch(f"/v1/sla-policies/{policy['id']}", json=body)
    await patch(client, ticket, tags=["later"])
    await sweep_dry(db)
    assert await told(sql) == before == [("at_risk", 60, 50), ("breached", 60, 0)]


async def test_a_history_is_covered_by_the_policies_it_passes_through(client: httpx.AsyncClient) -> None:
    vip = {"field": "ticket.tags", "op": "contains", "value": "vip"}
    calm = await write_policy(client, {"high": 120, "low": 6000}, key="calm", position=5)
    fast = await write_policy(client, 30, key="fast", position=1, conditions={"all": [vip]})
    low = await imported(client, item("a", message(40), priority="low"))
    assert low["clocks"][0]["policy_id"] == calm["id"]
    raised = await imported(
        client, item("b", {"at": at(31), "kind": "priority", "priority": "high"}, message(40), priority="low")
    )
    [clock] = waits(raised)
    assert (clock["target_seconds"], clock["state"], clock["original_due_at"]) == (120, "breached", at(130))
    tagged = await imported(client, item("c", {"at": at(31), "kind": "tags", "tags": ["vip"]}, message(40)))
    assert tagged["clocks"][0]["policy_id"] == fast["id"]
    answered = item("d", message(31), {"at": at(32), "kind": "tags", "tags": ["vip"]}, priority="low")
    assert (await imported(client, answered))["clocks"][0]["policy_id"] == calm["id"]


async def test_case_20_what_broke_under_an_earlier_target_is_a_fact_too(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    targets = [
        {"metric": metric, "priority": word, "seconds": seconds}
        for metric in ("first_response", "resolution")
        for word, seconds in (("high", 60), ("normal", 120), ("low", 6000))
    ]
    body = {"key": "own", "name": "Own", "position": 1, "targets": targets}
    assert (await client.post("/v1/sla-policies", json=body)).status_code == 201

    def rated(minute: int, word: str) -> dict[str, Any]:
        return {"at": at(minute), "kind": "priority", "priority": word}

    there_and_back = [rated(35, "low"), rated(36, "high"), rated(37, "normal"), message(40)]
    waited = await imported(client, item("a", *there_and_back, priority="high"))
    assert [(clock["metric"], clock["state"], clock["target_seconds"]) for clock in waited["clocks"]] == [
        ("first_response", "breached", 120), ("resolution", "breached", 120),
    ]  # fmt: skip
    again = [message(30), status(35, "resolved"), rated(36, "low"), status(37, "open")]
    reopened = await imported(client, item("b", *again, priority="high"))
    assert [clock["state"] for clock in reopened["clocks"]] == ["met", "breached"]  # open since 2013
    in_time = await imported(client, item("c", rated(31, "low"), message(31), status(31, "resolved"), priority="high"))
    assert [clock["state"] for clock in in_time["clocks"]] == ["met", "met"]
    rows = await sql.fetch(
        "SELECT t.external_id, e.data ->> 'metric', (e.data ->> 'target_seconds')::int, e.imported"
        " FROM events e JOIN tickets t ON t.id = e.ticket_id WHERE e.type = 'sla.breached' ORDER BY 1, 2, 3"
    )
    assert [tuple(row) for row in rows] == [
        ("a", "first_response", 60, True), ("a", "first_response", 120, True),
        ("a", "resolution", 60, True), ("a", "resolution", 120, True),
        ("b", "resolution", 60, True), ("b", "resolution", 6000, True),
    ]  # fmt: skip
    before = await told(sql)
    # Back under the first target: it was broken, and that was told.
    await patch(client, waited, priority="high")
    await sweep_dry(db)
    assert await told(sql) == before
    assert await differences(db) == []


_AUTHORS = st.sampled_from(["customer", "agent", "bot", "system"])
_STATUSES = st.sampled_from(["new", "open", "pending", "on_hold", "resolved", "closed"])
_entries = st.one_of(
    st.builds(lambda author, seen: {"kind": "message", "author": author, "visibility": seen, "body": "x"},
              _AUTHORS, st.sampled_from(["public", "internal"])),
    st.builds(lambda word, by: {"kind": "status", "status": word, "by": by}, _STATUSES, _AUTHORS),
    st.sampled_from(["low", "normal", "high", "urgent"]).map(lambda word: {"kind": "priority", "priority": word}),
    st.sampled_from([[], ["vip"]]).map(lambda tags: {"kind": "tags", "tags": tags}),
    st.sampled_from([None, {"external_id": "a-1"}]).map(lambda who: {"kind": "assignee", "assignee": who}),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 120), _entries), max_size=10),
    opened_by=st.sampled_from(["customer", "agent"]),
    word=_STATUSES,
    name=st.uuids(),
)
async def test_any_history_is_what_its_log_says_and_is_told_to_nobody(
    client: httpx.AsyncClient,
    db: Database,
    steps: list[tuple[int, dict[str, Any]]],
    opened_by: str,
    word: str,
    name: UUID,
) -> None:
    now = datetime.fromisoformat(at(30))
    timeline = []
    for seconds, entry in steps:
        now += timedelta(seconds=seconds)
        timeline.append({**entry, "at": now.isoformat()})
    ticket = item(str(name), *timeline, opened_by=opened_by, status=word)
    assert (await send(client, ticket))["items"][0]["outcome"] in ("created", "duplicate")
    assert await differences(db) == []
    assert await sweep_dry(db) == 0

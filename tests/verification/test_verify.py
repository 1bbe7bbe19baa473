"""`verify` is the judge of everything else: after any run of live operations the stored clocks are what the log says,
and whatever is changed behind the log's back is found."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import Database
from app.verification.clocks import Difference, verify
from tests.support.sla import Sql, patch, reply, sweep_dry, the_clock, write_policy

Open = Callable[..., Awaitable[dict[str, Any]]]

STATUSES = ["open", "pending", "on_hold", "resolved", "closed"]
PRIORITIES = ["low", "normal", "high", "urgent"]

_messages = st.builds(
    lambda kind, visibility, status: ("message", {"author": {"kind": kind}, "visibility": visibility} | status),
    st.sampled_from(["customer", "agent", "bot", "system"]),
    st.sampled_from(["public", "public", "internal"]),
    st.sampled_from([{}, {}, {}, {"status": "pending"}, {"status": "resolved"}]),
)
_patches = st.one_of(
    st.sampled_from(STATUSES).map(lambda word: {"status": word}),
    st.sampled_from(PRIORITIES).map(lambda word: {"priority": word}),
    st.sampled_from([{"tags": []}, {"tags": ["vip"]}]),
    st.builds(lambda word, tag: {"status": word, "tags": [tag]}, st.sampled_from(STATUSES), st.sampled_from("ab")),
).map(lambda values: ("patch", values))
_policies = st.builds(
    lambda seconds, bots: ("policy", {"seconds": seconds, "bot_counts": bots}), st.integers(1, 999), st.booleans()
)
operations = st.lists(st.one_of(_messages, _messages, _patches, _policies), max_size=8)


async def differences(db: Database) -> list[Difference]:
    return [difference async for _, found in verify(db) for difference in found]


async def _run(
    client: httpx.AsyncClient, policy_id: str, ticket: dict[str, Any], what: str, how: dict[str, Any]
) -> int:
    """An operation that the ticket's status does not allow is refused, and changes nothing."""
    url = f"/v1/tickets/{ticket['id']}"
    if what == "message":
        answer = await client.post(f"{url}/messages", json={"body": "Hello.", **how})
    elif what == "patch":
        answer = await client.patch(url, json=how)
    else:
        targets = [
            {"metric": "first_response", "seconds": how["seconds"], "warn_at_percent": [50]},
            {"metric": "first_response", "seconds": 5, "priority": "urgent"},
        ]
        body = {"targets": targets, "bot_counts": how["bot_counts"]}
        answer = await client.patch(f"/v1/sla-policies/{policy_id}", json=body)
    return answer.status_code


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=operations, priority=st.sampled_from(PRIORITIES), own=st.booleans())
async def test_after_any_run_of_live_operations_the_clocks_are_what_the_log_says(
    client: httpx.AsyncClient,
    db: Database,
    open_ticket: Open,
    run: list[tuple[str, dict[str, Any]]],
    priority: str,
    own: bool,
) -> None:
    policy_id = (await client.get("/v1/sla-policies")).json()["items"][0]["id"]
    ticket = await open_ticket(priority=priority, **({} if own else {"description": None}))
    for what, how in run:
        assert await _run(client, policy_id, ticket, what, how) in (200, 201, 409)
    await sweep_dry(db)
    assert await differences(db) == []


async def test_a_customer_who_writes_after_an_agent_reopened_waits_under_the_policy(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    await patch(client, ticket, status="resolved")
    await patch(client, ticket, status="open")
    await reply(client, ticket, author={"kind": "customer"})
    items = (await client.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]
    clocks = [item for item in items if item["metric"] == "first_response"]
    assert [(clock["cycle"], clock["target_seconds"], clock["state"]) for clock in clocks] == [
        (1, 90, "cancelled"), (2, 90, "running"),
    ]  # fmt: skip
    assert await differences(db) == []


async def test_a_customer_who_first_writes_on_an_outbound_ticket_waits_under_the_policy(
    client: httpx.AsyncClient, db: Database
) -> None:
    outbound = {
        "external_id": "out-1", "subject": "Your renewal", "customer": {"external_id": "c"}, "opened_by": "agent",
        "created_at": "2026-01-01T09:00:00Z", "status": "open",
    }  # fmt: skip
    [item] = (await client.post("/v1/imports/tickets", json={"tickets": [outbound]})).json()["items"]
    ticket = {"id": item["ticket_id"]}
    items = (await client.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]
    assert [item["metric"] for item in items] == ["resolution"]
    message = await reply(client, ticket, author={"kind": "customer"})
    clock = await the_clock(client, ticket)
    assert (clock["started_at"], clock["target_seconds"]) == (message["created_at"], 90)
    assert await differences(db) == []


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ("started_at = started_at - interval '1 microsecond'", {"started_at"}),
        ("due_at = due_at + interval '1 microsecond'", {"due_at"}),
        ("original_due_at = NULL", {"original_due_at"}),
        ("stopped_at = started_at, ended_at = started_at", {"stopped_at", "ended_at"}),
        ("ended_reason = 'closed_by_customer', ended_at = started_at", {"ended_reason", "ended_at"}),
        ("due_at = NULL, target_seconds = NULL", {"due_at", "target_seconds"}),
        ("bot_counts = true", {"bot_counts"}),
        ("warn_at_percent = '{}'", {"warn_at_percent"}),
        ("warnings = '{}'", {"warnings"}),
        ("pause_on = '{new}'", {"pause_on"}),
        ("pauses = ARRAY[started_at, started_at]", {"pauses"}),
        ("resolved = ARRAY[started_at, started_at]", {"resolved"}),
        ("excluded = true", {"excluded"}),
        ("extra_seconds = 1", {"extra_seconds"}),
        ("promised_seconds = 91", {"promised_seconds"}),
        ("relief_seconds = 91", {"relief_seconds"}),
        ("unrelieved_due_at = NULL", {"unrelieved_due_at"}),
        ("elapsed = interval '1 second'", {"elapsed"}),
        ("next_at = NULL", {"next_at"}),
        ("next_at = due_at", {"next_at"}),
        ("policy_id = NULL", {"policy_id"}),
        ("cycle = 2", {"exists"}),
    ],
)
async def test_a_clock_changed_behind_the_log_is_found(
    db: Database, sql: Sql, open_ticket: Open, change: str, fields: set[str]
) -> None:
    wrong, _ = await open_ticket(), await open_ticket()
    assert await differences(db) == []
    await sql.execute(
        f"UPDATE sla_clocks SET {change} WHERE ticket_id = $1 AND metric = 'first_response'", UUID(wrong["id"])
    )
    found = await differences(db)
    assert {difference.field for difference in found} == fields
    assert {str(difference.ticket_id) for difference in found} == {wrong["id"]}


async def test_a_clock_that_is_missing_is_found(db: Database, sql: Sql, open_ticket: Open) -> None:
    ticket = await open_ticket()
    await sql.execute("DELETE FROM sla_clocks WHERE metric = 'first_response'")
    [found] = await differences(db)
    assert (str(found.ticket_id), found.clock, found.field) == (ticket["id"], "first_response/1", "exists")
    assert (found.stored, found.computed) == (False, True)


async def test_every_ticket_is_looked_at_whatever_the_batch(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    await write_policy(client, 60)
    tickets = [await open_ticket() for _ in range(5)]
    for ticket in tickets[:3]:
        await reply(client, ticket)
    assert [count async for count, _ in verify(db)] == [5]
    assert await differences(db) == []

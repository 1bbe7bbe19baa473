"""Sweeps against kills and against those who answer. Everything races in one process, over connections of its own."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.db import Database
from tests.support.sla import (
    Sql,
    a_few_at_a_time,
    claimed,
    let_pass,
    patch,
    reply,
    sweep_dry,
    sweep_once,
    told,
    write_policy,
)

Open = Callable[..., Awaitable[dict[str, Any]]]
# What asyncpg raises where its connection was killed, by what it was doing.
KILLED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_KILL = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
"""


async def test_case_23_a_sweep_killed_before_its_commit_loses_and_doubles_nothing(
    db: Database, sql: Sql, open_ticket: Open
) -> None:
    tickets = [await open_ticket() for _ in range(12)]
    await let_pass(sql, 1000)
    with pytest.raises(KILLED):  # noqa: PT012 - the commit at the end of the block is what fails
        async with db.transaction() as tx:
            assert await claimed(tx, 5) == 5
            # The others step around what is claimed: they neither wait for it nor take it.
            async with asyncio.timeout(20):
                assert await sweep_dry(db) == 7
            assert await sql.fetchval(_KILL) == 1
    assert len(await told(sql)) == 2 * 7
    assert await sweep_dry(db) == 5
    breached = await sql.fetch("SELECT ticket_id FROM events WHERE type = 'sla.breached'")
    assert sorted(str(row["ticket_id"]) for row in breached) == sorted(ticket["id"] for ticket in tickets)


async def test_case_23_sweepers_killed_over_and_over_tell_of_each_breach_once(
    db: Database, sql: Sql, open_ticket: Open
) -> None:
    tickets = await a_few_at_a_time(open_ticket() for _ in range(40))
    await let_pass(sql, 1000)
    chance = random.Random(23)
    stop = asyncio.Event()

    async def sweep_on() -> None:
        while not stop.is_set():
            try:
                async with db.transaction() as tx:
                    await claimed(tx, 2)
                    # Between marking and committing: this is where a kill finds it.
                    await asyncio.sleep(chance.uniform(0, 0.01))
            except KILLED:
                continue

    sweepers = [asyncio.create_task(sweep_on()) for _ in range(4)]
    killed = 0
    while killed < 10:
        killed += await sql.fetchval(_KILL)
        await asyncio.sleep(0.01)
        # Something is due at any time, until enough sweeps have died.
        await sql.execute("UPDATE sla_clocks SET next_at = due_at WHERE next_at IS NULL")
    stop.set()
    await asyncio.gather(*sweepers)
    await sweep_dry(db)
    for type_ in ("sla.breached", "sla.at_risk"):
        rows = await sql.fetch("SELECT ticket_id FROM events WHERE type = $1", type_)
        assert sorted(str(row["ticket_id"]) for row in rows) == sorted(ticket["id"] for ticket in tickets)


async def test_a_reply_that_races_the_sweep_is_met_or_breached_and_never_both(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    rounds = int(os.environ.get("NINETY_RACE_ROUNDS", "250"))
    tickets = await a_few_at_a_time(open_ticket() for _ in range(rounds))
    done = asyncio.Event()

    async def sweep_on() -> None:
        while not done.is_set():
            await sweep_once(db, 10)
            await asyncio.sleep(0)

    sweepers = [asyncio.create_task(sweep_on()) for _ in range(3)]
    chance = random.Random(8)
    now = asyncio.get_running_loop().time
    took = 0.0
    for start in range(0, rounds, 5):
        some = tickets[start : start + 5]
        began = now()
        # The deadlines of these few lie around their replies, as long as the last ones took.
        for ticket in some:
            await sql.execute(
                "UPDATE sla_clocks SET started_at = at - interval '90 s', due_at = at, original_due_at = at,"
                " next_at = at, warnings = ARRAY[at - interval '18 s']"
                " FROM (SELECT clock_timestamp() + $2 AS at) AS moved"
                " WHERE ticket_id = $1::text::uuid AND metric = 'first_response'",
                ticket["id"],
                timedelta(seconds=chance.uniform(-0.002, max(0.02, took))),
            )
        await asyncio.gather(*(reply(client, ticket) for ticket in some))
        took = now() - began
    done.set()
    await asyncio.gather(*sweepers)
    await sweep_dry(db)
    rows = await sql.fetch(
        """
        SELECT c.stopped_at > c.due_at AS late, c.detected_at IS NOT NULL AS detected, c.next_at,
            (SELECT count(*) FROM events e WHERE e.subject_id = c.id AND e.type = 'sla.met') AS met,
            (SELECT count(*) FROM events e WHERE e.subject_id = c.id AND e.type = 'sla.breached') AS breached,
            (SELECT count(*) FROM sla_alerts a WHERE a.clock_id = c.id AND a.kind = 'breached') AS alerts
        FROM sla_clocks c WHERE c.metric = 'first_response'
        """
    )
    assert len(rows) == rounds
    for row in rows:
        late = int(row["late"])
        assert (row["met"], row["breached"], row["alerts"]) == (1 - late, late, late)
        assert (row["detected"], row["next_at"]) == (bool(late), None)
    assert {row["late"] for row in rows} == {True, False}, "every reply fell on one side: nothing raced"


async def test_a_new_target_that_races_the_sweep_leaves_the_clock_to_its_last_target(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    await write_policy(client, {"high": 60, "low": 3600})
    tickets = await a_few_at_a_time(open_ticket(priority="high") for _ in range(40))
    await let_pass(sql, 100)
    patches = a_few_at_a_time(patch(client, ticket, priority="low") for ticket in tickets)
    await asyncio.gather(patches, *(sweep_dry(db, 3) for _ in range(4)))
    await sweep_dry(db)
    rows = await sql.fetch(
        "SELECT target_seconds, detected_at, next_at = due_at AS watched FROM sla_clocks"
        " WHERE metric = 'first_response'"
    )
    assert {tuple(row.values()) for row in rows} == {(3600, None, True)}
    assert len(set(await told(sql))) <= 1
    await let_pass(sql, 3600)
    await asyncio.gather(*(sweep_dry(db, 3) for _ in range(4)))
    again = await sql.fetch(
        "SELECT ticket_id FROM events WHERE data->>'target_seconds' = '3600' AND type = 'sla.breached'"
    )
    assert sorted(str(row["ticket_id"]) for row in again) == sorted(ticket["id"] for ticket in tickets)


async def test_messages_that_reopen_a_ticket_at_once_start_one_cycle(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    for _ in range(6):
        ticket = await open_ticket()
        await patch(client, ticket, status="resolved")
        messages = await asyncio.gather(*(reply(client, ticket, author={"kind": "customer"}) for _ in range(10)))
        items = (await client.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]
        clocks = [item for item in items if item["metric"] == "first_response"]
        assert [(clock["cycle"], clock["state"]) for clock in clocks] == [(1, "cancelled"), (2, "running")]
        assert clocks[1]["started_at"] == min(message["created_at"] for message in messages)

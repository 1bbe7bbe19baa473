"""What the worker learns of waits, against the clocks from which it is to be made anew."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import httpx
import pytest

from app.db import Database
from app.outlook import hands, learning
from app.outlook.curves import curves_now
from app.sla.core.enums import Priority
from app.sla.core.outlook import NEEDED, Table, Wait
from app.verification.outlook import WaitDifference, verify_outlook
from tests.conftest import Person, settled_by
from tests.support.imports import send
from tests.support.sla import patch, reply
from tests.support.verification import Body, good

Open = Callable[..., Awaitable[Body]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_NOW = timedelta(0)
_START = datetime(2026, 3, 2, 8, tzinfo=UTC)


async def learn(db: Database) -> None:
    async with db.connections.pool.acquire() as connection:
        await settled_by(connection)
    while await learning.run_once(db):
        pass


async def differences(db: Database, *, repair: bool = False) -> list[WaitDifference]:
    return (await verify_outlook(db, repair=repair, settled=_NOW))[1]


def call(number: int, at: float, waited: float, *, answered: bool = True, priority: str = "normal") -> Body:
    """A ticket of the past: somebody who waited so long, for an answer or until they gave up."""
    opened, ended = (_START + timedelta(seconds=seconds) for seconds in (at, at + waited))
    answer = {"kind": "message", "author": "agent", "visibility": "public", "body": "Here."}
    left = {"kind": "status", "status": "closed", "by": "customer"}
    return {
        "external_id": f"call-{number}", "subject": "A call", "priority": priority, "opened_by": "customer",
        "customer": {"external_id": f"caller-{number}"}, "created_at": opened.isoformat(),
        "timeline": [{"at": ended.isoformat(), **(answer if answered else left)}],
    }  # fmt: skip


async def past(client: httpx.AsyncClient, db: Database, calls: list[Body]) -> None:
    await send(client, *calls)
    await learn(db)


def busy_day(count: int, seed: int) -> list[Body]:
    chance = random.Random(seed)
    at, calls = 0.0, []
    for number in range(count):
        at += chance.choice([0, 1, 5, 20, 120])
        waited = chance.choice([0.0, 3, 30, 90, 400])
        calls.append(
            call(number, at, waited, answered=chance.random() < 0.8, priority=chance.choice(["normal", "urgent"]))
        )
    return calls


async def test_what_was_learnt_on_the_way_is_what_the_clocks_give(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Callable[..., Awaitable[Person]], open_ticket: Open
) -> None:
    await past(client, db, busy_day(150, 7))
    agent = await person("agent")
    good(await agent.http.put(f"/v1/agents/{agent.id}/availability", json={"state": "online", "capacity": 1}))
    await hands.look_once(db)
    tickets = [await open_ticket(priority=priority) for priority in ("normal", "urgent") * 6]
    await learn(db)
    for ticket in tickets[::3]:
        await reply(client, ticket)
    await patch(client, tickets[1], status="closed")
    good(await client.post(f"/v1/tickets/{tickets[2]['id']}/spam"))
    await patch(client, tickets[4], priority="urgent")
    await learn(db)
    assert await differences(db) == []
    ahead = await sql.fetch("SELECT DISTINCT ahead FROM outlook_waits")
    assert len(ahead) > 4
    assert {row["idle"] for row in await sql.fetch("SELECT DISTINCT idle FROM outlook_waits")} == {0, 2}


async def test_each_curve_is_that_of_the_waits_in_their_order(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await past(client, db, busy_day(300, 8))
    table = Table()
    for row in await sql.fetch("SELECT * FROM outlook_waits ORDER BY ended_at, clock_id"):
        table.learn(Priority(row["priority"]), row["ahead"], row["idle"], Wait(row["seconds"], row["answered"]))
    async with db.transaction() as tx:
        known = await curves_now(tx)
    for priority in (Priority.normal, Priority.urgent):
        for ahead in range(10):
            expected, found = table.outlook(priority, ahead, 0), known.outlook(priority, ahead, 0)
            assert found == expected
            assert found


@pytest.mark.parametrize("loss", ["DELETE FROM outlook_waits", "UPDATE outlook_waits SET seconds = 1, answered = true"])
async def test_what_was_lost_is_made_anew_from_the_clocks(
    client: httpx.AsyncClient, db: Database, sql: Sql, loss: str
) -> None:
    await past(client, db, busy_day(80, 9))
    before = await sql.fetch("SELECT * FROM outlook_waits ORDER BY clock_id")
    drawn = "SELECT priority, ahead, idle, waits, seconds, shares FROM outlook_curves WHERE waits > 0 ORDER BY 1, 2, 3"
    curves = await sql.fetch(drawn)
    await sql.execute(loss)
    assert await differences(db, repair=True) != []
    assert await differences(db) == []
    assert await sql.fetch("SELECT * FROM outlook_waits ORDER BY clock_id") == before
    assert await sql.fetch(drawn) == curves


async def test_what_a_wait_met_stays_as_it_was_seen_whatever_comes_to_light(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    """Of two in the queue the one ahead turns out to be spam, and a third comes in from the past."""
    first, _ = await open_ticket(), await open_ticket()
    await learn(db)
    good(await client.post(f"/v1/tickets/{first['id']}/spam"))
    await past(client, db, [call(1, 0, 30)])
    await past(client, db, [call(0, -10, 60)])
    assert await differences(db) == []


async def test_a_wait_is_learnt_once_its_end_is_known_and_spam_never(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    learnt = "SELECT count(*) FROM outlook_waits WHERE seconds IS NOT NULL"
    ticket, spam = await open_ticket(), await open_ticket()
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    await learn(db)
    assert await sql.fetchval(learnt) == 0
    await reply(client, ticket)
    await learn(db)
    assert await sql.fetchval(learnt) == 1
    good(await client.post(f"/v1/tickets/{ticket['id']}/spam"))
    await learn(db)
    assert await sql.fetchval(learnt) == 0


async def test_of_a_key_the_last_waits_are_kept(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    await past(client, db, [call(0, 0, 5)])
    await sql.execute(
        "INSERT INTO outlook_waits (clock_id, priority, started_at, ended_at, seconds, answered, ahead, idle)"
        " SELECT gen_random_uuid(), 'normal', at, at, 7, true, 0, 0"
        " FROM generate_series(timestamptz '2026-04-01', '2026-04-01 00:26:39', interval '1 second') at"
    )
    await past(client, db, [call(1, 40 * 86_400, 5)])
    waits = await sql.fetch(
        "SELECT seconds, count(*), min(started_at) AS first FROM outlook_waits GROUP BY 1 ORDER BY 1"
    )
    assert [(row["seconds"], row["count"]) for row in waits] == [(5, 1), (7, 1_499)]


async def test_what_is_said_is_said_of_what_was_known_before(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open
) -> None:
    said = (
        "SELECT said FROM outlook_waits w JOIN sla_clocks c ON c.id = w.clock_id JOIN tickets t ON t.id = c.ticket_id"
    )
    await past(client, db, [call(number, 100 * number, 20) for number in range(NEEDED - 1)])
    first = await open_ticket()
    await reply(client, first)
    await learn(db)
    second = await open_ticket()
    await learn(db)
    assert await sql.fetchval(f"{said} WHERE number = $1", first["number"]) is None
    assert await sql.fetchval(f"{said} WHERE number = $1", second["number"]) == [20.0, 20.0, 20.0]
    # Nothing was said to those of the past.
    assert await sql.fetchval(f"SELECT count(*) FROM ({said} WHERE t.imported) past WHERE said IS NOT NULL") == 0


async def test_an_urgent_newcomer_costs_no_look_at_the_queue_behind_them(db: Database, sql: Sql) -> None:
    await sql.execute(
        "INSERT INTO outlook_waits (clock_id, priority, started_at, due_at, ahead, idle)"
        " SELECT gen_random_uuid(), 'normal', now() - interval '1 minute', now() + interval '1 hour', 9, 0"
        " FROM generate_series(1, 20000)"
    )
    newcomer = await sql.fetchval(
        "INSERT INTO outlook_waits (clock_id, priority, started_at, due_at)"
        " VALUES (gen_random_uuid(), 'urgent', now(), now() + interval '1 minute') RETURNING clock_id"
    )
    await sql.execute("ANALYZE outlook_waits")
    meet = learning._MEET
    explained = await sql.fetch(f"EXPLAIN ANALYZE {meet.sql}", *meet.args({"clock_ids": [newcomer]}))
    plan = "\n".join(row[0] for row in explained)
    assert "Seq Scan on outlook_waits other" not in plan, plan
    assert "Rows Removed by Filter" not in plan, plan
    assert await sql.fetchval("SELECT ahead FROM outlook_waits WHERE clock_id = $1", newcomer) == 0

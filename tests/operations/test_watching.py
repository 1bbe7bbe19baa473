"""What waits is told: as metrics, in the worker's log, and as a warning of `/readyz` that takes no traffic away."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from app import worker
from app.db import Database
from app.events import partitions
from app.goals import watching as goals
from app.operations.backlogs import Backlogs, Reader, backlogs, queues, readers
from app.operations.health import record_heartbeat, record_stop
from app.operations.watching import Watch
from app.settings import Settings
from app.tickets import search_index
from tests.conftest import settled
from tests.support.sla import Sql, let_pass, sweep_once

Open = Callable[..., Awaitable[dict[str, Any]]]
_STAND_STILL = """UPDATE event_readers SET epoch = 1, xid = '0', event_id = 0, moved_at = now() - interval '2 minutes'
    WHERE name = $1"""
_AGE = "UPDATE events SET recorded_at = recorded_at - interval '90 seconds'"


def _value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def _readers(db: Database) -> dict[str, Reader]:
    async with db.transaction(reads=True) as tx:
        return {reader.name: reader for reader in await readers(tx)}


async def _backlogs(db: Database) -> Backlogs:
    async with db.transaction(reads=True) as tx:
        return await backlogs(tx)


@pytest.fixture
async def behind(db: Database, sql: Sql, open_ticket: Open, database_url: str) -> None:
    """The search's reader has read nothing of a log that is older than a minute, and has not moved for two."""
    await open_ticket()
    await settled(database_url)
    while await search_index.run_once(db):
        pass
    await sql.execute(_AGE)
    await sql.execute(_STAND_STILL, "search")


@pytest.mark.usefixtures("behind")
async def test_a_reader_that_stands_still_warns_and_takes_no_traffic_away(
    db: Database, sql: Sql, client: httpx.AsyncClient, database_url: str
) -> None:
    await settled(database_url)
    # There is no worker here: its check would take the traffic away.
    async with db.transaction() as tx:
        await record_heartbeat(tx, uuid7())
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    [warning] = answer.json()["warnings"]
    assert warning.startswith("the reader search stands still, ")
    with capture_logs() as logs:
        await Watch(db).run_once()
    assert _value("ninety_reader_stands_still", reader="search") == 1
    assert (_value("ninety_reader_lag_seconds", reader="search") or 0) >= 90
    assert _value("ninety_reader_unread", reader="search") == await sql.fetchval("SELECT count(*) FROM events")
    assert [entry["what"] for entry in logs if entry["event"] == "falls_behind"] == ["reader search"]


@pytest.mark.usefixtures("behind")
async def test_a_reader_that_catches_up_is_well_again(
    db: Database, client: httpx.AsyncClient, database_url: str
) -> None:
    watch = Watch(db)
    await watch.run_once()
    await settled(database_url)
    while await search_index.run_once(db):
        pass
    assert not (await _readers(db))["search"].stands_still
    with capture_logs() as logs:
        await watch.run_once()
        await watch.run_once()
    assert [(entry["event"], entry["what"]) for entry in logs] == [("caught_up", "reader search")]
    assert _value("ninety_reader_lag_seconds", reader="search") == 0
    async with db.transaction() as tx:
        await record_heartbeat(tx, uuid7())
    ready = (await client.get("/readyz")).json()
    assert (ready["status"], ready["warnings"]) == ("ready", [])


@pytest.mark.usefixtures("behind")
async def test_a_reader_that_moves_does_not_stand_still_however_far_behind(db: Database, sql: Sql) -> None:
    await sql.execute("UPDATE event_readers SET moved_at = now() - interval '50 seconds'")
    found = (await _readers(db))["search"]
    assert (found.behind_seconds or 0) >= 90
    assert not found.stands_still


@pytest.mark.usefixtures("behind")
async def test_a_reader_without_anything_to_read_may_rest(db: Database, sql: Sql) -> None:
    await sql.execute(
        "UPDATE event_readers SET xid = (SELECT max(xid::text::bigint)::text::xid8 FROM events), event_id = 9999"
    )
    found = (await _readers(db))["search"]
    assert (found.behind_seconds, found.unread, found.stands_still) == (None, 0, False)


async def test_an_open_transaction_is_named_as_the_cause(
    db: Database, sql: Sql, open_ticket: Open, database_url: str
) -> None:
    await open_ticket()
    await settled(database_url)
    while await search_index.run_once(db):
        pass
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        await holder.fetchval("SELECT pg_current_xact_id()")
        await open_ticket()
        await sql.execute(f"{_AGE} WHERE xid > (SELECT xid FROM event_readers WHERE name = 'search')")
        await sql.execute("UPDATE event_readers SET moved_at = now() - interval '2 minutes'")
        found = (await _readers(db))["search"]
    await holder.close()
    assert found.stands_still
    assert "a transaction that is open on the server" in found.explanation


@pytest.mark.usefixtures("behind")
async def test_the_reader_of_webhooks_rests_where_there_are_none(
    db: Database, sql: Sql, client: httpx.AsyncClient
) -> None:
    assert "webhooks" not in await _readers(db)
    made = await client.post("/v1/webhooks", json={"url": "https://receiver.example/", "types": ["*"]})
    assert made.status_code == 201
    await sql.execute(_STAND_STILL, "webhooks")
    assert (await _readers(db))["webhooks"].stands_still


async def test_deadlines_that_nobody_notices_are_late(db: Database, sql: Sql, open_ticket: Open) -> None:
    watch = Watch(db)
    await let_pass(sql, 100, await open_ticket())
    with capture_logs() as logs:
        await watch.run_once()
    assert _value("ninety_sla_clocks_due") == 1
    assert 5 < (_value("ninety_sla_clocks_due_seconds") or 0) < 100
    assert [(entry["event"], entry["what"]) for entry in logs] == [("falls_behind", "sweep")]
    await sweep_once(db)
    with capture_logs() as logs:
        await watch.run_once()
    assert _value("ninety_sla_clocks_due") == 0
    assert [(entry["event"], entry["what"]) for entry in logs] == [("caught_up", "sweep")]


async def test_webhooks_and_their_deliveries(db: Database, sql: Sql, client: httpx.AsyncClient) -> None:
    url = "https://receiver.example/"
    made = [(await client.post("/v1/webhooks", json={"url": url, "types": ["*"]})).json()["id"] for _ in range(3)]
    deliver = """INSERT INTO webhook_deliveries (webhook_id, id, type, about_id, state, next_at, give_up_at, created_at)
        VALUES ($1, gen_random_uuid(), 'webhook.test', $1, $2, now() - interval '40 seconds', now(), now())"""
    for webhook, state in ((made[0], "pending"), (made[1], "pending"), (made[1], "dead"), (made[1], "delivered")):
        await sql.execute(deliver, webhook, state)
    await sql.execute("UPDATE webhooks SET open_until = now() + interval '1 hour' WHERE id = $1", made[0])
    await sql.execute("UPDATE webhooks SET active = false, disabled_reason = 'gone' WHERE id = $1", made[2])
    found = await _backlogs(db)
    assert (found.webhooks_open, found.webhooks_disabled) == (1, 1)
    assert (found.pending_deliveries, found.dead_deliveries) == (2, 1)
    assert 40 <= found.due_deliveries_seconds < 100
    # What waits for a paused webhook waits for its receiver, and not for this service.
    await sql.execute("UPDATE webhooks SET open_until = now() + interval '1 hour'")
    assert (await _backlogs(db)).due_deliveries_seconds == 0


async def test_jobs_that_are_due(db: Database, sql: Sql) -> None:
    await sql.execute("""INSERT INTO sla_jobs (id, kind, subject_id, run_at) VALUES
        (gen_random_uuid(), 'reapply', gen_random_uuid(), now() - interval '30 seconds'),
        (gen_random_uuid(), 'reapply', gen_random_uuid(), now() + interval '30 seconds')""")
    async with db.transaction(reads=True) as tx:
        found = {queue.name: queue for queue in await queues(tx)}
    assert found.keys() == {"sla_jobs", "segment_jobs", "incident_jobs"}
    assert found["sla_jobs"].waiting == 1
    assert 30 <= found["sla_jobs"].oldest_seconds < 60
    assert (found["segment_jobs"].waiting, found["segment_jobs"].oldest_seconds) == (0, 0)


async def test_goals_stand_as_they_were_judged_last(
    db: Database, sql: Sql, client: httpx.AsyncClient, open_ticket: Open
) -> None:
    watch = Watch(db)
    await let_pass(sql, 100, await open_ticket())
    await goals.run_once(db)
    await watch.run_once()
    assert 100 <= (_value("ninety_goal_value", goal="ninety") or 0) < 120
    assert _value("ninety_goal_target", goal="ninety") == 90
    standings = {name: _value("ninety_goal_standing", goal="ninety", standing=name) for name in goals.GoalState}
    assert standings == {"met": 0, "at_risk": 0, "missed": 1}
    [goal] = (await client.get("/v1/service-goals")).json()["items"]
    assert (await client.delete(f"/v1/service-goals/{goal['id']}")).status_code == 204
    await watch.run_once()
    # It alarms nobody any more.
    assert math.isnan(_value("ninety_goal_value", goal="ninety") or 0)
    assert _value("ninety_goal_standing", goal="ninety", standing="missed") == 0


async def test_a_goal_that_will_be_missed_says_in_how_many_seconds(db: Database, open_ticket: Open) -> None:
    await open_ticket()
    await goals.run_once(db)
    await Watch(db).run_once()
    assert 60 < (_value("ninety_goal_crosses_seconds", goal="ninety") or 0) <= 90


async def test_months_of_the_log_and_what_has_none(db: Database, sql: Sql, open_ticket: Open) -> None:
    await partitions.run_once(db, None)
    assert (await _backlogs(db)).log_ends_in_seconds > 58 * 86_400
    months = await sql.fetch("""SELECT inhrelid::regclass::text AS name FROM pg_inherits
        WHERE inhparent = 'events'::regclass AND inhrelid::regclass::text <> 'events_default'""")
    for month in months:
        await sql.execute(f"DROP TABLE {month['name']}")
    await open_ticket()
    await sql.execute("ANALYZE events_default")
    found = await _backlogs(db)
    events = await sql.fetchval("SELECT count(*) FROM events")
    assert (found.log_ends_in_seconds, found.unsorted_events) == (0, events)


async def test_a_worker_tells_of_its_life(database_url: str) -> None:
    settings, stop = Settings(database_url=database_url), asyncio.Event()
    async with Database.open(settings) as db:
        with capture_logs() as logs:
            working = asyncio.create_task(worker.run(db, settings, stop))
            await asyncio.sleep(0.5)
            stop.set()
            await working
    told = [(entry["event"], entry["worker"]) for entry in logs if entry["event"].startswith("worker_")]
    [name] = {worker for _, worker in told}
    assert told == [("worker_started", name), ("worker_stopped", name)]


async def test_a_worker_that_died_is_told_of_once_and_one_that_stopped_is_not(db: Database, sql: Sql) -> None:
    died, stopped, alive, survivor = (uuid7() for _ in range(4))
    for each in (died, stopped, alive):
        async with db.transaction() as tx:
            assert await record_heartbeat(tx, each) == []
    async with db.transaction() as tx:
        record_stop(tx, stopped)
    await sql.execute(
        "UPDATE worker_heartbeats SET seen_at = now() - interval '11 seconds' WHERE worker_id <> $1", alive
    )
    async with db.transaction() as tx:
        [lost] = await record_heartbeat(tx, survivor)
    assert lost["from_worker"] == str(died)
    async with db.transaction() as tx:
        assert await record_heartbeat(tx, survivor) == []
    assert await sql.fetchval("SELECT count(*) FROM worker_heartbeats") == 2

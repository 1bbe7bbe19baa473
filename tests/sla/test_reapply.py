"""Jobs that match many tickets anew: what they count, what they change, and that no kill changes either."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.db import Database
from app.tickets import rematch_jobs, store
from app.tickets.rematch_jobs import run_once
from tests.conftest import ADMIN_KEY
from tests.support.sla import Sql, a_few_at_a_time, patch, reply, the_clock
from tests.support.verification import Body, assert_verified, drain, good, write_targets

Open = Callable[..., Awaitable[Body]]
COUNTED = ("tickets_seen", "tickets", "clocks", "deadlines", "breaches")
MANY = 230


def target(seconds: int, metric: str = "first_response") -> Body:
    return {"metric": metric, "seconds": seconds}


async def _changed(client: httpx.AsyncClient, policy: Body, *targets: Body, **more: Any) -> None:
    values = {"targets": list(targets), **more} if targets else more
    good(await client.patch(f"/v1/sla-policies/{policy['id']}", json=values))


async def _reapply(client: httpx.AsyncClient, policy: Body, *, dry_run: bool = False) -> Body:
    answer = await client.post(f"/v1/sla-policies/{policy['id']}/reapply", json={"dry_run": dry_run})
    assert answer.status_code == (200 if dry_run else 202), answer.text
    return good(answer)


async def _job(client: httpx.AsyncClient, job: Body) -> Body:
    return good(await client.get(f"/v1/sla-jobs/{job['id']}"))


def _counts(job: Body) -> Body:
    return {name: job[name] for name in COUNTED}


async def _under_a_new_version(client: httpx.AsyncClient, open_ticket: Open) -> Body:
    """Many tickets under version 1 of a policy that has a version 2."""
    policy = await write_targets(client, target(60))
    await a_few_at_a_time(open_ticket() for _ in range(MANY))
    await _changed(client, policy, target(3600))
    return policy


async def _applied(sql: Sql) -> list[int]:
    """How often each ticket came under another policy."""
    rows = await sql.fetch(
        "SELECT count(e.id) FROM tickets t LEFT JOIN events e ON e.ticket_id = t.id AND e.type = 'sla.policy_applied'"
        " GROUP BY t.id"
    )
    return [row[0] for row in rows]


async def test_a_dry_run_counts_what_the_run_then_changes(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    policy = await write_targets(client, target(60), target(7200, "resolution"))
    running = await a_few_at_a_time(open_ticket() for _ in range(MANY))
    for ticket in running[:10]:
        await reply(client, ticket)
    for ticket in running[10:15]:
        await reply(client, ticket, status="resolved")
    for ticket in running[15:20]:
        await patch(client, ticket, status="pending")
    await asyncio.sleep(1.1)
    await _changed(client, policy, target(1), target(7200, "resolution"))
    dry = await _reapply(client, policy, dry_run=True)
    assert (dry["id"], dry["state"], dry["kind"], dry["subject_id"]) == (None, "counted", "reapply", policy["id"])
    assert good(await client.get("/v1/sla-jobs"))["items"] == []
    assert (await the_clock(client, running[-1]))["policy_version"] == 1
    job = await _reapply(client, policy)
    await drain(db)
    done = await _job(client, job)
    assert _counts(done) == _counts(dry)
    open_ones = MANY - 5
    # The answered ones have their resolution alone; its deadline stays, while its version is another.
    assert _counts(done) == {
        "tickets_seen": open_ones, "tickets": open_ones, "clocks": 2 * open_ones - 10, "deadlines": open_ones - 10,
        "breaches": open_ones - 10,
    }  # fmt: skip
    assert dry["tickets_total"] == done["tickets_total"] == open_ones
    clocks = [await the_clock(client, running[index]) for index in (0, 10, 15, -1)]
    assert [(clock["policy_version"], clock["state"]) for clock in clocks] == [
        (1, "met"), (1, "met"), (2, "breached"), (2, "breached"),
    ]  # fmt: skip
    await assert_verified(db)


async def test_a_job_tells_how_far_it_is(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    answer = await client.post(f"/v1/sla-policies/{policy['id']}/reapply", json={})
    job = answer.json()
    assert answer.headers["location"] == f"/v1/sla-jobs/{job['id']}"
    assert (job["state"], job["tickets_total"], job["finished_at"]) == ("waiting", None, None)
    seen = []
    while await run_once(db):
        job = await _job(client, job)
        seen.append((job["state"], job["tickets_seen"], job["tickets_total"]))
        assert (job["finished_at"] is None) == (job["state"] == "running")
    assert seen == [("running", 100, MANY), ("running", 200, MANY), ("done", MANY, MANY)]
    assert (job["tickets"], job["clocks"], job["deadlines"], job["breaches"]) == (MANY, MANY, MANY, 0)
    assert good(await client.get("/v1/sla-jobs"))["items"] == [job]
    await assert_verified(db)


async def test_a_second_run_changes_nothing(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    for _ in range(2):
        job = await _reapply(client, policy)
        await drain(db)
        done = await _job(client, job)
    assert (done["state"], done["tickets_seen"]) == ("done", MANY)
    assert (done["tickets"], done["clocks"], done["deadlines"], done["breaches"]) == (0, 0, 0, 0)
    assert set(await _applied(sql)) == {1}
    await assert_verified(db)


async def test_it_is_about_the_policys_own_tickets_and_those_that_it_would_take(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    other_is = {"all": [{"field": "ticket.priority", "op": "eq", "value": "urgent"}]}
    other = await write_targets(client, target(30), key="other", position=0, conditions=other_is)
    policy = await write_targets(client, target(60), position=1)
    its_own, others = await open_ticket(), await open_ticket(priority="urgent")
    await _changed(client, other, target(45))
    await _changed(client, policy, target(90))
    await _reapply(client, policy)
    await drain(db)
    assert [(await the_clock(client, ticket))["target_seconds"] for ticket in (its_own, others)] == [90, 30]
    # Now it would take everything: also what stands under the other one.
    await _changed(client, other, conditions={"all": [{"field": "ticket.priority", "op": "eq", "value": "low"}]})
    await _reapply(client, policy)
    await drain(db)
    clock = await the_clock(client, others)
    assert (clock["policy_id"], clock["target_seconds"]) == (policy["id"], 90)
    await assert_verified(db)


async def test_an_unknown_policy_and_an_unknown_job_are_not_there(client: httpx.AsyncClient) -> None:
    nowhere = "01900000-0000-7000-8000-000000000000"
    for body in ({}, {"dry_run": True}):
        assert (await client.post(f"/v1/sla-policies/{nowhere}/reapply", json=body)).status_code == 404
    assert (await client.get(f"/v1/sla-jobs/{nowhere}")).status_code == 404


async def test_it_stands_in_the_log(client: httpx.AsyncClient, sql: Sql) -> None:
    policy = await write_targets(client, target(60))
    await _reapply(client, policy, dry_run=True)
    job = await _reapply(client, policy)
    rows = await sql.fetch(
        "SELECT type, data, internal FROM events WHERE subject_id = $1 AND type LIKE '%reapplied'", UUID(policy["id"])
    )
    assert [(row["type"], json.loads(row["data"]), row["internal"]) for row in rows] == [
        ("sla_policy.reapplied", {"job_id": job["id"]}, True)
    ]


class Killed(BaseException):
    """No exception that anybody catches: as little is done after it as after a kill."""


@pytest.mark.parametrize("at", [1, 50, 100, 101, 199])
async def test_a_batch_that_is_broken_off_did_nothing_and_the_next_worker_goes_on(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    dry = await _reapply(client, policy, dry_run=True)
    job = await _reapply(client, policy)
    locked = store.lock_ticket
    calls = 0

    async def lock_ticket(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed
        return await locked(*args)

    monkeypatch.setattr(rematch_jobs, "lock_ticket", lock_ticket)
    # However slow the machine is, a batch is a hundred.
    monkeypatch.setattr(rematch_jobs, "_BATCH_SECONDS", 60)
    with pytest.raises(Killed):
        await drain(db)
    assert (await _job(client, job))["tickets_seen"] == (at - 1) // 100 * 100 == sum(await _applied(sql))
    await assert_verified(db)
    await drain(db)
    assert _counts(await _job(client, job)) == _counts(dry)
    assert set(await _applied(sql)) == {1}
    await assert_verified(db)


async def test_a_cancelled_batch_did_nothing(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    job = await _reapply(client, policy)
    for delay in (0.02, 0.05, 0.08):
        task = asyncio.create_task(run_once(db))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await _job(client, job))["tickets_seen"] == sum(await _applied(sql))
    await drain(db)
    assert (await _job(client, job))["tickets"] == MANY
    assert set(await _applied(sql)) == {1}
    await assert_verified(db)


async def test_workers_at_once_do_no_ticket_twice(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    job = await _reapply(client, policy)
    for _ in range(10):
        await asyncio.gather(drain(db), drain(db), drain(db))
    done = await _job(client, job)
    assert (done["state"], done["tickets_seen"], done["tickets"]) == ("done", MANY, MANY)
    assert set(await _applied(sql)) == {1}
    await assert_verified(db)


async def test_replies_go_on_while_a_job_runs(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    policy = await write_targets(client, target(60))
    tickets = await a_few_at_a_time(open_ticket() for _ in range(MANY))
    await _changed(client, policy, target(3600))
    await _reapply(client, policy)
    await asyncio.gather(drain(db), a_few_at_a_time(reply(client, ticket) for ticket in reversed(tickets)))
    await drain(db)
    assert {(await the_clock(client, ticket))["state"] for ticket in tickets[::10]} == {"met"}
    await assert_verified(db)


@contextmanager
def _worker(database_url: str, data_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NINETY_")}
    environment |= {"NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_DATA_DIR": str(data_dir), "DATABASE_URL": database_url}
    with (data_dir / "worker.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "app", "worker"], stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _until(found: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not await found():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


@pytest.mark.fault
async def test_a_worker_killed_in_the_middle_of_a_batch_leaves_the_rest_to_the_next(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql, database_url: str, tmp_path: Path
) -> None:
    policy = await _under_a_new_version(client, open_ticket)
    dry = await _reapply(client, policy, dry_run=True)
    job = await _reapply(client, policy)
    # Somebody holds one ticket of a later batch: that is where the worker is when it is killed.
    holder: Sql = await asyncpg.connect(database_url)
    await holder.execute("BEGIN")
    await holder.execute(
        "SELECT 1 FROM tickets WHERE id = (SELECT id FROM tickets ORDER BY id OFFSET 150 LIMIT 1) FOR UPDATE"
    )

    async def waits() -> object:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return (await _job(client, job))["tickets_seen"] > 0 and await sql.fetchval(query)

    try:
        with _worker(database_url, tmp_path) as process:
            await _until(waits)
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        await holder.close()
    seen = (await _job(client, job))["tickets_seen"]
    assert 0 < seen == sum(await _applied(sql)) <= 150
    await assert_verified(db)

    async def finished() -> object:
        # The dead worker's job is free as soon as the server notices that it is dead.
        await drain(db)
        return (await _job(client, job))["finished_at"]

    await _until(finished)
    assert _counts(await _job(client, job)) == _counts(dry)
    assert set(await _applied(sql)) == {1}
    await assert_verified(db)

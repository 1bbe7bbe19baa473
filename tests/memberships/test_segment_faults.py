"""Segments while others write, while workers die, and while customers turn out to be one, or nobody any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.db import Database
from app.memberships import jobs as segment_jobs
from app.segments import bulk_decide
from tests.sla.test_reapply import _until, _worker
from tests.support.segments import (
    PRO,
    assert_all_verified,
    field,
    keys_of,
    make_customer,
    make_pro,
    make_segment,
    member_differences,
    settled,
)
from tests.support.sla import Sql, a_few_at_a_time, the_clock
from tests.support.verification import Body, good, write_targets

Open = Callable[..., Awaitable[Body]]
MANY = 230


async def _many(sql: Sql, count: int) -> None:
    """Every other one a pro."""
    await sql.execute(
        "INSERT INTO customers (id, attributes)"
        " SELECT gen_random_uuid(), jsonb_build_object('plan', CASE n % 2 WHEN 0 THEN 'pro' ELSE 'free' END)"
        " FROM generate_series(1, $1::int) n",
        count,
    )


async def _job(client: httpx.AsyncClient) -> Body:
    return dict(good(await client.get("/v1/segment-jobs"))["items"][-1])


async def _told(sql: Sql) -> list[Any]:
    return list(await sql.fetch("SELECT count(*) FROM events WHERE type LIKE 'segment.member%' GROUP BY subject_id"))


async def _work_off(db: Database) -> None:
    while await segment_jobs.run_job_once(db):
        pass


class Killed(BaseException):
    """No exception that anybody catches: as little is done after it as after a kill."""


def _dying(whole: Callable[..., Awaitable[Any]], at: int, *, after: bool) -> Callable[..., Awaitable[Any]]:
    calls = 0

    async def dies(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise Killed
        result = await whole(*args)
        if calls == at:
            raise Killed
        return result

    return dies


async def test_a_job_that_is_broken_off_anywhere_goes_on_where_it_was(
    client: httpx.AsyncClient, db: Database, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _many(sql, MANY)
    monkeypatch.setattr(segment_jobs, "_BATCH", 40)
    monkeypatch.setattr(segment_jobs, "_NEXT", {
        key: segment_jobs._next(segment_jobs._CONCERNED[key[0]]) for key in segment_jobs._NEXT
    })  # fmt: skip
    await make_segment(client, "pro", PRO)
    # One decision a batch: before it is stored, and after.
    for at, after in ((1, True), (2, False), (2, True), (3, False)):
        before = (await _job(client))["customers_seen"]
        with monkeypatch.context() as broken:
            broken.setattr(bulk_decide, "decide", _dying(bulk_decide.decide, at, after=after))
            with pytest.raises(Killed):
                await _work_off(db)
        assert (await _job(client))["customers_seen"] == before + (at - 1) * 40
    await settled(db)
    job = await _job(client)
    assert (job["state"], job["customers_seen"], job["added"]) == ("done", MANY, MANY // 2)
    assert {row[0] for row in await _told(sql)} == {1}
    assert await member_differences(db) == []


@pytest.mark.fault
async def test_a_worker_killed_in_the_middle_of_a_batch_leaves_it_to_the_next(
    client: httpx.AsyncClient, db: Database, sql: Sql, database_url: str, tmp_path: Any
) -> None:
    await _many(sql, 6_000)
    # Somebody holds a customer of the second batch: that is where the worker is when it is killed.
    holder: Sql = await asyncpg.connect(database_url)
    await holder.execute("BEGIN")
    await holder.execute(
        "SELECT 1 FROM customers WHERE id = (SELECT id FROM customers ORDER BY id OFFSET 5500 LIMIT 1) FOR UPDATE"
    )
    await make_segment(client, "pro", PRO)

    async def waits() -> object:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return (await _job(client))["customers_seen"] == 5_000 and await sql.fetchval(query)

    try:
        with _worker(database_url, tmp_path) as process:
            await _until(waits)
            process.kill()
            process.wait()
    finally:
        await holder.close()
    assert (await _job(client))["added"] == await sql.fetchval("SELECT count(*) FROM segment_members")

    async def finished() -> object:
        # The dead worker's job is free as soon as the server notices that it is dead.
        await settled(db)
        return (await _job(client))["finished_at"]

    await _until(finished)
    job = await _job(client)
    assert (job["customers_seen"], job["added"]) == (6_000, 3_000)
    assert {row[0] for row in await _told(sql)} == {1}
    assert await member_differences(db) == []


async def test_customers_change_while_a_rule_does(client: httpx.AsyncClient, db: Database) -> None:
    """Whoever comes first, everybody ends up where the newest rule and their newest facts put them."""
    segment = await make_segment(client, "pro", PRO)
    customers = [await make_customer(client, external_id=f"c{n}") for n in range(30)]
    await settled(db)

    async def change(customer: Body, plan: str) -> None:
        good(await client.patch(f"/v1/customers/{customer['id']}", json={"attributes": {"plan": plan}}))

    async def rewrite() -> None:
        for rule in ({"not": PRO}, PRO, {"not": PRO}):
            good(await client.patch(f"/v1/segments/{segment['id']}", json={"rule": rule}))
            await segment_jobs.run_job_once(db)

    await asyncio.gather(
        a_few_at_a_time(change(customer, plan) for plan in ("pro", "free", "pro") for customer in customers), rewrite()
    )
    await settled(db)
    assert await member_differences(db) == []


async def test_merging_takes_tickets_overrides_and_exceptions_along_and_back(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    hour = {"metric": "first_response", "seconds": 3600}
    await write_targets(client, hour, position=1)
    conditions = {"all": [field("segment", "eq", "pro")]}
    pro = await make_segment(client, "pro", PRO)
    vip = await make_segment(client, "vip")
    await settled(db)
    fast = {
        "key": "fast",
        "name": "Fast",
        "position": 0,
        "targets": [{**hour, "seconds": 30}],
        "conditions": conditions,
    }
    good(await client.post("/v1/sla-policies", json=fast))
    source, target = await make_customer(client), await make_pro(client)
    override = {"customer_id": source["id"], "effect": "include", "reason": "Friend."}
    good(await client.post(f"/v1/segments/{vip['id']}/overrides", json=override))
    ticket = await open_ticket(customer={"id": source["id"]})
    granted = {"scope": "customer", "customer_id": source["id"], "effect": "extend", "seconds": 7, "reason": "Ill.",
               "applies_to": "running"}  # fmt: skip
    good(await client.post("/v1/sla-exceptions", json=granted))
    await settled(db)
    assert (await the_clock(client, ticket))["target_seconds"] == 3607
    good(await client.post(f"/v1/customers/{source['id']}/merge", json={"into": target["id"]}))
    assert (await keys_of(client, source), sorted(await keys_of(client, target))) == ([], ["pro", "vip"])
    await settled(db)
    assert (await the_clock(client, ticket))["target_seconds"] == 37
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["segment"] == "vip"
    await assert_all_verified(db)
    good(await client.post(f"/v1/customers/{source['id']}/unmerge"))
    assert (await keys_of(client, source), await keys_of(client, target)) == (["vip"], ["pro"])
    await settled(db)
    assert (await the_clock(client, ticket))["target_seconds"] == 3607
    assert pro["key"] == "pro"
    await assert_all_verified(db)


async def test_who_is_erased_belongs_nowhere_and_no_reason_tells_of_them(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    vip = await make_segment(client, "vip")
    await make_segment(client, "others", {"not": PRO})
    await settled(db)
    customer = await make_customer(client, name="Canary")
    override = {"customer_id": customer["id"], "effect": "include", "reason": "Canary is ill."}
    good(await client.post(f"/v1/segments/{vip['id']}/overrides", json=override))
    granted = {"scope": "customer", "customer_id": customer["id"], "effect": "extend", "seconds": 60}
    good(await client.post("/v1/sla-exceptions", json={**granted, "reason": "Canary is ill."}))
    ticket = await open_ticket(customer={"id": customer["id"]})
    exported = good(await client.get(f"/v1/customers/{customer['id']}/export"))
    assert [stay["key"] for stay in exported["segments"]] == ["others", "vip"]
    assert [each["reason"] for each in exported["overrides"]] == ["Canary is ill."]
    assert [each["effect"] for each in exported["exceptions"]] == ["extend"]
    before = await the_clock(client, ticket)
    good(await client.post(f"/v1/customers/{customer['id']}/erase"))
    assert await keys_of(client, customer) == []
    await settled(db)
    after = await the_clock(client, ticket)
    assert (after["due_at"], after["target_seconds"]) == (before["due_at"], before["target_seconds"])
    for table in ("segment_overrides", "sla_exceptions", "events"):
        assert await sql.fetchval(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%Canary%'") == 0
    again = await client.post(f"/v1/segments/{vip['id']}/overrides", json=override)
    assert again.status_code == 422
    rows = await sql.fetch("SELECT key, until FROM segment_members JOIN segments s ON s.id = segment_id"
                           " WHERE customer_id = $1", UUID(customer["id"]))  # fmt: skip
    assert {row["key"] for row in rows if row["until"]} == {"vip", "others"}
    await assert_all_verified(db)

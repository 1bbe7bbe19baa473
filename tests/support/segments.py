"""What tests of segments share: making them, working off what follows, and a clean `verify` of who belongs where."""

import asyncio
from typing import Any

import httpx

from app.db import Database
from app.memberships import jobs as segment_jobs
from app.verification.memberships import MembershipDifference, verify_members
from tests.support.verification import Body, assert_verified, drain, good

_BEHIND = """
SELECT EXISTS (
    SELECT FROM events e, event_readers r
    WHERE r.name = 'segments' AND (e.epoch, e.xid, e.id) > (r.epoch, r.xid, r.event_id)
)"""


def field(name: str, op: str, value: Any) -> Body:
    return {"field": name, "op": op, "value": value}


PRO = field("customer.attributes.plan", "eq", "pro")


async def make_segment(client: httpx.AsyncClient, key: str, rule: Body | None = None, **more: Any) -> Body:
    body = {"key": key, "name": key.title(), **({"rule": rule} if rule else {}), **more}
    return good(await client.post("/v1/segments", json=body))


async def make_customer(client: httpx.AsyncClient, **more: Any) -> Body:
    return good(await client.post("/v1/customers", json=more))


async def make_pro(client: httpx.AsyncClient, **more: Any) -> Body:
    return await make_customer(client, attributes={"plan": "pro"}, **more)


async def settled(db: Database) -> None:
    """Every job done, first looks only; the log read to its end."""
    for _ in range(200):
        while await segment_jobs.run_job_once(db) or await segment_jobs.run_once(db):
            pass
        await drain(db)
        async with db.connections.pool.acquire() as connection:
            if not await connection.fetchval(_BEHIND):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the log's end cannot be reached")


async def settled_for_good(db: Database) -> None:
    """The second looks, too, which come some time after the first ones."""
    await settled(db)
    async with db.connections.pool.acquire() as connection:
        for table in ("sla_jobs", "segment_jobs"):
            await connection.execute(f"UPDATE {table} SET run_at = created_at WHERE finished_at IS NULL")
    await settled(db)


async def member_differences(db: Database) -> list[MembershipDifference]:
    return [each async for _, found in verify_members(db) for each in found]


async def assert_all_verified(db: Database) -> None:
    await assert_verified(db)
    assert await member_differences(db) == []


async def keys_of(client: httpx.AsyncClient, customer: Body) -> list[str]:
    items = good(await client.get(f"/v1/customers/{customer['id']}/segments"))["items"]
    return [item["key"] for item in items]

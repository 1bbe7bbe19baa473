"""A customer to whom nothing refers is removed, and the log tells of it without saying who they were."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from app.db import Database
from tests.conftest import Person
from tests.support.expect import problem
from tests.support.personal_data import held, occurs
from tests.support.sla import Sql
from tests.support.verification import assert_verified, good
from tests.support.world import World, unique

Make = Callable[..., Awaitable[Person]]
CANARY = "qzcanaryx"


async def test_who_came_by_mistake_is_gone_from_everywhere(client: httpx.AsyncClient, sql: Sql, person: Make) -> None:
    known = {"name": CANARY, "external_id": CANARY, "email": f"{CANARY}@example.org", "attributes": {"a": CANARY}}
    headers = {"Idempotency-Key": "k"}
    customer = good(await client.post("/v1/customers", json=known, headers=headers))
    path = f"/v1/customers/{customer['id']}"
    changed = await client.patch(path, json={"name": f"{CANARY} too"})
    problem(await client.delete(path, headers={"If-Match": '"1"'}), 412)
    problem(await (await person("agent")).http.delete(path), 403)
    lead = await person("lead")
    assert (await lead.http.delete(path, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    assert not await occurs(sql, CANARY)
    told = await sql.fetch("SELECT type, actor_id, data FROM events WHERE subject_id = $1 ORDER BY id", customer["id"])
    assert [row["type"] for row in told] == ["customer.created", "customer.updated", "customer.deleted"]
    assert (told[2]["actor_id"], told[2]["data"]) == (lead.id, "{}")
    for again in (await client.get(path), await client.delete(path), await client.post(f"{path}/erase")):
        problem(again, 404, "not_found")
    problem(await client.post("/v1/customers", json=known, headers=headers), 410, "answer_erased")
    assert good(await client.post("/v1/customers", json=known))["id"] != customer["id"]


async def test_how_somebody_was_grouped_keeps_nobody(client: httpx.AsyncClient, sql: Sql) -> None:
    rule = {"field": "customer.name", "op": "eq", "value": CANARY}
    segment = good(await client.post("/v1/segments", json={"key": "s", "name": "S", "position": 1, "rule": rule}))
    customer = good(await client.post("/v1/customers", json={"name": CANARY}))
    override = {"customer_id": customer["id"], "effect": "include", "reason": CANARY}
    good(await client.post(f"/v1/segments/{segment['id']}/overrides", json=override))
    assert await sql.fetch("SELECT FROM segment_members WHERE customer_id = $1", customer["id"])
    assert (await client.delete(f"/v1/customers/{customer['id']}")).status_code == 204
    for table in ("segment_members", "segment_overrides"):
        assert not await sql.fetch(f"SELECT FROM {table} WHERE customer_id = $1", customer["id"])


async def test_whom_something_refers_to_is_erased_instead(world: World) -> None:
    ids = [await world.add_customer() for _ in range(5)]
    with_ticket, with_key, author, source, target = ids
    await world.made("/v1/tickets", {"subject": "x", "customer": {"id": with_ticket}})
    await world.add_key(role="customer", customer_id=with_key)
    said = {"body": "On another's.", "author": {"kind": "customer", "id": author}}
    await world.made(f"/v1/tickets/{world.ticket}/messages", said)
    assert (await world.admin.post(f"/v1/customers/{source}/merge", json={"into": target})).is_success
    for id_ in ids:
        path = f"/v1/customers/{id_}"
        before = (await world.admin.get(path)).json()
        assert f"{path}/erase" in problem(await world.admin.delete(path), 409, "customer_in_use")["detail"]
        assert (await world.admin.get(path)).json() == before
    # Nor is one who was merged, and came back: the log says whose their tickets were.
    assert (await world.admin.post(f"/v1/customers/{source}/unmerge")).is_success
    problem(await world.admin.delete(f"/v1/customers/{source}"), 409, "customer_in_use")


async def test_who_writes_while_they_are_removed_is_somebody_new(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    known = {"external_id": unique(), "name": "N"}
    customer = good(await client.post("/v1/customers", json=known))
    by_id = {"subject": "x", "customer": {"id": customer["id"]}}
    async with held(sql, customer["id"]) as awaited:
        opening = asyncio.create_task(client.post("/v1/tickets", json={"subject": "x", "customer": known}))
        await awaited()
        late = asyncio.create_task(client.post("/v1/tickets", json=by_id))
        await asyncio.sleep(0.1)
        await sql.execute("DELETE FROM customers WHERE id = $1", customer["id"])
    assert good(await opening)["customer_id"] != customer["id"]
    assert problem(await late, 422, "invalid")["errors"][0]["pointer"] == "/customer/id"
    await assert_verified(db)


async def test_a_ticket_that_comes_first_keeps_them(client: httpx.AsyncClient, sql: Sql) -> None:
    customer = good(await client.post("/v1/customers", json={"name": "N"}))
    path = f"/v1/customers/{customer['id']}"
    for _ in range(5):
        opened, removed = await asyncio.gather(
            client.post("/v1/tickets", json={"subject": "x", "customer": {"id": customer["id"]}}), client.delete(path)
        )
        assert (opened.status_code, removed.status_code) in {(201, 409), (422, 204), (422, 404)}
    kept = await sql.fetchval("SELECT count(*) FROM customers WHERE id = $1", customer["id"])
    assert bool(await sql.fetchval("SELECT count(*) FROM tickets")) is bool(kept)

"""The order of locks (docs/decisions/0008-lock-order.md), statement by statement and where two meet."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

import app
from app.db import Database, Query
from app.privacy import erasure
from app.tickets import search_index
from app.tickets.store import SYSTEM, lock_ticket
from app.web import idempotency
from app.webhooks import claiming, recording
from app.webhooks import service as webhooks

OpenTicket = Callable[..., Awaitable[dict[str, Any]]]
Sql = Any
_LOCKS = re.compile(r"\bFOR (NO KEY UPDATE|UPDATE|SHARE|KEY SHARE)\b")
# By a parameter, and not by one of its array.
_ONE_ROW = re.compile(r"WHERE [^()]*\b(id|external_id|name|ticket_id) = (\$\d+|\()")
_ORDERED = re.compile(r"ORDER BY (\w+\.)?(id|metric|ticket_id|caller_id|webhook_id)\b")


def queries() -> Iterator[tuple[str, Query]]:
    """Every statement that any module keeps under a name of its own, by that."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name == "app.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            each = value.items() if isinstance(value, dict) else [("", value)]
            for key, query in each:
                if isinstance(query, Query):
                    yield f"{module.name}.{name}{f'[{key}]' if key else ''}", query


def test_every_statement_that_locks_rows_takes_one_or_sorts_or_passes_over_what_is_locked() -> None:
    seen, wrong = 0, []
    for name, query in queries():
        if not _LOCKS.search(query.sql):
            continue
        seen += 1
        sql = " ".join(query.sql.split())
        if not ("SKIP LOCKED" in sql or _ORDERED.search(sql) or _ONE_ROW.search(sql)):
            wrong.append(f"{name}: {sql}")
    assert seen > 30
    assert wrong == []


_CHANGES = {
    "kept answers": idempotency._ERASE,
    "erased deliveries": webhooks._FORGET_ANSWERS,
    "judged endpoints": recording._JUDGE,
    "attempts": recording._RECORD,
    "probed endpoints": claiming.CLAIM,
    "erased messages": erasure._MESSAGES,
    "erased attachments": erasure._ATTACHMENTS,
}


@pytest.mark.parametrize("query", _CHANGES.values(), ids=_CHANGES)
def test_many_rows_are_locked_in_order_before_a_statement_changes_them(query: Query) -> None:
    assert re.search(r"ORDER BY [^()]+ FOR NO KEY UPDATE", " ".join(query.sql.split()))


async def test_the_search_index_does_not_wait_for_who_changes_a_ticket(db: Database, open_ticket: OpenTicket) -> None:
    ticket = await open_ticket()
    async with db.transaction() as tx:
        await lock_ticket(tx, SYSTEM, UUID(ticket["id"]))
        async with asyncio.timeout(10):
            while not await _indexed(db, ticket["id"]):
                await search_index.run_once(db)


async def _indexed(db: Database, ticket_id: str) -> bool:
    async with db.connections.pool.acquire() as connection:
        found: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM ticket_search WHERE ticket_id = $1)", UUID(ticket_id)
        )
    return found


@pytest.fixture
async def other(database_url: str) -> Any:
    """A second caller's connection, to hold locks with."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


_WAITS = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
)"""


async def _somebody_waits(sql: Sql) -> None:
    async with asyncio.timeout(10):
        while not await sql.fetchval(_WAITS):
            await asyncio.sleep(0.01)


async def test_who_follows_up_a_closed_ticket_waits_for_their_customer_and_holds_no_ticket(
    client: httpx.AsyncClient, open_ticket: OpenTicket, sql: Sql, other: Sql
) -> None:
    ticket = await open_ticket()
    await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "closed"})
    async with other.transaction():
        await other.execute("SELECT FROM customers WHERE id = $1 FOR UPDATE", UUID(ticket["customer_id"]))
        reply = asyncio.create_task(_reply(client, ticket["id"]))
        await _somebody_waits(sql)
        await other.execute("SELECT FROM tickets WHERE id = $1 FOR UPDATE NOWAIT", UUID(ticket["id"]))
    assert (await reply).json()["ticket_id"] != ticket["id"]


async def test_what_is_said_on_a_merged_ticket_waits_for_the_other_one_and_holds_no_lock(
    client: httpx.AsyncClient, open_ticket: OpenTicket, sql: Sql, other: Sql
) -> None:
    target = await open_ticket(customer={"external_id": "ann"})
    source = await open_ticket(customer={"external_id": "ann"})
    merged = await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": target["id"]})
    assert merged.status_code == 200
    async with other.transaction():
        await other.execute("SELECT FROM tickets WHERE id = $1 FOR UPDATE", UUID(target["id"]))
        reply = asyncio.create_task(_reply(client, source["id"]))
        await _somebody_waits(sql)
        await other.execute("SELECT FROM tickets WHERE id = $1 FOR UPDATE NOWAIT", UUID(source["id"]))
    assert (await reply).json()["ticket_id"] == target["id"]


async def _reply(client: httpx.AsyncClient, ticket_id: str) -> httpx.Response:
    """With a key, so that locks are taken at once."""
    body = {"body": "And now?", "author": {"kind": "customer"}}
    answer = await client.post(
        f"/v1/tickets/{ticket_id}/messages", json=body, headers={"Idempotency-Key": f"on-{ticket_id}"}
    )
    assert answer.status_code == 201, answer.text
    return answer


async def test_a_customer_is_locked_before_their_tickets(
    client: httpx.AsyncClient, open_ticket: OpenTicket, sql: Sql, other: Sql
) -> None:
    await client.post("/v1/segments", json={"key": "pro", "name": "Pro", "rule": _PRO})
    condition = {"field": "segment", "op": "eq", "value": "pro"}
    targets = [{"metric": "first_response", "seconds": 30}]
    body = {"key": "pro", "name": "Pro", "position": 1, "conditions": {"all": [condition]}, "targets": targets}
    assert (await client.post("/v1/sla-policies", json=body)).status_code == 201
    ticket = await open_ticket()
    customer = UUID(ticket["customer_id"])
    async with other.transaction():
        await other.execute("SELECT FROM tickets WHERE id = $1 FOR UPDATE", UUID(ticket["id"]))
        path = f"/v1/customers/{customer}"
        change = asyncio.create_task(client.patch(path, json={"attributes": {"plan": "pro"}}))
        await _somebody_waits(sql)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await sql.execute("SELECT FROM customers WHERE id = $1 FOR KEY SHARE NOWAIT", customer)
    assert (await change).status_code == 200


_PRO = {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}

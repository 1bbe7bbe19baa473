"""Closing by itself, by several workers at once, among those who change the tickets, and killed half-way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.db import Database, Transaction
from app.settings import Settings
from app.tickets import auto_close
from tests.support.articles import set_automation
from tests.support.sla import patch, reply
from tests.support.verification import assert_verified, good

_MANY = 230
_CLOSINGS = """
SELECT count(*), count(DISTINCT ticket_id), count(DISTINCT data -> 'automation')
FROM events WHERE type = 'ticket.status_changed' AND actor_kind = 'system'"""
_LEFT = "SELECT count(*) FROM tickets WHERE status = 'resolved'"


async def _resolved(client: httpx.AsyncClient, sql: Any, count: int) -> None:
    """So many tickets, resolved long ago; as an import brings them, but for that."""
    step = {"at": "2020-01-01T01:00:00Z", "kind": "status", "status": "resolved", "by": "agent"}
    one = {"subject": "Old", "created_at": "2020-01-01T00:00:00Z", "timeline": [step]}
    tickets = [{**one, "external_id": f"t{n}", "customer": {"external_id": f"c{n % 7}"}} for n in range(count)]
    assert good(await client.post("/v1/imports/tickets", json={"tickets": tickets}))["created"] == count
    await sql.execute("UPDATE tickets SET imported = false")


async def _work(db: Database) -> None:
    while await auto_close.run_once(db):
        pass


@asynccontextmanager
async def _workers(settings: Settings, count: int) -> AsyncIterator[list[Database]]:
    """As many processes would have them: each with a pool of its own."""
    async with Database.open(settings) as one, Database.open(settings) as two:
        yield [one, two][:count]


async def test_two_workers_at_once_close_each_ticket_once(
    client: httpx.AsyncClient, sql: Any, settings: Settings, db: Database
) -> None:
    await _resolved(client, sql, _MANY)
    await set_automation(client, "auto_close")
    async with _workers(settings, 2) as workers:
        await asyncio.gather(*(_work(worker) for worker in workers for _ in range(2)))
    assert tuple(await sql.fetchrow(_CLOSINGS)) == (_MANY, _MANY, 1)
    assert await sql.fetchval(_LEFT) == 0
    await assert_verified(db)


async def test_a_worker_killed_between_deciding_and_committing_has_closed_none_and_another_closes_all(
    client: httpx.AsyncClient, sql: Any, settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _resolved(client, sql, 30)
    await set_automation(client, "auto_close")
    killed = asyncio.Event()
    commit = Transaction._commit

    async def cut(tx: Transaction) -> None:
        """Everything is sent, and the connection's process on the server dies before the commit."""
        if not killed.is_set():
            killed.set()
            await tx.flush()
            assert tx.conn
            (row,) = await tx.conn.fetch("SELECT pg_backend_pid() AS pid")
            await sql.execute("SELECT pg_terminate_backend($1)", row["pid"])
        await commit(tx)

    async with _workers(settings, 1) as (worker,):
        with monkeypatch.context() as patched:
            patched.setattr(Transaction, "_commit", cut)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
                await auto_close.run_once(worker)
    assert killed.is_set()
    assert tuple(await sql.fetchrow(_CLOSINGS)) == (0, 0, 0)
    assert await sql.fetchval(_LEFT) == 30
    await _work(db)
    assert tuple(await sql.fetchrow(_CLOSINGS)) == (30, 30, 1)
    await assert_verified(db)


async def test_who_is_changing_a_ticket_is_not_waited_for_and_not_overruled(
    client: httpx.AsyncClient, sql: Any, db: Database
) -> None:
    await _resolved(client, sql, 3)
    await set_automation(client, "auto_close")
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("UPDATE tickets SET needs_human = true WHERE external_id = 't1'")
    async with asyncio.timeout(5):
        await auto_close.run_once(db)
    await transaction.commit()
    await auto_close.run_once(db)
    left = await sql.fetch("SELECT external_id FROM tickets WHERE status = 'resolved'")
    assert [row["external_id"] for row in left] == ["t1"]


async def test_what_an_exception_keeps_open_keeps_nothing_else_open_however_much_it_is(
    client: httpx.AsyncClient, sql: Any, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No turn looks at more than a stretch, and each goes on where the last one stopped."""
    monkeypatch.setattr(auto_close, "_STRETCH", 10)
    monkeypatch.setattr(auto_close, "_BATCH", 4)
    await _resolved(client, sql, 70)
    await set_automation(client, "auto_close")
    kept = await sql.fetchval("SELECT id FROM customers WHERE external_id = 'c0'")
    body = {"scope": "customer", "customer_id": str(kept), "kind": "automation", "reason": "They asked us to wait."}
    good(await client.post("/v1/sla-exceptions", json=body))
    # All that is kept open comes first.
    await sql.execute("UPDATE tickets SET resolved_at = resolved_at - interval '1 day' WHERE customer_id = $1", kept)
    turns = 0
    while await auto_close.run_once(db):
        turns += 1
    assert turns == 16
    assert [tuple(row) for row in await sql.fetch(f"{_LEFT} AND customer_id = '{kept}' UNION ALL {_LEFT}")] == [
        (10,)
    ] * 2


async def test_what_is_due_is_found_by_an_index_that_holds_nothing_else(client: httpx.AsyncClient, sql: Any) -> None:
    await _resolved(client, sql, 20)
    await sql.execute("SET enable_seqscan = off")
    query = auto_close._LOOK
    await sql.execute(f"PREPARE due AS {query.sql}")
    await sql.execute("SET plan_cache_mode = force_generic_plan")
    asked = {"days": "7", "after_at": "'-infinity'", "after_id": f"'{UUID(int=0)}'", "most": "100"}
    given = ", ".join(asked.get(name) or str(query.constants[name]) for name in query.names)
    plan = "\n".join(row[0] for row in await sql.fetch(f"EXPLAIN EXECUTE due({given})"))
    assert "ix_tickets_closable" in plan, plan
    assert "ix_sla_exceptions_automation" in plan, plan
    assert "Sort" not in plan.partition("SubPlan")[0], plan


async def test_imported_history_and_questions_without_an_answer_are_passed_over(
    client: httpx.AsyncClient, sql: Any, db: Database, open_ticket: Any
) -> None:
    await _resolved(client, sql, 2)
    asked, answered, unanswered = [await open_ticket() for _ in range(3)]
    await reply(client, answered, status="resolved")
    await reply(client, asked)
    # As releases before left it: a customer's word on a resolved ticket that did not reopen it.
    await reply(client, asked, author={"kind": "customer"})
    for ticket in (asked, unanswered):
        await patch(client, ticket, status="resolved")
    await sql.execute("UPDATE tickets SET imported = true WHERE external_id IS NOT NULL")
    await sql.execute("UPDATE tickets SET resolved_at = resolved_at - interval '99 days', version = 7")
    await set_automation(client, "auto_close")
    await _work(db)
    closed = await sql.fetch("SELECT id FROM tickets WHERE status = 'closed'")
    assert [str(row["id"]) for row in closed] == [answered["id"]]
    # Somebody has looked at it since it was imported.
    (touched,) = await sql.fetch("SELECT id FROM tickets WHERE external_id = 't1'")
    await reply(client, {"id": touched["id"]}, visibility="internal")
    await _work(db)
    left = await sql.fetch("SELECT external_id FROM tickets WHERE status = 'resolved' AND external_id IS NOT NULL")
    assert [row["external_id"] for row in left] == ["t0"]

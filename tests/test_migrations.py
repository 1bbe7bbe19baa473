"""Migrations on a database with rows in it, forward and back. What the older release wrote must be whole again after
the way forward: figures, deadlines and the log's own recomputation."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from alembic import command
from uuid_utils.compat import uuid7

from app.db import Database
from app.migrate import config
from app.settings import Settings
from app.verification.clocks import repair, verify
from tests.conftest import ADMIN_KEY

NEW = [
    "organizations", "custom_fields", "custom_field_revision", "ticket_links", "ticket_followers", "views",
    "macros", "incident_jobs", "attachments", "attachment_contents", "greetings", "ticket_search", "search_languages",
    "customer_merges",
    "event_readers", "articles", "article_words", "ticket_offers", "automations", "webhooks", "webhook_secrets",
    "webhook_deliveries",
]  # fmt: skip


async def _write_as_before(url: str) -> tuple[UUID, UUID]:
    """A ticket that waits and one that was answered, as rows and log of that release."""
    sql = await asyncpg.connect(url)
    policy = await sql.fetchrow("SELECT policy_id, version FROM sla_policy_versions")
    assert policy is not None
    customer = uuid7()
    await sql.execute("INSERT INTO customers (id, external_id) VALUES ($1, 'c')", customer)
    ids = UUID(str(uuid7())), UUID(str(uuid7()))
    for id_, answered in zip(ids, (False, True), strict=True):
        await sql.execute(
            """
            WITH ticket AS (
                INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, tags, custom_fields,
                    created_at, updated_at)
                VALUES ($1, 'Help', CASE WHEN $5 THEN 'open' ELSE 'new' END, 'normal', 'question', 'web', $2, '{}',
                    '{}', '2026-01-05 09:00Z', '2026-01-05 09:01Z')
            ), told AS (
                INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)
                SELECT * FROM (VALUES
                    ('ticket.created', '2026-01-05 09:00Z'::timestamptz, 'customer', $1, $1, jsonb_build_object(
                        'opened_by', 'customer', 'status', 'new', 'policy_id', $3::text, 'policy_version', $4::int,
                        'priority', 'normal')),
                    ('message.created', '2026-01-05 09:01Z', 'agent', $1, $1,
                        '{"visibility": "public", "opening": false}'::jsonb),
                    ('ticket.status_changed', '2026-01-05 09:01Z', 'agent', $1, $1,
                        '{"changes": {"status": {"before": "new", "after": "open"}}}'::jsonb)
                ) AS e WHERE $5 OR e.column1 = 'ticket.created'
            )
            INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, policy_id, policy_version, target_seconds,
                warn_at_percent, warnings, bot_counts, due_at, original_due_at, stopped_at, ended_at, next_at)
            SELECT gen_random_uuid(), $1, 'first_response', 1, '2026-01-05 09:00Z', $3::text::uuid, $4, 90, '{80}',
                ARRAY['2026-01-05 09:01:12Z'::timestamptz], false, due, due, CASE WHEN $5 THEN stop END,
                CASE WHEN $5 THEN stop END, CASE WHEN NOT $5 THEN due END
            FROM (VALUES ('2026-01-05 09:01:30Z'::timestamptz, '2026-01-05 09:01Z'::timestamptz)) AS at (due, stop)
            """,
            id_,
            customer,
            str(policy["policy_id"]),
            policy["version"],
            answered,
        )
    await sql.close()
    return ids


async def _fill_what_is_new(http: httpx.AsyncClient, sql: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Rows in every table that the older release does not know."""

    async def post(path: str, body: Any = None, **more: Any) -> Any:
        answer = await http.post(f"/v1{path}", **({"json": body} if body is not None else more))
        assert answer.is_success, answer.text
        return answer.json()

    field = {"subject": "ticket", "key": "order", "name": "Order", "type": "text"}
    await post("/custom-fields", field)
    organization = await post("/organizations", {"name": "O", "external_id": "o"})
    pair = [await post("/customers", {"external_id": f"n{n}", "organization_id": organization["id"]}) for n in range(2)]
    opening = {"subject": "s", "description": "d", "custom_fields": {"order": "1"}, "customer": {"id": pair[0]["id"]}}
    one, other = [await post("/tickets", opening) for _ in range(2)]
    await post(f"/tickets/{one['id']}/links", {"kind": "relates_to", "ticket_id": other["id"]})
    kept = await post("/tickets", {"subject": "s", "customer": {"external_id": "kept"}})
    await post(f"/tickets/{kept['id']}/attachments", content=b"text")
    article = await post("/articles", {"key": "a", "title": "T", "body": "B", "language": "en"})
    await post(f"/tickets/{kept['id']}/solved-by", {"article_id": article["id"]})
    await post("/sla-exceptions", {"kind": "automation", "scope": "everything", "reason": "R"})
    await post("/greetings", {"channel": "web", "body": "Hello."})
    agent = await post("/agents", {"name": "A"})
    webhook = await post("/webhooks", {"url": "https://hooks.example.com/in", "types": ["*"]})
    await post(f"/webhooks/{webhook['id']}/test")
    await post(f"/customers/{pair[0]['id']}/merge", {"into": pair[1]["id"]})
    await post(f"/customers/{pair[1]['id']}/erase")
    for statement in (
        f"INSERT INTO ticket_followers (ticket_id, agent_id) VALUES ('{one['id']}', '{agent['id']}')",
        f"INSERT INTO ticket_search (ticket_id, all_words, public_words) VALUES ('{one['id']}', '', '')",
        "INSERT INTO search_languages (name) VALUES ('simple')",
        "INSERT INTO views (id, name, shared, filter, sort) VALUES (gen_random_uuid(), 'V', true, '{}', 'due_at')",
        "INSERT INTO incident_jobs (id, kind, subject_id, made_by_kind)"
        " VALUES (gen_random_uuid(), 'solve_problem', gen_random_uuid(), 'agent')",
        "INSERT INTO macros (id, name, visibility, changes) VALUES (gen_random_uuid(), 'M', 'public', '{}')",
        "INSERT INTO event_readers (name, xid, event_id) VALUES ('r', '1', 1)",
    ):
        await sql.execute(statement)
    for table in NEW:
        assert await sql.fetchval(f'SELECT count(*) FROM "{table}"'), table


async def test_what_is_new_goes_on_the_way_back_and_the_way_forward_works_again(
    database_url: str, client: httpx.AsyncClient, sql: "asyncpg.Connection[asyncpg.Record]", settings: Settings
) -> None:
    await _fill_what_is_new(client, sql)
    counts = "SELECT (SELECT count(*) FROM tickets), (SELECT count(*) FROM customers), (SELECT count(*) FROM events)"
    before = await sql.fetchrow(counts)
    await asyncio.to_thread(command.downgrade, config(database_url), "0003")
    assert await sql.fetchrow(counts) == before
    functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert await sql.fetchval(functions) == 0
    await asyncio.to_thread(command.upgrade, config(database_url), "head")
    await asyncio.to_thread(command.check, config(database_url))
    assert await sql.fetchrow(counts) == before
    async with Database.open(settings) as db:
        assert [difference async for _, some in verify(db) for difference in some] == []
    made = await client.post("/v1/tickets", json={"subject": "s", "customer": {"external_id": "after"}})
    assert made.status_code == 201


async def test_rows_of_the_older_release_are_filled_and_what_it_did_not_measure_is_repaired(
    database_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(command.downgrade, config(database_url), "0001")
    ids = await _write_as_before(database_url)
    await asyncio.to_thread(command.upgrade, config(database_url), "head")
    settings = Settings(database_url=database_url, admin_key=ADMIN_KEY, data_dir=tmp_path, worker=False)
    async with Database.open(settings) as db:
        found = [difference async for _, some in verify(db) for difference in some]
        assert {(difference.clock, difference.field) for difference in found} == {("resolution/1", "exists")}
        for id_ in ids:
            await repair(db, id_)
        assert [difference async for _, some in verify(db) for difference in some] == []
    sql = await asyncpg.connect(database_url)
    rows = await sql.fetch("SELECT metric, target_seconds, elapsed IS NULL AS runs FROM sla_clocks ORDER BY metric, 3")
    assert [tuple(row) for row in rows] == [
        ("first_response", 90, False), ("first_response", 90, True), ("resolution", None, True),
        ("resolution", None, True),
    ]  # fmt: skip
    assert await sql.fetchval("SELECT count(*) FROM tickets WHERE policy_id IS NOT NULL") == 2
    await sql.close()
    # And back with rows that the older release does not know, and forward again.
    await asyncio.to_thread(command.downgrade, config(database_url), "0001")
    await asyncio.to_thread(command.upgrade, config(database_url), "head")
    await asyncio.to_thread(command.check, config(database_url))

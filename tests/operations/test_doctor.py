"""`ninety doctor` finds each ailment that is planted, says what to do, and finds nothing in a healthy installation."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from cryptography.fernet import Fernet
from uuid_utils.compat import uuid7

from app import cli
from app.db import Database
from app.events import partitions
from app.migrate import schema_head
from app.operations import doctor
from app.operations.doctor import Finding, Level
from app.operations.health import record_heartbeat
from app.operations.index_bloat import LEAST_BYTES
from app.operations.start_checks import CannotStart
from app.settings import Settings
from tests.conftest import ADMIN_KEY, settled
from tests.support.sla import Sql

_HOOK = """INSERT INTO webhooks (id, url, types, active, disabled_reason, failures, open_until)
    VALUES (gen_random_uuid(), 'https://receiver.example/', '{*}', $1, $2, $3, clock_timestamp() + $4::interval)
    RETURNING id"""
_SECRET = "INSERT INTO webhook_secrets (webhook_id, secret, sealed) VALUES ($1, $2, $3)"


@pytest.fixture
async def installation(db: Database, sql: Sql, database_url: str) -> Settings:
    """A healthy one, with a worker that is seen for as long as a test takes."""
    await partitions.run_once(db, None)
    async with db.transaction() as tx:
        await record_heartbeat(tx, uuid7())
    await sql.execute("UPDATE worker_heartbeats SET seen_at = now() + interval '10 minutes'")
    return Settings(database_url=database_url, pool_size=4)


async def _found(settings: Settings) -> list[Finding]:
    """What is not in order. Other tests on this server may keep transactions open."""
    found = await doctor.examine(settings, schema_head())
    return [each for each in found if each.level is not Level.ok and not each.said.startswith("a transaction of")]


async def _of(subject: str, settings: Settings) -> list[Finding]:
    """What is found of this alone: the server is shared, and busy."""
    return [each for each in await _found(settings) if each.subject == subject]


async def test_a_healthy_installation(installation: Settings) -> None:
    assert await _found(installation) == []
    subjects = [each.subject for each in await doctor.examine(installation, schema_head())]
    assert subjects[:4] == ["settings", "database", "role", "schema"]
    assert set(doctor._EXAMINATIONS) <= set(subjects)


async def test_a_standby_that_does_not_answer_and_one_that_is_behind(installation: Settings, sql: Sql) -> None:
    away = installation.model_copy(update={"read_database_url": "postgresql://nobody@127.0.0.1:1/none"})
    [found] = await _found(away)
    assert (found.level, found.subject) == (Level.warning, "standby")
    assert "does not answer" in found.said
    # As far as anybody can tell by its heartbeats.
    itself = installation.model_copy(update={"read_database_url": installation.database_url})
    assert await _found(itself) == []
    await sql.execute("UPDATE worker_heartbeats SET seen_at = now() - interval '15 seconds'")
    assert "behind by 15 s" in (await _found(itself))[-1].said


async def test_no_worker(installation: Settings, sql: Sql) -> None:
    await sql.execute("UPDATE worker_heartbeats SET seen_at = now() - interval '20 seconds'")
    [found] = await _found(installation)
    assert (found.level, found.subject) == (Level.problem, "worker")
    assert "none was seen for 2" in found.said
    await sql.execute("DELETE FROM worker_heartbeats")
    [found] = await _found(installation)
    assert found.said == "none was ever seen"


async def test_a_schema_that_is_older(installation: Settings, sql: Sql) -> None:
    await sql.execute("UPDATE alembic_version SET version_num = '0001'")
    [found] = await _found(installation)
    assert (found.level, found.subject, found.remedy) == (Level.problem, "schema", "run `ninety migrate`")


async def test_a_role_that_may_not_be_taken(installation: Settings) -> None:
    nobody = installation.model_copy(update={"database_role": "nobody_has_this"})
    with pytest.raises(asyncpg.PostgresError):
        async with Database.open(nobody) as db, db.transaction() as tx:
            await tx.now()
    [found] = await _found(nobody)
    assert (found.level, found.subject) == (Level.problem, "role and schema")
    assert "CREATE ROLE nobody_has_this" in found.said


async def test_guard_rails_that_a_pooler_cannot_bring_along(installation: Settings, sql: Sql) -> None:
    await sql.execute("""DO $$ BEGIN EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', current_user,
        current_database()); END $$""")
    [found] = await _found(installation.model_copy(update={"database_pooler": "pgbouncer"}))
    assert (found.level, found.subject) == (Level.warning, "guard rails")
    assert "statement_timeout" in found.said
    assert "ALTER ROLE" in found.remedy


async def test_a_clock_that_is_off(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    actual = time.time
    monkeypatch.setattr(time, "time", lambda: actual() - 60)
    [found] = await _found(installation)
    assert found.subject == "clock"
    assert found.said in {f"this machine is {seconds} s behind the database's" for seconds in (59, 60)}


async def test_deadlines_that_nobody_notices(installation: Settings, sql: Sql, client: httpx.AsyncClient) -> None:
    body = {"subject": "x", "customer": {"external_id": "c"}}
    assert (await client.post("/v1/tickets", json=body)).status_code == 201
    await sql.execute("UPDATE sla_clocks SET next_at = now() - interval '20 seconds' WHERE next_at IS NOT NULL")
    [found] = await _found(installation)
    assert (found.level, found.subject) == (Level.problem, "deadlines")
    assert found.said.startswith("1 have passed unnoticed, the oldest 2")


async def test_a_reader_that_stands_still(
    installation: Settings, sql: Sql, client: httpx.AsyncClient, database_url: str
) -> None:
    await client.post("/v1/tickets", json={"subject": "x", "customer": {"external_id": "c"}})
    await sql.execute("UPDATE events SET recorded_at = recorded_at - interval '90 seconds'")
    await sql.execute("""INSERT INTO event_readers (name, xid, event_id) VALUES ('search', '0', 0)
        ON CONFLICT (name) DO UPDATE SET xid = '0', event_id = 0, moved_at = NULL""")
    await settled(database_url)
    found = [each for each in await _found(installation) if each.said.startswith("the reader search")]
    assert [each.level for each in found] == [Level.problem]
    assert "round_failed" in found[0].remedy or "open on the server" in found[0].remedy


async def test_a_log_without_months(installation: Settings, sql: Sql) -> None:
    for month in await sql.fetch("""SELECT inhrelid::regclass::text AS name FROM pg_inherits
            WHERE inhparent = 'events'::regclass AND inhrelid::regclass::text <> 'events_default'"""):
        await sql.execute(f"DROP TABLE {month['name']}")
    await sql.execute("""INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)
        VALUES ('ticket.created', now(), 'system', gen_random_uuid(), '{}')""")
    await sql.execute("ANALYZE events_default")
    found = await _of("months of the log", installation)
    assert [each.level for each in found] == [Level.problem, Level.warning]
    assert found[1].said == "1 events have none"


async def test_jobs_that_nobody_does(installation: Settings, sql: Sql) -> None:
    await sql.execute("""INSERT INTO sla_jobs (id, kind, subject_id, run_at)
        VALUES (gen_random_uuid(), 'reapply', gen_random_uuid(), now() - interval '2 hours')""")
    [found] = await _found(installation)
    assert (found.level, found.subject) == (Level.warning, "jobs")
    assert found.said.startswith("1 in sla_jobs")


async def test_webhooks_that_are_broken(installation: Settings, sql: Sql) -> None:
    await sql.execute(_HOOK, True, None, 7, timedelta(hours=1))
    await sql.execute(_HOOK, False, "gone", 0, None)
    webhook = await sql.fetchval(_HOOK, True, None, 0, None)
    await sql.execute(
        """INSERT INTO webhook_deliveries (webhook_id, id, type, about_id, state, next_at, give_up_at, created_at)
        SELECT $1, gen_random_uuid(), 'webhook.test', $1, state, now() - interval '1 minute', now(), now()
        FROM unnest('{pending,dead}'::text[]) state""",
        webhook,
    )
    found = await _of("webhooks", installation)
    said = " / ".join(each.said for each in found)
    assert "7 failures in a row" in said
    assert "was turned off: gone" in said
    assert "1 deliveries were given up" in said
    assert "waited 6" in said
    assert ["webhook_sending" in each.remedy for each in found if each.level is Level.problem] == [True]


async def test_secrets_that_no_key_opens(installation: Settings, sql: Sql) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    webhook = await sql.fetchval(_HOOK, True, None, 0, None)
    await sql.execute(_SECRET, webhook, Fernet(old).encrypt(b"x" * 32), True)
    rotated = installation.model_copy(update={"webhook_secret_keys": new.decode()})
    [found] = await _of("webhooks' secrets", rotated)
    assert found.level is Level.problem
    assert str(webhook) in found.said
    both = installation.model_copy(update={"webhook_secret_keys": f"{new.decode()},{old.decode()}"})
    assert await _of("webhooks' secrets", both) == []
    await sql.execute("UPDATE webhook_secrets SET sealed = false")
    [found] = await _of("webhooks' secrets", both)
    assert found.said == "1 are not encrypted"


async def test_keys_that_expire(installation: Settings, sql: Sql) -> None:
    add = """INSERT INTO api_keys (id, name, role, secret_hash, expires_at, revoked_at)
        VALUES (gen_random_uuid(), $1, 'admin', '', now() + make_interval(days => $2), $3::timestamptz)"""
    now = await sql.fetchval("SELECT now()")
    for name, days, revoked in (("the shop's", 10, None), ("later", 20, None), ("gone", 10, now), ("over", -1, None)):
        await sql.execute(add, name, days, revoked)
    [found] = await _of("API keys", installation)
    assert found.level is Level.warning
    assert found.said.startswith('"the shop\'s" expires on ')


async def test_more_connections_than_the_server_has(installation: Settings) -> None:
    [found] = await _found(installation.model_copy(update={"pool_size": 500, "workers": 4}))
    assert found.subject == "connections"
    assert "2505" in found.said


async def test_an_index_that_is_mostly_empty(installation: Settings, sql: Sql, database_url: str) -> None:
    await sql.execute("""INSERT INTO stream_tickets (hash, actor, expires_at)
        SELECT sha256(i::text::bytea), '{}', now() FROM generate_series(1, 220000) i""")
    await sql.execute("ANALYZE stream_tickets")
    # Full, it is as large as it should be.
    assert await sql.fetchval("SELECT pg_relation_size('pk_stream_tickets')") > LEAST_BYTES
    assert await _found(installation) == []
    await sql.execute("DELETE FROM stream_tickets WHERE get_byte(hash, 0) > 10")
    await settled(database_url)
    await sql.execute("VACUUM ANALYZE stream_tickets")
    [found] = await _found(installation)
    assert (found.level, found.subject) == (Level.warning, "indexes")
    assert found.remedy == "REINDEX INDEX CONCURRENTLY pk_stream_tickets"
    await sql.execute("REINDEX INDEX pk_stream_tickets")
    assert await _found(installation) == []


async def test_a_server_that_is_away() -> None:
    with pytest.raises(CannotStart, match="does not answer"):
        await doctor.examine(Settings(database_url="postgresql://me@127.0.0.1:1/n"), schema_head())


def _run(url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    for name, value in {"DATABASE_URL": url, "NINETY_ADMIN_KEY": ADMIN_KEY, "NINETY_DATA_DIR": str(place)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["ninety", "doctor"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_prints_a_line_each_and_ends_with_1(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(database_url, tmp_path, monkeypatch) == 1
    said = capfd.readouterr().out
    assert "problem  worker: none was ever seen\n         -> start one:" in said
    assert "ok       schema: " in said
    assert _run("postgresql://me@127.0.0.1:1/n", tmp_path, monkeypatch) == 3

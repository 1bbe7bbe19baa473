"""The reference: 600 clocks over a change of clocks, the same by the days of nine zones, and after five corrections."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI

from app.cubes import filling, folding
from app.db import Database
from app.reports.response_times import response_times
from app.reports.schemas import Percentiles, ReportQuery
from app.settings import Settings
from app.sla.core.buckets import bucket
from tests.conftest import settled
from tests.cubes.test_cubes import assert_as_rebuilt
from tests.support.sla import Sql

_FILE = Path(__file__).parents[3] / "shared" / "reference" / "a_rollup.json"
pytestmark = pytest.mark.skipif(not _FILE.is_file(), reason="the reference values are not there")
_CLOCKS = """
WITH customer AS (INSERT INTO customers (id, external_id) VALUES (gen_random_uuid(), 'reference') RETURNING id),
team AS (INSERT INTO teams (id, key, key_folded, name)
    SELECT gen_random_uuid(), key, lower(key), key FROM unnest('{A,B,C}'::text[]) AS key RETURNING id, key),
clock AS (
    SELECT gen_random_uuid() AS ticket_id, (c->>'id')::int AS n, (c->>'started_at')::timestamptz AS at,
        (c->>'elapsed_us')::bigint * interval '1 microsecond' AS elapsed, team.id AS team_id, c->>'priority' AS priority
    FROM jsonb_array_elements($1::jsonb) AS c JOIN team ON team.key = c->>'team'
),
ticket AS (
    INSERT INTO tickets (id, external_id, subject, status, priority, type, channel, customer_id, team_id, tags,
        custom_fields, created_at, updated_at)
    SELECT ticket_id, n, 'S', 'open', priority, 'question', 'web', customer.id, team_id, '{}', '{}', at, at
    FROM clock, customer
)
INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, promised_seconds, target_seconds, pause_on,
    warn_at_percent, warnings, bot_counts, due_at, original_due_at, unrelieved_due_at, stopped_at, ended_at, elapsed,
    customer_id, team_id, priority, type, channel, tags)
SELECT gen_random_uuid(), ticket_id, 'first_response', 1, at, 90, 90, '{}', '{}', '{}', false, due, due, due,
    at + elapsed, at + elapsed, elapsed, customer.id, team_id, priority, 'question', 'web', '{}'
FROM clock, customer, LATERAL (SELECT at + interval '90 seconds' AS due) AS d
"""
_CORRECTIONS = {
    "spam": "spam = true",
    "priority": "priority = $2",
    "elapsed": "elapsed = $2::text::interval, stopped_at = started_at + $2::text::interval,"
    " ended_at = started_at + $2::text::interval",
    "excluded": "excluded = true",
    "erased": "warn_at_percent = '{}'",
}
_CHANGE = """
WITH changed AS (UPDATE sla_clocks c SET {} FROM tickets t WHERE t.id = c.ticket_id AND t.external_id = $1
    RETURNING ticket_id)
INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)
SELECT 'ticket.updated', now(), 'system', ticket_id, ticket_id, '{{"changes": {{}}}}' FROM changed
"""


async def figures(db: Database, **query: Any) -> list[dict[str, Any]]:
    async with db.transaction() as tx:
        await tx.snapshot()
        asked = ReportQuery.model_validate(query)
        found = await response_times(tx, asked, frozenset({"agents:read"}), exact_within=0)
    assert found.percentiles is Percentiles.histogram
    return found.items


def assert_as_told(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found["answered"] == wanted["count"]
    assert found["mean_answered"] == pytest.approx(wanted["sum_us"] / wanted["count"] / 1e6, abs=1e-6)
    for name in ("p50", "p90", "p95", "p99"):
        assert found[name] == pytest.approx(wanted[name]["histogram_us"] / 1e6, rel=1e-12)
        assert bucket(wanted[name]["exact_us"]) == wanted[name]["bucket"]


async def _correct(sql: Sql, correction: dict[str, Any]) -> None:
    kind = correction["kind"].replace("corrected elapsed", "elapsed").split()[0].strip(":")
    more = {"priority": correction.get("priority"), "elapsed": f"{correction.get('elapsed_us')} microseconds"}
    given = [more[kind]] if kind in more else []
    await sql.execute(_CHANGE.format(_CORRECTIONS[kind]), str(correction["id"]), *given)


@pytest.fixture
async def db(settings: Settings, app: FastAPI) -> AsyncIterator[Database]:
    """With cubes of the reference's zones."""
    zones = tuple(json.loads(_FILE.read_text())["days"])
    async with Database.open(settings.model_copy(update={"report_zones": zones})) as opened:
        yield opened


async def test_the_reference_comes_out(db: Database, database_url: str, sql: Sql) -> None:
    told = json.loads(_FILE.read_text())
    await sql.execute(_CLOCKS, json.dumps(told["clocks"]))
    await settled(database_url)
    await _all_filled(db, database_url)
    [whole] = await figures(db)
    assert_as_told(whole, told["all"])
    for item in await figures(db, group_by="team"):
        assert_as_told(item, told["by_team"][item["group"]["team_name"]])
    for item in await figures(db, group_by="team,priority"):
        group = item["group"]
        assert_as_told(item, told["by_team_priority"][f"{group['team_name']}/{group['priority']}"])
    for parts in ("team", "priority", "team,priority", "agent", "product", "team,agent,product"):
        of_parts = await figures(db, group_by=parts, interval="day")
        for name in ("answered", "met", "breached"):
            assert sum(item[name] for item in of_parts) == whole[name]
    for zone, days in told["days"].items():
        await _assert_days(db, zone, days)
    for correction in told["corrections"]:
        await _correct(sql, correction)
    await _assert_corrected(db, told["after"])
    await assert_as_rebuilt(db, database_url, sql)
    await _assert_corrected(db, told["after"])


async def _all_filled(db: Database, database_url: str) -> None:
    await settled(database_url)
    while await filling.run_once(db) or await folding.run_once(db):
        pass


async def _assert_days(db: Database, zone: str, days: dict[str, Any]) -> None:

    found = await figures(db, timezone=zone, interval="day")
    assert [str(item["interval_start"].astimezone(ZoneInfo(zone)).date()) for item in found] == list(days)
    for item, wanted in zip(found, days.values(), strict=True):
        assert item["answered"] == wanted["count"]
        assert item["mean_answered"] == pytest.approx(wanted["sum_us"] / wanted["count"] / 1e6, abs=1e-6)


async def _assert_corrected(db: Database, after: dict[str, Any]) -> None:
    [whole] = await figures(db)
    assert_as_told(whole, after["all"])
    for item in await figures(db, group_by="priority"):
        assert_as_told(item, after["by_priority"][item["group"]["priority"]])

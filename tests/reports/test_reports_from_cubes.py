"""What is added up from cubes and facts is what the clocks say themselves: also of what changed a moment ago, what
still runs, and days that a span cuts."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.cubes import filling
from app.db import Database
from app.errors import Invalid
from app.reports import cube_figures
from app.reports.response_times import response_times
from app.reports.schemas import Percentiles, ReportQuery
from tests.cubes.test_cubes import fill
from tests.reports.test_response_times import past
from tests.support.sla import Sql

Open = Callable[..., Awaitable[dict[str, Any]]]
__all__ = ["past"]
SCOPES = frozenset({"reports:read", "agents:read", "segments:read"})
QUERIES: list[dict[str, Any]] = [
    {},
    {"exceptions": "without"},
    {"interval": "day"},
    {"interval": "week", "group_by": "priority"},
    {"interval": "month", "group_by": "priority,channel"},
    {"group_by": "agent"},
    {"group_by": "product"},
    {"group_by": "product,priority,channel"},
    {"group_by": "priority", "channel": "email"},
    {"priority": "high", "channel": "phone,email"},
    {"product": "a,none", "group_by": "product"},
    {"product": "never seen"},
    {"from": "2026-01-10", "to": "2026-02-03"},
    {"from": "2026-01-10T03:07:00Z", "to": "2026-02-03T17:01:11Z", "group_by": "priority", "interval": "month"},
    {"from": "2026-01-10T03:07:00Z", "interval": "day", "group_by": "priority,product"},
    {"timezone": "Asia/Kathmandu", "interval": "day", "group_by": "channel"},
    {"timezone": "Asia/Kathmandu", "from": "2026-01-10", "to": "2026-01-20"},
    {"metric": "resolution", "group_by": "priority"},
    {"from": "2026-01-10T03:07:00Z", "to": "2026-01-12T09:00:00Z", "group_by": "product,priority"},
]


async def both(db: Database, query: dict[str, Any]) -> tuple[Any, Any]:
    async with db.transaction() as tx:
        await tx.snapshot()
        asked = ReportQuery.model_validate(query)
        return await response_times(tx, asked, SCOPES), await response_times(tx, asked, SCOPES, exact_within=0)


async def assert_all_same(db: Database) -> None:
    for query in QUERIES:
        await assert_same(db, query)


async def assert_same(db: Database, query: dict[str, Any]) -> None:
    clocks, sums = await both(db, query)
    assert sums.percentiles is Percentiles.histogram, query
    assert len(clocks.items) == len(sums.items), query
    for wanted, found in zip(clocks.items, sums.items, strict=True):
        # Who runs has waited a moment longer.
        about = {name: pytest.approx(wanted[name], abs=0.5) for name in ("mean_floor", "mean_wall")}
        known = [name for name in ("p50", "p90", "p95", "p99") if wanted[name] is not None]
        near = {name: pytest.approx(float(wanted[name]), rel=0.01) for name in known}
        assert found == wanted | about | near, query


async def test_sums_are_what_the_clocks_say(
    db: Database, database_url: str, client: httpx.AsyncClient, open_ticket: Open, past: Any
) -> None:
    tickets = [await open_ticket(priority=priority, channel="email") for priority in ("high", "low", "low", "normal")]
    url = f"/v1/tickets/{tickets[0]['id']}"
    await client.post(f"{url}/messages", json={"body": "Yes."})
    await fill(db, database_url)
    await assert_all_same(db)
    # What is in no cube yet, and what is in no fact yet.
    await client.post(f"/v1/tickets/{tickets[1]['id']}/messages", json={"body": "Yes."})
    await filling.follow_once(db)
    await client.post(f"{url}/spam")
    await client.patch(f"/v1/tickets/{tickets[2]['id']}", json={"status": "resolved"})
    exception = {"scope": "ticket", "ticket_id": tickets[3]["id"], "effect": "exclude", "reason": "R"}
    await client.post("/v1/sla-exceptions", json=exception)
    await client.post(f"/v1/tickets/{tickets[3]['id']}/messages", json={"body": "Yes."})
    await assert_all_same(db)
    await fill(db, database_url)
    await assert_all_same(db)


async def test_until_the_past_is_filled_the_clocks_are_read(
    db: Database, database_url: str, past: Any, sql: Sql
) -> None:
    _, unfilled = await both(db, {})
    assert unfilled.percentiles is Percentiles.nearest_rank
    await fill(db, database_url)
    _, filled = await both(db, {})
    assert filled.percentiles is Percentiles.histogram
    await filling.rebuild(db)
    _, unfilled = await both(db, {})
    assert unfilled.percentiles is Percentiles.nearest_rank


@pytest.mark.parametrize(
    "query", [{"interval": "hour"}, {"buckets": "15,90"}, {"group_by": "tag"}, {"group_by": "customer"}]
)
async def test_what_no_sum_knows_is_read_from_the_clocks(
    db: Database, database_url: str, past: Any, query: dict[str, Any]
) -> None:
    await fill(db, database_url)
    clocks, also = await both(db, query)
    assert also == clocks
    assert also.percentiles is Percentiles.nearest_rank


@pytest.mark.parametrize("query", [{"group_by": "product,priority,channel"}, {"group_by": "tag"}])
async def test_more_clocks_than_can_be_looked_at_are_refused_with_what_to_narrow(
    db: Database, database_url: str, past: Any, sql: Sql, query: dict[str, Any]
) -> None:
    await fill(db, database_url)
    await sql.execute("UPDATE report_cubes SET n = n * 100000 WHERE cube = 1023")
    with pytest.raises(Invalid) as refused:
        await both(db, query)
    assert str(cube_figures.MOST_FACTS) in str(refused.value.errors)

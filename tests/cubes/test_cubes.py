"""Facts and cubes agree with the clocks, whatever happened and in whatever order it was told of."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cubes import facts, filling, folding
from app.db import Database, Transaction
from app.events import reader
from app.verification.cubes import ReportDifference, verify_reports
from tests.conftest import settled
from tests.reports.test_response_times import past
from tests.support.sla import Sql
from tests.verification.test_verify import operations

Open = Callable[..., Awaitable[dict[str, Any]]]
Content = dict[str, list[tuple[Any, ...]]]
__all__ = ["past"]


async def fill(db: Database, database_url: str) -> None:
    """All that is committed is in the facts and in the cubes."""
    await settled(database_url)
    while await filling.run_once(db):
        pass
    while await folding.run_once(db):
        pass


async def differences(db: Database) -> list[ReportDifference]:
    return [difference async for _, found in verify_reports(db) for difference in found]


async def content(sql: Sql) -> Content:
    """Places in cubes to which nothing belongs any more are as good as none."""
    queries = {
        "facts": "SELECT * FROM report_facts ORDER BY clock_id",
        "cubes": "SELECT * FROM report_cubes WHERE n <> 0 ORDER BY zone, cube, grain, metric, start, a, b, outcome",
        "deltas": "SELECT n FROM report_deltas",
    }
    return {name: [tuple(row) for row in await sql.fetch(query)] for name, query in queries.items()}


async def assert_as_rebuilt(db: Database, database_url: str, sql: Sql) -> None:
    await fill(db, database_url)
    assert await differences(db) == []
    maintained = await content(sql)
    await filling.rebuild(db)
    await fill(db, database_url)
    assert await content(sql) == maintained


async def test_the_past_is_filled_and_agrees(
    db: Database, database_url: str, sql: Sql, past: list[dict[str, Any]]
) -> None:
    await fill(db, database_url)
    ended = await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE ended_at IS NOT NULL")
    assert await sql.fetchval("SELECT count(*) FROM report_facts") == ended > len(past)
    assert await differences(db) == []


_corrections = st.lists(
    st.one_of(
        operations,
        st.sampled_from(["spam", "not-spam", "exclude", "freeze", "merge", "follow", "fold", "again"]).map(
            lambda word: [(word, {})]
        ),
    ),
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(parts=_corrections, seed=st.integers(0, 2**32))
async def test_after_any_corrections_in_any_order_and_offered_twice_cubes_are_as_rebuilt(
    client: httpx.AsyncClient,
    db: Database,
    database_url: str,
    sql: Sql,
    open_ticket: Open,
    parts: list[list[tuple[str, dict[str, Any]]]],
    seed: int,
) -> None:
    customer = {"external_id": "c"}
    ticket = await open_ticket(customer=customer)
    other = await open_ticket(customer=customer, priority="high", product="p")
    await fill(db, database_url)
    for what, how in (step for part in parts for step in part):
        await _step(client, db, ticket, other, what, how)
        if what == "again":
            await _offer(db, [UUID(each["id"]) for each in (ticket, other)], random.Random(seed))
    await assert_as_rebuilt(db, database_url, sql)


async def _step(
    client: httpx.AsyncClient, db: Database, ticket: Any, other: Any, what: str, how: dict[str, Any]
) -> None:
    """What the ticket's state does not allow is refused, and changes nothing."""
    if what == "follow":
        await filling.follow_once(db)
    elif what == "fold":
        await folding.run_once(db)
    elif what == "patch":
        await client.patch(f"/v1/tickets/{ticket['id']}", json=how)
    elif path := _PATHS.get(what):
        whole = {"ticket_id": ticket["id"], "starts_at": ticket["created_at"], **_BODIES[what], **how}
        body = whole if path == "/v1/sla-exceptions" else {**_BODIES[what], **how}
        body |= {"into": other["id"]} if what == "merge" else {}
        await client.post(path.format(ticket["id"]), json=body or None)


_RELIEF = {"scope": "ticket", "reason": "R", "expires_at": "2099-01-01T00:00:00Z"}
_BODIES: dict[str, dict[str, Any]] = {
    "message": {"body": "Hello."}, "spam": {}, "not-spam": {}, "merge": {},
    "exclude": {**_RELIEF, "effect": "exclude"}, "freeze": {**_RELIEF, "effect": "freeze"},
}  # fmt: skip
_PATHS = {
    "message": "/v1/tickets/{}/messages", "spam": "/v1/tickets/{}/spam", "not-spam": "/v1/tickets/{}/not-spam",
    "merge": "/v1/tickets/{}/merge", "exclude": "/v1/sla-exceptions", "freeze": "/v1/sla-exceptions",
}  # fmt: skip


async def _offer(db: Database, ids: list[UUID], chance: random.Random) -> None:
    """The tickets once more, in some order, some of them twice."""

    async def unit(tx: Transaction) -> None:
        await reader.hold(tx, facts.READER)
        filled_from = await filling.filled_from(tx)
        for id_ in chance.choices(ids, k=3):
            await facts.converge(tx, [id_], filled_from)

    await db.run(unit)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_broken_off_at_any_point_is_as_rebuilt(
    db: Database, database_url: str, sql: Sql, open_ticket: Open, client: httpx.AsyncClient,
    past: list[dict[str, Any]], seed: int,
) -> None:  # fmt: skip
    """Rounds of both loops, each cancelled somewhere, while tickets change."""
    chance = random.Random(seed)
    tickets = [await open_ticket() for _ in range(4)]
    for _ in range(15):
        if chance.random() < 0.3:
            await client.post(f"/v1/tickets/{chance.choice(tickets)['id']}/messages", json={"body": "Yes."})
        await settled(database_url)
        rounds = [asyncio.ensure_future(loop.run_once(db)) for loop in (filling, folding)]
        await asyncio.sleep(chance.random() * 0.05)
        for each in rounds:
            each.cancel()
        await asyncio.gather(*rounds, return_exceptions=True)
    await assert_as_rebuilt(db, database_url, sql)


_ONE_FACT = "clock_id = (SELECT min(clock_id::text)::uuid FROM report_facts)"
_ONE_CUBE = "ctid = (SELECT min(ctid) FROM report_cubes WHERE waits IS NOT NULL)"


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE report_facts SET elapsed_us = elapsed_us + 1 WHERE {_ONE_FACT}",
        f"DELETE FROM report_facts WHERE {_ONE_FACT}",
        f"UPDATE report_cubes SET n = n + 1 WHERE {_ONE_CUBE}",
        f"UPDATE report_cubes SET waits = '{{2048}}' WHERE {_ONE_CUBE}",
        f"DELETE FROM report_cubes WHERE {_ONE_CUBE}",
        "INSERT INTO report_facts SELECT (f).* FROM (SELECT f FROM report_facts f LIMIT 1) AS one",
    ],
)
async def test_verify_finds_what_was_changed_behind_it(
    db: Database, database_url: str, sql: Sql, past: list[dict[str, Any]], change: str
) -> None:
    await fill(db, database_url)
    assert await differences(db) == []
    await sql.execute(change)
    assert await differences(db) != []


async def test_a_zone_that_is_wanted_later_gets_cubes_of_all_facts_and_one_that_is_not_loses_them(
    db: Database, database_url: str, sql: Sql, client: httpx.AsyncClient, past: list[dict[str, Any]]
) -> None:
    await fill(db, database_url)
    body = {"name": "Office", "timezone": "Asia/Kathmandu", "hours": {"mon": [["09:00", "17:00"]]}}
    calendar = (await client.post("/v1/business-calendars", json=body)).json()
    await fill(db, database_url)
    zones = "SELECT name, sum(n) FROM report_cubes JOIN report_zones ON id = zone GROUP BY 1 ORDER BY 1"
    found = [tuple(row) for row in await sql.fetch(zones)]
    assert [name for name, _ in found] == ["Asia/Kathmandu", "UTC"]
    assert found[0][1] == found[1][1] > 0
    assert await differences(db) == []
    await client.delete(f"/v1/business-calendars/{calendar['id']}")
    await fill(db, database_url)
    assert [row["name"] for row in await sql.fetch(zones)] == ["UTC"]

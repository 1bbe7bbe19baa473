"""What a page of the ticket list costs, as PostgreSQL counts it: rows looked at, not time. Every statement of every
filter in every order, planned for its parameters and without looking at them.

Set NINETY_PLAN_TICKETS to 1000000 for the real thing."""

import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.db import Database
from app.web.bounded_listing import STOCK
from tests.support.desk import as_body
from tests.support.world import World

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Asked = tuple[str, tuple[Any, ...]]

TICKETS = int(os.environ.get("NINETY_PLAN_TICKETS", "20000"))
SORTS = ("created_at", "-created_at", "updated_at", "-updated_at", "due_at", "-due_at", "priority", "waiting_since")
# A page may look at so many rows of any one table or index, and at no more whatever there is: a stretch, the row that
# the page before ended with, and one that numbering the rows looks ahead.
MOST_ROWS = STOCK.long_stretch + 2


def made_id(kind: str, n: int) -> str:
    return str(UUID(hashlib.md5(f"{kind}{n}".encode()).hexdigest()))


CUSTOMER, OTHER, AGENT, TEAM = made_id("customer", 0), made_id("customer", 5), made_id("agent", 0), made_id("team", 1)
FILTERS: list[dict[str, str]] = [
    {},
    {"status": "new"}, {"status": "closed"}, {"status": "new,open"}, {"priority": "urgent"}, {"type": "task"},
    {"channel": "chat,phone"}, {"customer_id": CUSTOMER}, {"customer_id": OTHER},
    {"customer_id": f"{CUSTOMER},{OTHER}"}, {"organization_id": made_id("organization", 3)}, {"assignee_id": AGENT},
    {"assignee_id": AGENT, "status": "new,open"}, {"team_id": TEAM},
    {"team_id": TEAM, "status": "open", "priority": "high"}, {"follower_id": AGENT}, {"external_id": "x-100"},
    {"external_id": "none"}, {"tag": "rare"}, {"tag": "common"}, {"tag": "none"}, {"product": "p1"},
    {"product": "none"}, {"segment": "a third"}, {"segment": "rare"}, {"segment": "rare", "status": "new"},
    {"created_after": "2026-01-05T00:00:00Z"}, {"created_before": "2026-01-02T00:00:00Z"},
    {"created_after": "2026-01-02T00:00:00Z", "created_before": "2026-01-05T00:00:00Z", "status": "closed"},
    {"updated_after": "2026-01-10T00:00:00Z"}, {"needs_human": "true"}, {"needs_human": "false"}, {"sla": "at_risk"},
    {"sla": "breached"}, {"sla": "at_risk,breached"}, {"sla": "at_risk", "assignee_id": AGENT}, {"q": "rare"},
    {"q": "middling"}, {"q": "common"}, {"q": "nothing"}, {"q": "common middling"}, {"q": "-common"}, {"q": "w1"},
    {"q": "common", "status": "new", "tag": "rare"},
    {"assignee_id": "none"}, {"assignee_id": "none", "status": "new,open"}, {"assignee_id": f"{AGENT},none"},
    {"team_id": "none"}, {"external_id": '"none"'}, {"custom_fields.plan": "rare"}, {"custom_fields.plan": "none"},
    {"ids": f"{made_id('ticket', 1)},{made_id('ticket', 7)}"},
    {"type": "task", "channel": "api", "priority": "low", "product": "p3", "status": "on_hold"},
]  # fmt: skip


_COUNTS: list[tuple[dict[str, str], str]] = [
    ({}, "true"),
    ({"status": "closed,resolved"}, "status IN ('closed', 'resolved')"),
    ({"q": "common"}, "id IN (SELECT ticket_id FROM ticket_search WHERE all_words @@ 'common')"),
    ({"status": "new"}, "status = 'new'"),
    ({"tag": "rare"}, "'rare' = ANY (tags)"),
]


@pytest.fixture(scope="module")
async def many(world: World) -> World:
    script = Path(__file__).with_name("many_tickets.sql").read_text().format(tickets=TICKETS)
    await world.sql.execute(script, timeout=1_800)
    await world.made("/v1/custom-fields", {"subject": "ticket", "key": "plan", "name": "Plan", "type": "text"})
    await world.sql.execute("VACUUM ANALYZE", timeout=600)
    if TICKETS < 500_000:
        # Of so few rows PostgreSQL would rather read and sort all: as if they were many.
        await world.sql.execute("SET enable_seqscan = off; SET enable_sort = off")
    return world


@pytest.fixture
async def asked(many: World) -> AsyncIterator[list[Asked]]:
    """The statements that requests send."""
    found: list[Asked] = []
    await many.admin.get("/v1/teams")  # so that there is a connection

    def log(record: Any) -> None:
        if not record.query.startswith(("BEGIN", "COMMIT", "EXPLAIN")):
            found.append((record.query, record.args))

    attached = _connections(many.app.state.db)
    for connection in attached:
        connection.add_query_logger(log)
    yield found
    for connection in attached:
        connection.remove_query_logger(log)


def _connections(db: Database) -> list[Any]:
    holders: Any = getattr(db.connections.pool, "_holders")  # noqa: B009 - asyncpg shows its connections in no other way
    return [holder._con for holder in holders if holder._con is not None]


@pytest.mark.parametrize("filters", FILTERS, ids=lambda f: "&".join(f"{k}={v[:8]}" for k, v in f.items()) or "none")
async def test_a_page_looks_at_a_bounded_number_of_rows(
    many: World, asked: list[Asked], filters: dict[str, str]
) -> None:
    agent = await many.caller("agent", "")
    for sort in (*SORTS, *(["relevance"] if "q" in filters else [])):
        await _pages(agent, {**filters, "sort": sort, "limit": "50"}, 3)
    await _are_bounded(many.sql, asked)


async def test_a_customers_page_looks_at_theirs_alone(
    many: World, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of tags where customers see them, too.
    monkeypatch.setattr("app.ticket_lists.permissions.tags_shown", lambda tx: True)
    key = await many.add_key(role="customer", customer_id=OTHER)
    for filters in ({}, {"status": "new"}, {"q": "common"}, {"q": "rare"}, {"tag": "common"}):
        for sort in ("created_at", "-updated_at", "priority", *(["relevance"] if "q" in filters else [])):
            headers = {"Authorization": f"Bearer {key}"}
            transport = httpx.ASGITransport(app=many.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ninety.test", headers=headers) as http:
                await _pages(http, {**filters, "sort": sort, "limit": "50"}, 2)
    theirs = await many.sql.fetchval("SELECT count(*) FROM tickets WHERE customer_id = $1", UUID(OTHER))
    await _are_bounded(many.sql, asked, most=theirs + 2)


async def test_a_count_is_exact_up_to_10000_and_an_estimate_beyond(many: World) -> None:
    agent = await many.caller("agent", "")
    for filters, query in _COUNTS:
        page = as_body(await agent.get("/v1/tickets", params={**filters, "limit": 200, "count": "estimate"}))
        found = page["estimated_count"]
        counted = await many.sql.fetchval(f"SELECT count(*) FROM tickets WHERE {query}")
        assert found == counted if counted <= 10_000 else counted / 2 < found < counted * 2, (filters, found, counted)
    assert as_body(await agent.get("/v1/tickets"))["estimated_count"] is None


async def _pages(http: httpx.AsyncClient, query: dict[str, str], most: int) -> None:
    answer = await http.get("/v1/tickets", params=query)
    for _ in range(most):
        if not as_body(answer)["next_cursor"]:
            return
        answer = await http.get(answer.links["next"]["url"])


async def _are_bounded(sql: Sql, asked: list[Asked], most: int = MOST_ROWS) -> None:
    of_lists = {
        (query, repr(args)): (query, args) for query, args in asked if "tickets" in query or "ticket_search" in query
    }
    assert of_lists
    for query, args in of_lists.values():
        for mode in ("force_generic_plan", "force_custom_plan"):
            plan = await _plan(sql, query, args, mode)
            wrong = [
                f"{mode}: {node['Node Type']} {node.get('Index Name', node.get('Relation Name'))}: {_rows(node)} rows"
                for node in _nodes(plan)
                if _rows(node) > most
            ]
            assert not wrong, f"{wrong}\n{query}\n{args}"


async def _plan(sql: Sql, query: str, args: tuple[Any, ...], mode: str) -> dict[str, Any]:
    given = f"({', '.join(map(_literal, args))})" if args else ""
    try:
        await sql.execute(f"SET plan_cache_mode = {mode}; PREPARE asked AS {query}")
        text = await sql.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked{given}")
    finally:
        await sql.execute("DEALLOCATE asked")
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _rows(node: dict[str, Any]) -> int:
    """How many rows a scan looked at. What an index of words or tags says in one piece counts for nothing: it is no
    row yet. Nor does what PostgreSQL reads beside where it has no memory to keep each of very many such places."""
    if "Scan" not in node["Node Type"] or node["Node Type"] in ("Bitmap Index Scan", "Subquery Scan", "CTE Scan"):
        return 0
    return int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ",".join(json.dumps(str(each)) for each in value) + "}'"
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"

"""The list of clocks against a filter and a sort in Python."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pytest
from uuid_utils.compat import uuid7

from tests.conftest import settled
from tests.sla.test_states import _INSERT, _every_kind_of_clock
from tests.support.sla import Sql
from tests.support.verification import Body, good

Open = Callable[..., Awaitable[Body]]
URL = "/v1/sla-clocks"
FAR = "2200"


@pytest.fixture
async def known(client: httpx.AsyncClient, sql: Sql, open_ticket: Open, database_url: str) -> list[Body]:
    """Every kind of clock, on tickets of two customers, as the API shows each. Settled: what changes while a list is
    read is listed once more."""
    agent = good(await client.post("/v1/agents", json={"name": "A"}))
    tickets = [await open_ticket(assignee_id=agent["id"] if n else None) for n in range(2)]
    now = await sql.fetchval("SELECT clock_timestamp()")
    # Apart from one another, and from the instants of this test.
    rows = [
        tuple(each + timedelta(seconds=n) if isinstance(each, datetime) else each for each in row)
        for n, row in enumerate(_every_kind_of_clock(now - timedelta(hours=3)))
    ]
    for n, row in enumerate(rows):
        await sql.execute(_INSERT, uuid7(), tickets[n % 2]["id"], n + 2, *row)
    await sql.execute("UPDATE sla_clocks SET metric = 'resolution' WHERE cycle > 1 AND cycle % 3 = 0")
    await settled(database_url)
    found: list[Body] = []
    for ticket in tickets:
        items = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
        found += [{**item, **{name: ticket[name] for name in ("customer_id", "assignee_id")}} for item in items]
    return found


def _wanted(known: list[Body], asked: Body) -> list[str]:
    sort = asked.get("sort", "due_at")
    states = set(asked.get("state", "running").split(","))
    # Who waits longest is asked of clocks that run, unless none of these does.
    usual = "true" if sort == "started_at" and states & {"running", "paused", "breached"} else None
    open_ = asked.get("open", usual)

    def fits(clock: Body) -> bool:
        due_at = clock["due_at"] or FAR
        broke = clock["breached_at"]
        return all((
            open_ is None or ((clock["ended_reason"] or clock["stopped_at"]) is None) == (open_ == "true"),
            sort == "started_at" or clock["target_seconds"] is not None,
            asked.get("metric") in (None, clock["metric"]),
            "state" not in asked or clock["state"] in asked["state"].split(","),
            all(asked.get(name) in (None, clock[name]) for name in ("customer_id", "assignee_id")),
            due_at < asked.get("due_before", "3000"),
            due_at >= asked.get("due_after", ""),
            "breached_after" not in asked or (broke is not None and broke >= asked["breached_after"]),
            "breached_before" not in asked or (broke is not None and broke < asked["breached_before"]),
        ))  # fmt: skip

    column = sort.removeprefix("-")
    rows = [((clock[column] or FAR), clock["id"]) for clock in known if fits(clock)]
    return [id_ for _, id_ in sorted(rows, reverse=sort.startswith("-"))]


async def _listed(client: httpx.AsyncClient, asked: Body, limit: int) -> list[Body]:
    items: list[Body] = []
    url: str | None = URL
    params: Body | None = {**asked, "limit": limit}
    while url:
        answer = await client.get(url, params=params)
        items += good(answer)["items"]
        url, params = (answer.links["next"]["url"] if answer.links else None), None
    return items


async def test_each_form_of_the_list_holds_what_fits_in_its_order(client: httpx.AsyncClient, known: list[Body]) -> None:
    instants = sorted(clock["due_at"] for clock in known if clock["due_at"])
    low, high = instants[len(instants) // 4], instants[3 * len(instants) // 4]
    others: list[dict[str, Any]] = [
        {}, {"metric": "resolution"}, {"customer_id": known[0]["customer_id"]}, {"due_after": low},
        {"due_before": high}, {"due_after": low, "due_before": high, "metric": "first_response"},
        {"breached_after": low}, {"breached_before": high, "assignee_id": known[-1]["assignee_id"]},
        {"state": "breached"}, {"state": "met,cancelled"}, {"state": "running,paused"},
    ]  # fmt: skip
    seen = 0
    for sort, open_, other in product(("due_at", "-due_at", "started_at"), (None, "true", "false"), others):
        asked: Body = {"sort": sort, **other, **({"open": open_} if open_ else {})}
        found = await _listed(client, asked, 200)
        assert [clock["id"] for clock in found] == _wanted(known, asked), asked
        seen += len(found)
        if not found:
            # What no clock can be is not looked for, page by page.
            assert good(await client.get(URL, params={**asked, "limit": 1}))["next_cursor"] is None, asked
    assert seen > 500


async def test_pages_of_the_list_share_nothing_and_leave_nothing_out(
    client: httpx.AsyncClient, known: list[Body]
) -> None:
    for asked in ({}, {"sort": "-due_at", "open": "true"}, {"sort": "started_at"}, {"state": "breached"}):
        assert [clock["id"] for clock in await _listed(client, asked, 7)] == _wanted(known, asked), asked


async def test_who_is_late_now_comes_first_and_who_waits_longest_can_be_asked_for(
    client: httpx.AsyncClient, known: list[Body]
) -> None:
    late = good(await client.get(URL, params={"open": "true", "state": "breached"}))["items"]
    assert late
    assert all(clock["state"] == "breached" and clock["stopped_at"] is None for clock in late)
    waiting = good(await client.get(URL, params={"sort": "started_at"}))["items"]
    assert waiting[0]["started_at"] == min(c["started_at"] for c in known if not (c["stopped_at"] or c["ended_reason"]))
    assert good(await client.get(URL, params={"state": "met", "breached_after": "2020-01-01T00:00:00Z"}))["items"] == []

"""What tests of the new parts of the SLA share: a clean `verify` at the end, calendars, policies in business hours, and
jobs worked off."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.db import Database
from app.tickets.rematch_jobs import run_once
from app.verification.clocks import verify
from app.verification.goals import verify_goals
from app.verification.merges import MergeDifference, verify_merges

Body = dict[str, Any]
WEEKDAYS = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
OFFICE: Body = {"timezone": "Europe/Helsinki", "hours": WEEKDAYS}


async def assert_verified(db: Database) -> None:
    """Every clock is what the log says it is, and so is what was merged, and when goals stood missed."""
    batches = [batch async for batch in verify(db)]
    assert [difference for _, found in batches for difference in found] == []
    assert sum(count for count, _ in batches) > 0
    assert await merge_differences(db) == []
    async with db.transaction() as tx:
        assert await verify_goals(tx) == []


async def merge_differences(db: Database) -> list[MergeDifference]:
    async with db.transaction() as tx:
        return (await verify_merges(tx))[1]


async def drain(db: Database) -> None:
    """Work off every job that is due."""
    for _ in range(500):
        if not await run_once(db):
            return
    raise AssertionError("a job does not come to an end")


async def write_calendar(client: httpx.AsyncClient, **more: Any) -> Body:
    return good(await client.post("/v1/business-calendars", json={"name": "Office", **OFFICE, **more}))


async def write_targets(client: httpx.AsyncClient, *targets: Body, **more: Any) -> Body:
    """A policy that is tried before the stock one."""
    body = {"key": "own", "name": "Own", "position": 1, "targets": list(targets), **more}
    return good(await client.post("/v1/sla-policies", json=body))


async def after(client: httpx.AsyncClient, calendar: Body, start: str, seconds: float) -> datetime:
    body = {"calendar_id": calendar["id"], "op": "after", "start": start, "seconds": seconds}
    return instant(good(await client.post("/v1/business-calendars/compute", json=body))["result"])


async def clocks(client: httpx.AsyncClient, ticket: Body, metric: str) -> list[Body]:
    """The ticket's clocks of the metric, by cycle."""
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
    return sorted((dict(item) for item in items if item["metric"] == metric), key=lambda item: item["cycle"])


async def events(client: httpx.AsyncClient, ticket: Body, *types: str) -> list[Body]:
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/events?limit=200"))["items"]
    return [item for item in items if not types or item["type"] in types]


def good(answer: httpx.Response) -> Body:
    assert answer.is_success, answer.text
    body: Body = answer.json()
    return body


def pointers(answer: httpx.Response) -> list[str]:
    """What a 422 points at."""
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def soon(seconds: float) -> str:
    """So many seconds from now, as callers write it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")

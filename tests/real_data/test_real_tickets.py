"""Real tickets go in through HTTP, and the report must say what plain Python said of them: `reference.dev.json`."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.real_data import brands, callcenter
from tests.real_data.place import needed, reference
from tests.sla.scenes import Sql, sweep_dry, write_policy
from tests.tickets.imports.batches import send
from tests.tickets.test_verify import differences

URL = "/v1/reports/response-times"


async def _import(client: httpx.AsyncClient, tickets: Iterable[dict[str, Any]], outcome: str) -> int:
    count, left = 0, iter(tickets)
    while batch := list(islice(left, 1000)):
        answer = await send(client, *batch)
        assert answer[outcome] == len(batch), answer["items"][0]
        count += len(batch)
    return count


async def _report(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(URL, params=params)).json()["items"]
    return items


def _assert_same_waits(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The reference rounds means to a thousandth of a second; percentiles are exact."""
    assert found["count"] == wanted["count"]
    assert round(found["mean"], 3) == wanted["mean"]
    assert {name: found[name] for name in wanted["nearest_rank"]} == wanted["nearest_rank"]


def _tell(capsys: pytest.CaptureFixture[str], title: str, found: dict[str, Any]) -> None:
    names = ("count", "mean", "p50", "p90", "p95", "p99", "met", "breached", "unanswered", "unanswered_wait_mean")
    with capsys.disabled():
        print("\n" + title, *(f"{name}={found[name]}" for name in names))


async def _assert_nothing_is_left_to_do(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    assert await differences(db) == []
    assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE next_at IS NOT NULL") == 0
    assert await sweep_dry(db) == 0
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type LIKE 'sla.%' AND NOT imported") == 0


@needed(callcenter.FOLDER)
async def test_calls_to_a_bank(
    client: httpx.AsyncClient, db: Database, sql: Sql, capsys: pytest.CaptureFixture[str]
) -> None:
    known = reference(callcenter.FOLDER)
    await write_policy(client, 60)
    calls = list(callcenter.tickets())
    assert await _import(client, calls, "created") == known["cases"] == 16_507
    [whole] = await _report(client)
    _tell(capsys, "calls:", whole)
    assert (whole["count"], whole["p50"], whole["p90"], whole["p95"], whole["p99"]) == (13_642, 16, 136, 192, 315)
    _assert_same_waits(whole, known["first_response_seconds"])
    assert whole["met"] == known["within_seconds_of_all"]["60"]["yes"] == 10_350
    unanswered = known["wait_until_abandon_seconds"]
    assert whole["unanswered"] == {"closed_by_customer": 2_865, "resolved_without_response": 0}
    assert round(whole["unanswered_wait_mean"], 3) == unanswered["mean"]
    # None lost: every call was answered or given up.
    assert whole["count"] + unanswered["count"] == known["cases"]
    assert whole["met"] + whole["breached"] + whole["cancelled"] == known["cases"]
    assert whole["running"] == 0
    await _assert_same_groups(client, known)
    await _assert_nothing_is_left_to_do(client, db, sql)
    assert await _import(client, calls, "duplicate") == known["cases"]
    assert await _report(client) == [whole]


async def _assert_same_groups(client: httpx.AsyncClient, known: dict[str, Any]) -> None:
    for group, name, words in (
        ("priority", "by_priority", {ours: theirs for theirs, ours in callcenter.PRIORITIES.items()}),
        ("product", "by_type", {}),
    ):
        found = {item["group"][group]: item for item in await _report(client, group_by=group)}
        assert {words.get(key, key) for key in found} == set(known[name])
        for key, item in found.items():
            wanted = known[name][words.get(key, key)]
            _assert_same_waits(item, wanted["first_response_seconds"])
            assert item["met"] == wanted["within_seconds_of_all"]["60"]["yes"]
            assert item["unanswered"]["closed_by_customer"] == wanted["wait_until_abandon_seconds"]["count"]


@needed(brands.FOLDER)
@pytest.mark.parametrize("seconds", [300, 3600, 86_400])
async def test_conversations_with_brands(
    client: httpx.AsyncClient, db: Database, sql: Sql, capsys: pytest.CaptureFixture[str], seconds: int
) -> None:
    known = reference(brands.FOLDER)
    await write_policy(client, seconds)
    conversations = list(brands.tickets())
    assert await _import(client, conversations, "created") == known["cases"] == 504
    [whole] = await _report(client)
    _tell(capsys, f"conversations, {seconds} s:", whole)
    _assert_same_waits(whole, known["first_response_seconds"])
    assert whole["met"] == known["first_response_within_seconds"][str(seconds)]["yes"]
    assert whole["running"] == sum(whole["unanswered"].values()) == 0
    found = {item["group"]["product"]: item for item in await _report(client, group_by="product")}
    for brand, wanted in known["by_brand"].items():
        _assert_same_waits(found[brand], wanted["first_response_seconds"])
        assert found[brand]["met"] == wanted["first_response_within_seconds"][str(seconds)]["yes"]
    assert await sql.fetchval("SELECT count(*) FROM messages") == known["messages"] - known["cases"]
    await _assert_nothing_is_left_to_do(client, db, sql)
    assert await _import(client, conversations, "duplicate") == known["cases"]

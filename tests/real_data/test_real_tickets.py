"""Real tickets go in through HTTP, and the report must say what plain Python said of them: `reference.dev.json`."""

from typing import Any

import httpx
import pytest

from app.db import Database
from tests.real_data import brands, callcenter
from tests.real_data.location import needed, reference
from tests.real_data.steps import (
    assert_nothing_is_left_to_do,
    assert_same_responders,
    assert_same_waits,
    import_all,
    report,
    tell,
    unanswered,
)
from tests.support.sla import Sql, write_policy

FIGURES = (
    "answered", "mean_answered", "p50", "p90", "p95", "p99", "met", "breached", "unanswered", "unanswered_wait_mean",
)  # fmt: skip


@needed(callcenter.FOLDER)
async def test_calls_to_a_bank(
    client: httpx.AsyncClient, db: Database, sql: Sql, capsys: pytest.CaptureFixture[str]
) -> None:
    known = reference(callcenter.FOLDER)
    await write_policy(client, 60)
    calls = list(callcenter.tickets())
    assert len(calls) == known["cases"] == 16_507
    assert await import_all(client, calls) == []
    [whole] = await report(client)
    tell(capsys, "calls:", whole, *FIGURES)
    assert (whole["answered"], whole["p50"], whole["p90"], whole["p95"], whole["p99"]) == (13_642, 16, 136, 192, 315)
    assert_same_waits(whole, known["first_response_seconds"])
    assert whole["met"] == known["within_seconds_of_all"]["60"]["yes"] == 10_350
    abandoned = known["wait_until_abandon_seconds"]
    assert unanswered(whole) == {"closed_by_customer": 2_865}
    assert round(whole["unanswered_wait_mean"], 3) == abandoned["mean"]
    # None lost: every call was answered or given up.
    assert whole["answered"] + abandoned["count"] == known["cases"]
    assert whole["met"] + whole["breached"] + whole["cancelled"] == known["cases"]
    assert whole["running"] == 0
    await _assert_same_groups(client, known)
    await assert_same_responders(client, callcenter.answers())
    await assert_nothing_is_left_to_do(client, db, sql)
    assert await import_all(client, calls, "duplicate") == []
    assert await report(client) == [whole]


async def _assert_same_groups(client: httpx.AsyncClient, known: dict[str, Any]) -> None:
    for group, name, words in (
        ("priority", "by_priority", {ours: theirs for theirs, ours in callcenter.PRIORITIES.items()}),
        ("product", "by_type", {}),
    ):
        found = {item["group"][group]: item for item in await report(client, group_by=group)}
        assert {words.get(key, key) for key in found} == set(known[name])
        for key, item in found.items():
            wanted = known[name][words.get(key, key)]
            assert_same_waits(item, wanted["first_response_seconds"])
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
    assert len(conversations) == known["cases"] == 504
    assert await import_all(client, conversations) == []
    [whole] = await report(client)
    tell(capsys, f"conversations, {seconds} s:", whole, *FIGURES)
    assert_same_waits(whole, known["first_response_seconds"])
    assert whole["met"] == known["first_response_within_seconds"][str(seconds)]["yes"]
    assert whole["running"] == 0
    assert unanswered(whole) == {}
    found = {item["group"]["product"]: item for item in await report(client, group_by="product")}
    for brand, wanted in known["by_brand"].items():
        assert_same_waits(found[brand], wanted["first_response_seconds"])
        assert found[brand]["met"] == wanted["first_response_within_seconds"][str(seconds)]["yes"]
    await assert_same_responders(client, brands.answers())
    assert await sql.fetchval("SELECT count(*) FROM messages") == known["messages"] - known["cases"]
    await assert_nothing_is_left_to_do(client, db, sql)
    assert await import_all(client, conversations, "duplicate") == []

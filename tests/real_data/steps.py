"""What every test with real tickets does: send them all, ask for the report, see that nothing is left to be done."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.imports import send
from tests.support.simulations import assert_nothing_would_change
from tests.support.sla import Sql, sweep_dry
from tests.verification.test_verify import differences

URL = "/v1/reports/response-times"


async def import_all(
    client: httpx.AsyncClient, tickets: Iterable[dict[str, Any]], outcome: str = "created"
) -> list[dict[str, Any]]:
    """What the service answered for those that had another outcome."""
    others: list[dict[str, Any]] = []
    left = iter(tickets)
    while batch := list(islice(left, 1000)):
        answer = await send(client, *batch)
        assert len(answer["items"]) == len(batch)
        others += [item for item in answer["items"] if item["outcome"] != outcome]
    return others


async def report(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    answer = await client.get(URL, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def assert_same_waits(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The reference rounds means to a thousandth of a second; percentiles are exact."""
    assert found["answered"] == wanted["count"]
    assert round(found["mean_answered"], 3) == wanted["mean"]
    assert {name: found[name] for name in wanted["nearest_rank"]} == wanted["nearest_rank"]


async def assert_same_responders(client: httpx.AsyncClient, answers: Mapping[str, Sequence[int]]) -> None:
    """By who answered, against a count of the source's rows; `""` is nobody known."""
    found = {item["group"]["agent_name"] or "": item for item in await report(client, group_by="agent")}
    assert {name for name, item in found.items() if item["answered"]} == set(answers)
    for name, seconds in answers.items():
        assert found[name]["answered"] == len(seconds), name
        assert math.isclose(found[name]["mean_answered"], sum(seconds) / len(seconds), abs_tol=1e-5), name


def waits(seconds: list[int]) -> dict[str, Any]:
    """What a reference says of these waits, for `assert_same_waits`."""
    ordered, percents = sorted(seconds), (50, 90, 95, 99)
    ranks = {f"p{percent}": ordered[math.ceil(len(ordered) * percent / 100) - 1] for percent in percents}
    return {"count": len(ordered), "mean": round(sum(ordered) / len(ordered), 3), "nearest_rank": ranks}


def unanswered(found: dict[str, Any]) -> dict[str, int]:
    """The reasons for which a clock of the report ended without an answer."""
    return {reason: count for reason, count in found["unanswered"].items() if count}


def tell(capsys: pytest.CaptureFixture[str], title: str, found: dict[str, Any], *names: str) -> None:
    with capsys.disabled():
        print("\n" + title, *(f"{name}={found[name]}" for name in names or found))


async def assert_nothing_is_left_to_do(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    """`verify` finds no difference, the sweep finds nothing due, nobody was told of anything, and simulating what is in
    force changes nothing."""
    assert await differences(db) == []
    await assert_nothing_would_change(client, db)
    assert await sql.fetchval("SELECT count(*) FROM sla_clocks WHERE next_at IS NOT NULL") == 0
    assert await sweep_dry(db) == 0
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type LIKE 'sla.%' AND NOT imported") == 0

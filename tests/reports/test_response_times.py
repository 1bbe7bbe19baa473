"""The report against figures that are counted ticket by ticket, in plain Python and exact fractions."""

import csv
import io
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import httpx
import pytest

from app.sla.core.clock import EndedReason
from tests.support.imports import send
from tests.support.sla import Sql, write_policy

Open = Callable[..., Awaitable[dict[str, Any]]]
URL = "/v1/reports/response-times"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = 60


def past_of(seed: int, count: int = 160) -> list[dict[str, Any]]:
    """Tickets over six weeks: answered after a wait, given up, resolved, or closed late."""
    chance = random.Random(seed)
    items = []
    for n in range(count):
        created = FIRST + timedelta(seconds=chance.randrange(42 * 86_400))
        wait = timedelta(microseconds=chance.choice([0, 1, 60_000_000, 60_000_001, chance.randrange(300_000_000)]))
        end = {"at": (created + wait).isoformat()}
        how = chance.choice(["answered", "answered", "answered", "closed_by_customer", "resolved_without_response"])
        if how == "answered":
            end |= {"kind": "message", "author": "agent", "body": "Hello."}
        elif how == "closed_by_customer":
            end |= {"kind": "status", "status": "closed", "by": "customer"}
        else:
            end |= {"kind": "status", "status": "resolved", "by": "agent"}
        items.append(
            {
                "external_id": f"{seed}-{n}", "subject": "S", "customer": {"external_id": f"c-{n % 9}"},
                "created_at": created.isoformat(), "timeline": [end],
                "priority": chance.choice(["low", "normal", "high"]), "channel": chance.choice(["email", "phone"]),
                "product": chance.choice([None, "a", "b"]),
            }
        )  # fmt: skip
    return items


def wait_of(item: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(item["timeline"][0]["at"]) - datetime.fromisoformat(item["created_at"])


def reason_of(item: dict[str, Any]) -> str | None:
    entry = item["timeline"][0]
    if entry["kind"] == "message":
        return None
    return "closed_by_customer" if entry["by"] == "customer" else "resolved_without_response"


def _mean(waits: list[timedelta]) -> Fraction | None:
    total = sum(waits, timedelta()) // timedelta(microseconds=1)
    return Fraction(total, 1_000_000 * len(waits)) if waits else None


def nearest_rank(waits: list[timedelta], percent: int) -> float | None:
    """The smallest wait that at least so many percent of all are no longer than."""
    enough = [wait for wait in waits if 100 * sum(other <= wait for other in waits) >= percent * len(waits)]
    return min(enough).total_seconds() if enough else None


def expected(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    items = list(items)
    answered = [wait_of(item) for item in items if not reason_of(item)]
    given_up = [wait_of(item) for item in items if reason_of(item)]
    in_time = timedelta(seconds=TARGET)
    met = sum(wait <= in_time for wait in answered)
    breached = sum(wait > in_time for wait in answered + given_up)
    return {
        "answered": len(answered),
        "mean_answered": _mean(answered),
        # Nobody waits any more, and every hour counts.
        "mean_floor": _mean(answered),
        "mean_wall": _mean(answered),
        **{f"p{percent}": nearest_rank(answered, percent) for percent in (50, 90, 95, 99)},
        "met": met,
        "breached": breached,
        "cancelled": sum(wait <= in_time for wait in given_up),
        "attainment": Fraction(100 * met, met + breached) if met + breached else None,
        "running": 0,
        "breached_running": 0,
        "excluded": 0,
        "histogram": None,
        "unanswered": {reason: sum(reason_of(item) == reason for item in items) for reason in EndedReason},
        "unanswered_wait_mean": _mean(given_up),
    }


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if isinstance(value, Fraction):
            assert math.isclose(found[name], value, abs_tol=1e-6), name
        else:
            assert found[name] == value, name


async def report(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(URL, params=params)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["percentiles"], answer.json()["cohort"]) == ("nearest_rank", "started")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
async def past(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    await write_policy(client, TARGET)
    items = past_of(seed=7)
    assert (await send(client, *items))["created"] == len(items)
    return items


async def test_the_figures_are_those_of_a_count_by_hand(client: httpx.AsyncClient, past: list[dict[str, Any]]) -> None:
    [found] = await report(client)
    assert_same(found, expected(past))
    assert found["interval_start"] is None
    assert set(found["group"].values()) == {None}


@pytest.mark.parametrize("size", [1, 2, 3, 10, 99, 100, 101])
async def test_percentiles_are_nearest_rank_for_any_count(client: httpx.AsyncClient, size: int) -> None:
    items = [item for item in past_of(seed=size, count=3 * size + 20) if not reason_of(item)][:size]
    await send(client, *items)
    [found] = await report(client)
    waits = [wait_of(item) for item in items]
    for percent in (50, 90, 95, 99):
        assert found[f"p{percent}"] == nearest_rank(waits, percent)
        assert found[f"p{percent}"] in {wait.total_seconds() for wait in waits}


@pytest.mark.parametrize("names", ["priority", "channel", "product", "priority,channel,product"])
async def test_each_group_is_counted_by_itself(
    client: httpx.AsyncClient, past: list[dict[str, Any]], names: str
) -> None:
    found = await report(client, group_by=names)
    keys = [tuple(item["group"][name] for name in names.split(",")) for item in found]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {tuple(item[name] for name in names.split(",")) for item in past}
    for key, figures in zip(keys, found, strict=True):
        assert_same(figures, expected(i for i in past if tuple(i[name] for name in names.split(",")) == key))


async def test_a_group_asked_for_twice_is_one_group(client: httpx.AsyncClient, past: list[dict[str, Any]]) -> None:
    assert await report(client, group_by="priority,priority") == await report(client, group_by="priority")


async def test_groups_by_team_agent_and_policy_carry_their_ids(client: httpx.AsyncClient, open_ticket: Open) -> None:
    policy = await write_policy(client, TARGET)
    team = (await client.post("/v1/teams", json={"key": "t", "name": "T"})).json()
    agent = (await client.post("/v1/agents", json={"name": "A"})).json()
    await open_ticket(team_id=team["id"], assignee_id=agent["id"])
    [found] = await report(client, group_by="team,assignee,policy")
    assert found["running"] == 1
    group = found["group"]
    assert (group["team"], group["assignee"], group["policy"]) == (team["id"], agent["id"], policy["id"])


def _bucket(at: datetime, interval: str) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "hour": at.replace(minute=0, second=0, microsecond=0),
        "day": midnight,
        "week": midnight - timedelta(days=at.weekday()),
        "month": midnight.replace(day=1),
    }[interval]


@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
async def test_intervals_are_those_of_utc_by_the_start_of_the_wait(
    client: httpx.AsyncClient, past: list[dict[str, Any]], interval: str
) -> None:
    found = await report(client, interval=interval)
    starts = [datetime.fromisoformat(item["interval_start"]) for item in found]
    assert starts == sorted({_bucket(datetime.fromisoformat(item["created_at"]), interval) for item in past})
    for start, figures in zip(starts, found, strict=True):
        within = [i for i in past if _bucket(datetime.fromisoformat(i["created_at"]), interval) == start]
        assert_same(figures, expected(within))


async def test_the_span_holds_its_first_instant_and_not_its_last(
    client: httpx.AsyncClient, past: list[dict[str, Any]]
) -> None:
    starts = sorted(datetime.fromisoformat(item["created_at"]) for item in past)
    first, last = starts[20], starts[90]
    within = [item for item in past if first <= datetime.fromisoformat(item["created_at"]) < last]
    [found] = await report(client, **{"from": first.isoformat(), "to": last.isoformat()})
    assert_same(found, expected(within))
    [open_ended] = await report(client, **{"from": first.isoformat()})
    assert_same(open_ended, expected(i for i in past if datetime.fromisoformat(i["created_at"]) >= first))
    [nothing] = await report(client, **{"from": last.isoformat(), "to": first.isoformat()})
    assert_same(nothing, expected([]))


async def test_who_still_waits_is_running_or_breached_and_in_no_mean(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    late, _ = await open_ticket(), await open_ticket()
    await sql.execute(
        "UPDATE sla_clocks SET started_at = started_at - interval '1 day', due_at = due_at - interval '1 day'"
        " WHERE ticket_id = $1::text::uuid",
        late["id"],
    )
    [found] = await report(client)
    assert (found["answered"], found["mean_answered"], found["p50"]) == (0, None, None)
    assert (found["running"], found["breached"], found["met"], found["attainment"]) == (2, 1, 0, 0.0)
    assert found["breached_running"] == 1
    assert 43_200 <= found["mean_floor"] < 43_230
    assert found["mean_wall"] == pytest.approx(found["mean_floor"])


async def test_as_csv_the_same_figures_a_row_each(client: httpx.AsyncClient, past: list[dict[str, Any]]) -> None:
    params = {"group_by": "product", "interval": "week"}
    answer = await client.get(URL, params=params, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    items = await report(client, **params)
    assert len(rows) == len(items)
    for row, item in zip(rows, items, strict=True):
        assert row["product"] == (item["group"]["product"] or "")
        assert row["interval_start"] == item["interval_start"]
        for name in (
            "answered",
            "mean_answered",
            "mean_floor",
            "p50",
            "p90",
            "p95",
            "p99",
            "attainment",
            "met",
            "breached",
            "cancelled",
        ):
            assert (float(row[name]) if row[name] else None) == pytest.approx(item[name]), name
        for reason, count in item["unanswered"].items():
            assert int(row[reason]) == count


async def test_csv_of_nothing_has_its_header(client: httpx.AsyncClient) -> None:
    answer = await client.get(URL, params={"group_by": "product"}, headers={"Accept": "text/csv"})
    [header] = list(csv.reader(io.StringIO(answer.text)))
    assert {"answered", "mean_answered", "p99", "product", "interval_start", "closed_by_customer"} <= set(header)


@pytest.mark.parametrize("product", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", '=HYPERLINK("http://x","y")'])
async def test_csv_cells_that_a_spreadsheet_would_run_are_text(
    client: httpx.AsyncClient, open_ticket: Open, product: str
) -> None:
    await open_ticket(product=product)
    answer = await client.get(URL, params={"group_by": "product"}, headers={"Accept": "text/csv"})
    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert row["product"] == f"'{product}"
    assert (await report(client, group_by="product"))[0]["group"]["product"] == product


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"interval": "minute"}, "/query/interval"),
        ({"group_by": "moon"}, "/query/group_by/0"),
        ({"from": "yesterday"}, "/query/from"),
        ({"to": "2026-02-30"}, "/query/to"),
        ({"to": "2026-01"}, "/query/to"),
        ({"timezone": "Europe/Atlantis"}, "/query/timezone"),
        ({"buckets": "15,x"}, "/query/buckets/1"),
        ({"team": "t"}, "/query/team/0"),
        ({"priority": "none"}, "/query/priority/0"),
        ({"metric": "joy"}, "/query/metric"),
        ({"colour": "red"}, "/query/colour"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_place(
    client: httpx.AsyncClient, params: dict[str, str], pointer: str
) -> None:
    answer = await client.get(URL, params=params)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]

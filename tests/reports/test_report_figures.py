"""Figures of the report that tell the truth: who still waits is counted, days are those of a zone, and an answer has an
end."""

import csv
import io
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.reports.test_response_times import FIRST, URL, past, reason_of, report, wait_of
from tests.support.expect import problem
from tests.support.imports import send
from tests.support.sla import Sql
from tests.support.verification import write_calendar, write_targets

Open = Callable[..., Awaitable[dict[str, Any]]]
__all__ = ["past"]


async def test_the_floor_counts_business_hours_pauses_and_frozen_time_as_they_are(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    """Six hours ago: an office that never opens, one that always does, a pause of two hours, and time that was
    frozen, which was waited nonetheless."""
    hours: dict[str, Any] = {"never": {str(FIRST.date()): []}, "always": {}}
    for n, (key, _) in enumerate(hours.items()):
        day = [] if key == "never" else [["00:00", "24:00"]]
        soon = {str((datetime.now(UTC) + timedelta(days=n)).date()): day for n in range(-2, 3)}
        calendar = await write_calendar(client, timezone="UTC", date_hours=soon)
        target = {"metric": "first_response", "seconds": 3600, "hours": "business"}
        conditions = {"all": [{"field": "ticket.product", "op": "eq", "value": key}], "any": []}
        await write_targets(
            client, target, key=key, position=n, calendar_id=calendar["id"], conditions=conditions
        )  # fmt: skip
    made = {key: await open_ticket(product=key) for key in ("never", "always", "paused", "frozen", "answered")}
    await sql.execute("UPDATE sla_clocks SET started_at = started_at - interval '6 hours'")
    spans = "SET {} = ARRAY[started_at + interval '1 hour', started_at + interval '3 hours'] WHERE ticket_id = $1"
    for column, key in (("pauses", "paused"), ("frozen", "frozen"), ("frozen", "answered")):
        await sql.execute(f"UPDATE sla_clocks {spans.format(column)}", made[key]["id"])
    await client.post(f"/v1/tickets/{made['answered']['id']}/messages", json={"body": "Yes."})
    found = {item["group"]["product"]: item for item in await report(client, group_by="product")}
    floors = {"never": 0, "always": 6, "paused": 4, "frozen": 6, "answered": 6}
    for key, wanted in floors.items():
        assert found[key]["mean_floor"] == pytest.approx(3600 * wanted, abs=60), key
        assert found[key]["mean_wall"] == pytest.approx(3600 * 6, abs=60), key
    assert found["answered"]["mean_answered"] == pytest.approx(3600 * 4, abs=60)
    [whole] = await report(client)
    assert whole["mean_floor"] == pytest.approx(3600 * sum(floors.values()) / 5, abs=60)
    goal = {"key": "g", "name": "G", "target_seconds": 90, "window": {"rolling_seconds": 86_400}}
    status = await client.post("/v1/service-goals", json=goal)
    status = await client.get(f"/v1/service-goals/{status.json()['id']}/status")
    # A goal leaves the frozen time out, as the deadline does.
    assert status.json()["mean_floor"] == pytest.approx(3600 * (sum(floors.values()) - 4) / 5, abs=60)


async def test_the_mean_is_not_kept_while_nobody_answers(client: httpx.AsyncClient, past: list[dict[str, Any]]) -> None:
    waiting = [
        {
            "external_id": f"w-{n}", "subject": "S", "customer": {"external_id": "c"}, "timeline": [],
            "created_at": (datetime.now(UTC) - timedelta(hours=11)).isoformat(),
        }
        for n in range(7)
    ]  # fmt: skip
    [before] = await report(client)
    await send(client, *waiting)
    [after] = await report(client)
    assert after["mean_answered"] == before["mean_answered"] == pytest.approx(before["mean_floor"])
    count = before["answered"]
    wanted = (before["mean_floor"] * count + 7 * 11 * 3600) / (count + 7)
    assert after["mean_floor"] == pytest.approx(wanted, rel=0.01)
    assert after["mean_wall"] == pytest.approx(after["mean_floor"])


async def test_a_histogram_has_a_count_for_each_bucket(client: httpx.AsyncClient, past: list[dict[str, Any]]) -> None:
    [found] = await report(client, buckets="60,0.5,120")
    waits = [wait_of(item).total_seconds() for item in past if not reason_of(item)]
    ends = [0.5, 60, 120, None]
    assert [each["up_to_seconds"] for each in found["histogram"]] == ends
    low = -1.0
    for each, end in zip(found["histogram"], ends, strict=True):
        assert each["count"] == sum(low < wait <= (end or math.inf) for wait in waits)
        low = end or low
    answer = await client.get(URL, params={"buckets": "60,0.5,120", "excel": "true"}, headers={"Accept": "text/csv"})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    [row] = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    cells = [int(row[name]) for name in ("up_to_0.5", "up_to_60", "up_to_120", "longer")]
    assert cells == [each["count"] for each in found["histogram"]]


@pytest.mark.parametrize(
    ("zone", "interval", "day", "hours"),
    [
        ("Europe/Helsinki", "day", "2026-03-29", 23),
        ("Europe/Helsinki", "day", "2026-10-25", 25),
        ("Europe/Helsinki", "day", "2026-11-28", 24),
        ("America/New_York", "week", "2026-03-02", 167),
        ("Asia/Kolkata", "month", "2026-02-01", 672),
    ],
)
async def test_intervals_of_a_zone_begin_and_end_with_its_days(
    client: httpx.AsyncClient, zone: str, interval: str, day: str, hours: int
) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = start + timedelta(hours=hours)
    edges = [start - timedelta(seconds=1), start, start + timedelta(hours=5), end - timedelta(seconds=1), end]
    items = [
        {"external_id": str(n), "subject": "S", "customer": {"external_id": "c"}, "timeline": [],
         "created_at": edge.isoformat()}
        for n, edge in enumerate(edges)
    ]  # fmt: skip
    await send(client, *items)
    found = await report(client, timezone=zone, interval=interval)
    assert [item["running"] for item in found] == [1, 3, 1]
    assert datetime.fromisoformat(found[1]["interval_start"]) == start
    assert datetime.fromisoformat(found[2]["interval_start"]) == end
    # Plain dates are those of the zone.
    local_end = end.astimezone(ZoneInfo(zone)).date()
    [same] = await report(client, **{"timezone": zone, "from": day, "to": str(local_end)})
    assert same["running"] == 3
    by_hour = await report(client, timezone=zone, interval="hour", **{"from": day, "to": str(local_end)})
    assert datetime.fromisoformat(by_hour[0]["interval_start"]) == start
    assert sum(item["running"] for item in by_hour) == 3


async def test_more_items_than_an_answer_may_have_are_refused_with_what_to_narrow(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    await open_ticket()
    columns = "metric, warn_at_percent, bot_counts, warnings"
    await sql.execute(
        f"INSERT INTO sla_clocks (id, ticket_id, cycle, started_at, {columns})"
        f" SELECT gen_random_uuid(), ticket_id, 1 + n, timestamptz '2020-01-01 00:30Z' + n * interval '1 h', {columns}"
        " FROM sla_clocks, generate_series(1, 10000) AS n WHERE metric = 'first_response'"
    )
    answer = await client.get(URL, params={"interval": "hour"})
    [error] = problem(answer, 422)["errors"]
    assert (error["pointer"], error["code"]) == ("/query/interval", "too_many_items")
    assert "narrow" in error["detail"]
    assert len(await report(client, interval="hour", to="2026-01-01")) == 10_000
    assert len(await report(client, interval="day")) == 418

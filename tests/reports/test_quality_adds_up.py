"""The report on quality over random pasts: against a slow count of the same rows, and the parts against the whole."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.quality import quality, whole
from tests.support.sla import Sql
from tests.support.verification import Body, good

DAY = timedelta(days=1)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
SPAN = {"from": "2026-03-01", "to": "2026-04-01", "buckets": "60,600", "within_days": 5}
TYPES = ("complaint", "complaint", "return", "question")
_TICKET = """
    INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, product, tags, custom_fields,
        created_at, updated_at)
    VALUES ($1, 's', $6, 'low', $2, 'web', $3, $4, '{}', '{}', $5::timestamptz, $5)"""
_CLOCK = """
    INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, warn_at_percent, warnings, bot_counts, stopped_at,
        ended_at, elapsed, customer_id, priority, type, channel, product, tags, spam)
    VALUES ($1, $1, 'first_response', 1, $2::timestamptz, '{}', '{}', false, $3::timestamptz, $3,
        $3::timestamptz - $2::timestamptz, $4, 'low', $5, 'web', $6, '{}', $7)"""
_RESOLUTION = """
    INSERT INTO ticket_resolutions (id, ticket_id, resolved_at, resolved_by_kind, solved_by, reopened_at, score,
        rated_at, customer_id, priority, type, channel, product, tags, spam)
    VALUES ($1, $1, $2::timestamptz, 'agent', 'person', $3, $4::int, CASE WHEN $4::int IS NOT NULL THEN $2 END,
        $5, 'low', $6, 'web', $7,
        '{}', $8)"""


class Past:
    """Tickets as tuples, half of them in the span, and the rows that tell of them."""

    def __init__(self, seed: int, customers: list[UUID]) -> None:
        chance = random.Random(seed)
        self.tickets: list[Body] = []
        for _ in range(150):
            opened = START - 20 * DAY + chance.random() * 140 * DAY
            answered = opened + timedelta(seconds=chance.choice((30, 60, 61, 600, 5000)))
            done = answered + chance.random() * 10 * DAY
            self.tickets.append({
                "id": uuid4(), "customer": chance.choice(customers), "product": chance.choice((None, "a", "b")),
                "type": chance.choice(TYPES), "opened": opened, "spam": chance.random() < 0.1,
                "answered": answered if chance.random() < 0.8 else None,
                "done": done if chance.random() < 0.8 else None, "reopened": chance.random() < 0.2,
                "score": chance.choice((None, None, 1, 3, 4, 5)),
            })  # fmt: skip

    async def write(self, sql: Sql) -> None:
        for t in self.tickets:
            status = "resolved" if t["done"] and not t["reopened"] else "open"
            await sql.execute(_TICKET, t["id"], t["type"], t["customer"], t["product"], t["opened"], status)
            kept = (t["customer"], t["type"], t["product"]) if t["answered"] else (None, None, None)
            await sql.execute(_CLOCK, t["id"], t["opened"], t["answered"], *kept, t["spam"])
            if t["done"]:
                reopened = t["done"] + DAY if t["reopened"] else None
                about = (t["customer"], t["type"], t["product"], t["spam"])
                await sql.execute(_RESOLUTION, t["id"], t["done"], reopened, t["score"], *about)

    def kept(self, product: str | None | bool = False) -> Iterator[Body]:
        """Those that are no spam, of one product where it is named."""
        return (t for t in self.tickets if not t["spam"] and (product is False or t["product"] == product))

    def repeated(self, product: str | None | bool = False) -> tuple[int, int]:
        found = [t for t in self.kept(product) if START <= t["opened"] < END]
        again = [
            t
            for t in found
            if any(
                o["customer"] == t["customer"]
                and o["product"] == t["product"]
                and o is not t
                and timedelta(0) <= t["opened"] - o["opened"] <= 5 * DAY
                for o in self.kept()
            )
        ]
        return len(found), len(again)

    def complaints(self, product: str | None | bool = False) -> list[tuple[int, int, int, int]]:
        classes = [[0, 0, 0, 0] for _ in range(4)]
        for t in self.kept(product):
            if t["type"] != "complaint" or not t["done"] or t["reopened"] or not START <= t["done"] < END:
                continue
            seconds = (t["answered"] - t["opened"]).total_seconds() if t["answered"] else None
            place = 3 if seconds is None else (seconds > 60) + (seconds > 600)
            satisfied = (t["score"] or 0) >= 4
            back = any(
                o["customer"] == t["customer"]
                and o["type"] != "complaint"
                and timedelta(0) < o["opened"] - t["done"] <= 90 * DAY
                for o in self.kept()
            )
            for number, holds in enumerate((True, satisfied, back, satisfied or back)):
                classes[place][number] += holds
        return [(a, b, c, d) for a, b, c, d in classes]


def counts(value: Any) -> dict[str, float]:
    """Every figure that adds up, by its place."""
    found: dict[str, float] = {}

    def walk(node: Any, way: str) -> None:
        if isinstance(node, dict):
            for name, below in node.items():
                walk(below, f"{way}/{name}")
        elif isinstance(node, list):
            for number, below in enumerate(node):
                walk(below, f"{way}/{number}")
        elif isinstance(node, int | float) and not isinstance(node, bool):
            found[way] = node

    walk({name: part for name, part in value.items() if name != "group"}, "")
    no_sum = ("rate", "mean", "p50", "p90", "up_to", "handling/tickets")
    return {way: figure for way, figure in found.items() if not any(word in way for word in no_sum)}


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_what_a_slow_count_says_and_parts_add_up(client: httpx.AsyncClient, sql: Sql, seed: int) -> None:
    customers = [UUID(good(await client.post("/v1/customers", json={"name": "C"}))["id"]) for _ in range(12)]
    past = Past(seed, customers)
    await past.write(sql)

    def check(item: Body, product: str | None | bool = False) -> None:
        assert (item["contacts"]["contacts"], item["contacts"]["repeated"]) == past.repeated(product)
        names = ("resolved", "satisfied", "came_back", "recovered")
        assert [tuple(each[name] for name in names) for each in item["complaints"]] == past.complaints(product)

    all_of_it = await whole(client, **SPAN)
    check(all_of_it)
    # It has something of everything in it.
    assert past.repeated()[1] > 0
    assert all(sum(each[number] for each in past.complaints()) > 0 for number in range(4))
    by_product = {item["group"]["product"]: item for item in await quality(client, group_by="product", **SPAN)}
    for product, item in by_product.items():
        check(item, product)
    for asked in ({"group_by": "product"}, {"interval": "week"}, {"interval": "day", "group_by": "type,customer"}):
        items = [counts(item) for item in await quality(client, **asked, **SPAN)]
        for way, figure in counts(all_of_it).items():
            assert sum(item.get(way, 0) for item in items) == pytest.approx(figure), (asked, way)

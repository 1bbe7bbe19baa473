"""Quality: the parts of the report put together, each a count of what happened in the span
(`quality_statements.py`)."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from app.db import Row, Transaction
from app.reports import grouping
from app.reports.quality_schemas import QualityQuery
from app.reports.quality_statements import SCORES, Asked, statements
from app.reports.schemas import Interval
from app.sla.core.calendar import beginnings
from app.tickets.promise_schemas import PromiseState
from app.tickets.quality import SolvedBy
from app.tickets.satisfaction_schemas import Expectation
from app.web.slices import in_slices

Key = tuple[Any, ...]
_INSTANT = timedelta(microseconds=1)
_SECONDS = ("mean_seconds", "p50_seconds", "p90_seconds")


async def quality(tx: Transaction, query: QualityQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """One item for each interval and group in which anything is counted. The transaction must read a snapshot. Cost:
    what lies in the span, and what customers with complaints asked in the 90 days after. Raises Invalid."""
    groups, filters, ends = tuple(dict.fromkeys(query.group_by or ())), query.filters, query.ends()
    now = await tx.now()
    from_, to = query.whole_span(now)
    starts: list[datetime] = []
    if query.interval and query.interval is not Interval.hour and from_ < to:
        starts = beginnings(query.timezone, query.interval, from_, to - _INSTANT)
    given = {
        **grouping.params(filters), "from_": from_, "to": to, "now": now, "timezone": query.timezone,
        "beginnings": starts, "within_days": query.within_days, "cost_field": tx.settings.cost_field,
        **{f"class_{number}": timedelta(seconds=end) for number, end in enumerate(ends)},
    }  # fmt: skip
    asked = Asked(query.interval, groups, grouping.shape(filters), len(ends))
    names = [f"by_{group.value}" for group in groups]
    found: dict[Key, dict[str, list[Row]]] = {} if query.interval or groups else {(None,): {}}
    for part, statement in statements(asked).items():
        rows = await tx.rows(statement, **given)
        grouping.check_number(rows, groups)
        for row in rows:
            key = (_start(row, starts), *(row[name] for name in names))
            found.setdefault(key, {}).setdefault(part, []).append(row)
        grouping.check_number(found, groups)
    keyed = {
        key: {"interval_start": key[0], **dict(zip(names, key[1:], strict=True))} for key in sorted(found, key=_order)
    }
    describe = await grouping.describer(tx, keyed.values(), groups, scopes)
    with_cost = tx.settings.cost_field is not None
    return [
        {
            **_item(found[key], ends, with_cost=with_cost),
            "interval_start": row["interval_start"],
            "group": describe(row),
        }
        async for key, row in in_slices(keyed.items())
    ]


def _order(key: Key) -> list[tuple[bool, str]]:
    return [(value is None, str(value)) for value in key]


def _start(row: Row, starts: Sequence[datetime]) -> datetime | None:
    number = row.get("interval_number")
    start: datetime | None = starts[number - 1] if number else row.get("interval_start")
    return start


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _item(parts: Mapping[str, Sequence[Row]], ends: Sequence[float], *, with_cost: bool) -> dict[str, Any]:
    def part(name: str) -> Mapping[str, Any]:
        return dict(parts[name][0]) if name in parts else _NOTHING[name]

    resolved, contacts, promised = part("resolutions"), part("contacts"), part("promises")
    poor = part("poor_quality")
    expectations = [
        {"expectation": each, "met": resolved[f"met_{each}"], "missed": resolved[f"missed_{each}"]}
        for each in Expectation
    ]
    return {
        "resolutions": {**resolved, "reopen_rate": _percent(resolved["reopened"], resolved["resolved"])},
        "satisfaction": {
            **resolved, "scores": [resolved[f"score_{score}"] for score in SCORES], "expectations": expectations,
        },
        "contacts": {**contacts, "repeat_rate": _percent(contacts["repeated"], contacts["contacts"])},
        "promises": {**promised, "kept_rate": _percent(promised["kept"], promised["kept"] + promised["broken"])},
        "complaints": _classes(parts.get("complaints", ()), ends),
        "person_requests": part("person_requests"),
        "poor_quality": {**poor, "cost": poor["cost"] if with_cost else None},
        "handling": part("handling"),
    }  # fmt: skip


def _classes(rows: Sequence[Row], ends: Sequence[float]) -> list[dict[str, Any]]:
    by_speed: dict[int | None, Mapping[str, Any]] = {row["speed"]: dict(row) for row in rows}
    return [
        {
            "up_to_seconds": ends[speed] if speed is not None and speed < len(ends) else None,
            "answered": speed is not None,
            **(counts := by_speed.get(speed, _NO_COMPLAINTS)),
            "recovery_rate": _percent(counts["recovered"], counts["resolved"]),
        }
        for speed in (*range(len(ends) + 1), None)
    ]


_NO_COMPLAINTS = dict.fromkeys(("resolved", "satisfied", "came_back", "recovered"), 0)
# Of a part that counts nothing in an interval and group.
_NOTHING: Mapping[str, Mapping[str, Any]] = {
    "resolutions": {
        **dict.fromkeys(("resolved", "reopened", "given", *(f"by_{by}" for by in SolvedBy)), 0),
        **dict.fromkeys((f"score_{score}" for score in SCORES), 0),
        **{f"{name}_{each}": 0 for name in ("met", "missed") for each in Expectation},
        "mean_score": None,
    },
    "contacts": {"contacts": 0, "repeated": 0},
    "promises": dict.fromkeys(PromiseState, 0),
    "person_requests": {"asked": 0, "answered": 0, "waiting": 0, **dict.fromkeys(_SECONDS)},
    "poor_quality": {"complaints": 0, "returns": 0, "handling_seconds": 0.0, "cost": 0.0},
    "handling": {"tickets": 0, "messages": 0, "handling_seconds": 0.0, "mean_handling_seconds": None},
}

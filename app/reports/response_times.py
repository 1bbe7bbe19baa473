"""How long customers waited, over the clocks that started in a span. Few clocks are read one by one, and all is exact.
Of many, what has ended is added up from cubes or facts, and its percentiles are those of buckets; what still runs, what
changed a moment ago and the ends of the span that are no whole days are read one by one."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, literal_column, select

from app.db import Query, Transaction
from app.reports import cube_figures, grouping
from app.reports.clock_figures import Asked, read, within
from app.reports.figures import item_of
from app.reports.schemas import Interval as Each
from app.reports.schemas import Percentiles, ReportQuery
from app.sla.core.calendar import beginnings
from app.sla.tables import sla_clocks
from app.web.slices import in_slices

# Of so many clocks each is looked at.
EXACT_WITHIN = 10_000
_c = sla_clocks.c
_clocks = within(_c.started_at)


def _count(most: int) -> Query:
    one: ColumnElement[int] = literal_column("1")
    some = select(one).select_from(sla_clocks).where(*_clocks).limit(literal_column(str(most)))
    return Query(select(func.count().label("clocks")).select_from(some.subquery()))


_SPAN = Query(
    select(
        func.statement_timestamp().label("now"),
        select(func.min(_c.started_at)).where(*_clocks).scalar_subquery().label("first"),
        select(func.max(_c.started_at)).where(*_clocks).scalar_subquery().label("last"),
    )
)
_MANY = _count(EXACT_WITHIN + 1)


class Report(NamedTuple):
    items: list[dict[str, Any]]
    percentiles: Percentiles


async def response_times(
    tx: Transaction, query: ReportQuery, scopes: Set[str], exact_within: int = EXACT_WITHIN
) -> Report:
    """One item for each interval and group in which clocks started. The transaction must read a snapshot. Cost: the
    clocks in the span, where they are no more than `exact_within`; else those that run, and sums.
    Raises Invalid where there were more than `MOST_ITEMS`, or too many clocks that no sum holds."""
    groups, filters = tuple(dict.fromkeys(query.group_by or ())), query.filters
    buckets = sorted(set(query.buckets or ()))
    asked = Asked(query.interval, groups, query.exceptions, len(buckets), grouping.shape(filters))
    from_, to = query.span()
    span: dict[str, Any] = {"metric": query.metric, "from_": from_, "to": to}
    seen = await tx.row(_SPAN, **span)
    assert seen is not None
    starts: list[datetime] = []
    if query.interval and query.interval is not Each.hour and seen["first"]:
        starts = beginnings(query.timezone, query.interval, seen["first"], seen["last"])
    given = {
        **span, **grouping.params(filters), "now": seen["now"], "timezone": query.timezone, "beginnings": starts,
        **{f"bucket_{n}": timedelta(seconds=end) for n, end in enumerate(buckets)},
    }  # fmt: skip
    rows, percentiles = None, Percentiles.histogram
    if await _are_many(tx, span, exact_within):
        rows = await cube_figures.read_sums(tx, query, asked, given, seen["first"], seen["last"])
    if rows is None:
        rows, percentiles = await read(tx, asked, given), Percentiles.nearest_rank
    describe = await grouping.describer(tx, rows, groups, scopes)
    items = [
        {**item_of(row, buckets), "interval_start": _start(row, starts), "group": describe(row)}
        async for row in in_slices(rows)
    ]
    return Report(items, percentiles)


async def _are_many(tx: Transaction, span: Mapping[str, Any], exact_within: int) -> bool:
    counted = await tx.row(_MANY, **span)
    assert counted is not None
    return bool(counted["clocks"] > exact_within)


def _start(row: Mapping[str, Any], starts: Sequence[datetime]) -> datetime | None:
    number = row.get("interval_number")
    start: datetime | None = starts[number - 1] if number else row.get("interval_start")
    return start

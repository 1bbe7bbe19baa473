"""How long the staff worked on what they wrote, as given or measured at each message. A figure is its author's, and of
what the ticket was when they wrote it."""

from collections.abc import Set
from typing import Any

from app.db import Transaction
from app.reports import grouping
from app.reports.quality_statements import Asked, handling
from app.reports.schemas import HandlingTimesQuery


async def handling_times(tx: Transaction, query: HandlingTimesQuery, scopes: Set[str]) -> list[dict[str, Any]]:
    """Cost: the handled messages of the span, by index. Raises Invalid where there were more than `MOST_ITEMS`."""
    groups, filters = tuple(dict.fromkeys(query.group_by or ())), query.filters
    from_, to = query.span()
    statement = handling(Asked(None, groups, grouping.shape(filters), 0))
    rows = await tx.rows(statement, **grouping.params(filters), from_=from_, to=to)
    grouping.check_number(rows, groups)
    describe = await grouping.describer(tx, rows, groups, scopes)
    return [{**row, "group": describe(row)} for row in rows]

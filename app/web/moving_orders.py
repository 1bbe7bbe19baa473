"""Lists in whose order rows move: a walk that follows its cursor would miss what others move to where it has been.

So such a list is walked once in its order, and then what has changed since the walk began comes, in an order in which
nothing moves back. Whatever matched throughout is seen: it lay still until the walk had passed it, or it has changed.
A cursor says when the walk began, the oldest transaction that ran then, which of the two parts it is in, and where.

What has changed is told by the transaction that wrote a row (`xmin`): an instant in the row was taken before the commit
that makes it seen."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, Table, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.types import UserDefinedType

from app.db import Query, Row, Transaction
from app.web.paging import Clause, Key

# No transaction that changes what is listed lasts longer.
LONGEST = timedelta(minutes=2)

Page = tuple[list[Row], Key | None]
# A page of these filters in this order, so many rows, after this key.
Fetch = Callable[[Mapping[str, object], str, int, Key | None], Awaitable[Page]]
# The filters of what has changed since the walk began, and the order in which it comes.
Changed = Callable[[datetime, str], tuple[Mapping[str, object], str]]


class _Type(UserDefinedType[Any]):
    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name


_NOW = [
    func.clock_timestamp().label("began_at"),
    cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text).label("began_xid"),
]
_BEGIN = Query(select(*_NOW))
# Columns that every such list has, worked out once for a statement: what the first page saw, it says itself.
BEGAN = [select(column).scalar_subquery().label(column.name) for column in _NOW]


def xmin_age(table: Table) -> ColumnElement[int]:
    """How many transactions ago a row was written."""
    return func.age(literal_column(f"{table.name}.xmin"), type_=Integer)


def changed_since(age: ColumnElement[int]) -> Clause:
    """Rows written by transactions that had not ended when the one of the value was the oldest that ran."""

    def clause(name: str, _value: object) -> ColumnElement[bool]:
        xid = cast(cast(bindparam(name, type_=Text), _Type("xid8")), _Type("xid"))
        return age <= func.age(xid)

    return clause


async def fetch(
    tx: Transaction,
    page: Fetch,
    given: Mapping[str, object],
    order: str,
    limit: int,
    after: Key | None,
    changed: Changed,
) -> Page:
    """A page of a walk. The first one that is the whole list is just that."""
    if after is None:
        rows, last = await page(given, order, limit, None)
        if last is None:
            return rows, None
        begin = rows[0] if rows else await tx.row(_BEGIN)
        assert begin is not None
        if not rows:
            rows, last = await page(given, order, limit, None)
        return rows, last and (begin["began_at"], begin["began_xid"], 0, *last)
    began, xid, catching_up, *key = after
    rows = []
    if not catching_up:
        rows, last = await page(given, order, limit, key)
        if last is not None:
            return rows, (began, xid, 0, *last)
        key = []
    assert isinstance(began, datetime)
    filters, its_order = changed(began, str(xid))
    more, last = await page(filters, its_order, limit - len(rows) or 1, key or None)
    if len(rows) == limit:
        return rows, (began, xid, 1) if more or last else None
    seen = {row["id"] for row in rows}
    rows += [row for row in more if row["id"] not in seen]
    return rows, None if last is None else (began, xid, 1, *last)

"""Lists of tables of any size, by filters of which not every combination has an index: what a page may cost is bounded.

A page walks the index of its order and filters as it goes. Where a good stretch does not fill it, what the most
selective filter finds by an index of its own is gathered and sorted, if that is few; if not, the walk goes on for a
longer stretch, and the page ends with it: shorter than asked, with a cursor from where to go on.

Every limit that a plan rests on is a literal: PostgreSQL plans for parameters that it does not look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import ge, le
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from app.db import Row, Transaction
from app.web.paging import Clause, Key, Listing, Order, Where, first_of, page_of

# A page holds 200 items at most, and one more row tells that there are more.
_PAGE = 201

# The clauses over columns: those of the table, or those of a stretch of it.
Filters = Callable[[Any], Mapping[str, Clause]]
# What one filter finds by an index of its own: a select of ids.
Source = Callable[[str, object], Select[Any]]


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """How many rows a page walks at first, how many at most, and how many are few."""

    scan: int = 2_000
    long_stretch: int = 5_000
    selective_enough: int = 2_000


STOCK = ScanLimits()


class BoundedListing(Listing):
    """`leading` are, by order, the filters that an index of this order begins with: all of a group, with one value
    each. `bounds` are the two that cut off the order's first column below and above. `sources` have an index of their
    own; the most selective come first."""

    def __init__(
        self,
        table: Table,
        name: str,
        columns: Sequence[ColumnElement[Any]],
        filters: Filters,
        orders: Mapping[str, Order],
        *,
        leading: Mapping[str, Sequence[tuple[str, ...]]],
        bounds: Mapping[str, tuple[str, str]],
        sources: Mapping[str, Source],
        reach: ScanLimits = STOCK,
    ) -> None:
        super().__init__(name, select(*columns), filters(table.c), orders)
        self._table = table
        self._filters_of = filters
        self._leading = leading
        self._bounds = bounds
        self._sources = sources
        self._reach = reach

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        given = self._given(where)
        if len(self._served(given, order)) == len(given):
            return await self._walk(tx, given, order, limit, after, _PAGE)
        rows, last = await self._walk(tx, given, order, limit, after, self._reach.scan)
        if last is None or len(rows) == limit:
            return rows, last
        source = await self._few(tx, given)
        if source:
            return await self._gather(tx, given, source, order, limit, after)
        return await self._walk(tx, given, order, limit, after, self._reach.long_stretch)

    async def _walk(
        self, tx: Transaction, given: Where, order: str, limit: int, after: Key | None, scan: int
    ) -> tuple[list[Row], Key | None]:
        def make() -> Select[Any]:
            return page_of(self._walked(given, order, after, scan))

        rows = await self._ask(tx, ("walk", order, scan), given, make, after, row_limit=limit + 1)
        hits = [row for row in rows if row["hit"]]
        if len(hits) <= limit and first_of(rows, len(rows))[1]:
            return hits, self.key_of(rows[-1], order)
        # The last row of the stretch comes along whatever it is: the list goes on behind it.
        if len(hits) <= limit and rows and rows[-1]["place"] == scan:
            return hits, self.key_of(rows[-1], order)
        return self._cut(hits, order, limit)

    async def _gather(
        self, tx: Transaction, given: Where, source: str, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        def make() -> Select[Any]:
            gathered = self._gathered(given, source, 2 * self._reach.selective_enough)
            return page_of(self._sorted(gathered, self._orders[order], after))

        rows = await self._ask(tx, ("gather", source, order), given, make, after, row_limit=limit + 1)
        return self._cut(rows, order, limit)

    async def _few(self, tx: Transaction, given: Where) -> str | None:
        """The first filter that finds few enough to look at all of them."""
        for name in self._sources:
            if name in given:
                one = {name: given[name]}
                [row] = await self._ask(tx, "few", one, partial(self._count, one, name))
                if row["found"] <= self._reach.selective_enough:
                    return name
        return None

    def _led(self, given: Where, order: str) -> tuple[str, ...]:
        single = {name for name, value in given.items() if not isinstance(value, tuple)}
        return next((names for names in self._leading.get(order, ()) if single.issuperset(names)), ())

    def _served(self, given: Where, order: str) -> list[str]:
        """The filters that an index serves together with the order."""
        return [*self._led(given, order), *(name for name in self._bounds.get(order, ()) if name in given)]

    def _walked(self, given: Where, order: str, after: Key | None, scan: int) -> Select[Any]:
        """What is in the stretch, and its last row in any case."""
        by, served = self._orders[order], self._served(given, order)
        inner = self._scan(given, order, after).limit(literal_column(str(scan)))
        walked = inner.subquery(self._table.name)
        filters = self._filters_of(walked.c)
        hit = and_(true(), *(filters[name](name, given[name]) for name in given if name not in served))
        is_last = walked.c.place == literal_column(str(scan))
        return select(walked, hit.label("hit")).where(or_(hit, is_last)).order_by(*by.over(walked.c).by)

    def _scan(self, given: Where, order: str, after: Key | None) -> Select[Any]:
        """From where the page before ended.

        What leads the index stands in the order: as a mere equation it would leave PostgreSQL the choice of the index
        of the order alone, and of how far it reads in that. Either end is one row comparison, or the index is entered
        at the wrong one; and takes in what it compares with, or PostgreSQL thinks that behind a value that very many
        share there is next to nothing, which it sorts."""
        by, led = self._orders[order], self._led(given, order)
        columns = [self._table.c[name] for name in led if name in self._table.c]
        values = [bindparam(column.name, type_=column.type) for column in columns]
        where = [self._filters[name](name, given[name]) for name in led if name not in self._table.c]
        # Its index may be without those that have none.
        where += [column.is_not(None) for column in columns if column.nullable]
        if after is not None:
            last = [bindparam(f"after_{n}", type_=c.type) for n, c in enumerate(by.columns)]
            inclusive = le if by.descending else ge
            where.append(inclusive(tuple_(*columns, *by.columns), tuple_(*values, *last)))
            where.append(tuple_(*by.columns) != tuple_(*last))
        for bound, inclusive, is_behind in zip(
            self._bounds.get(order, ("", "")), (ge, le), (not by.descending, by.descending), strict=True
        ):
            if after is not None and is_behind:
                continue  # the page before ended beyond it
            first = bindparam(bound, type_=by.columns[0].type)
            ends = ([by.columns[0]], [first]) if bound in given else (columns, values)
            if columns:
                where.append(inclusive(tuple_(*columns, *ends[0]), tuple_(*values, *ends[1])))
            if bound in given:
                where.append(self._filters[bound](bound, given[bound]))
        whole = Order((*columns, *by.columns), by.descending)
        place = func.row_number().over(order_by=whole.by).label("place")
        return self._select.add_columns(place).where(*where).order_by(*whole.by)

    def _gathered(self, given: Where, source: str, most: int) -> Select[Any]:
        found = self._sources[source](source, given[source]).limit(literal_column(str(most)))
        others = self._clauses({name: value for name, value in given.items() if name != source})
        # An array, which PostgreSQL takes for short: it looks up each by its id and begins with nothing else.
        return self._select.where(self._table.c.id == any_(func.array(found.scalar_subquery())), *others)

    def _sorted(self, gathered: Select[Any], order: Order, after: Key | None) -> Select[Any]:
        """Behind an OFFSET, or PostgreSQL 15 would walk the index of the order and look for what was gathered."""
        fenced = gathered.offset(literal_column("0")).subquery(self._table.name)
        return self._ordered(select(fenced), order.over(fenced.c), after)

    def _count(self, given: Where, source: str) -> Select[Any]:
        some = (
            self._sources[source](source, given[source])
            .limit(literal_column(str(self._reach.selective_enough + 1)))
            .subquery()
        )
        return select(func.count().label("found")).select_from(some)

"""The ticket list of a customer who sees tickets of others: theirs, those that they take part in, those of their
organization. The newest of all of these are gathered by an index for each, and nothing else is walked through."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, Uuid, any_, bindparam, func, literal_column, select, union

from app.db import Row, Transaction
from app.events.ticket_readers import customer_sees, seen_tickets
from app.ticket_lists.listing import NEWEST, OWN, OwnTickets, Tickets
from app.tickets.tables import tickets
from app.web.bounded_listing import Source
from app.web.paging import Clause, Key, Order, Where, page_of

_t = tickets.c


class SeenTickets(OwnTickets):
    """In the order of creation a page begins where the one before ended, so that the list goes on; in another order it
    is of the newest."""

    def _all_filters(self, c: Any) -> Mapping[str, Clause]:
        return {**super()._all_filters(c), "reader_id": lambda name, _: customer_sees(c, bindparam(name, type_=Uuid))}

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        return await Tickets.fetch(self, tx, where, order, limit, after)

    async def _page(
        self, tx: Transaction, given: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        by_creation = order.endswith("created_at")

        def make() -> Select[Any]:
            among = self._among(given, order if by_creation else NEWEST, goes_on=by_creation and after is not None)
            return page_of(self._sorted(self._select.where(*among), self._orders[order], after))

        return self._cut(await self._ask(tx, ("seen", order), given, make, after, row_limit=limit + 1), order, limit)

    async def _ranked_source(self, tx: Transaction, given: Where) -> str | None:
        return None

    def _matches(self, given: Where, source: str | None) -> Select[Any]:
        return self._sorted(self._select.where(*self._among(given, NEWEST)), self._orders[NEWEST], None)

    def _counted(self, given: Where, of_words: Source | None = None) -> list[ColumnElement[bool]]:
        return self._among(given, NEWEST)

    def _among(self, given: Where, order: str, *, goes_on: bool = False) -> list[ColumnElement[bool]]:
        found = _first(descending=order == NEWEST, goes_on=goes_on).scalar_subquery()
        others = {name: value for name, value in given.items() if name != "reader_id"}
        # An array, which PostgreSQL takes for short: it looks up each by its id and begins with nothing else.
        return [_t.id == any_(func.array(found)), *self._clauses(others)]


def _first(*, descending: bool, goes_on: bool) -> Select[Any]:
    """The first ids in the order of creation, from where the page before ended."""
    most: ColumnElement[int] = literal_column(str(OWN))
    arms = []
    for arm in seen_tickets(bindparam("reader_id", type_=Uuid)):
        columns = arm.selected_columns
        if goes_on:
            last = bindparam("after_0", type_=_t.created_at.type)
            arm = arm.where(columns.created_at <= last if descending else columns.created_at >= last)
        by = Order((columns.created_at, columns.id), descending).by
        arms.append(select(arm.order_by(*by).limit(most).subquery()))
    every = union(*arms).subquery()
    return select(every.c.id).order_by(*Order((every.c.created_at, every.c.id), descending).by).limit(most)


SEEN_TICKETS = SeenTickets("seen tickets", {})

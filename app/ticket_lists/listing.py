"""The ticket list: its orders, and which index answers what (`web/bounded_listing.py`)."""

import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import REAL, ColumnElement, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY

from app.db import Row, Transaction
from app.errors import Invalid
from app.search import query as search_query
from app.search.tables import ticket_search
from app.sla.core.enums import DONE, Status
from app.ticket_lists.clauses import (
    DEADLINE,
    LATEST,
    MAY_LACK,
    OWN_SOURCES,
    SOURCES,
    XMIN_AGE,
    clauses_of,
    of_followers,
    of_seen_words,
    of_words,
    sla_filter,
)
from app.tickets.lifecycle import SlaState
from app.tickets.queries import TICKET_COLUMNS
from app.tickets.tables import tickets
from app.web import absence, count_estimate, moving_orders
from app.web.bounded_listing import STOCK, BoundedListing, ScanLimits, Source
from app.web.paging import Clause, Key, Order, Where, compares, first_of, page_of

NEWEST, RELEVANCE = "-created_at", "relevance"
# Of a search, so many of the newest matches are ranked; of a customer's tickets, so many are put in another order than
# that of their creation.
RANKED, OWN, COMMON = 1_000, 10_000, 100

_t, _s = tickets.c, ticket_search.c
_waiting = func.coalesce(_t.waiting_since, LATEST).label("waiting")
_urgency = func.ticket_urgency(_t.status, _t.priority, type_=_t.version.type).label("urgency")
# When a customer last saw their ticket change.
_seen_at = func.coalesce(_t.seen_updated_at, _t.updated_at).label("seen_at")
_ORDERS = {
    "created_at": Order((_t.created_at, _t.id)),
    NEWEST: Order((_t.created_at, _t.id), descending=True),
    "updated_at": Order((_t.updated_at, _t.id)),
    "-updated_at": Order((_t.updated_at, _t.id), descending=True),
    "due_at": Order((DEADLINE, _t.id)),
    "-due_at": Order((DEADLINE, _t.id), descending=True),
    "priority": Order((_urgency, _t.created_at, _t.id)),
    "waiting_since": Order((_waiting, _t.id)),
}

# No change moves a ticket to where a walk in these may have been: `relevance` is of a few at once.
_STEADY = frozenset({"created_at", NEWEST, "updated_at", RELEVANCE})
_COLUMNS = [
    *TICKET_COLUMNS, DEADLINE, _waiting, _urgency, _seen_at, XMIN_AGE.label("xmin_age"), *moving_orders.BEGAN,
]  # fmt: skip
_BY_DEADLINE = [("assignee_id", "undone")]
_BY_CREATION = [
    ("customer_id",), ("assignee_id",), ("organization_id",), ("team_id",), ("product",), ("segment",),
    ("human_needed",), ("status",),
]  # fmt: skip


class Tickets(BoundedListing):
    """All tickets, for the staff."""

    words = "all_words"
    orders = _ORDERS

    def __init__(self, name: str, sources: Mapping[str, Source], reach: ScanLimits = STOCK) -> None:
        super().__init__(
            tickets,
            name,
            _COLUMNS,
            self._all_filters,
            self.orders,
            leading={
                **dict.fromkeys(("created_at", NEWEST), _BY_CREATION),
                **dict.fromkeys(("due_at", "-due_at"), _BY_DEADLINE),
            },
            bounds={
                **dict.fromkeys(("created_at", NEWEST), ("created_after", "created_before")),
                **dict.fromkeys(("updated_at", "-updated_at"), ("updated_after", "")),
            },
            sources=sources,
            reach=reach,
        )

    def _all_filters(self, c: Any) -> Mapping[str, Clause]:
        return clauses_of(self.words, c)

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        prepared = await _prepared(tx, self._given(where))
        if prepared is None:
            return [], None
        if order == RELEVANCE:
            return await self._relevant(tx, prepared, limit, after)
        if order in _STEADY:
            return await self._page(tx, prepared, order, limit, after)
        return await moving_orders.fetch(
            tx, partial(self._page, tx), prepared, order, limit, after, partial(_changed_since, prepared)
        )

    async def _page(
        self, tx: Transaction, given: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        return await super().fetch(tx, given, order, limit, after)

    async def _relevant(
        self, tx: Transaction, given: Where, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        """The best of the newest matches."""
        name = "q" if "q" in given else "q_excluding"
        if name not in given:
            raise Invalid.at("/query/sort", "needs_q", "by relevance only what is searched for can be sorted: give `q`")
        source = await self._ranked_source(tx, given)

        def make() -> Select[Any]:
            best = self._matches(given, source).limit(literal_column(str(RANKED))).subquery()
            words = select(_s[self.words]).where(_s.ticket_id == best.c.id).scalar_subquery()
            rank = func.ts_rank_cd(words, bindparam(name, type_=TSQUERY), type_=REAL).label("rank")
            ranked = select(best, rank).subquery()
            by = Order((ranked.c.rank, ranked.c.id), descending=True)
            return page_of(self._ordered(select(ranked), by, after))

        rows = await self._ask(tx, (RELEVANCE, source), given, make, after, row_limit=limit + 1)
        rows, more = first_of(rows, limit)
        return rows, [rows[-1]["rank"], rows[-1]["id"]] if more else None

    async def _ranked_source(self, tx: Transaction, given: Where) -> str | None:
        # What many of the newest say is not looked up everywhere.
        newest, _ = await self._walk(tx, given, NEWEST, COMMON, None, self._reach.scan)
        return None if len(newest) == COMMON else await self._few(tx, given)

    async def estimated_count(self, tx: Transaction, where: Where) -> int:
        """Exact up to 10,000, beyond it the planner's estimate."""
        given = await _prepared(tx, self._given(where))
        if given is None:
            return 0
        found: Select[Any] = select(literal_column("1")).select_from(tickets).where(*self._counted(given))
        [row] = await self._ask(tx, "count", given, lambda: count_estimate.counted(found))
        if row["found"] <= count_estimate.EXACT:
            return int(row["found"])
        found = select(literal_column("1")).select_from(tickets).where(*self._counted(given, of_seen_words))
        [row] = await self._ask(tx, "estimate", given, lambda: count_estimate.Explain(found))
        return max(count_estimate.planned_rows(row), count_estimate.EXACT)

    def _counted(self, given: Where, of_words: Source = of_words) -> list[ColumnElement[bool]]:
        """The clauses for a look at everything: what lies in another table is looked up there once."""
        sources: Mapping[str, Source] = {"q": of_words, "follower_id": of_followers}
        elsewhere = sources.keys() & given.keys()
        there = [_t.id.in_(sources[name](name, given[name])) for name in sorted(elsewhere)]
        return [*there, *self._clauses({name: value for name, value in given.items() if name not in elsewhere})]

    def _matches(self, given: Where, source: str | None) -> Select[Any]:
        """The newest first: all of them, or those in a long stretch."""
        if source:
            return self._sorted(self._gathered(given, source, OWN), _ORDERS[NEWEST], None)
        walked = self._walked(given, NEWEST, None, self._reach.long_stretch).subquery()
        return select(walked).where(walked.c.hit).order_by(walked.c.created_at.desc(), walked.c.id.desc())


class OwnTickets(Tickets):
    """A customer's. Nothing of other customers' tickets is walked through, and no note is searched: neither shows, by
    no count and by no cursor."""

    words = "public_words"
    # A change that they see nothing of moves nothing in their list.
    orders = {
        **_ORDERS,
        "updated_at": Order((_seen_at, _t.id)),
        "-updated_at": Order((_seen_at, _t.id), descending=True),
    }

    def _all_filters(self, c: Any) -> Mapping[str, Clause]:
        seen_at = func.coalesce(c.seen_updated_at, c.updated_at, type_=_t.updated_at.type)
        return {**super()._all_filters(c), "updated_after": compares(seen_at, operator.gt)}

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        if not where["customer_id"]:  # somebody else's were asked for
            return [], None
        return await super().fetch(tx, where, order, limit, after)

    def _counted(self, given: Where, of_words: Source = of_words) -> list[ColumnElement[bool]]:
        return self._clauses(given)

    async def _page(
        self, tx: Transaction, given: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        if order.endswith("created_at"):
            return await self._walk(tx, given, order, limit, after, self._reach.long_stretch)

        def make() -> Select[Any]:
            gathered = self._gathered(given, "customer_id", OWN)
            return page_of(self._sorted(gathered, self._orders[order], after))

        return self._cut(await self._ask(tx, ("own", order), given, make, after, row_limit=limit + 1), order, limit)

    def _matches(self, given: Where, source: str | None) -> Select[Any]:
        return super()._matches(given, "customer_id")


def _changed_since(given: Where, began: datetime, xid: str) -> tuple[Where, str]:
    """`updated_after` lets an index do most of it; by `updated_at` a change moves ahead of the walk."""
    after = began - moving_orders.LONGEST
    asked: Any = given.get("updated_after")
    return {**given, "updated_after": max(after, asked) if asked else after, "changed_since": xid}, "updated_at"


async def _prepared(tx: Transaction, given: Where) -> dict[str, object] | None:
    """With what follows from the filters for the choice of an index. None where nothing can be found."""
    prepared = dict(given)
    if "q" in prepared:
        sought = await search_query.read(tx, str(prepared.pop("q")))
        if sought is None:
            return None
        prepared["q" if sought.indexed else "q_excluding"] = sought.query
    statuses = _several(prepared.get("status"))
    if "assignee_id" in prepared and statuses and not DONE & {Status(status) for status in statuses}:
        prepared["undone"] = True
    if prepared.get("needs_human") is True:
        prepared["human_needed"] = prepared.pop("needs_human")
    absence.part(prepared, (*MAY_LACK, "tag"))
    states = _several(prepared.pop("sla", None))
    if states:
        prepared[sla_filter([SlaState(state) for state in states])] = True
        if set(states) == {SlaState.at_risk}:
            prepared["has_deadline"] = True
    return prepared


def _several(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


TICKETS, OWN_TICKETS = Tickets("tickets", SOURCES), OwnTickets("own tickets", OWN_SOURCES)

"""The ticket list: its filters, its orders, and which index answers what (`web/bounded_listing.py`)."""

import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import combinations
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    Boolean,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONPATH, TSQUERY, array

from app.db import Row, Transaction
from app.errors import Invalid
from app.search import query as search_query
from app.search.tables import ticket_search
from app.sla import clocks
from app.sla.core.clock import State
from app.sla.core.enums import DONE, Status
from app.sla.tables import LATEST_SQL, sla_clocks
from app.tickets.lifecycle import SlaState
from app.tickets.queries import TICKET_COLUMNS
from app.tickets.tables import ticket_followers, tickets
from app.web import absence, count_estimate, moving_orders
from app.web.bounded_listing import STOCK, BoundedListing, ScanLimits, Source
from app.web.paging import (
    Clause,
    Key,
    Order,
    Where,
    compares,
    first_of,
    fold_texts,
    is_any,
    is_any_folded,
    overlaps_folded,
    page_of,
    texts_of,
)

NEWEST, RELEVANCE = "-created_at", "relevance"
# Of a search, so many of the newest matches are ranked; of a customer's tickets, so many are put in another order than
# that of their creation.
RANKED, OWN, COMMON = 1_000, 10_000, 100

_t, _k, _s, _f = tickets.c, sla_clocks.c, ticket_search.c, ticket_followers.c
_latest = literal_column(LATEST_SQL, _t.due_at.type)
_deadline = func.coalesce(_t.due_at, _latest).label("deadline")
_waiting = func.coalesce(_t.waiting_since, _latest).label("waiting")
_urgency = func.ticket_urgency(_t.status, _t.priority, type_=_t.version.type).label("urgency")
# When a customer last saw their ticket change.
_seen_at = func.coalesce(_t.seen_updated_at, _t.updated_at).label("seen_at")
_ORDERS = {
    "created_at": Order((_t.created_at, _t.id)),
    NEWEST: Order((_t.created_at, _t.id), descending=True),
    "updated_at": Order((_t.updated_at, _t.id)),
    "-updated_at": Order((_t.updated_at, _t.id), descending=True),
    "due_at": Order((_deadline, _t.id)),
    "-due_at": Order((_deadline, _t.id), descending=True),
    "priority": Order((_urgency, _t.created_at, _t.id)),
    "waiting_since": Order((_waiting, _t.id)),
}

# No change moves a ticket to where a walk in these may have been: `relevance` is of a few at once.
_STEADY = frozenset({"created_at", NEWEST, "updated_at", RELEVANCE})
_xmin_age = moving_orders.xmin_age(tickets)

_ANY_OF = (
    "customer_id", "assignee_id", "organization_id", "team_id", "product", "segment", "status",
    "priority", "type", "channel",
)  # fmt: skip
_MAY_LACK = ("external_id", "assignee_id", "organization_id", "team_id", "product", "segment")
SLA_STATES: dict[SlaState, ColumnElement[bool]] = {
    SlaState.breached: clocks.IS_STATE[State.breached],
    SlaState.at_risk: and_(clocks.IS_STATE[State.running], _k.warnings[1] <= func.clock_timestamp()),
}
_COLUMNS = [
    *TICKET_COLUMNS, _deadline, _waiting, _urgency, _seen_at, _xmin_age.label("xmin_age"), *moving_orders.BEGAN,
]  # fmt: skip
_BY_DEADLINE = [("assignee_id", "undone")]
_BY_CREATION = [
    (name,)
    for name in (
        "customer_id",
        "assignee_id",
        "organization_id",
        "team_id",
        "product",
        "segment",
        "human_needed",
        "status",
    )
]


def _sla_filter(states: Sequence[SlaState]) -> str:
    return "sla " + ",".join(sorted(set(states)))


def _path(name: str) -> ColumnElement[Any]:
    return cast(cast(bindparam(name, type_=Text), Text), JSONPATH)


def _absences(c: Any) -> dict[str, Clause]:
    found = dict(absence.filters("tag", c.tags == literal_column("'{}'"), overlaps_folded(c.tags)))
    for name in _MAY_LACK:
        equals = is_any_folded if name == "external_id" else is_any
        found |= absence.filters(name, c[name].is_(None), equals(c[name]))
    return found


def _filters(words: str, c: Any) -> Mapping[str, Clause]:
    """Scalar subqueries on purpose: PostgreSQL turns an EXISTS into one look at the whole other table."""

    def has_clock(states: Sequence[SlaState]) -> Clause:
        its = select(func.bool_or(or_(*(SLA_STATES[state] for state in states)))).where(_k.ticket_id == c.id)
        return lambda _name, _value: its.scalar_subquery()

    def has_words(name: str, _value: object) -> ColumnElement[bool]:
        its = select(_s[words].bool_op("@@")(bindparam(name, type_=TSQUERY))).where(_s.ticket_id == c.id)
        return its.scalar_subquery()

    def is_followed(name: str, value: object) -> ColumnElement[bool]:
        its = select(func.bool_or(is_any(_f.agent_id)(name, value))).where(_f.ticket_id == c.id)
        return its.scalar_subquery()

    return {
        **{name: is_any(c[name]) for name in (*_ANY_OF, "needs_human")},
        "external_id": is_any_folded(c.external_id),
        **_absences(c),
        "ids": is_any(c.id),
        "tag": overlaps_folded(c.tags),
        "custom_fields": lambda name, _value: c.custom_fields.bool_op("@@")(_path(name)),
        "created_after": compares(c.created_at, operator.gt),
        "created_before": compares(c.created_at, operator.lt),
        "updated_after": compares(c.updated_at, operator.gt),
        "follower_id": is_followed,
        "q": has_words,
        "q_excluding": has_words,
        # Written by a transaction that had not ended when the oldest one of then ran.
        "spam": lambda name, _value: c.spam_at.is_not(None) == bindparam(name, type_=Boolean),
        "changed_since": moving_orders.changed_since(_xmin_age if c is _t else c.xmin_age),
        "human_needed": lambda _name, _value: c.needs_human,
        "snoozed": lambda name, _value: (
            func.coalesce(c.snoozed_until > func.clock_timestamp(), false()) == bindparam(name, type_=Boolean)
        ),
        # As literals, or the index that is without them is of no use to a plan for any parameters.
        "undone": lambda _name, _value: and_(*(c.status != literal_column(f"'{status}'") for status in sorted(DONE))),
        "has_deadline": lambda _name, _value: func.coalesce(c.due_at, _latest) < _latest,
        **{
            _sla_filter(some): has_clock(some)
            for size in range(1, len(SlaState) + 1)
            for some in combinations(SlaState, size)
        },
    }


# A source is read in the order of its index, or by a value that the planner cannot see: it would rather read the table
# and stop at enough, which is all of it where what is looked for lies at its end.
def _in_order(*by: ColumnElement[Any]) -> Source:
    return lambda name, value: select(_t.id).where(_filters("all_words", _t)[name](name, value)).order_by(*by)


def _of_column(name: str, value: object, *, newest_first: bool = False) -> Select[Any]:
    """By `= ANY` also where it is one value: an equation would let the order of creation alone do."""
    column = _t[name]
    one = array([bindparam(name, type_=column.type)])
    values = bindparam(name, type_=ARRAY(column.type)) if isinstance(value, tuple) else one
    by = Order((column, _t.created_at, _t.id), descending=newest_first).by
    return select(_t.id).where(column == any_(values), column.is_not(None)).order_by(*by)


def _of_tags(name: str, value: object) -> Select[Any]:
    """In the index's own words; it is without those that have no tag."""
    asked = select(fold_texts(texts_of(name, value))).scalar_subquery()
    return select(_t.id).where(fold_texts(_t.tags).bool_op("&&")(asked), _t.tags != literal_column("'{}'"))


def _of_words(name: str, _value: object) -> Select[Any]:
    return _having_words(select(cast(bindparam(name), TSQUERY)).scalar_subquery())


def _of_seen_words(name: str, _value: object) -> Select[Any]:
    """For an estimate, which is as good as what the planner sees."""
    return _having_words(cast(bindparam(name), TSQUERY))


def _having_words(query: ColumnElement[Any]) -> Select[Any]:
    return select(_s.ticket_id.label("id")).where(_s.all_words.bool_op("@@")(query))


def _of_followers(name: str, value: object) -> Select[Any]:
    return select(_f.ticket_id.label("id")).where(is_any(_f.agent_id)(name, value)).distinct()


def _of_ids(name: str, value: object) -> Select[Any]:
    return select(_t.id).where(is_any(_t.id)(name, value))


def _of_fields(name: str, _value: object) -> Select[Any]:
    path = select(_path(name)).scalar_subquery()
    return select(_t.id).where(_t.custom_fields.bool_op("@@")(path), _t.custom_fields != literal_column("'{}'::jsonb"))


SOURCES: dict[str, Source] = {
    "ids": _of_ids,
    "external_id": _in_order(func.fold_text(_t.external_id)),
    "q": _of_words,
    "custom_fields": _of_fields,
    "follower_id": _of_followers,
    "tag": _of_tags,
    "human_needed": _in_order(_t.created_at, _t.id),
    **dict.fromkeys(("customer_id", "assignee_id", "organization_id", "team_id", "product", "segment"), _of_column),
    "has_deadline": _in_order(_deadline, _t.id),
    "status": _of_column,
    "created_after": _in_order(_t.created_at, _t.id),
    "updated_after": _in_order(_t.updated_at, _t.id),
}
OWN_SOURCES: dict[str, Source] = {"customer_id": partial(_of_column, newest_first=True)}


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
        return _filters(self.words, c)

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
        found = select(literal_column("1")).select_from(tickets).where(*self._counted(given, _of_seen_words))
        [row] = await self._ask(tx, "estimate", given, lambda: count_estimate.Explain(found))
        return max(count_estimate.planned_rows(row), count_estimate.EXACT)

    def _counted(self, given: Where, of_words: Source = _of_words) -> list[ColumnElement[bool]]:
        """The clauses for a look at everything: what lies in another table is looked up there once."""
        sources: Mapping[str, Source] = {"q": of_words, "follower_id": _of_followers}
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

    def _counted(self, given: Where, of_words: Source = _of_words) -> list[ColumnElement[bool]]:
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
    absence.part(prepared, (*_MAY_LACK, "tag"))
    states = _several(prepared.pop("sla", None))
    if states:
        prepared[_sla_filter([SlaState(state) for state in states])] = True
        if set(states) == {SlaState.at_risk}:
            prepared["has_deadline"] = True
    return prepared


def _several(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


TICKETS, OWN_TICKETS = Tickets("tickets", SOURCES), OwnTickets("own tickets", OWN_SOURCES)

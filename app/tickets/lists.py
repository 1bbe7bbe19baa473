"""The ticket list: its filters, its orders, and which index answers what (`web/walking.py`)."""

import operator
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY, array

from app.db import Row, Transaction
from app.errors import Invalid
from app.sla import clocks
from app.sla.core.clock import State
from app.sla.core.words import DONE, Status
from app.sla.tables import LATEST_SQL, sla_clocks
from app.tickets import search
from app.tickets.lifecycle import SlaState
from app.tickets.queries import TICKET_COLUMNS
from app.tickets.tables import ticket_followers, ticket_search, tickets
from app.web import counting
from app.web.paging import Clause, Key, Order, Where, compares, is_any, overlaps
from app.web.walking import STOCK, Reach, Source, Walk

NEWEST, RELEVANCE = "-created_at", "relevance"
# Of a search, so many of the newest matches are ranked; of a customer's tickets, so many are put in another order than
# that of their creation.
RANKED, OWN, COMMON = 1_000, 10_000, 100

_t, _k, _s, _f = tickets.c, sla_clocks.c, ticket_search.c, ticket_followers.c
_latest = literal_column(LATEST_SQL, _t.due_at.type)
_deadline = func.coalesce(_t.due_at, _latest).label("deadline")
_urgency = func.ticket_urgency(_t.status, _t.priority, type_=_t.version.type).label("urgency")
_ORDERS = {
    "created_at": Order((_t.created_at, _t.id)),
    NEWEST: Order((_t.created_at, _t.id), descending=True),
    "updated_at": Order((_t.updated_at, _t.id)),
    "-updated_at": Order((_t.updated_at, _t.id), descending=True),
    "due_at": Order((_deadline, _t.id)),
    "priority": Order((_urgency, _t.created_at, _t.id)),
}

_ANY_OF = (
    "external_id", "customer_id", "assignee_id", "organization_id", "team_id", "product", "segment", "status",
    "priority", "type", "channel",
)  # fmt: skip
SLA_STATES: dict[SlaState, ColumnElement[bool]] = {
    SlaState.breached: clocks.IS_STATE[State.breached],
    SlaState.at_risk: and_(clocks.IS_STATE[State.running], _k.warnings[1] <= func.clock_timestamp()),
}
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
        "tag": overlaps(c.tags),
        "created_after": compares(c.created_at, operator.gt),
        "created_before": compares(c.created_at, operator.lt),
        "updated_after": compares(c.updated_at, operator.gt),
        "follower_id": is_followed,
        "q": has_words,
        "q_excluding": has_words,
        "human_needed": lambda _name, _value: c.needs_human,
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
    one = cast(array([bindparam(name, type_=Text)]), _t.tags.type)
    tags = bindparam(name, type_=_t.tags.type) if isinstance(value, tuple) else one
    return select(_t.id).where(_t.tags.bool_op("&&")(select(tags).scalar_subquery()), _t.tags != literal_column("'{}'"))


def _of_words(name: str, _value: object) -> Select[Any]:
    return _having_words(select(cast(bindparam(name), TSQUERY)).scalar_subquery())


def _of_seen_words(name: str, _value: object) -> Select[Any]:
    """For an estimate, which is as good as what the planner sees."""
    return _having_words(cast(bindparam(name), TSQUERY))


def _having_words(query: ColumnElement[Any]) -> Select[Any]:
    return select(_s.ticket_id.label("id")).where(_s.all_words.bool_op("@@")(query))


def _of_followers(name: str, value: object) -> Select[Any]:
    return select(_f.ticket_id.label("id")).where(is_any(_f.agent_id)(name, value)).distinct()


SOURCES: dict[str, Source] = {
    "external_id": _in_order(_t.external_id),
    "q": _of_words,
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


class Tickets(Walk):
    """All tickets, for the staff."""

    words = "all_words"

    def __init__(self, name: str, sources: Mapping[str, Source], reach: Reach = STOCK) -> None:
        super().__init__(
            tickets,
            name,
            [*TICKET_COLUMNS, _deadline, _urgency],
            lambda c: _filters(self.words, c),
            _ORDERS,
            leading={"created_at": _BY_CREATION, NEWEST: _BY_CREATION, "due_at": [("assignee_id", "undone")]},
            bounds={
                **dict.fromkeys(("created_at", NEWEST), ("created_after", "created_before")),
                **dict.fromkeys(("updated_at", "-updated_at"), ("updated_after", "")),
            },
            sources=sources,
            reach=reach,
        )

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        prepared = await _prepared(tx, self._given(where))
        if prepared is None:
            return [], None
        if order == RELEVANCE:
            return await self._relevant(tx, prepared, limit, after)
        return await self._page(tx, prepared, order, limit, after)

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
        # What many of the newest say is not looked up everywhere.
        newest, _ = await self._walk(tx, given, NEWEST, COMMON, None, self._reach.stretch)
        source = None if len(newest) == COMMON else await self._few(tx, given)

        def make() -> Select[Any]:
            best = self._matches(given, source).limit(literal_column(str(RANKED))).subquery()
            words = select(_s[self.words]).where(_s.ticket_id == best.c.id).scalar_subquery()
            rank = func.ts_rank_cd(words, bindparam(name, type_=TSQUERY), type_=REAL).label("rank")
            ranked = select(best, rank).subquery()
            by = Order((ranked.c.rank, ranked.c.id), descending=True)
            return self._ordered(select(ranked), by, after).limit(bindparam("row_limit"))

        rows = await self._ask(tx, (RELEVANCE, source), given, make, after, row_limit=limit + 1)
        return (rows[:limit], [rows[limit - 1]["rank"], rows[limit - 1]["id"]]) if len(rows) > limit else (rows, None)

    async def estimated_count(self, tx: Transaction, where: Where) -> int:
        """Exact up to 10,000, beyond it the planner's estimate."""
        given = await _prepared(tx, self._given(where))
        if given is None:
            return 0
        found: Select[Any] = select(literal_column("1")).select_from(tickets).where(*self._counted(given))
        [row] = await self._ask(tx, "count", given, lambda: counting.counted(found))
        if row["found"] <= counting.EXACT:
            return int(row["found"])
        found = select(literal_column("1")).select_from(tickets).where(*self._counted(given, _of_seen_words))
        [row] = await self._ask(tx, "estimate", given, lambda: counting.Explain(found))
        return max(counting.planned_rows(row), counting.EXACT)

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
            return self._sorted(gathered, self._orders[order], after).limit(bindparam("row_limit"))

        return self._cut(await self._ask(tx, ("own", order), given, make, after, row_limit=limit + 1), order, limit)

    def _matches(self, given: Where, source: str | None) -> Select[Any]:
        return super()._matches(given, "customer_id")


async def _prepared(tx: Transaction, given: Where) -> dict[str, object] | None:
    """With what follows from the filters for the choice of an index. None where nothing can be found."""
    prepared = dict(given)
    if "q" in prepared:
        sought = await search.read(tx, str(prepared.pop("q")))
        if sought is None:
            return None
        prepared["q" if sought.indexed else "q_excluding"] = sought.query
    statuses = _several(prepared.get("status"))
    if "assignee_id" in prepared and statuses and not DONE & {Status(status) for status in statuses}:
        prepared["undone"] = True
    if prepared.get("needs_human") is True:
        prepared["human_needed"] = prepared.pop("needs_human")
    states = _several(prepared.pop("sla", None))
    if states:
        prepared[_sla_filter([SlaState(state) for state in states])] = True
        if set(states) == {SlaState.at_risk}:
            prepared["has_deadline"] = True
    return prepared


def _several(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


TICKETS, OWN_TICKETS = Tickets("tickets", SOURCES), OwnTickets("own tickets", OWN_SOURCES)

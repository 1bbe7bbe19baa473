"""The list of clocks: what is due first, who waits longest, what broke when; and which index answers what
(`web/bounded_listing.py`)."""

import operator
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import combinations
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, false, func, literal_column, or_, select

from app.db import Row, Transaction
from app.sla import clocks
from app.sla.core.clock import ClockState
from app.sla.tables import LATEST_SQL, sla_clocks
from app.tickets.tables import tickets
from app.web import absence, moving_orders
from app.web.bounded_listing import BoundedListing, ScanLimits, Source
from app.web.paging import Clause, Key, Order, Where, compares, is_any

_c, _t = sla_clocks.c, tickets.c
OF_TICKETS = ("customer_id", "assignee_id", "team_id", "segment")
_MAY_LACK = ("assignee_id", "team_id", "segment")
_latest = literal_column(LATEST_SQL, _c.due_at.type)
# What a pause holds up stands behind everything that has a deadline.
_deadline = func.coalesce(_c.due_at, _latest).label("deadline")
_ORDERS = {
    "due_at": Order((_deadline, _c.id)),
    "-due_at": Order((_deadline, _c.id), descending=True),
    "started_at": Order((_c.started_at, _c.id)),
}
_A_MOMENT: ColumnElement[Any] = literal_column("interval '1 minute'")
_xmin_age = moving_orders.xmin_age(sla_clocks)
_MAY_RUN = frozenset({ClockState.running, ClockState.paused, ClockState.breached})
_MAY_BE_OVER = frozenset({ClockState.met, ClockState.cancelled, ClockState.stopped, ClockState.breached})
# Where the deadlines of some states lie: a list that is asked for these alone begins and ends there.
_DEADLINES_OF = {
    "deadline_past": {ClockState.breached},
    "no_deadline": {ClockState.paused, ClockState.stopped},
    "deadline_ahead": {ClockState.running, ClockState.paused, ClockState.stopped},
}
_INDEXED = [("metric", "open"), ("open",), ("ended",), ()]
_BY_DEADLINE = [
    (*names, *where, "has_target", "not_spam")
    for names in _INDEXED
    for where in (*((each,) for each in _DEADLINES_OF), ())
]
_BY_START = [("metric", "open", "not_spam"), ("open", "not_spam"), ("ended", "not_spam")]


def _state_filter(states: Iterable[ClockState]) -> str:
    """The words are in the statement, where the planner sees which partial index fits."""
    return "state " + ",".join(sorted(set(states)))


def _filters(c: Any) -> Mapping[str, Clause]:
    deadline = func.coalesce(c.due_at, _latest)
    is_state = clocks.states(c.due_at, of=c)

    def its(name: str) -> ScalarSelect[Any]:
        return select(_t[name]).where(_t.id == c.ticket_id).scalar_subquery()

    def absences() -> dict[str, Clause]:
        found: dict[str, Clause] = {}
        for name in _MAY_LACK:
            found |= absence.filters(name, its(name).is_(None), is_any(its(name)))
        return found

    def in_states(states: Iterable[ClockState]) -> Clause:
        return lambda _name, _value: or_(*(is_state[state] for state in states))

    return {
        **{name: is_any(its(name)) for name in OF_TICKETS},
        **absences(),
        **{
            _state_filter(some): in_states(some)
            for size in range(1, len(ClockState) + 1)
            for some in combinations(sorted(ClockState), size)
        },
        _state_filter(()): lambda _name, _value: false(),
        "metric": is_any(c.metric),
        "open": lambda _name, _value: c.ended_at.is_(None),
        "ended": lambda _name, _value: c.ended_at.is_not(None),
        "has_target": lambda _name, _value: c.target_seconds.is_not(None),
        "not_spam": lambda _name, _value: ~c.spam,
        # The state itself is judged a moment later than the statement begins.
        "deadline_past": lambda _name, _value: deadline <= func.statement_timestamp() + _A_MOMENT,
        "deadline_ahead": lambda _name, _value: deadline >= func.statement_timestamp(),
        "no_deadline": lambda _name, _value: deadline == _latest,
        # Whatever changes a clock changes its ticket.
        "changed_after": lambda name, _value: (
            select(_t.updated_at).where(_t.id == c.ticket_id).scalar_subquery()
            > bindparam(name, type_=_t.updated_at.type)
        ),
        "changed_since": moving_orders.changed_since(_xmin_age if c is _c else c.xmin_age),
        "due_before": compares(deadline, operator.lt),
        "due_after": compares(deadline, operator.ge),
    }


def _of_tickets(name: str, value: object) -> Select[Any]:
    """The clocks of a customer's, an agent's, a team's or a segment's tickets."""
    column = _t[name]
    return select(_c.id).join(tickets, _t.id == _c.ticket_id).where(is_any(column)(name, value), column.is_not(None))


def _changed_after(name: str, _value: object) -> Select[Any]:
    changed = select(_c.id).join(tickets, _t.id == _c.ticket_id)
    return changed.where(_t.updated_at > bindparam(name, type_=_t.updated_at.type))


def _changed_since(given: Where, began: datetime, xid: str) -> tuple[Where, str]:
    """No clock ever starts at another instant."""
    return {**given, "changed_after": began - moving_orders.LONGEST, "changed_since": xid}, "started_at"


class Clocks(BoundedListing):
    """By deadline clocks move while the list is read: see `web/moving_orders.py`."""

    async def fetch(
        self, tx: Transaction, where: Where, order: str, limit: int, after: Key | None
    ) -> tuple[list[Row], Key | None]:
        walk = partial(super().fetch, tx)
        if order == "started_at":
            return await walk(where, order, limit, after)
        return await moving_orders.fetch(tx, walk, where, order, limit, after, partial(_changed_since, where))


SOURCES: dict[str, Source] = {"changed_after": _changed_after, **dict.fromkeys(OF_TICKETS, _of_tickets)}
CLOCKS = Clocks(
    sla_clocks,
    "sla_clocks",
    [
        *_c,
        _deadline,
        func.clock_timestamp().label("now"),
        _xmin_age.label("xmin_age"),
        *moving_orders.BEGAN,
    ],
    _filters,
    _ORDERS,
    leading={"due_at": _BY_DEADLINE, "-due_at": _BY_DEADLINE, "started_at": _BY_START},
    bounds={"due_at": ("due_after", "due_before"), "-due_at": ("due_after", "due_before")},
    sources=SOURCES,
    reach=ScanLimits(scan=250, long_stretch=1_000, selective_enough=500),
)


def prepared(
    where: Mapping[str, object], sort: str, states: Iterable[ClockState] | None, open_: bool | None
) -> dict[str, object]:
    """With what follows from the filters for the choice of an index. By deadline are listed clocks that have a target;
    who waits longest is asked of clocks that run."""
    given = {name: value for name, value in where.items() if value is not None} | {"not_spam": True}
    absence.part(given, _MAY_LACK)
    broke = [given.pop(name, None) for name in ("breached_after", "breached_before")]
    wanted = set(states or ())
    if any(broke):
        wanted = wanted & {ClockState.breached} if wanted else {ClockState.breached}
        given["due_after"] = _last(given.get("due_after"), broke[0])
        given["due_before"] = _first(given.get("due_before"), broke[1])
    runs, over = (not wanted or bool(wanted & some) for some in (_MAY_RUN, _MAY_BE_OVER))
    if (open_ and not runs) or (open_ is False and not over):
        # No clock is both: nothing is looked for.
        wanted = set()
    if states or any(broke):
        given[_state_filter(wanted)] = True
    if open_ or (open_ is None and runs and (sort == "started_at" or not over)):
        given["open"] = True
    elif open_ is False or not runs:
        given["ended"] = True
    if sort != "started_at":
        given["has_target"] = True
        where_due = next((name for name, states in _DEADLINES_OF.items() if wanted and wanted <= states), None)
        if where_due:
            given[where_due] = True
    return given


def _last(*instants: Any) -> datetime | None:
    return max((each for each in instants if each), default=None)


def _first(*instants: Any) -> datetime | None:
    return min((each for each in instants if each), default=None)

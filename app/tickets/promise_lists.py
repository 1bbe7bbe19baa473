"""The promises of all tickets, by when they are due (`web/bounded_listing.py`)."""

import operator
from collections.abc import Mapping, Sequence
from itertools import combinations
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, func, literal_column, or_, select

from app.db import Values
from app.events import log
from app.sla import clocks
from app.sla.core.enums import Metric
from app.sla.tables import sla_clocks
from app.tickets.promise_schemas import PromiseState
from app.tickets.promises import STATES
from app.tickets.tables import promises
from app.web.bounded_listing import BoundedListing
from app.web.paging import Clause, Order, compares, is_any

_p, _k = promises.c, sla_clocks.c
_TOLD_BY = ("ended_at", "stopped_at", "ended_reason", "pauses")


def _of_clock(name: str, c: Any) -> ScalarSelect[Any]:
    its = and_(_k.ticket_id == c.ticket_id, _k.metric == literal_column(f"'{Metric.promise}'"), _k.cycle == c.cycle)
    return select(_k[name]).where(its).scalar_subquery()


def _states(c: Any) -> dict[PromiseState, ColumnElement[bool]]:
    """As `promises.STATES` has it for the clock of each, held against the instant that was promised."""
    clock = SimpleNamespace(**{name: _of_clock(name, c) for name in _TOLD_BY})
    of_clock = clocks.states(c.due_at, func.statement_timestamp(), of=clock)
    return {state: or_(*(of_clock[each] for each, told in STATES.items() if told is state)) for state in PromiseState}


def state_filter(states: Sequence[PromiseState]) -> str:
    return "state " + ",".join(sorted(set(states)))


def _filters(c: Any) -> Mapping[str, Clause]:
    is_state = _states(c)

    def in_states(states: Sequence[PromiseState]) -> Clause:
        return lambda _name, _value: or_(*(is_state[state] for state in states))

    of_agent = is_any(c.made_by_id)
    return {
        **{
            state_filter(some): in_states(some)
            for size in range(1, len(PromiseState) + 1)
            for some in combinations(PromiseState, size)
        },
        "agent_id": lambda name, value: and_(c.made_by_kind == literal_column("'agent'"), of_agent(name, value)),
        "due_after": compares(c.due_at, operator.ge),
        "due_before": compares(c.due_at, operator.lt),
    }


PROMISES = BoundedListing(
    promises,
    "all_promises",
    [
        *_p,
        case(*((is_it, literal_column(f"'{state}'")) for state, is_it in _states(_p).items())).label("state"),
    ],
    _filters,
    {"due_at": Order((_p.due_at, _p.id)), "-due_at": Order((_p.due_at, _p.id), descending=True)},
    leading={},
    bounds=dict.fromkeys(("due_at", "-due_at"), ("due_after", "due_before")),
    sources={},
)


def to_response(row: Values) -> dict[str, Any]:
    return {**row, "made_by": log.actor_of(row, "made_by")}

"""Reading tickets and what belongs to them. A customer's reads carry their id, and find nothing of others."""

import operator
from collections.abc import Iterable
from itertools import combinations
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, literal_column, or_, select
from sqlalchemy.sql import ColumnElement

from app.auth.guard import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction, Values
from app.events.tables import events
from app.sla import clocks
from app.sla.core.clock import State
from app.sla.tables import LATEST_SQL, sla_clocks
from app.tickets.lifecycle import no_such_ticket
from app.tickets.tables import messages, tickets
from app.web.paging import Clause, Listing, Order, compares, is_any

_t, _m, _e, _c = tickets.c, messages.c, events.c, sla_clocks.c

_UNSHOWN = {"imported", "policy_id", "policy_version", "calendar_version", "exceptions"}
TICKET_COLUMNS = [column for column in _t if column.name not in _UNSHOWN]
_FOR_CUSTOMER: ColumnElement[bool] = or_(
    bindparam("for_customer", type_=Uuid).is_(None), _t.customer_id == bindparam("for_customer", type_=Uuid)
)

_GET = Query(select(*TICKET_COLUMNS).where(_t.id == bindparam("ticket_id"), _FOR_CUSTOMER))
_WHOLE = Query(
    select(tickets, func.clock_timestamp().label("now")).where(_t.id == bindparam("ticket_id"), _FOR_CUSTOMER)
)
_GET_BY_NUMBER = Query(select(*TICKET_COLUMNS).where(_t.number == bindparam("number"), _FOR_CUSTOMER))
_CUSTOMER = Query(select(customers).where(customers.c.id == bindparam("customer_id")))


MESSAGES = Listing(
    "messages",
    select(messages),
    {"ticket_id": is_any(_m.ticket_id), "visibility": is_any(_m.visibility)},
    {"created_at": Order((_m.created_at, _m.id))},
)

EVENTS = Listing(
    "events",
    select(events),
    {"ticket_id": is_any(_e.ticket_id), "internal": is_any(_e.internal)},
    {"id": Order((_e.id,))},
)


_POLICY = {"policy_id", "policy_version", "calendar_version"}


# What a pause holds up stands behind everything that has a deadline.
_deadline = func.coalesce(_c.due_at, literal_column(LATEST_SQL, _c.due_at.type)).label("deadline")


def _is_state(states: tuple[State, ...]) -> Clause:
    return lambda _name, _value: or_(*(clocks.IS_STATE[state] for state in states))


def state_filter(states: Iterable[State]) -> str:
    """The name of the filter for any of these states: the words are in the statement, where the planner sees which
    partial index fits."""
    return "state " + ",".join(sorted(set(states)))


_STATE_FILTERS = {
    state_filter(some): _is_state(some)
    for size in range(1, len(State) + 1)
    for some in combinations(sorted(State), size)
}
CLOCKS = Listing(
    "sla_clocks",
    select(sla_clocks, _deadline, func.clock_timestamp().label("now")).join(tickets, _t.id == _c.ticket_id),
    {
        **_STATE_FILTERS,
        "metric": is_any(_c.metric),
        "team_id": is_any(_t.team_id),
        "assignee_id": is_any(_t.assignee_id),
        "segment": is_any(_t.segment),
        "due_before": compares(_c.due_at, operator.lt),
        "has_target": lambda _name, _value: _c.target_seconds.is_not(None),
    },
    {"due_at": Order((_deadline, _c.id))},
)


async def get_ticket(tx: Transaction, actor: Actor, id: UUID) -> Row:
    """Raises NotFound, also where it is another customer's."""
    return _found(await tx.row(_GET, ticket_id=id, for_customer=actor.customer_id))


async def get_whole_ticket(tx: Transaction, actor: Actor, id: UUID) -> dict[str, Any]:
    """With what is not shown, and `now`."""
    return dict(_found(await tx.row(_WHOLE, ticket_id=id, for_customer=actor.customer_id)))


async def get_ticket_by_number(tx: Transaction, actor: Actor, number: int) -> Row:
    return _found(await tx.row(_GET_BY_NUMBER, number=number, for_customer=actor.customer_id))


async def get_customer(tx: Transaction, id: UUID) -> dict[str, Any]:
    row = await tx.row(_CUSTOMER, customer_id=id)
    assert row is not None  # a customer with a ticket is never deleted
    return dict(row)


def _found(row: Row | None) -> Row:
    if row is None:
        raise no_such_ticket()
    return row


def ticket_shown(actor: Actor, row: Values) -> Values:
    """What it was merged into may be another customer's, and deadlines are policy: that is the staff's to know.
    So is how customers are grouped."""
    return {**row, "merged_into": None, "due_at": None, "segment": None} if actor.is_customer else row


def message_shown(row: Values) -> dict[str, Any]:
    return {**row, "author": {"kind": row["author_kind"], "id": row["author_id"]}}


def event_shown(row: Values) -> dict[str, Any]:
    return {**row, "actor": {"kind": row["actor_kind"], "id": row["actor_id"]}}


def event_told(row: Values) -> dict[str, Any]:
    """An event as customers see it: which policy covers them is the staff's to know."""
    return {**event_shown(row), "data": {name: value for name, value in row["data"].items() if name not in _POLICY}}

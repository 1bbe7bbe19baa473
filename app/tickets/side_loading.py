"""What comes along with tickets, so that a screen is one request: one statement for each kind of thing, whatever the
number of tickets."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from enum import StrEnum
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, func, literal_column, or_, select, true

from app.agents.tables import agents, teams
from app.auth.dependencies import Actor, check_scope
from app.customers.tables import customers
from app.db import Query, Transaction, Values
from app.errors import Forbidden
from app.sla import calendars, clocks
from app.sla.tables import sla_clocks
from app.statements import rows_of
from app.tickets.lifecycle import Visibility
from app.tickets.queries import customer_shown, message_shown
from app.tickets.tables import messages
from app.web.paging import Room

# So much of a last message is sent along: a list is no place for long texts.
_LONGEST = 1_000
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
_CUSTOMERS = Query(select(customers).where(customers.c.id == _ids))
_AGENTS = Query(select(agents.c.id, agents.c.name).where(agents.c.id == _ids))
_TEAMS = Query(select(teams.c.id, teams.c.key, teams.c.name).where(teams.c.id == _ids))
_CLOCKS = Query(
    select(sla_clocks, func.clock_timestamp().label("now"))
    .where(sla_clocks.c.ticket_id == _ids, sla_clocks.c.ended_at.is_(None))
    .order_by(sla_clocks.c.started_at, sla_clocks.c.id)
)

_m = messages.c
_given = rows_of({"id": Uuid}, "given")
_visibility = bindparam("visibility", type_=Text)
_newest = (
    select(*(c for c in _m if c is not _m.body), func.left(_m.body, literal_column(str(_LONGEST))).label("body"))
    .where(_m.ticket_id == _given.c.id, _m.deleted_at.is_(None))
    .where(or_(_visibility.is_(None), _m.visibility == _visibility))
    .order_by(_m.created_at.desc(), _m.id.desc())
    .limit(literal_column("1"))
    .lateral("newest")
)
_LAST_MESSAGES = Query(select(_newest).select_from(_given.join(_newest, true())))


class Beside(StrEnum):
    """What is sent along with a ticket."""

    customer = "customer"
    assignee = "assignee"
    team = "team"
    last_message = "last_message"
    clocks = "clocks"


def check(actor: Actor, asked: Collection[str]) -> None:
    """Raises Forbidden for what is not the caller's to see beside a ticket."""
    for name, scope in (("customer", "customers:read"), ("assignee", "agents:read"), ("team", "agents:read")):
        if name not in asked:
            continue
        if not actor.is_customer:
            check_scope(actor, scope, f"include={name}")
        elif name != "customer":
            raise Forbidden(f"who works on a ticket is the staff's to know: leave include={name} out")


async def load(
    tx: Transaction, actor: Actor, tickets: Sequence[Values], asked: Collection[str]
) -> list[dict[str, Any]]:
    """The tickets with what was asked for; the rest is None. At most one statement for each word of `Beside`, and one
    for the calendars of clocks."""
    found = {name: await _FINDERS[name](tx, actor, tickets) for name in Beside if name in asked}
    return [{**ticket, **{name: _of(name, ticket, found.get(name)) for name in Beside}} for ticket in tickets]


def number_that_fits(tickets: Sequence[Mapping[str, Any]]) -> int:
    """How many of these, with what comes along, an answer has room for: whom they share is in it as often."""
    room = Room()
    return sum(1 for _ in takewhile(room.holds, tickets))


def _of(name: Beside, ticket: Values, found: Mapping[UUID, Any] | None) -> Any:
    if found is None:
        return None
    return found.get(ticket[_KEYS[name]], [] if name is Beside.clocks else None)


def _by_id(query: Query, key: str) -> "_Finder":
    async def find(tx: Transaction, _actor: Actor, tickets: Sequence[Values]) -> Mapping[UUID, Any]:
        ids = list({ticket[key] for ticket in tickets if ticket[key]})
        return {row["id"]: dict(row) for row in await tx.rows(query, ids=ids)} if ids else {}

    return find


async def _customers(tx: Transaction, actor: Actor, tickets: Sequence[Values]) -> Mapping[UUID, Any]:
    rows = await tx.rows(_CUSTOMERS, ids=list({ticket["customer_id"] for ticket in tickets}))
    shown = [await customer_shown(tx, actor, row) for row in rows]
    return {row["id"]: dict(row) for row in shown if row is not None}


async def _last_messages(tx: Transaction, actor: Actor, tickets: Sequence[Values]) -> Mapping[UUID, Any]:
    visibility = Visibility.public.value if actor.is_customer else None
    rows = await tx.rows(_LAST_MESSAGES, id=[ticket["id"] for ticket in tickets], visibility=visibility)
    return {row["ticket_id"]: message_shown(actor, row) for row in rows}


async def _clocks(tx: Transaction, actor: Actor, tickets: Sequence[Values]) -> Mapping[UUID, Any]:
    rows = await tx.rows(_CLOCKS, ids=[ticket["id"] for ticket in tickets])
    known = await calendars.versions_of(tx, rows)
    show = clocks.customer_view if actor.is_customer else clocks.to_response
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row["ticket_id"], []).append(show(row, known, row["now"]))
    return found


_Finder = Callable[[Transaction, Actor, Sequence[Values]], Awaitable[Mapping[UUID, Any]]]
_KEYS = {
    Beside.customer: "customer_id",
    Beside.assignee: "assignee_id",
    Beside.team: "team_id",
    Beside.last_message: "id",
    Beside.clocks: "id",
}
_FINDERS: Mapping[Beside, _Finder] = {
    Beside.customer: _customers,
    Beside.assignee: _by_id(_AGENTS, "assignee_id"),
    Beside.team: _by_id(_TEAMS, "team_id"),
    Beside.last_message: _last_messages,
    Beside.clocks: _clocks,
}

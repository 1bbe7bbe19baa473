"""How verbs read what they decide on: a ticket's row and its clocks, under their locks. `changes.py` writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)

from app.auth.dependencies import Actor
from app.auth.roles import SCOPES, Role
from app.db import Query, Row, Transaction
from app.release import NewerRelease, word
from app.sla import calendars, clocks, coverage, policies
from app.sla.core.engine import TicketClocks
from app.sla.core.enums import METRICS, Priority, Status
from app.sla.core.policy import Policy, SlaException
from app.sla.tables import sla_clocks
from app.tickets.attribution import region_of
from app.tickets.lifecycle import no_such_ticket
from app.tickets.queries import FOR_CUSTOMER
from app.tickets.rows import TicketRow
from app.tickets.tables import tickets

# Stands for nobody: it may touch every ticket, and the log names the system.
SYSTEM = Actor(UUID(int=0), Role.service, SCOPES)

MUTABLE = [
    "subject", "status", "priority", "type", "channel", "organization_id", "assignee_id", "team_id", "product", "tags",
    "custom_fields", "external_id", "resolved_at", "closed_at", *clocks.STANDING, "policy_id", "policy_version",
    "calendar_version",
]  # fmt: skip
FIXED = ["id", "number", "customer_id", "opened_by", "created_at"]
ONCE = ["greeted_at", "asks_confirmation", "segment", "exceptions", "self_service", "assigned_at"]

INSERT = Query(insert(tickets), [*FIXED, *MUTABLE, *ONCE, "updated_at"])
_later, _seen = sla_clocks.alias("later"), tickets.alias("seen")


def _whole(which: ColumnElement[bool], *, lock: bool, every_clock: bool = False) -> Query:
    """Tickets with their clocks: what runs, and the last one of each metric. The engine seldom asks for others, and a
    long talk leaves many."""
    found = select(tickets).where(which)
    its_clocks = select(sla_clocks).order_by(sla_clocks.c.ticket_id, sla_clocks.c.metric, sla_clocks.c.cycle)
    if not every_clock:
        its_clocks = its_clocks.where(
            or_(
                sla_clocks.c.ended_at.is_(None),
                ~exists().where(
                    _later.c.ticket_id == sla_clocks.c.ticket_id,
                    _later.c.metric == sla_clocks.c.metric,
                    _later.c.cycle == sla_clocks.c.cycle + literal_column("1"),
                ),
            ),
        )
    if lock:
        # Whoever refers to a ticket (a message, a search document) does not wait for who changes it.
        found, its_clocks = found.with_for_update(key_share=True), its_clocks.with_for_update(key_share=True)
    ticket = found.cte("locked")
    clock = its_clocks.where(sla_clocks.c.ticket_id.in_(select(ticket.c.id))).cte("locked_clocks")
    return Query(
        select(
            ticket,
            *(clock.c[name].label(f"clock_{name}") for name in ("id", "next_at", *clocks.LOADED)),
            func.greatest(func.clock_timestamp(), ticket.c.updated_at).label("now"),
            policies.REVISION.label("revision"),
            region_of(ticket.c.customer_id).label("region"),
            select(_seen.c.version).where(_seen.c.id == ticket.c.id).scalar_subquery().label("seen_version"),
        )
        .select_from(ticket.outerjoin(clock, clock.c.ticket_id == ticket.c.id))
        .order_by(*(() if lock else (ticket.c.id, clock.c.metric, clock.c.cycle)))
    )


# After a wait for the lock, `locked` is the newest version of the row, while everything else still shows the state from
# before the wait: `seen_version` tells the two apart.
_one = and_(tickets.c.id == bindparam("ticket_id"), FOR_CUSTOMER)
_LOCK, _LOOK = _whole(_one, lock=True), _whole(_one, lock=False)
_LOCK_ALL = _whole(_one, lock=True, every_clock=True)
_some = tickets.c.id == any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_LOOK_MANY, _LOCK_MANY = _whole(_some, lock=False), _whole(_some, lock=True)


_READ = tuple(tickets.c.keys())


@dataclass(frozen=True, slots=True)
class LoadedTicket:
    """A ticket under its lock, its clocks, and the instant at which all of that was so."""

    ticket: TicketRow
    clock_ids: Mapping[clocks.Key, UUID]
    state: TicketClocks
    now: datetime
    revision: int
    region: str | None
    unswept: bool
    """Something that its clocks were to do by now has not been recorded yet."""
    optimistic: bool = False

    @property
    def id(self) -> UUID:
        return self.ticket["id"]


async def load_ticket(tx: Transaction, actor: Actor, id: UUID) -> LoadedTicket:
    """`lock_ticket` for who will write the ticket's row, whatever they do: without the lock, where the transaction
    allows it. Saves two round trips."""
    return await (read_ticket if tx.optimistic else lock_ticket)(tx, actor, id)


async def read_ticket(tx: Transaction, actor: Actor, id: UUID) -> LoadedTicket:
    """`lock_ticket` without the lock, for who decides by it what to lock."""
    rows = await tx.shared_rows(_LOOK, ticket_id=id, for_customer=actor.customer_id)
    if not rows:
        raise no_such_ticket()
    return replace(await _loaded(tx, rows), optimistic=True)


async def lock_ticket(tx: Transaction, actor: Actor, id: UUID, *, every_clock: bool = False) -> LoadedTicket:
    """Raises NotFound. Locks the ticket, then its clocks, so that `now` comes after every change made so far."""
    query = _LOCK_ALL if every_clock else _LOCK
    rows = await tx.locked_rows(query, ticket_id=id, for_customer=actor.customer_id)
    if rows and rows[0]["version"] != rows[0]["seen_version"]:
        # Somebody changed it while we waited. The lock is ours now, so that this read is the last one.
        rows = await tx.locked_rows(query, ticket_id=id, for_customer=actor.customer_id)
    if not rows:
        raise no_such_ticket()
    return await _loaded(tx, rows)


async def read_tickets(tx: Transaction, ids: list[UUID]) -> list[LoadedTicket]:
    """Tickets without a lock, for who only looks. In the order of their ids."""
    rows = await tx.rows(_LOOK_MANY, ticket_ids=ids)
    return [await _loaded(tx, list(some)) for _, some in groupby(rows, key=lambda row: row["id"])]


async def lock_clocks(tx: Transaction, ids: list[UUID]) -> list[LoadedTicket]:
    """Tickets whose rows the transaction has locked by an earlier statement, with locks of their clocks: one statement
    for all of them. In the order of their ids."""
    found: dict[UUID, list[Row]] = {}
    for row in await tx.locked_rows(_LOCK_MANY, ticket_ids=ids):
        found.setdefault(row["id"], []).append(row)
    return [await _loaded(tx, found[id_]) for id_ in sorted(found)]


async def _loaded(tx: Transaction, rows: list[Row]) -> LoadedTicket:
    first = rows[0]
    policy = await policies.version(tx, first["policy_id"], first["policy_version"], first["calendar_version"])
    return _as_locked(rows, policy, await calendars.versions_of(tx, rows, "clock_"))


def _as_locked(rows: list[Row], policy: Policy | None, known: clocks.Calendars) -> LoadedTicket:
    ticket = cast(TicketRow, {name: rows[0][name] for name in _READ})
    # A clock that only a newer release measures is left to that.
    found = [(row["clock_id"], clocks.as_clock(row, known, "clock_")) for row in rows if row["clock_metric"] in METRICS]
    state = TicketClocks(
        word(Status, ticket["status"]),
        word(Priority, ticket["priority"]),
        policy,
        _exceptions_of(ticket),
        tuple(clock for _, clock in found),
    )
    ids = {clocks.key(clock): id_ for id_, clock in found}
    # The last row was made when every lock was held.
    now = rows[-1]["now"]
    unswept = any(row["clock_next_at"] is not None and row["clock_next_at"] < now for row in rows)
    return LoadedTicket(ticket, ids, state, now, rows[0]["revision"], rows[0]["region"], unswept)


def _exceptions_of(ticket: Mapping[str, Any]) -> tuple[SlaException, ...]:
    """Raises NewerRelease."""
    try:
        return coverage.exceptions_from(ticket["exceptions"])
    except ValueError:
        raise NewerRelease("an exception of this ticket") from None

"""How verbs read what they decide on and queue what they decided: a ticket's row and its clocks, under their locks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, insert, literal_column, or_, select, update

from app.auth.guard import Actor
from app.db import Query, Row, Transaction
from app.errors import NotFound
from app.events import log
from app.sla import clocks, policies
from app.sla.core.engine import TicketClocks, advance
from app.sla.core.policy import Priority
from app.sla.core.timeline import Covered, Entry, Status
from app.sla.sweep import sweep_ticket
from app.sla.tables import sla_clocks
from app.tickets.facts import cover_data, covering
from app.tickets.tables import messages, tickets

MUTABLE = [
    "subject", "status", "priority", "type", "channel", "assignee_id", "team_id", "product", "tags", "custom_fields",
    "external_id", "resolved_at", "closed_at",
]  # fmt: skip
FIXED = ["id", "number", "customer_id", "created_at"]

INSERT = Query(insert(tickets), [*FIXED, *MUTABLE, "updated_at"])
INSERT_MESSAGE = Query(
    insert(messages), ["id", "ticket_id", "author_kind", "author_id", "visibility", "body", "created_at"]
)
_by_id = tickets.c.id == bindparam("key_id")
_next_version = update(tickets).where(_by_id).values(version=literal_column("tickets.version + 1"))
_UPDATE = Query(_next_version, [*MUTABLE, "updated_at"])
# What a message brings about, which is most of what happens to tickets.
_MOVED = ["status", "assignee_id", "resolved_at", "closed_at"]
_MOVE = Query(_next_version, [*_MOVED, "updated_at"])

_locked = (
    select(tickets)
    .where(
        tickets.c.id == bindparam("ticket_id"),
        or_(
            bindparam("for_customer", type_=Uuid).is_(None),
            tickets.c.customer_id == bindparam("for_customer", type_=Uuid),
        ),
    )
    .with_for_update()
    .cte("locked")
)
_locked_clocks = (
    select(sla_clocks)
    .where(sla_clocks.c.ticket_id == select(_locked.c.id).scalar_subquery())
    .order_by(sla_clocks.c.id)
    .with_for_update()
    .cte("locked_clocks")
)
_seen = tickets.alias("seen")
# After a wait for the lock, `locked` is the newest version of the row, while everything else still shows the state from
# before the wait: `seen_version` tells the two apart.
_LOCK = Query(
    select(
        _locked,
        *(column.label(f"clock_{column.name}") for column in _locked_clocks.c if column.name != "ticket_id"),
        func.greatest(func.clock_timestamp(), _locked.c.updated_at).label("now"),
        policies.REVISION.label("revision"),
        select(_seen.c.version).where(_seen.c.id == _locked.c.id).scalar_subquery().label("seen_version"),
    ).select_from(_locked.outerjoin(_locked_clocks, literal_column("true")))
)


_READ = (*tickets.c.keys(), "revision")


@dataclass(frozen=True, slots=True)
class Locked:
    """A ticket under its lock, its clocks, and the instant at which all of that was so."""

    ticket: dict[str, Any]
    clock_ids: Mapping[clocks.Key, UUID]
    state: TicketClocks
    now: datetime
    revision: int

    @property
    def id(self) -> UUID:
        id_: UUID = self.ticket["id"]
        return id_


async def lock_ticket(tx: Transaction, actor: Actor, id: UUID) -> Locked:
    """Raises NotFound. Locks the ticket, then its clocks, so that `now` comes after every change made so far."""
    rows = await tx.locked_rows(_LOCK, ticket_id=id, for_customer=actor.customer_id)
    if rows and rows[0]["version"] != rows[0]["seen_version"]:
        # Somebody changed it while we waited. The lock is ours now, so that this read is the last one.
        rows = await tx.locked_rows(_LOCK, ticket_id=id, for_customer=actor.customer_id)
    if not rows:
        raise NotFound("there is no ticket with this id, or it is not yours")
    return _as_locked(rows)


def _as_locked(rows: list[Row]) -> Locked:
    ticket = {name: rows[0][name] for name in _READ}
    found = [(row["clock_id"], clocks.as_clock(row, "clock_")) for row in rows if row["clock_id"]]
    state = TicketClocks(
        Status(ticket["status"]), Priority(ticket["priority"]), clocks=tuple(clock for _, clock in found)
    )
    ids = {clocks.key(clock): id_ for id_, clock in found}
    # The last row was made when every lock was held.
    return Locked(ticket, ids, state, rows[-1]["now"], ticket["revision"])


async def covered(tx: Transaction, revision: int, ticket: Mapping[str, Any], at: datetime) -> Covered:
    """The entry that puts a ticket of these attributes under the policy that is in force for it."""
    policy = covering(await policies.in_force(tx, revision), ticket)
    return Covered(at, policy, Priority(ticket["priority"]))


async def recover(tx: Transaction, locked: Locked, ticket: Mapping[str, Any]) -> Covered:
    """`covered`, told in the log. Call it before queueing what happens under the new cover: the log is replayed in
    its order. A deadline that passed unnoticed under the old cover is recorded first."""
    if any(clock.ended_at is None and clock.breached(locked.now) for clock in locked.state.clocks):
        await sweep_ticket(tx, locked.id)
    entry = await covered(tx, locked.revision, ticket, locked.now)
    data = cover_data(entry)
    log.record(tx, log.SYSTEM, "sla.policy_applied", locked.id, locked.now, data, ticket_id=locked.id, internal=True)
    return entry


def apply(tx: Transaction, who: log.By, locked: Locked, entries: Iterable[Entry]) -> None:
    """Advance the ticket's clocks by what happened and queue what that changed."""
    after = reduce(advance, entries, locked.state)
    clocks.write(tx, who, locked.id, locked.clock_ids, locked.state.clocks, after.clocks)


def update_ticket(tx: Transaction, locked: Locked, values: Mapping[str, Any]) -> dict[str, Any]:
    """Queue the row's change; the row as it will be."""
    after = {**locked.ticket, **values, "updated_at": locked.now, "version": locked.ticket["version"] + 1}
    query, names = (_MOVE, _MOVED) if values.keys() <= set(_MOVED) else (_UPDATE, MUTABLE)
    tx.write(query, key_id=locked.id, updated_at=locked.now, **{name: after[name] for name in names})
    return after

"""How verbs read what they decide on and queue what they decided: a ticket's row and its clocks, under their locks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from itertools import groupby
from typing import Any
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
    update,
)

from app.auth.guard import Actor
from app.auth.roles import SCOPES, Role
from app.db import Query, Row, TakeLocks, Transaction
from app.events import log
from app.sla import calendars, clocks, exceptions, policies
from app.sla.core.engine import TicketClocks, advance
from app.sla.core.policy import Policy, Scope, SlaException
from app.sla.core.timeline import Covered, Entry, Excepted
from app.sla.core.words import Priority, Status
from app.sla.sweep import sweep_ticket
from app.sla.tables import sla_clocks
from app.tickets import facts
from app.tickets.facts import cover_columns, cover_data, covering, exceptions_data
from app.tickets.lifecycle import no_such_ticket
from app.tickets.tables import tickets
from app.tickets.whose import Whose, read_whose

# Stands for nobody: it may touch every ticket, and the log names the system.
SYSTEM = Actor(UUID(int=0), Role.service, SCOPES)

MUTABLE = [
    "subject", "status", "priority", "type", "channel", "organization_id", "assignee_id", "team_id", "product", "tags",
    "custom_fields", "external_id", "resolved_at", "closed_at", "due_at", "policy_id", "policy_version",
    "calendar_version",
]  # fmt: skip
FIXED = ["id", "number", "customer_id", "opened_by", "created_at"]
ONCE = ["greeted_at", "asks_confirmation", "segment", "exceptions", "self_service"]

INSERT = Query(insert(tickets), [*FIXED, *MUTABLE, *ONCE, "updated_at"])
_by_id = tickets.c.id == bindparam("key_id")
_next_version = update(tickets).where(_by_id).values(version=literal_column("tickets.version + 1"))
_CHANGED = [*MUTABLE, "exceptions", "merged_into", "needs_human", "confirmed_at", "self_service"]
_UPDATE = Query(_next_version, [*_CHANGED, "updated_at"])
# What a message brings about, which is most of what happens to tickets.
_MOVED = ["status", "assignee_id", "resolved_at", "closed_at", "due_at", "needs_human"]
_MOVE = Query(_next_version, [*_MOVED, "updated_at"])
# What was read without a lock is written only where nobody came between.
_MOVE_AS_READ = Query(
    _next_version.where(tickets.c.version == bindparam("read_version")), [*_MOVED, "updated_at"], must_hit=True
)

_for_customer = or_(
    bindparam("for_customer", type_=Uuid).is_(None),
    tickets.c.customer_id == bindparam("for_customer", type_=Uuid),
)
_later, _seen = sla_clocks.alias("later"), tickets.alias("seen")


def _whole(which: ColumnElement[bool], *, lock: bool) -> Query:
    """Tickets with their clocks: what runs, and the last one of each metric. The engine asks for no others, and a long
    talk leaves many."""
    found = select(tickets).where(which)
    its_clocks = (
        select(sla_clocks)
        .where(
            or_(
                sla_clocks.c.ended_at.is_(None),
                ~exists().where(
                    _later.c.ticket_id == sla_clocks.c.ticket_id,
                    _later.c.metric == sla_clocks.c.metric,
                    _later.c.cycle == sla_clocks.c.cycle + literal_column("1"),
                ),
            ),
        )
        .order_by(sla_clocks.c.metric, sla_clocks.c.cycle)
    )
    if lock:
        found, its_clocks = found.with_for_update(), its_clocks.with_for_update()
    ticket = found.cte("locked")
    clock = its_clocks.where(sla_clocks.c.ticket_id.in_(select(ticket.c.id))).cte("locked_clocks")
    return Query(
        select(
            ticket,
            *(clock.c[name].label(f"clock_{name}") for name in ("id", *clocks.LOADED)),
            func.greatest(func.clock_timestamp(), ticket.c.updated_at).label("now"),
            policies.REVISION.label("revision"),
            select(_seen.c.version).where(_seen.c.id == ticket.c.id).scalar_subquery().label("seen_version"),
        )
        .select_from(ticket.outerjoin(clock, clock.c.ticket_id == ticket.c.id))
        .order_by(*(() if lock else (ticket.c.id, clock.c.metric, clock.c.cycle)))
    )


# After a wait for the lock, `locked` is the newest version of the row, while everything else still shows the state from
# before the wait: `seen_version` tells the two apart.
_one = and_(tickets.c.id == bindparam("ticket_id"), _for_customer)
_LOCK, _LOOK = _whole(_one, lock=True), _whole(_one, lock=False)
_MANY = _whole(tickets.c.id == any_(bindparam("ticket_ids", type_=ARRAY(Uuid))), lock=False)


_READ = (*tickets.c.keys(), "revision")


@dataclass(frozen=True, slots=True)
class Locked:
    """A ticket under its lock, its clocks, and the instant at which all of that was so."""

    ticket: dict[str, Any]
    clock_ids: Mapping[clocks.Key, UUID]
    state: TicketClocks
    now: datetime
    revision: int
    unlocked: bool = False

    @property
    def id(self) -> UUID:
        id_: UUID = self.ticket["id"]
        return id_


async def look_at_ticket(tx: Transaction, actor: Actor, id: UUID) -> Locked:
    """`lock_ticket` for who will write the ticket's row, whatever they do: without the lock, where the transaction
    allows it. Saves two round trips."""
    if not tx.unlocked:
        return await lock_ticket(tx, actor, id)
    rows = await tx.rows(_LOOK, ticket_id=id, for_customer=actor.customer_id)
    if not rows:
        raise no_such_ticket()
    return replace(await _loaded(tx, rows), unlocked=True)


async def lock_ticket(tx: Transaction, actor: Actor, id: UUID) -> Locked:
    """Raises NotFound. Locks the ticket, then its clocks, so that `now` comes after every change made so far."""
    rows = await tx.locked_rows(_LOCK, ticket_id=id, for_customer=actor.customer_id)
    if rows and rows[0]["version"] != rows[0]["seen_version"]:
        # Somebody changed it while we waited. The lock is ours now, so that this read is the last one.
        rows = await tx.locked_rows(_LOCK, ticket_id=id, for_customer=actor.customer_id)
    if not rows:
        raise no_such_ticket()
    return await _loaded(tx, rows)


async def read_tickets(tx: Transaction, ids: list[UUID]) -> list[Locked]:
    """The same without a lock, for who only looks."""
    rows = await tx.rows(_MANY, ticket_ids=ids)
    return [await _loaded(tx, list(some)) for _, some in groupby(rows, key=lambda row: row["id"])]


async def _loaded(tx: Transaction, rows: list[Row]) -> Locked:
    first = rows[0]
    policy = await policies.version(tx, first["policy_id"], first["policy_version"], first["calendar_version"])
    return _as_locked(rows, policy, await calendars.versions_of(tx, rows, "clock_"))


def _as_locked(rows: list[Row], policy: Policy | None, known: clocks.Calendars) -> Locked:
    ticket = {name: rows[0][name] for name in _READ}
    found = [(row["clock_id"], clocks.as_clock(row, known, "clock_")) for row in rows if row["clock_id"]]
    state = TicketClocks(
        Status(ticket["status"]),
        Priority(ticket["priority"]),
        policy,
        facts.exceptions_from(ticket["exceptions"]),
        tuple(clock for _, clock in found),
    )
    ids = {clocks.key(clock): id_ for id_, clock in found}
    # The last row was made when every lock was held.
    return Locked(ticket, ids, state, rows[-1]["now"], ticket["revision"])


async def covered(
    tx: Transaction, revision: int, ticket: Mapping[str, Any], at: datetime, whose: Whose | None = None
) -> Covered:
    """The entry that puts a ticket of these attributes under the policy that is in force for it. `whose` it is is read
    where it is not given, and some policy asks."""
    in_force = await policies.in_force(tx, revision)
    if whose is None and policies.read(tx):
        whose = await _whose(tx, ticket["customer_id"])
    policy = covering(in_force, ticket, whose.facts if whose else {})
    return Covered(at, policy, Priority(ticket["priority"]))


Rematch = tuple[list[Entry], dict[str, Any]]


async def rematched(tx: Transaction, locked: Locked, ticket: Mapping[str, Any], because: str) -> Rematch:
    """Put it under the policy that is in force for a ticket of these attributes: what its clocks have to know of it,
    and the columns of its row."""
    return await recover(tx, locked, await covered(tx, locked.revision, ticket, locked.now), because)


async def matched_anew(tx: Transaction, locked: Locked, because: str, whose: Whose | None = None) -> Rematch:
    """`rematched` as it is, and with the exceptions that are granted to its customer now."""
    whose = whose or await _whose(tx, locked.ticket["customer_id"])
    granted = _granted(locked, whose.granted(await exceptions.wide(tx, locked.revision)), whose)
    entries: list[Entry] = []
    values: dict[str, Any] = {}
    if granted != locked.state.exceptions:
        await settle(tx, locked)
        values["exceptions"] = exceptions_data(granted)
        data = {"applied": values["exceptions"], "because": because}
        type_ = "sla.exceptions_applied"
        log.record(tx, log.SYSTEM, type_, locked.id, locked.now, data, ticket_id=locked.id, internal=True)
        entries.append(Excepted(locked.now, granted))
    cover = await covered(tx, locked.revision, locked.ticket, locked.now, whose)
    cover_entries, columns = await recover(tx, locked, cover, because)
    return [*entries, *cover_entries], values | columns


def _granted(locked: Locked, reaching: list[SlaException], whose: Whose) -> tuple[SlaException, ...]:
    """The ticket's own, and those that reach its customer now. One that is over stays with what it reached, as long as
    its scope does."""
    held, now = locked.state.exceptions, locked.now
    ids = {each.id for each in reaching}
    kept = [
        each
        for each in held
        if each.scope is Scope.ticket
        or each.id in ids
        or (each.scope is Scope.customer and each.over(now) and whose.reached(each))
    ]
    known = {each.id for each in held}
    return (*kept, *(each for each in reaching if each.id not in known and each.begun(now) and not each.over(now)))


async def _whose(tx: Transaction, customer_id: UUID) -> Whose:
    return (await read_whose(tx, [customer_id]))[customer_id]


async def recover(tx: Transaction, locked: Locked, cover: Covered, because: str) -> Rematch:
    """Tell the log of another cover; nothing where it is the same. Call it before queueing what happens under it: the
    log is replayed in its order."""
    columns = cover_columns(cover)
    if cover.priority is locked.state.priority and all(locked.ticket[name] == columns[name] for name in columns):
        return [], {}
    await settle(tx, locked)
    data = {**cover_data(cover), "because": because}
    log.record(tx, log.SYSTEM, "sla.policy_applied", locked.id, locked.now, data, ticket_id=locked.id, internal=True)
    return [cover], columns


async def settle(tx: Transaction, locked: Locked) -> None:
    """Record what passed unnoticed, also of a clock that ended late and may run on. To be called before clocks get
    other terms: it has happened."""
    if locked.unlocked:
        raise TakeLocks
    if any((first := clock.next_at()) and first < locked.now for clock in locked.state.clocks):
        await sweep_ticket(tx, locked.id)


def apply(tx: Transaction, who: log.By, locked: Locked, entries: Iterable[Entry]) -> TicketClocks:
    """Advance the ticket's clocks by what happened and queue what that changed."""
    after = reduce(advance, entries, locked.state)
    clocks.write(
        tx, who, locked.id, locked.clock_ids, locked.state.clocks, after.clocks, locked.now, unlocked=locked.unlocked
    )
    return after


def update_ticket(tx: Transaction, locked: Locked, state: TicketClocks, values: Mapping[str, Any]) -> dict[str, Any]:
    """Queue the row's change, with what its clocks are now; the row as it will be."""
    after = {**locked.ticket, **values, "updated_at": locked.now, "version": locked.ticket["version"] + 1}
    after["due_at"] = clocks.next_due(state.clocks)
    log.bear_version(tx, locked.id, after["version"])
    query, names = (_MOVE, _MOVED) if values.keys() <= set(_MOVED) else (_UPDATE, _CHANGED)
    written = {"key_id": locked.id, "updated_at": locked.now, **{name: after[name] for name in names}}
    if not locked.unlocked:
        tx.write(query, **written)
    elif query is _MOVE:
        tx.write(_MOVE_AS_READ, **written, read_version=locked.ticket["version"])
    else:
        raise TakeLocks
    return after

"""Recompute every clock from the log and compare it with what is stored. The stored clocks are only a faster way to
know what the log says; where the two differ, one of them is a bug."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, false, func, select, update
from sqlalchemy.dialects.postgresql import array

from app.db import Database, Query, Row, Transaction, Values
from app.events.tables import event_log, events
from app.sla import calendars, clocks, policies
from app.sla.core.clock import Clock
from app.sla.core.engine import replay
from app.sla.core.policy import Policy
from app.sla.core.timeline import (
    Covered,
    Entry,
    Excepted,
    HandedOff,
    Merged,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
)
from app.sla.core.words import AuthorKind, Metric, Priority, Status
from app.sla.tables import sla_clocks
from app.tickets.facts import exceptions_from
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets

BATCH = 1000

# What the timeline of a ticket is told by; `entries_of` reads each.
_TOLD = [
    "ticket.created", "ticket.status_changed", "ticket.merged", "message.created", "sla.policy_applied",
    "sla_exception.granted", "sla_exception.started", "sla_exception.revoked", "promise.made", "promise.kept",
    "promise.withdrawn", "ticket.handed_off", "sla.exceptions_applied",
]  # fmt: skip
_batch = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_IDS = Query(select(tickets.c.id).where(tickets.c.id > bindparam("after")).order_by(tickets.c.id).limit(BATCH))
_EVENTS = Query(
    select(events.c.ticket_id, events.c.type, events.c.occurred_at, events.c.actor_kind, events.c.data)
    .where(events.c.ticket_id == _batch, events.c.type == any_(array(_TOLD)))
    .order_by(events.c.ticket_id, events.c.id)
)
_dropped_before = select(event_log.c.dropped_before).scalar_subquery()
_DEADLINES = Query(
    select(
        tickets.c.id, tickets.c.due_at,
        func.coalesce(tickets.c.created_at < _dropped_before, false()).label("began_in_what_was_dropped"),
    ).where(tickets.c.id == _batch)
)  # fmt: skip
_SET_DEADLINE = Query(update(tickets).where(tickets.c.id == bindparam("key_id")), ["due_at"])
_CLOCKS = Query(select(sla_clocks, func.clock_timestamp().label("now")).where(sla_clocks.c.ticket_id == _batch))


@dataclass(frozen=True, slots=True)
class Difference:
    ticket_id: UUID
    clock: str
    field: str
    stored: object
    computed: object


async def verify(db: Database, unverifiable: list[UUID] | None = None) -> AsyncIterator[tuple[int, list[Difference]]]:
    """How many tickets each batch held, and what differs in it. Each batch is read in one snapshot of its own, so that
    a live database can be verified. Tickets whose beginning the log's retention has dropped cannot be: they go to
    `unverifiable`."""
    after = UUID(int=0)
    while True:
        async with db.transaction() as tx:
            await tx.snapshot()
            ids = [row["id"] for row in await tx.rows(_IDS, after=after)]
            if not ids:
                return
            told = await _read(tx, ids)
        if unverifiable is not None:
            unverifiable += [id_ for id_ in ids if id_ not in told.computed]
        yield len(ids), list(told.differences())
        after = ids[-1]


async def repair(db: Database, ticket_id: UUID) -> list[Difference]:
    """Make a ticket's clocks what the log says, under its lock; what differed. Breaches that this brings to light are
    recorded as facts of the past. A clock that the log does not know is left, and stays a difference."""

    async def unit(tx: Transaction) -> list[Difference]:
        locked = await lock_ticket(tx, SYSTEM, ticket_id)
        told = await _read(tx, [ticket_id])
        if ticket_id not in told.computed:
            return []
        found = list(told.differences())
        stored, computed = told.stored[ticket_id], told.computed[ticket_id]
        for key, clock in computed.items():
            if key not in stored:
                clocks.insert_history(tx, ticket_id, [clock], locked.now)
            elif any(difference.clock == _name(key) for difference in found):
                clocks.rewrite(tx, stored[key]["id"], clock)
        tx.write(_SET_DEADLINE, key_id=ticket_id, due_at=clocks.next_due(computed.values()))
        return found

    return await db.run(unit)


Cover = tuple[str, int, int | None]


async def _covers(tx: Transaction, log: Iterable[Values]) -> dict[Cover, Policy]:
    """Every policy version, with its calendar's, that the log says was applied."""
    named = {cover for row in log if (cover := _cover_of(row["data"]))}
    found = {}
    for cover in named:
        policy = await policies.version(tx, UUID(cover[0]), cover[1], cover[2])
        assert policy is not None
        found[cover] = policy
    return found


def _cover_of(data: Mapping[str, Any]) -> Cover | None:
    policy_id = data.get("policy_id")
    return (policy_id, data["policy_version"], data.get("calendar_version")) if policy_id else None


@dataclass(frozen=True, slots=True)
class _Told:
    """The clocks of some tickets as they are stored, and as the log says they are where it says so from the start."""

    stored: Mapping[UUID, Mapping[clocks.Key, Row]]
    computed: Mapping[UUID, Mapping[clocks.Key, Clock]]
    deadlines: Mapping[UUID, datetime | None]
    known: clocks.Calendars

    def differences(self) -> Iterable[Difference]:
        for ticket_id, computed in self.computed.items():
            stored = self.stored[ticket_id]
            for key in sorted(stored.keys() | computed.keys()):
                if key in stored and key in computed:
                    yield from _compare(_name(key), stored[key], computed[key], self.known)
                else:
                    yield Difference(ticket_id, _name(key), "exists", key in stored, key in computed)
            due_at = clocks.next_due(computed.values())
            if self.deadlines[ticket_id] != due_at:
                yield Difference(ticket_id, "ticket", "due_at", self.deadlines[ticket_id], due_at)


async def _read(tx: Transaction, ids: list[UUID]) -> _Told:
    told = await tx.rows(_EVENTS, ticket_ids=ids)
    tickets_ = await tx.rows(_DEADLINES, ticket_ids=ids)
    begun = {row["ticket_id"] for row in told if row["type"] == "ticket.created"}
    partial = {row["id"] for row in tickets_ if row["began_in_what_was_dropped"]} - begun
    ids = [id_ for id_ in ids if id_ not in partial]
    log = [row for row in told if row["ticket_id"] not in partial]
    rows = await tx.rows(_CLOCKS, ticket_ids=ids)
    covers = await _covers(tx, log)
    computed: dict[UUID, dict[clocks.Key, Clock]] = {id_: {} for id_ in ids}
    for ticket_id, events_ in groupby(log, key=lambda row: row["ticket_id"]):
        state = replay(entry for row in events_ for entry in entries_of(row, covers))
        computed[ticket_id] = {clocks.key(clock): clock for clock in state.clocks}
    stored: dict[UUID, dict[clocks.Key, Row]] = {id_: {} for id_ in ids}
    for row in rows:
        stored[row["ticket_id"]][Metric(row["metric"]), row["cycle"]] = row
    deadlines = {row["id"]: row["due_at"] for row in tickets_}
    return _Told(stored, computed, deadlines, await calendars.versions_of(tx, rows))


def _name(key: clocks.Key) -> str:
    return f"{key[0]}/{key[1]}"


def _compare(name: str, row: Row, clock: Clock, known: clocks.Calendars) -> Iterable[Difference]:
    wrong = {field: value for field, value in clocks.as_values(clock).items() if _value(row[field]) != _value(value)}
    for field, value in wrong.items():
        yield Difference(row["ticket_id"], name, field, row[field], value)
    # The row is read as the core reads it, too: what it loads must be what was stored.
    if not wrong and (loaded := clocks.as_clock(row, known)) != clock:
        yield Difference(row["ticket_id"], name, "loaded", loaded, clock)
    yield from _unwatched(row, clock, name)


def _value(column: object) -> object:
    return tuple(column) if isinstance(column, list) else column


def _unwatched(row: Row, clock: Clock, name: str) -> Iterable[Difference]:
    """A clock that the sweep would pass by. What has passed may be dealt with already; what is to come is not."""
    upcoming = clock.next_at(after=row["now"])
    if upcoming and (row["next_at"] is None or row["next_at"] > upcoming):
        yield Difference(row["ticket_id"], name, "next_at", row["next_at"], upcoming)


def entries_of(row: Values, covers: Mapping[Cover, Policy]) -> list[Entry]:
    """What one event of the log means to the clocks."""
    at, data, who = row["occurred_at"], row["data"], AuthorKind(row["actor_kind"])
    match row["type"]:
        case "ticket.created":
            opened = Opened(at, AuthorKind(data["opened_by"]), Status(data["status"]))
            return [_covered(at, data, covers), opened]
        case "sla.policy_applied":
            return [_covered(at, data, covers)]
        case "message.created":
            return [] if data["opening"] else [Said(at, who, data["visibility"] == "public")]
        case "ticket.status_changed":
            return [StatusSet(at, Status(data["changes"]["status"]["after"]), who)]
        case "ticket.merged" | "ticket.handed_off" as type_:
            return [(Merged if type_ == "ticket.merged" else HandedOff)(at)]
        case "promise.made":
            return [Promised(at, datetime.fromisoformat(data["due_at"]))]
        case "promise.kept" | "promise.withdrawn":
            return [PromiseOver(at, data["cycle"], row["type"] == "promise.kept")]
    # An exception: what is granted to the ticket from now on, where that changes now.
    return [Excepted(at, exceptions_from(data["applied"]))] if data["applied"] is not None else []


def _covered(at: datetime, data: Mapping[str, Any], covers: Mapping[Cover, Policy]) -> Covered:
    cover = _cover_of(data)
    return Covered(at, covers[cover] if cover else None, Priority(data["priority"]))

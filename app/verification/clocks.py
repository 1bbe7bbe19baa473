"""Recompute every clock from the log and compare it with what is stored. The stored clocks are only a faster way to
know what the log says; where the two differ, one of them is a bug."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, false, func, select, update
from sqlalchemy.dialects.postgresql import array

from app.db import Database, Query, Row, Transaction, Values
from app.events.tables import event_log, events
from app.sla import calendars, clocks, policies
from app.sla.core.clock import Clock, EndedReason
from app.sla.core.engine import TicketClocks, advance, newly_ended
from app.sla.core.enums import AuthorKind, Metric, Priority, Status
from app.sla.core.policy import Policy
from app.sla.core.timeline import (
    ClocksEnded,
    ClocksRevived,
    Covered,
    Entry,
    Excepted,
    HandedOff,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
    WaitMoved,
)
from app.sla.coverage import exceptions_from
from app.sla.tables import sla_alerts, sla_clocks
from app.tickets.attribution import OF_TICKETS
from app.tickets.store import SYSTEM, lock_ticket
from app.tickets.tables import tickets
from app.verification.attribution import Kept, Past, Regions, read_regions

# A ticket may have hundreds of events: more at once is more than a statement has time for.
BATCH = 100

# What the timeline of a ticket is told by; `entries_of` reads each.
REPLAYED_TYPES = [
    "ticket.created", "ticket.status_changed", "ticket.merged", "message.created", "sla.policy_applied",
    "sla_exception.granted", "sla_exception.started", "sla_exception.revoked", "promise.made", "promise.kept",
    "promise.withdrawn", "ticket.handed_off", "sla.exceptions_applied", "ticket.updated",
    "ticket.unmerged", "ticket.absorbed", "ticket.released", "ticket.marked_spam", "ticket.unmarked_spam",
]  # fmt: skip
_batch = any_(bindparam("ticket_ids", type_=ARRAY(Uuid)))
_IDS = Query(select(tickets.c.id).where(tickets.c.id > bindparam("after")).order_by(tickets.c.id).limit(BATCH))
_EVENTS = Query(
    select(
        events.c.ticket_id, events.c.type, events.c.occurred_at, events.c.recorded_at, events.c.actor_kind,
        events.c.actor_id, events.c.data,
    )
    .where(events.c.ticket_id == _batch, events.c.type == any_(array(REPLAYED_TYPES)))
    .order_by(events.c.ticket_id, events.c.id)
)  # fmt: skip
_dropped_before = select(event_log.c.dropped_before).scalar_subquery()
_DEADLINES = Query(
    select(
        tickets.c.id, tickets.c.imported, tickets.c.spam_at.is_not(None).label("spam"),
        *(tickets.c[name] for name in (*clocks.STANDING, *OF_TICKETS)),
        func.coalesce(tickets.c.created_at < _dropped_before, false()).label("began_in_what_was_dropped"),
    ).where(tickets.c.id == _batch)
)  # fmt: skip
_SET_STANDING = Query(update(tickets).where(tickets.c.id == bindparam("key_id")), clocks.STANDING)
# Where the database's clock was put back, what is to come by it may have been told of before.
_told_of = select(func.max(sla_alerts.c.at)).where(sla_alerts.c.clock_id == sla_clocks.c.id).scalar_subquery()
_CLOCKS = Query(
    select(
        sla_clocks, func.clock_timestamp().label("now"),
        (_told_of > func.clock_timestamp()).label("clock_was_put_back"), _told_of.label("told_of"),
    ).where(sla_clocks.c.ticket_id == _batch)
)  # fmt: skip


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
        kept = told.attributions(ticket_id)
        for key, clock in computed.items():
            if key not in stored:
                clocks.insert_history(tx, ticket_id, [clock], locked.now, kept)
            elif any(difference.clock == _name(key) for difference in found):
                clocks.rewrite(tx, stored[key]["id"], clock, kept.get(key, {}))
        standing: dict[str, Any] = clocks.standing(computed.values())
        tx.write(_SET_STANDING, key_id=ticket_id, **standing)
        return found

    return await db.run(unit)


Cover = tuple[str, int, int | None]


async def covers_of(tx: Transaction, log: Iterable[Values]) -> dict[Cover, Policy]:
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
class _Comparison:
    """The clocks of some tickets as they are stored, and as the log says they are where it says so from the start."""

    stored: Mapping[UUID, Mapping[clocks.Key, Row]]
    computed: Mapping[UUID, Mapping[clocks.Key, Clock]]
    pasts: Mapping[UUID, Past]
    regions: Regions
    known: clocks.Calendars

    def differences(self) -> Iterable[Difference]:
        for ticket_id, computed in self.computed.items():
            stored = self.stored[ticket_id]
            for key in sorted(stored.keys() | computed.keys()):
                if key in stored and key in computed:
                    yield from _compare(_name(key), stored[key], computed[key], self.known)
                    yield from self._misattributed(_name(key), stored[key], self.pasts[ticket_id].kept(key))
                else:
                    yield Difference(ticket_id, _name(key), "exists", key in stored, key in computed)
            ticket = self.pasts[ticket_id].ticket
            for name, at in clocks.standing(computed.values()).items():
                if ticket[name] != at:
                    yield Difference(ticket_id, "ticket", name, ticket[name], at)
            spam = ticket["spam"]
            for key in (key for key, row in stored.items() if row["spam"] is not spam):
                yield Difference(ticket_id, _name(key), "spam", not spam, spam)

    def _misattributed(self, name: str, row: Row, kept: Kept) -> Iterable[Difference]:
        for field, value in kept.attribution.items():
            if row[field] != value:
                yield Difference(row["ticket_id"], name, field, row[field], value)
        possible = self.regions.possible(kept)
        if possible is not None and row["region"] not in possible:
            yield Difference(row["ticket_id"], name, "region", row["region"], possible)

    def attributions(self, ticket_id: UUID) -> dict[clocks.Key, clocks.Attribution]:
        """What the clocks that ended are to keep."""
        past = self.pasts[ticket_id]
        found = {key: past.kept(key) for key in past.ends}
        return {key: {**kept.attribution, "region": self.regions.at(kept)} for key, kept in found.items()}


async def _read(tx: Transaction, ids: list[UUID]) -> _Comparison:
    told = await tx.rows(_EVENTS, ticket_ids=ids)
    tickets_ = await tx.rows(_DEADLINES, ticket_ids=ids)
    begun = {row["ticket_id"] for row in told if row["type"] == "ticket.created"}
    partial = {row["id"] for row in tickets_ if row["began_in_what_was_dropped"]} - begun
    ids = [id_ for id_ in ids if id_ not in partial]
    log = [row for row in told if row["ticket_id"] not in partial]
    rows = await tx.rows(_CLOCKS, ticket_ids=ids)
    covers = await covers_of(tx, log)
    computed: dict[UUID, dict[clocks.Key, Clock]] = {id_: {} for id_ in ids}
    pasts = {row["id"]: Past(row) for row in tickets_}
    for ticket_id, events_ in groupby(log, key=lambda row: row["ticket_id"]):
        clocks_ = _replayed(events_, covers, pasts[ticket_id])
        computed[ticket_id] = {clocks.key(clock): clock for clock in clocks_}
    stored: dict[UUID, dict[clocks.Key, Row]] = {id_: {} for id_ in ids}
    for row in rows:
        stored[row["ticket_id"]][Metric(row["metric"]), row["cycle"]] = row
    regions = await read_regions(tx, pasts.values())
    return _Comparison(stored, computed, pasts, regions, await calendars.versions_of(tx, rows))


def _replayed(told: Iterable[Row], covers: Mapping[Cover, Policy], past: Past) -> tuple[Clock, ...]:
    """A ticket's clocks from nothing but its log; the `past` learns where each ended."""
    state = TicketClocks()
    for row in told:
        past.add(row)
        # A change of attributes moves no clock by itself: what it brings about is told apart.
        for entry in entries_of(row, covers) if row["type"] != "ticket.updated" else ():
            before, state = state, advance(state, entry)
            past.end(newly_ended(before, state), state.policy, entry.at)
    past.forget(clock for clock in state.clocks if clock.ended_at is None)
    return state.clocks


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
    told_of = row["told_of"] + timedelta(microseconds=1) if row["clock_was_put_back"] else row["now"]
    upcoming = clock.next_at(after=told_of)
    if upcoming and (row["next_at"] is None or row["next_at"] > upcoming):
        yield Difference(row["ticket_id"], name, "next_at", row["next_at"], upcoming)


def entries_of(row: Values, covers: Mapping[Cover, Policy]) -> list[Entry]:
    """What one event of the log means to the clocks."""
    at, data = row["occurred_at"], row["data"]
    if read := _READ.get(row["type"]):
        return read(at, data, AuthorKind(row["actor_kind"]), row["actor_id"])
    if row["type"] in ("ticket.created", "sla.policy_applied"):
        opened = row["type"] == "ticket.created"
        opening = [Opened(at, AuthorKind(data["opened_by"]), Status(data["status"]))] if opened else []
        return [_covered(at, data, covers), *opening]
    # An exception: what is granted to the ticket from now on, where that changes now.
    return [Excepted(at, exceptions_from(data["applied"]))] if data["applied"] is not None else []


def _wait_moved(at: datetime, since: str | None) -> WaitMoved:
    return WaitMoved(at, datetime.fromisoformat(since) if since else None)


# The events that need no policy to be read: by when, what, what kind of person and who.
_READ: Mapping[str, Callable[[datetime, Mapping[str, Any], AuthorKind, UUID | None], list[Entry]]] = {
    "message.created": lambda at, data, kind, who: (
        [] if data["opening"] else [Said(at, kind, data["visibility"] == "public", who)]
    ),
    "ticket.status_changed": lambda at, data, kind, who: [
        StatusSet(at, Status(data["changes"]["status"]["after"]), kind, who)
    ],
    "ticket.handed_off": lambda at, *_: [HandedOff(at)],
    "ticket.merged": lambda at, *_: [ClocksEnded(at, EndedReason.merged)],
    "ticket.marked_spam": lambda at, *_: [ClocksEnded(at, EndedReason.spam)],
    "ticket.unmerged": lambda at, data, *_: [
        ClocksRevived(at, datetime.fromisoformat(data["merged_at"]), EndedReason.merged)
    ],
    "ticket.unmarked_spam": lambda at, data, *_: [
        ClocksRevived(at, datetime.fromisoformat(data["marked_at"]), EndedReason.spam)
    ],
    # Releases before moved no wait, and wrote nothing of one down.
    "ticket.absorbed": lambda at, data, *_: (
        [_wait_moved(at, data["waiting_since"])] if data.get("waiting_since") else []
    ),
    "ticket.released": lambda at, data, *_: [_wait_moved(at, data["waiting_since"])] if data["moved"] else [],
    "promise.made": lambda at, data, *_: [Promised(at, datetime.fromisoformat(data["due_at"]))],
    "promise.kept": lambda at, data, _kind, who: [PromiseOver(at, data["cycle"], True, who)],
    "promise.withdrawn": lambda at, data, _kind, who: [PromiseOver(at, data["cycle"], False, who)],
}


def _covered(at: datetime, data: Mapping[str, Any], covers: Mapping[Cover, Policy]) -> Covered:
    cover = _cover_of(data)
    return Covered(at, covers[cover] if cover else None, Priority(data["priority"]))

"""Matching many tickets anew, a batch at a time. A batch, what it changed and the job's position commit together: a
worker that is killed has done nothing or all of it, and the next one goes on from there."""

from dataclasses import dataclass
from functools import reduce
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Uuid, and_, bindparam, exists, func, or_, select

from app.customers.tables import customers
from app.db import Database, Query, Transaction
from app.events import log
from app.segments.tables import segment_members
from app.sla import calendars, clocks, jobs, policies
from app.sla.core.engine import advance
from app.sla.core.policy import Scope
from app.sla.core.timeline import Covered, Entry
from app.sla.core.words import Priority
from app.sla.tables import business_calendars, sla_exceptions, sla_policy_versions
from app.tickets.facts import cover_columns
from app.tickets.figures import NOT_DONE
from app.tickets.store import (
    SYSTEM,
    Locked,
    apply,
    covered,
    lock_ticket,
    matched_anew,
    read_tickets,
    recover,
    update_ticket,
)
from app.tickets.tables import tickets

_BATCH = 100
_t, _v, _c, _m = tickets.c, sla_policy_versions.c, customers.c, segment_members.c

_subject = bindparam("subject_id", type_=Uuid)
_on_calendar = (
    select(_v.policy_id)
    .where(_v.policy_id == _t.policy_id, _v.version == _t.policy_version, _v.calendar_id == _subject)
    .exists()
)
_since = bindparam("changed_since", type_=DateTime(timezone=True))
_x = sla_exceptions.alias("granted").c


def _of_customers(where: ColumnElement[bool]) -> ColumnElement[bool]:
    return _t.customer_id.in_(select(_c.id).where(where))


def _of_members(where: ColumnElement[bool]) -> ColumnElement[bool]:
    return _t.customer_id.in_(select(_m.customer_id).where(_m.segment_id == _subject, where))


_in_scope = (
    select(_x.id)
    .where(
        _x.id == _subject,
        or_(
            _x.scope == Scope.everything.value,
            _x.customer_id == _t.customer_id,
            exists().where(_m.segment_id == _x.segment_id, _m.customer_id == _t.customer_id, _m.until.is_(None)),
        ),
    )
    .exists()
)
_CONCERNED: dict[jobs.Kind, ColumnElement[bool]] = {
    jobs.Kind.reapply: NOT_DONE,
    jobs.Kind.policy_archived: and_(NOT_DONE, _t.policy_id == _subject),
    jobs.Kind.calendar_changed: and_(NOT_DONE, _on_calendar),
    jobs.Kind.segment_changed: and_(NOT_DONE, _of_members(or_(_m.since >= _since, _m.until >= _since))),
    jobs.Kind.judgement_changed: and_(NOT_DONE, _of_members(_m.until.is_(None))),
    jobs.Kind.organization_changed: and_(NOT_DONE, _of_customers(_c.organization_id == _subject)),
    jobs.Kind.customer_changed: and_(NOT_DONE, _t.customer_id == _subject),
    jobs.Kind.exception_changed: and_(NOT_DONE, _in_scope),
}
# Whose customers changed, and not what is promised by whom: these are matched with their exceptions.
_OF_CUSTOMERS = frozenset(_CONCERNED) - {
    jobs.Kind.reapply, jobs.Kind.policy_archived, jobs.Kind.calendar_changed
}  # fmt: skip
_NEXT = {
    kind: Query(select(_t.id).where(concerned, _t.id > bindparam("after")).order_by(_t.id).limit(bindparam("batch")))
    for kind, concerned in _CONCERNED.items()
}
_TOTAL = {kind: Query(select(func.count()).select_from(tickets).where(who)) for kind, who in _CONCERNED.items()}
_CALENDAR = Query(
    select(_v.calendar_id, business_calendars.c.version)
    .join(business_calendars, business_calendars.c.id == _v.calendar_id)
    .where(_v.policy_id == bindparam("policy_id"), _v.version == bindparam("number"))
)


@dataclass(slots=True)
class Counts:
    """What a batch changed, or would change."""

    tickets_seen: int = 0
    tickets: int = 0
    clocks: int = 0
    deadlines: int = 0
    breaches: int = 0


async def work(db: Database) -> bool:
    """One batch of the job that is due; whether there may be more."""
    return await db.run(_work)


async def _work(tx: Transaction) -> bool:
    job = await jobs.claim(tx)
    if job is None:
        return False
    kind, after = jobs.Kind(job["kind"]), job["after_ticket_id"] or UUID(int=0)
    about: dict[str, Any] = {"subject_id": job["subject_id"], "changed_since": job["changed_since"]}
    total = job["tickets_total"]
    if total is None:
        row = await tx.row(_TOTAL[kind], **about)
        total = row[0] if row else 0
    ids = [row["id"] for row in await tx.rows(_NEXT[kind], **about, after=after, batch=_BATCH)]
    counts = Counts(**{name: job[name] for name in jobs.COUNTS})
    for id_ in ids:
        await _rematch(tx, kind, job["subject_id"], id_, counts)
    if kind is jobs.Kind.customer_changed and len(ids) < _BATCH:
        jobs.forget(tx, job["id"])
        return True
    jobs.advance(
        tx,
        job["id"],
        after_ticket_id=ids[-1] if ids else after,
        tickets_total=total,
        finished_at=None if len(ids) == _BATCH else job["now"],
        **{name: getattr(counts, name) for name in jobs.COUNTS},
    )
    return True


async def _rematch(tx: Transaction, kind: jobs.Kind, subject_id: UUID, ticket_id: UUID, counts: Counts) -> None:
    locked = await lock_ticket(tx, SYSTEM, ticket_id)
    because = kind.replace("_", " ")
    if kind in _OF_CUSTOMERS:
        entries, columns = await matched_anew(tx, locked, because)
        _count(locked, entries, counts)
    else:
        cover = await _cover(tx, kind, subject_id, locked)
        if not _count(locked, _differing(locked, cover), counts) or cover is None:
            return
        entries, columns = await recover(tx, locked, cover, because)
    if entries:
        after = apply(tx, log.SYSTEM, locked, entries)
        update_ticket(tx, locked, after, columns)


async def _cover(tx: Transaction, kind: jobs.Kind, subject_id: UUID, locked: Locked) -> Covered | None:
    """What the ticket is to stand under, None where the job is not about it."""
    ticket = locked.ticket
    if kind is jobs.Kind.calendar_changed:
        # The same promise, by the calendar of today.
        row = await tx.row(_CALENDAR, policy_id=ticket["policy_id"], number=ticket["policy_version"])
        if locked.state.policy is None or row is None:
            return None
        calendar = await calendars.version(tx, (row["calendar_id"], row["version"]))
        policy = await policies.version(tx, ticket["policy_id"], ticket["policy_version"], calendar.version)
        return Covered(locked.now, policy, Priority(ticket["priority"]))
    cover = await covered(tx, locked.revision, ticket, locked.now)
    if kind is jobs.Kind.reapply:
        about = {ticket["policy_id"], cover.policy.id if cover.policy else None}
        return cover if subject_id in about else None
    return cover


def _differing(locked: Locked, cover: Covered | None) -> list[Entry]:
    same = cover is None or all(locked.ticket[name] == value for name, value in cover_columns(cover).items())
    return [] if cover is None or same else [cover]


def _count(locked: Locked, entries: list[Entry], counts: Counts) -> bool:
    """Count what the entries change; whether there are any."""
    counts.tickets_seen += 1
    if not entries:
        return False
    counts.tickets += 1
    after = {clocks.key(clock): clock for clock in reduce(advance, entries, locked.state).clocks}
    for clock in locked.state.clocks:
        new = after[clocks.key(clock)]
        counts.clocks += (clock.terms, clock.relief) != (new.terms, new.relief)
        counts.deadlines += clock.due_at != new.due_at
        counts.breaches += new.breached(locked.now) and not clock.breached(locked.now)
    return True


async def dry_run(tx: Transaction, policy_id: UUID) -> Counts:
    """What `reapply` would change. Locks nothing, reads batch by batch; cost: the tickets that are not done."""
    counts, after = Counts(), UUID(int=0)
    while True:
        rows = await tx.rows(_NEXT[jobs.Kind.reapply], after=after, batch=10 * _BATCH)
        if not rows:
            return counts
        after = rows[-1]["id"]
        for seen in await read_tickets(tx, [row["id"] for row in rows]):
            _count(seen, _differing(seen, await _cover(tx, jobs.Kind.reapply, policy_id, seen)), counts)

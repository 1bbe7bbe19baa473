"""Matching many tickets anew, a batch at a time. A batch, what it changed and the job's position commit together: a
worker that is killed has done nothing or all of it, and the next one goes on from there."""

import time
from dataclasses import dataclass
from functools import reduce
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, DateTime, Uuid, and_, bindparam, exists, func, or_, select

from app.customers.tables import customers
from app.db import Database, Query, Transaction, Values
from app.events import log
from app.release import NewerRelease
from app.segments.tables import segment_members
from app.sla import calendars, clocks, job_queue, policies
from app.sla.core.engine import advance
from app.sla.core.enums import Priority
from app.sla.core.policy import Scope
from app.sla.core.timeline import Covered, Entry
from app.sla.coverage import coverage_columns
from app.sla.tables import business_calendars, sla_exceptions, sla_policy_versions
from app.tickets.changes import TicketChange, save
from app.tickets.queries import NOT_DONE
from app.tickets.rematching import apply_coverage, current_coverage, rematch_with_exceptions, renew_exceptions
from app.tickets.store import SYSTEM, LoadedTicket, lock_ticket, read_tickets
from app.tickets.tables import tickets

_log = structlog.get_logger("ninety.jobs")

_BATCH = 100
# A batch holds its tickets until it commits: on a busy machine it ends with fewer.
_BATCH_SECONDS = 0.25
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


_erased = exists().where(_c.id == _m.customer_id, _c.erased_at.is_not(None))
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
_CONCERNED: dict[job_queue.Kind, ColumnElement[bool]] = {
    job_queue.Kind.reapply: NOT_DONE,
    job_queue.Kind.policy_archived: and_(NOT_DONE, _t.policy_id == _subject),
    job_queue.Kind.calendar_changed: and_(NOT_DONE, _on_calendar),
    job_queue.Kind.segment_changed: and_(NOT_DONE, _of_members(or_(_m.since >= _since, _m.until >= _since))),
    # Those who left by being erased have what their segment had.
    job_queue.Kind.judgement_changed: and_(NOT_DONE, _of_members(or_(_m.until.is_(None), _erased))),
    job_queue.Kind.organization_changed: and_(NOT_DONE, _of_customers(_c.organization_id == _subject)),
    job_queue.Kind.customer_changed: and_(
        NOT_DONE, _t.customer_id == _subject, or_(_since.is_(None), _t.updated_at >= _since)
    ),
    job_queue.Kind.exception_changed: and_(NOT_DONE, _in_scope),
}
# Nothing that conditions read: a clock keeps the version of its policy.
_OF_EXCEPTIONS = frozenset({job_queue.Kind.exception_changed, job_queue.Kind.judgement_changed})
# Whose customers changed, and not what is promised by whom: these are matched with their exceptions.
_OF_CUSTOMERS = frozenset(_CONCERNED) - {
    job_queue.Kind.reapply, job_queue.Kind.policy_archived, job_queue.Kind.calendar_changed
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


async def run_once(db: Database) -> bool:
    """One batch of the job that is due; whether there may be more."""
    return await db.run(_work)


async def _work(tx: Transaction) -> bool:
    job = await job_queue.JOBS.claim(tx)
    if job is None:
        return False
    kind, after = job_queue.Kind(job["kind"]), job["after_ticket_id"] or UUID(int=0)
    about: dict[str, Any] = {"subject_id": job["subject_id"], "changed_since": job["changed_since"]}
    total = job["tickets_total"]
    if total is None:
        row = await tx.row(_TOTAL[kind], **about)
        total = row[0] if row else 0
    ids = [row["id"] for row in await tx.rows(_NEXT[kind], **about, after=after, batch=_BATCH)]
    counts = Counts(**{name: job[name] for name in job_queue.COUNTS})
    until, finished = time.monotonic() + _BATCH_SECONDS, len(ids) < _BATCH
    for number, id_ in enumerate(ids, 1):
        try:
            await _rematch(tx, kind, job["subject_id"], id_, counts)
        except NewerRelease as newer:
            _log.warning("ticket_passed_over", ticket_id=str(id_), reason=newer.detail)
        if time.monotonic() > until and number < len(ids):
            ids, finished = ids[:number], False
            break
    if kind is job_queue.Kind.customer_changed and finished:
        job_queue.JOBS.forget(tx, job["id"])
        return True
    job_queue.JOBS.advance(
        tx,
        job["id"],
        after_ticket_id=ids[-1] if ids else after,
        tickets_total=total,
        finished_at=job["now"] if finished else None,
        **{name: getattr(counts, name) for name in job_queue.COUNTS},
    )
    return True


async def _rematch(tx: Transaction, kind: job_queue.Kind, subject_id: UUID, ticket_id: UUID, counts: Counts) -> None:
    locked = await lock_ticket(tx, SYSTEM, ticket_id)
    change = TicketChange(locked, log.SYSTEM)
    because = kind.replace("_", " ")
    if kind in _OF_EXCEPTIONS:
        await renew_exceptions(tx, change, because)
        _count(locked, change.entries, counts)
    elif kind in _OF_CUSTOMERS:
        await rematch_with_exceptions(tx, change, because)
        _count(locked, change.entries, counts)
    else:
        cover = await _cover(tx, kind, subject_id, locked)
        if not _count(locked, _differing(locked, cover), counts) or cover is None:
            return
        await apply_coverage(tx, change, cover, because)
    if change.entries:
        save(tx, change)


async def _cover(tx: Transaction, kind: job_queue.Kind, subject_id: UUID, locked: LoadedTicket) -> Covered | None:
    """What the ticket is to stand under, None where the job is not about it."""
    ticket = locked.ticket
    if kind is job_queue.Kind.calendar_changed:
        # The same promise, by the calendar of today.
        row = await tx.row(_CALENDAR, policy_id=ticket["policy_id"], number=ticket["policy_version"])
        if locked.state.policy is None or row is None:
            return None
        calendar = await calendars.version(tx, (row["calendar_id"], row["version"]))
        policy = await policies.version(tx, ticket["policy_id"], ticket["policy_version"], calendar.version)
        return Covered(locked.now, policy, Priority(ticket["priority"]))
    cover = await current_coverage(tx, locked.revision, ticket, locked.now)
    if kind is job_queue.Kind.reapply:
        about = {ticket["policy_id"], cover.policy.id if cover.policy else None}
        return cover if subject_id in about else None
    return cover


def _differing(locked: LoadedTicket, cover: Covered | None) -> list[Entry]:
    before: Values = locked.ticket
    same = cover is None or all(before[name] == value for name, value in coverage_columns(cover).items())
    return [] if cover is None or same else [cover]


def _count(locked: LoadedTicket, entries: list[Entry], counts: Counts) -> bool:
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
        rows = await tx.rows(_NEXT[job_queue.Kind.reapply], after=after, batch=10 * _BATCH)
        if not rows:
            return counts
        after = rows[-1]["id"]
        for seen in await read_tickets(tx, [row["id"] for row in rows]):
            _count(seen, _differing(seen, await _cover(tx, job_queue.Kind.reapply, policy_id, seen)), counts)

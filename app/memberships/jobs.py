"""Deciding on many customers, a batch at a time, and on those whom time or their tickets have changed. A batch, what it
changed and its position commit together: a worker that is killed has done nothing or all of it."""

from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.customers.tables import customers
from app.db import Database, Query, Row, Transaction
from app.events import log, reader
from app.memberships.figures import FIGURES, NEXT_CHANGE
from app.memberships.service import memberships_affect_slas
from app.segments import bulk_decide
from app.segments import job_queue as segment_jobs
from app.segments import service as segments
from app.segments.decide import Segment
from app.segments.fields import WINDOWED
from app.segments.rules import fields_read
from app.segments.schemas import SegmentJobKind
from app.segments.tables import segment_overrides, segment_rechecks
from app.sla import job_queue
from app.tickets.tables import tickets

_BATCH = 5_000
# Of those whom an event or an instant is about: each may have tickets to be matched anew.
_FEW = 500

_c, _t, _v, _r = customers.c, tickets.c, segment_overrides.c, segment_rechecks.c
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))
_since = bindparam("since", type_=DateTime(timezone=True))
_CONCERNED: dict[SegmentJobKind, ColumnElement[bool]] = {
    SegmentJobKind.rule_changed: true(),
    SegmentJobKind.archived: true(),
    SegmentJobKind.organization_changed: _c.organization_id == bindparam("subject_id", type_=Uuid),
}


def _next(concerned: ColumnElement[bool], *which: ColumnElement[bool]) -> Query:
    some = select(_c.id).where(concerned, _c.id > bindparam("after", type_=Uuid), *which)
    return Query(some.order_by(_c.id).limit(literal_column(str(_BATCH))).with_for_update(key_share=True))


# By whether all are looked at, or those who came since.
_NEXT = {
    (kind, only_new): _next(concerned, *([_c.created_at >= _since] if only_new else []))
    for kind, concerned in _CONCERNED.items()
    for only_new in (False, True)
}
_TOTAL = {
    (kind, only_new): Query(
        select(func.count()).select_from(customers).where(concerned, *([_c.created_at >= _since] if only_new else []))
    )
    for kind, concerned in _CONCERNED.items()
    for only_new in (False, True)
}


async def run_job_once(db: Database) -> bool:
    """One batch of the job that is due; whether there may be more."""
    return await db.run(_work)


async def _work(tx: Transaction) -> bool:
    job = await segment_jobs.JOBS.claim(tx)
    if job is None:
        return False
    kind, total = SegmentJobKind(job["kind"]), job["customers_total"]
    about = {"subject_id": job["subject_id"], "since": job["customers_since"]}
    which, ids = (kind, job["customers_since"] is not None), list[UUID]()
    added, removed = job["added"], job["removed"]
    if kind in _CONCERNED:
        if total is None:
            row = await tx.row(_TOTAL[which], **about)
            total = row[0] if row else 0
        after = job["after_customer_id"] or UUID(int=0)
        ids = [row["id"] for row in await tx.locked_rows(_NEXT[which], **about, after=after)]
        changed = await _decide(tx, ids, await _concerned(tx, kind, job["subject_id"]), archived=_archives(kind))
        added, removed = added + len(changed.added), removed + len(changed.removed)
    finished = len(ids) < _BATCH
    segment_jobs.JOBS.advance(
        tx, job["id"], after_customer_id=ids[-1] if ids else job["after_customer_id"], customers_total=total or 0,
        customers_seen=job["customers_seen"] + len(ids), added=added, removed=removed,
        finished_at=job["now"] if finished else None,
    )  # fmt: skip
    if finished:
        await _let_tickets_follow(tx, kind, job, moved=added + removed > 0)
    return True


def _archives(kind: SegmentJobKind) -> bool:
    return kind is SegmentJobKind.archived


async def _concerned(tx: Transaction, kind: SegmentJobKind, subject_id: UUID) -> list[Segment]:
    """As they are now, whatever they were when the job was queued."""
    if kind is SegmentJobKind.archived:
        return [segments.as_segment(await segments.SEGMENTS.get(tx, subject_id))]
    in_force = await segments.IN_FORCE.now(tx)
    if kind is SegmentJobKind.organization_changed:
        return list(in_force.values())
    return [in_force[subject_id]] if subject_id in in_force else []


async def _let_tickets_follow(tx: Transaction, kind: SegmentJobKind, job: Row, *, moved: bool) -> None:
    now, since = job["now"], job["created_at"]
    if kind is SegmentJobKind.judgement_changed:
        job_queue.queue(tx, job_queue.Kind.judgement_changed, job["subject_id"], now)
    elif await memberships_affect_slas(tx, moved=moved):
        if kind is SegmentJobKind.organization_changed:
            job_queue.queue(tx, job_queue.Kind.organization_changed, job["subject_id"], now)
        elif moved:
            job_queue.queue(tx, job_queue.Kind.segment_changed, job["subject_id"], now, changed_since=since)


async def _decide(
    tx: Transaction, ids: Sequence[UUID], some: Iterable[Segment], *, archived: bool = False
) -> bulk_decide.Changed:
    """For customers whose locks are held; who joined or left any of these segments."""
    added, removed, windowed = list[UUID](), list[UUID](), False
    if ids:
        for segment in some:
            changed = await bulk_decide.decide(tx, segment, ids, FIGURES, archived)
            added += changed.added
            removed += changed.removed
            windowed = windowed or (not archived and reads(segment, WINDOWED))
        if windowed:
            await tx.locked_rows(_WATCH, ids=list(ids))
    return bulk_decide.Changed(added, removed)


def reads(segment: Segment, fields: Iterable[str]) -> bool:
    return segment.rule is not None and not fields_read(segment.rule).isdisjoint(fields)


# Those whom their tickets, or time, have changed.

_next_change = select(_c.id, NEXT_CHANGE.label("at")).where(_c.id == _ids).subquery()
_watch = insert(segment_rechecks).from_select(
    ["customer_id", "at"], select(_next_change).where(_next_change.c.at.is_not(None))
)
_WATCH = Query(_watch.on_conflict_do_update(index_elements=["customer_id"], set_={"at": _watch.excluded.at}))
# Customers before what is noted of them. Who is being changed is looked at in the next round.
_DUE = Query(
    select(_c.id)
    .join(segment_rechecks, _r.customer_id == _c.id)
    .where(_r.at <= func.clock_timestamp())
    .order_by(_r.at)
    .limit(literal_column(str(_FEW)))
    .with_for_update(skip_locked=True, key_share=True, of=customers)
)
_SEEN = Query(delete(segment_rechecks).where(_r.customer_id == _ids, _r.at <= func.clock_timestamp()))
# What changes a figure.
_TELLING = frozenset(
    {
        "ticket.created",
        "ticket.status_changed",
        "ticket.updated",
        "sla.breached",
        "ticket.marked_spam",
        "ticket.unmarked_spam",
    }
)
_THEIRS = Query(select(_t.customer_id.label("id")).where(_t.id == _ids).distinct().order_by(_t.customer_id))


async def run_once(db: Database) -> bool:
    """Overrides that have expired, figures that events or time have changed; whether there may be more."""
    more = [await db.run(each) for each in (_expire, _recheck, _read_log)]
    return any(more)


async def _read_log(tx: Transaction) -> bool:
    some = await _reading(tx)
    return bool(some) and await reader.read_on(tx, segments.READER, _FEW, partial(_follow, some))


async def reads_log(tx: Transaction) -> bool:
    """Whether any rule in force reads what the log changes."""
    return bool(await _reading(tx))


async def _follow(some: Sequence[Segment], tx: Transaction, events: list[Row], _: UUID | None) -> None:
    told = {event["ticket_id"] for event in events if event["ticket_id"] and event["type"] in _TELLING}
    ids = [row["id"] for row in await tx.rows(_THEIRS, ids=list(told))] if told else []
    await decide_few(tx, ids, some)


async def _reading(tx: Transaction) -> list[Segment]:
    in_force = await segments.IN_FORCE.now(tx)
    return [segment for segment in in_force.values() if reads(segment, FIGURES)]


async def _recheck(tx: Transaction) -> bool:
    ids = sorted(row["id"] for row in await tx.locked_rows(_DUE))
    if ids:
        await tx.locked_rows(_SEEN, ids=ids)
        await decide_few(tx, ids, await _reading(tx))
    return len(ids) == _FEW


_over = (_v.ended_at.is_(None), _v.expires_at <= func.clock_timestamp())
_EXPIRED = Query(select(_v.customer_id).where(*_over).order_by(_v.expires_at).limit(literal_column(str(_FEW))))
_END = Query(
    update(segment_overrides)
    .where(_v.customer_id == _ids, *_over)
    .values(ended_at=_v.expires_at)
    .returning(_v.id, _v.segment_id, _v.customer_id, _v.expires_at)
)


async def _expire(tx: Transaction) -> bool:
    ids = sorted({row["customer_id"] for row in await tx.rows(_EXPIRED)})
    if not ids:
        return False
    # Before theirs are ended: whoever makes or deletes one holds the customer's lock.
    await bulk_decide.lock(tx, ids)
    ended = await tx.locked_rows(_END, ids=ids)
    for row in ended:
        data = {"override_id": row["id"], "segment_id": row["segment_id"]}
        log.record(
            tx, log.SYSTEM, "segment_override.expired", row["customer_id"], row["expires_at"], data, internal=True
        )
    in_force = await segments.IN_FORCE.now(tx)
    about = {row["segment_id"] for row in ended}
    await decide_few(tx, ids, [segment for id_, segment in in_force.items() if id_ in about])
    return len(ids) == _FEW


async def decide_few(tx: Transaction, ids: Sequence[UUID], some: Iterable[Segment], *, archived: bool = False) -> None:
    """Their open tickets follow by a job each."""
    if ids:
        await bulk_decide.lock(tx, ids)
    changed = await _decide(tx, ids, some, archived=archived)
    moved = sorted({*changed.added, *changed.removed})
    if moved and await memberships_affect_slas(tx, moved=True):
        now = await tx.now()
        for id_ in moved:
            job_queue.queue(tx, job_queue.Kind.customer_changed, id_, now)

"""Jobs that match many tickets anew, as rows: what makes one necessary queues it in its own transaction. Whoever works
on one (`tickets/jobs.py`) commits its position with what the batch changed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update
from uuid_utils.compat import uuid7

from app.db import Query, Row, Transaction
from app.errors import NotFound
from app.sla.tables import sla_jobs as jobs
from app.sla.tables import sla_policy_revision as revision
from app.web.paging import Listing, Order


class Kind(StrEnum):
    """Why tickets are matched anew."""

    reapply = "reapply"
    policy_archived = "policy_archived"
    calendar_changed = "calendar_changed"
    segment_changed = "segment_changed"
    judgement_changed = "judgement_changed"
    organization_changed = "organization_changed"
    customer_changed = "customer_changed"
    exception_changed = "exception_changed"


# A ticket that opened just before a change may commit just after it, under what was: so look again, once it must have.
_SETTLED_AFTER = timedelta(seconds=45)

COUNTS = ("tickets_seen", "tickets", "clocks", "deadlines", "breaches")
_INSERT = Query(insert(jobs), ["id", "kind", "subject_id", "created_at", "run_at", "changed_since"])
_FORGET = Query(delete(jobs).where(jobs.c.id == bindparam("key_id")))
_GET = Query(select(jobs).where(jobs.c.id == bindparam("key_id")))
_NEXT = Query(
    select(jobs, func.clock_timestamp().label("now"))
    .where(jobs.c.finished_at.is_(None), jobs.c.run_at <= func.clock_timestamp())
    .order_by(jobs.c.run_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_ADVANCE = Query(
    update(jobs).where(jobs.c.id == bindparam("key_id")), ["after_ticket_id", "tickets_total", "finished_at", *COUNTS]
)
_COUNT_UP = Query(update(revision).values(revision=literal_column("revision + 1")))

LISTING = Listing("sla_jobs", select(jobs), {}, {"-created_at": Order((jobs.c.created_at, jobs.c.id), descending=True)})


async def get_job(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no job with this id")
    return row


def queue(
    tx: Transaction, kind: Kind, subject_id: UUID, now: datetime, *, changed_since: datetime | None = None
) -> UUID:
    """Queue a job; the id to follow it by. `changed_since`: of a segment, those who joined or left it since."""
    id_ = uuid7()
    tx.write(_INSERT, id=id_, kind=kind, subject_id=subject_id, created_at=now, run_at=now, changed_since=changed_since)
    if kind is not Kind.reapply:
        look_again(tx, kind, subject_id, now, changed_since)
    return id_


def look_again(
    tx: Transaction, kind: Kind, subject_id: UUID, now: datetime, changed_since: datetime | None = None
) -> None:
    """Queue the second look alone, where the first was taken at once."""
    run_at = now + _SETTLED_AFTER
    tx.write(
        _INSERT, id=uuid7(), kind=kind, subject_id=subject_id, created_at=now, run_at=run_at,
        changed_since=changed_since,
    )  # fmt: skip


def count_up(tx: Transaction) -> None:
    """Tell every process that policies or calendars have changed."""
    tx.write(_COUNT_UP)


async def claim(tx: Transaction) -> Row | None:
    """The job that is due, locked until the transaction ends; others go on to the next one."""
    return await tx.locked_row(_NEXT)


def advance(tx: Transaction, id: UUID, **values: Any) -> None:
    tx.write(_ADVANCE, key_id=id, **values)


def forget(tx: Transaction, id: UUID) -> None:
    """A job that nobody asked for, and is over."""
    tx.write(_FORGET, key_id=id)


def shown(row: Row) -> dict[str, Any]:
    state = "done" if row["finished_at"] else "waiting" if row["tickets_total"] is None else "running"
    return {**row, "state": state}


def counted(subject_id: UUID, now: datetime, counts: Mapping[str, int]) -> dict[str, Any]:
    """A dry run, as a job that was never queued."""
    return {
        "id": None, "kind": Kind.reapply, "subject_id": subject_id, "state": "counted", "created_at": now,
        "finished_at": now, "tickets_total": counts["tickets_seen"], **counts,
    }  # fmt: skip

"""Jobs that decide anew on many customers, as rows: what makes one necessary queues it in its own transaction. Whoever
works on one (`tickets/segment_jobs.py`) commits its position with what the batch changed."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from uuid_utils.compat import uuid7

from app.db import Query, Row, Transaction
from app.errors import NotFound
from app.segments.segment_schemas import SegmentJobKind, SegmentJobState
from app.segments.tables import segment_jobs as jobs
from app.web.paging import Listing, Order

# Who was being added just before a change may be committed just after it, by what was: look again, once they must be.
_SETTLED_AFTER = timedelta(seconds=45)

COUNTS = ("customers_seen", "added", "removed")
_INSERT = Query(insert(jobs), ["id", "kind", "subject_id", "created_at", "run_at", "customers_since"])
_GET = Query(select(jobs).where(jobs.c.id == bindparam("key_id")))
_NEXT = Query(
    select(jobs, func.clock_timestamp().label("now"))
    .where(jobs.c.finished_at.is_(None), jobs.c.run_at <= func.clock_timestamp())
    .order_by(jobs.c.run_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_ADVANCE = Query(
    update(jobs).where(jobs.c.id == bindparam("key_id")),
    ["after_customer_id", "customers_total", "finished_at", *COUNTS],
)
LISTING = Listing(
    "segment_jobs", select(jobs), {}, {"-created_at": Order((jobs.c.created_at, jobs.c.id), descending=True)}
)


async def get_job(tx: Transaction, id: UUID) -> Row:
    row = await tx.row(_GET, key_id=id)
    if row is None:
        raise NotFound("there is no job with this id")
    return row


def queue(tx: Transaction, kind: SegmentJobKind, subject_id: UUID, now: datetime) -> None:
    """Queue a job, and its second look. Customers who were there when it passed were locked by it, so that whoever
    changed one came before or saw what is new: only those who came since are looked at again."""
    about: dict[str, Any] = {"kind": kind, "subject_id": subject_id, "created_at": now}
    tx.write(_INSERT, id=uuid7(), **about, run_at=now, customers_since=None)
    if kind is not SegmentJobKind.judgement_changed:
        tx.write(_INSERT, id=uuid7(), **about, run_at=now + _SETTLED_AFTER, customers_since=now - _SETTLED_AFTER)


async def claim(tx: Transaction) -> Row | None:
    """The job that is due, locked until the transaction ends; others go on to the next one."""
    return await tx.locked_row(_NEXT)


def advance(tx: Transaction, id: UUID, **values: Any) -> None:
    tx.write(_ADVANCE, key_id=id, **values)


def shown(row: Row) -> dict[str, Any]:
    if row["finished_at"]:
        return {**row, "state": SegmentJobState.done}
    begun = row["customers_total"] is not None
    return {**row, "state": SegmentJobState.running if begun else SegmentJobState.waiting}

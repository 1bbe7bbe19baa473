"""The jobs that decide anew on many customers. `memberships/jobs.py` works on them."""

from datetime import datetime
from uuid import UUID

from app.db import Transaction
from app.segments.schemas import SegmentJobKind
from app.segments.tables import segment_jobs
from app.web.job_queue import SETTLED_AFTER, JobQueue

JOBS = JobQueue(
    segment_jobs, SegmentJobKind,
    parameters=["customers_since"],
    progress=["after_customer_id", "customers_total", "customers_seen", "added", "removed"],
    total="customers_total",
)  # fmt: skip


def queue(tx: Transaction, kind: SegmentJobKind, subject_id: UUID, now: datetime) -> None:
    """Queue a job, and its second look. Customers who were there when it passed were locked by it, so that whoever
    changed one came before or saw what is new: only those who came since are looked at again."""
    JOBS.queue(tx, kind, subject_id, now, now)
    if kind is not SegmentJobKind.judgement_changed:
        JOBS.queue(tx, kind, subject_id, now, now + SETTLED_AFTER, customers_since=now - SETTLED_AFTER)

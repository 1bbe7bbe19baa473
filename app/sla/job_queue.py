"""The jobs that match many tickets anew. `tickets/rematch_jobs.py` works on them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import literal_column, update

from app.db import Query, Transaction
from app.sla.tables import sla_jobs
from app.sla.tables import sla_policy_revision as revision
from app.web.job_queue import SETTLED_AFTER, JobQueue


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


COUNTS = ("tickets_seen", "tickets", "clocks", "deadlines", "breaches")
JOBS = JobQueue(
    sla_jobs, Kind,
    parameters=["changed_since"], progress=["after_ticket_id", "tickets_total", *COUNTS], total="tickets_total",
)  # fmt: skip
_COUNT_UP = Query(update(revision).values(revision=literal_column("revision + 1")))


def queue(
    tx: Transaction, kind: Kind, subject_id: UUID, now: datetime, *, changed_since: datetime | None = None
) -> UUID:
    """Queue a job; the id to follow it by. `changed_since`: of a segment, those who joined or left it since."""
    id_ = JOBS.queue(tx, kind, subject_id, now, now, changed_since=changed_since)
    if kind is not Kind.reapply:
        look_again(tx, kind, subject_id, now, changed_since)
    return id_


def look_again(
    tx: Transaction, kind: Kind, subject_id: UUID, now: datetime, changed_since: datetime | None = None
) -> None:
    """Queue the second look alone, where the first was taken at once. Of a customer's tickets it looks at those that
    have changed meanwhile."""
    if kind is Kind.customer_changed:
        changed_since = now - SETTLED_AFTER
    JOBS.queue(tx, kind, subject_id, now, now + SETTLED_AFTER, changed_since=changed_since)


def count_up(tx: Transaction) -> None:
    """Tell every process that policies or calendars have changed."""
    tx.write(_COUNT_UP)


def counted(subject_id: UUID, now: datetime, counts: Mapping[str, int]) -> dict[str, Any]:
    """A dry run, as a job that was never queued."""
    return {
        "id": None, "kind": Kind.reapply, "subject_id": subject_id, "state": "counted", "created_at": now,
        "finished_at": now, "tickets_total": counts["tickets_seen"], **counts,
    }  # fmt: skip

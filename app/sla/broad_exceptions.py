"""Exceptions that are for more than a ticket or a customer, as each process holds them: new tickets get those that are
in force, and no request asks for them. Granting and revoking one counts up the revision of the policies."""

from datetime import datetime

from sqlalchemy import or_, select

from app.db import Query, Transaction, Values
from app.release import understood, word
from app.revision_cache import RevisionCache
from app.sla import policies
from app.sla.core.enums import Metric
from app.sla.core.policy import AppliesTo, Effect, Scope, SlaException
from app.sla.schemas.exceptions import ExceptionKind
from app.sla.tables import sla_exceptions as exceptions

_x = exceptions.c
_BROAD = Query(
    select(exceptions)
    .where(
        _x.kind == ExceptionKind.sla.value,
        or_(_x.scope == Scope.segment.value, _x.scope == Scope.everything.value),
        _x.revoked_at.is_(None),
    )
    .order_by(_x.created_at, _x.id)
)


async def _read_in_force(tx: Transaction) -> tuple[SlaException, ...]:
    return tuple(understood(as_exception, await tx.rows(_BROAD)))


# In the order in which they were granted, with those that are over.
IN_FORCE = RevisionCache(policies.REVISION_NOW, _read_in_force)


def as_exception(row: Values) -> SlaException:
    """Raises NewerRelease."""
    metrics = frozenset(word(Metric, name) for name in row["metrics"])
    return SlaException(
        row["id"], word(Effect, row["effect"]), metrics, in_force_from(row), row["expires_at"], row["seconds"],
        word(Scope, row["scope"]), row["customer_id"] or row["segment_id"], word(AppliesTo, row["applies_to"]),
    )  # fmt: skip


def in_force_from(row: Values) -> datetime:
    """Where only clocks that start later are meant, it is not in force before it was granted: a `starts_at` of long ago
    would reach all that run. (`whose.as_json` is the other way to say the same.)"""
    starts_at: datetime = row["starts_at"]
    return max(starts_at, row["created_at"]) if row["applies_to"] == AppliesTo.started else starts_at

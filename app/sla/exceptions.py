"""Exceptions that are for more than a ticket or a customer, as each process holds them: new tickets get those that are
in force, and no request asks for them. Granting and revoking one counts up the revision of the policies."""

from sqlalchemy import or_, select

from app.db import Query, Row, Transaction
from app.sla import policies
from app.sla.core.policy import Effect, Scope, SlaException
from app.sla.core.words import Metric
from app.sla.schemas.exceptions import ExceptionKind
from app.sla.tables import sla_exceptions as exceptions

_x = exceptions.c
_WIDE = Query(
    select(exceptions)
    .where(
        _x.kind == ExceptionKind.sla.value,
        or_(_x.scope == Scope.segment.value, _x.scope == Scope.everything.value),
        _x.revoked_at.is_(None),
    )
    .order_by(_x.created_at, _x.id)
)


async def wide(tx: Transaction, revision: int) -> tuple[SlaException, ...]:
    """As of this revision, in the order in which they were granted, with those that are over."""
    held: tuple[int, tuple[SlaException, ...]] | None = tx.memo.get("wide exceptions")
    if held is None or held[0] != revision:
        # The revision is read first: a change in between must not pass for one that is known.
        now = await policies.revision_now(tx)
        held = tx.memo["wide exceptions"] = now, tuple(as_exception(row) for row in await tx.rows(_WIDE))
    return held[1]


def as_exception(row: Row) -> SlaException:
    return SlaException(
        row["id"], Effect(row["effect"]), frozenset(map(Metric, row["metrics"])), row["starts_at"], row["expires_at"],
        row["seconds"], Scope(row["scope"]), row["customer_id"] or row["segment_id"],
    )  # fmt: skip

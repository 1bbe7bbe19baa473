"""What came of attempts, written down: many at once, each only where the lease under which it was made still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    DateTime,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.db import Query, Transaction
from app.events import log
from app.statements import rows_of
from app.webhooks.claiming import PENDING
from app.webhooks.retries import FAILURES_TO_OPEN, OPEN_SECONDS, OPEN_SECONDS_AT_MOST, Attempt, Failure, Next
from app.webhooks.tables import webhook_deliveries as deliveries
from app.webhooks.tables import webhooks

_w, _d = webhooks.c, deliveries.c
_NOW = func.statement_timestamp()
_INSTANT = DateTime(timezone=True)


_COLUMNS: dict[str, Any] = {
    "webhook_id": Uuid, "id": Uuid, "lease": _INSTANT, "state": Text, "next_at": _INSTANT, "attempted_at": _INSTANT,
    "status": Integer, "answer": Text, "failure": Text,
}  # fmt: skip
_results = rows_of(_COLUMNS, "given")
_recorded = deliveries.alias("recorded")
# In order, before the join finds them in its own.
_in_order = (
    select(_recorded.c.webhook_id, _recorded.c.id)
    .join(_results, and_(_recorded.c.webhook_id == _results.c.webhook_id, _recorded.c.id == _results.c.id))
    .order_by(_recorded.c.webhook_id, _recorded.c.id)
    .with_for_update(key_share=True, of=_recorded)
    .cte("locked")
)
_RECORD = Query(
    update(deliveries)
    .where(
        tuple_(_d.webhook_id, _d.id).in_(select(_in_order.c.webhook_id, _in_order.c.id)),
        _d.webhook_id == _results.c.webhook_id, _d.id == _results.c.id, _d.next_at == _results.c.lease,
        _d.state == PENDING,
    )
    .values({name: _results.c[name] for name in ("state", "next_at", "attempted_at", "status", "answer", "failure")})
)  # fmt: skip

_judged = rows_of({"id": Uuid, "url": Text, "answered": Boolean, "failed": Integer}, "given")
_failures = case((_judged.c.answered, 0), else_=_w.failures) + _judged.c.failed
_pause = func.least(
    func.power(2, func.least(_failures - FAILURES_TO_OPEN, 10)) * OPEN_SECONDS, OPEN_SECONDS_AT_MOST
) * (literal_column("0.9") + func.random() * literal_column("0.2"))
_told = webhooks.alias("told")
_endpoints = (
    select(_told.c.id)
    .where(_told.c.id == any_(bindparam("id", type_=ARRAY(Uuid))))
    .order_by(_told.c.id)
    .with_for_update(key_share=True)
    .cte("locked")
)
_JUDGE = Query(
    update(webhooks)
    .where(
        _w.id.in_(select(_endpoints.c.id)), _w.id == _judged.c.id, _w.url == _judged.c.url,
        or_(_failures != _w.failures, and_(_judged.c.answered, _w.open_until.is_not(None))),
    )
    .values(
        failures=_failures,
        open_until=case(
            (_failures >= FAILURES_TO_OPEN, _NOW + func.make_interval(0, 0, 0, 0, 0, 0, _pause)), else_=null()
        ),
    )
)  # fmt: skip

_turned_off = (
    update(webhooks)
    .where(_w.id == bindparam("webhook_id"), _w.url == bindparam("url"), _w.active)
    .values(active=false(), disabled_reason=Failure.gone, version=_w.version + 1, updated_at=func.clock_timestamp())
    .returning(_w.id, func.clock_timestamp().label("at"))
    .cte("changed")
)
_why = cast(literal({"changes": {"active": {"before": True, "after": False}}, "reason": Failure.gone}, JSONB), JSONB)
_TURN_OFF = Query(log.record_for_rows(_turned_off, "webhook.updated", _why))


@dataclass(frozen=True, slots=True)
class Result:
    """An attempt that was made. `counts`: whether it says something of the endpoint, and not of the one delivery."""

    webhook_id: UUID
    id: UUID
    url: str
    lease: datetime
    at: datetime
    attempt: Attempt
    next: Next
    counts: bool


async def record(tx: Transaction, results: Sequence[Result]) -> None:
    """In the order in which the attempts ended."""
    # Endpoints before deliveries, each by id: as a claim and a change of a webhook lock them.
    verdicts = _verdicts(results)
    if verdicts:
        await tx.locked_rows(
            _JUDGE,
            id=[id_ for id_, _ in verdicts], url=[url for _, url in verdicts],
            answered=[answered for answered, _ in verdicts.values()], failed=[n for _, n in verdicts.values()],
        )  # fmt: skip
    for id_, url in sorted({(r.webhook_id, r.url) for r in results if r.attempt.failure is Failure.gone}):
        await tx.locked_rows(_TURN_OFF, webhook_id=id_, url=url, **log.actor_params(log.SYSTEM))
    rows = [_row(result) for result in sorted(results, key=lambda r: (r.webhook_id, r.id))]
    await tx.locked_rows(_RECORD, **{name: [row[name] for row in rows] for name in _COLUMNS})


def _verdicts(results: Sequence[Result]) -> dict[tuple[UUID, str], tuple[bool, int]]:
    """By endpoint: whether it answered well, and how many failures in a row there were since."""
    found: dict[tuple[UUID, str], tuple[bool, int]] = {}
    for result in sorted(results, key=lambda r: r.webhook_id):
        answered, failed = found.get((result.webhook_id, result.url), (False, 0))
        if result.attempt.failure is None:
            found[result.webhook_id, result.url] = True, 0
        elif result.counts:
            found[result.webhook_id, result.url] = answered, failed + 1
    return found


def _row(result: Result) -> dict[str, Any]:
    attempt = result.attempt
    return {
        "webhook_id": result.webhook_id, "id": result.id, "lease": result.lease, "state": result.next.state,
        "next_at": result.next.at or result.at, "attempted_at": result.at, "status": attempt.status,
        "answer": attempt.answer, "failure": attempt.failure,
    }  # fmt: skip

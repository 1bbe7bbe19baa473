"""Clocks as rows: loading them into the core's values, writing what the core says, showing them at an instant."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, func, insert, null, select, update
from uuid_utils.compat import uuid7

from app.db import Query, Transaction, Values
from app.events import log
from app.sla.core.clock import Clock, EndedReason, State
from app.sla.core.policy import Metric
from app.sla.schemas import Hours
from app.sla.tables import sla_alerts, sla_clocks

Key = tuple[Metric, int]

_c = sla_clocks.c
_MEASURED = [
    "metric", "cycle", "started_at", "policy_id", "policy_version", "target_seconds", "warn_at_percent", "bot_counts",
    "due_at", "original_due_at", "stopped_at", "ended_at", "ended_reason",
]  # fmt: skip

_COVERED = [
    "policy_id", "policy_version", "target_seconds", "warn_at_percent", "bot_counts", "due_at", "original_due_at",
]  # fmt: skip
_by_id = _c.id == bindparam("key_id")
_INSERT = Query(insert(sla_clocks), ["id", "ticket_id", *_MEASURED, "warnings", "next_at", "detected_at"])
_ENDED = ["stopped_at", "ended_at", "ended_reason"]
_RECOVER = Query(update(sla_clocks).where(_by_id), [*_COVERED, *_ENDED, "warnings", "next_at", "detected_at"])
# What passed before the end and is not recorded yet stays due: the sweep alone records alerts.
_END = Query(
    update(sla_clocks).where(_by_id).values(next_at=case((_c.next_at < bindparam("until"), _c.next_at), else_=null())),
    _ENDED,
)
_ALERT = Query(insert(sla_alerts), ["clock_id", "kind", "target_seconds", "percent", "at", "detected_at"])
_OF_TICKET = Query(
    select(sla_clocks, func.clock_timestamp().label("now"))
    .where(_c.ticket_id == bindparam("ticket_id"))
    .order_by(_c.id)
)


def as_clock(row: Values, prefix: str = "") -> Clock:
    values = {name: row[prefix + name] for name in _MEASURED}
    reason = values["ended_reason"]
    return Clock(
        **{
            **values,
            "metric": Metric(values["metric"]),
            "warn_at_percent": tuple(values["warn_at_percent"]),
            "ended_reason": EndedReason(reason) if reason else None,
        }
    )


def key(clock: Clock) -> Key:
    return clock.metric, clock.cycle


def write(
    tx: Transaction,
    who: log.By,
    ticket_id: UUID,
    ids: Mapping[Key, UUID],
    before: Iterable[Clock],
    after: Iterable[Clock],
) -> None:
    """Queue what changed between two states of a ticket's clocks, with its events. `ids` has the ids of `before`."""
    was = {key(clock): clock for clock in before}
    for clock in after:
        earlier = was.get(key(clock))
        if earlier is None:
            _insert(tx, uuid7(), ticket_id, clock, next_at=clock.next_at())
        elif earlier is not clock and earlier != clock:
            _update(tx, who, ticket_id, ids[key(clock)], earlier, clock)


def insert_history(tx: Transaction, ticket_id: UUID, clocks: Iterable[Clock], now: datetime) -> None:
    """Queue the clocks of an imported ticket. What already happened is recorded as facts here, so that the sweep, which
    tells people, never sees it."""
    for clock in clocks:
        id_ = uuid7()
        breached = clock.breached(now)
        _insert(tx, id_, ticket_id, clock, next_at=clock.next_at(after=now), detected_at=now if breached else None)
        if breached:
            _record_imported_breach(tx, id_, ticket_id, clock, now)
        elif clock.ended_at:
            _record_end(tx, log.SYSTEM, ticket_id, id_, clock, imported=True)
        if clock.ended_at is None:
            _record_past_warnings(tx, id_, clock, now)


def _record_past_warnings(tx: Transaction, id: UUID, clock: Clock, now: datetime) -> None:
    """So that the sweep, when it comes to this clock later, takes them for given."""
    for percent, at in zip(clock.warn_at_percent, clock.warnings(), strict=True):
        if at < now:
            tx.write(
                _ALERT,
                clock_id=id, kind="at_risk", target_seconds=clock.target_seconds, percent=percent,
                at=at, detected_at=now,
            )  # fmt: skip


def _record_imported_breach(tx: Transaction, id: UUID, ticket_id: UUID, clock: Clock, now: datetime) -> None:
    assert clock.due_at is not None
    key_: dict[str, Any] = {"clock_id": id, "kind": "breached", "target_seconds": clock.target_seconds, "percent": 0}
    tx.write(_ALERT, **key_, at=clock.due_at, detected_at=now)
    data = {"clock_id": id, "metric": clock.metric, "cycle": clock.cycle, "target_seconds": clock.target_seconds}
    log.record(
        tx, log.SYSTEM, "sla.breached", id, clock.due_at, data, ticket_id=ticket_id, internal=True, imported=True
    )


def _record_end(
    tx: Transaction, who: log.By, ticket_id: UUID, id: UUID, clock: Clock, *, imported: bool = False
) -> None:
    """Tell that a clock ended in time, or without an answer. That it broke is the sweep's to tell."""
    assert clock.ended_at is not None
    state = clock.state(clock.ended_at)
    if state in (State.met, State.cancelled):
        data = {
            "clock_id": id, "metric": clock.metric, "cycle": clock.cycle, "target_seconds": clock.target_seconds,
            "elapsed_seconds": clock.elapsed(clock.ended_at).total_seconds(), "reason": clock.ended_reason,
        }  # fmt: skip
        at = clock.ended_at
        log.record(tx, who, f"sla.{state}", id, at, data, ticket_id=ticket_id, internal=True, imported=imported)


def _insert(
    tx: Transaction,
    id: UUID,
    ticket_id: UUID,
    clock: Clock,
    next_at: datetime | None,
    detected_at: datetime | None = None,
) -> None:
    values = {name: getattr(clock, name) for name in _MEASURED}
    tx.write(
        _INSERT,
        id=id, ticket_id=ticket_id, **values, warnings=clock.warnings(), next_at=next_at, detected_at=detected_at,
    )  # fmt: skip


def _update(tx: Transaction, who: log.By, ticket_id: UUID, id: UUID, before: Clock, after: Clock) -> None:
    """Queue the one write of a clock's row: a request may end the clock, or cover it anew, or both."""
    values = {name: getattr(after, name) for name in (*_COVERED, *_ENDED)}
    if all(getattr(before, name) == values[name] for name in _COVERED):
        tx.write(_END, key_id=id, **values, until=after.ended_at)
    else:
        tx.write(_RECOVER, key_id=id, **values, warnings=after.warnings(), next_at=after.next_at(), detected_at=None)
    if after.ended_at:
        _record_end(tx, who, ticket_id, id, after)


def shown(row: Values, now: datetime) -> dict[str, Any]:
    """A clock as it is at `now`."""
    clock = as_clock(row)
    state = clock.state(now)
    running = clock.ended_at is None
    warnings = clock.warnings()
    elapsed = clock.elapsed(now).total_seconds()
    return {
        **{name: getattr(clock, name) for name in _MEASURED},
        "id": row["id"],
        "ticket_id": row["ticket_id"],
        "state": state,
        "at_risk": bool(state is State.running and warnings and warnings[0] <= now),
        "hours": Hours.calendar,
        "elapsed_seconds": elapsed,
        "remaining_seconds": (clock.due_at - now).total_seconds() if running and clock.due_at else None,
        "paused_seconds": 0.0,
        "breached_at": clock.due_at if state is State.breached else None,
        "detected_at": row["detected_at"],
    }


async def of_ticket(tx: Transaction, ticket_id: UUID) -> list[dict[str, Any]]:
    return [shown(row, row["now"]) for row in await tx.rows(_OF_TICKET, ticket_id=ticket_id)]


_passed = _c.due_at < func.coalesce(_c.ended_at, func.clock_timestamp())
IS_STATE = {
    State.breached: _passed,
    State.running: _c.ended_at.is_(None) & _passed.is_not(True),
    State.cancelled: _c.ended_reason.is_not(None) & _passed.is_not(True),
    State.met: _c.stopped_at.is_not(None) & (_c.due_at >= _c.stopped_at),
    State.stopped: _c.stopped_at.is_not(None) & _c.due_at.is_(None),
}
"""The states as SQL says them; `Clock.state` is the other way to say the same."""

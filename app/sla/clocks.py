"""Clocks as rows: loading them into the core's values, writing what the core says, showing them at an instant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, case, func, insert, literal_column, or_, select, update
from uuid_utils.compat import uuid7

from app.db import Query, Transaction, Values
from app.events import log
from app.release import understood, word
from app.sla import calendars
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import Clock, ClockState, EndedReason
from app.sla.core.enums import RESPONSES, Metric, Status
from app.sla.core.policy import NO_RELIEF, Relief, Terms
from app.sla.schemas.types import Hours
from app.sla.tables import sla_alerts, sla_clocks

Key = tuple[Metric, int]
Calendars = Mapping[calendars.Key, BusinessCalendar]

_c = sla_clocks.c
_FIXED = ["metric", "cycle", "started_at", "promised_until"]
_TERMS = [
    "policy_id", "policy_version", "promised_seconds", "calendar_id", "calendar_version", "pause_on",
    "warn_at_percent", "bot_counts",
]  # fmt: skip
_RELIEF = ["excluded", "extra_seconds", "relief_seconds", "frozen"]
_DERIVED = ["target_seconds", "due_at", "original_due_at", "unrelieved_due_at", "warnings"]
_MOVED = ["pauses", "due_at", "original_due_at", "unrelieved_due_at", "warnings"]
# What a ticket was when a clock ended: kept with the clock, so that figures of the past are never regrouped.
ATTRIBUTED = [
    "assignee_id", "team_id", "organization_id", "customer_id", "ticket_policy_id", "priority", "type", "channel",
    "product", "region", "tags",
]  # fmt: skip
Attribution = dict[str, Any]
_UNATTRIBUTED: Attribution = dict.fromkeys(ATTRIBUTED)
_ENDED = ["stopped_at", "ended_at", "ended_reason", "elapsed", "responder_id", *ATTRIBUTED]
_ALL = [*_FIXED, *_TERMS, *_RELIEF, *_DERIVED, "pauses", "resolved", *_ENDED]

_by_id = _c.id == bindparam("key_id")
_START = Query(
    insert(sla_clocks), ["id", "ticket_id", *_FIXED, *_TERMS, *_DERIVED, "pauses", "next_at"]
)  # what only a clock with a past has is left to its defaults
_INSERT = Query(insert(sla_clocks), ["id", "ticket_id", *_ALL, "next_at", "detected_at"])
_CHANGE = Query(
    update(sla_clocks).where(_by_id),
    [*_TERMS, *_RELIEF, *_DERIVED, "pauses", "resolved", *_ENDED, "next_at", "detected_at"],
)
_REWRITE = Query(update(sla_clocks).where(_by_id), [*_ALL, "next_at", "detected_at"])
# What passed before this change and is not recorded yet stays due: the sweep alone records alerts.
_still_due = case((_c.next_at < bindparam("until"), _c.next_at), else_=bindparam("upcoming", type_=_c.next_at.type))
_MOVE = Query(update(sla_clocks).where(_by_id).values(next_at=_still_due), [*_MOVED, *_ENDED])
_END = Query(update(sla_clocks).where(_by_id).values(next_at=_still_due), _ENDED)
# Read without a lock: the sweep must not have noticed a breach since, or the clock would be met and breached.
_unnoticed = or_(_c.detected_at.is_(None), _c.detected_at <= bindparam("until"))
_MOVE_AS_READ, _END_AS_READ = (
    Query(
        update(sla_clocks).where(_by_id, _unnoticed).values(next_at=_still_due),
        [*columns, *_ENDED],
        expect_one_row=True,
    )
    for columns in (_MOVED, [])
)
_ALERT = Query(insert(sla_alerts), ["clock_id", "kind", "target_seconds", "percent", "at", "detected_at"])
_OF_TICKET = Query(
    select(sla_clocks, func.clock_timestamp().label("now"))
    .where(_c.ticket_id == bindparam("ticket_id"))
    .order_by(_c.started_at.desc(), _c.id.desc())
    .limit(literal_column("200"))
)

_STAFFS = {
    **dict.fromkeys((
        "policy_id", "policy_version", "target_seconds", "calendar_id", "calendar_version", "due_at",
        "original_due_at", "remaining_seconds", "breached_at", "detected_at",
    )),
    "at_risk": False,
    "excluded": False,
}  # fmt: skip

# What the core's value is made of; everything else in the row follows from it.
LOADED = [
    "metric", "cycle", "started_at", "promised_seconds", "policy_id", "policy_version", "calendar_id",
    "calendar_version", "pause_on", "warn_at_percent", "bot_counts", "promised_until", "pauses", "resolved", "excluded",
    "extra_seconds", "relief_seconds", "frozen", "original_due_at", "stopped_at", "ended_at", "ended_reason",
    "responder_id", "due_at",
]  # fmt: skip


def as_clock(row: Values, known: Calendars, prefix: str = "") -> Clock:
    (
        metric, cycle, started_at, seconds, policy_id, policy_version, calendar_id, calendar_version, pause_on, warn_at,
        bot_counts, promised_until, pauses, resolved, excluded, extra_seconds, relief_seconds, frozen, original_due_at,
        stopped_at, ended_at, reason, responder_id, due_at,
    ) = [row[name] for name in _prefixed(prefix)]  # fmt: skip
    relieved = excluded or extra_seconds or relief_seconds is not None or frozen
    return Clock(
        word(Metric, metric),
        cycle,
        started_at,
        _terms(
            seconds, policy_id, policy_version, known[calendar_id, calendar_version] if calendar_id else None,
            tuple(pause_on), tuple(warn_at), bot_counts,
        ),
        promised_until,
        tuple(pauses),
        tuple(resolved),
        Relief(excluded, extra_seconds, relief_seconds, tuple(frozen)) if relieved else NO_RELIEF,
        original_due_at,
        stopped_at,
        ended_at,
        word(EndedReason, reason) if reason else None,
        responder_id,
        due_at if excluded else None,
    )  # fmt: skip


@lru_cache
def _prefixed(prefix: str) -> list[str]:
    return [prefix + name for name in LOADED]


@lru_cache(maxsize=4096)
def _terms(
    seconds: int | None,
    policy_id: UUID | None,
    policy_version: int | None,
    calendar: BusinessCalendar | None,
    pause_on: tuple[str, ...],
    warn_at_percent: tuple[int, ...],
    bot_counts: bool,
) -> Terms:
    statuses = frozenset(map(Status, pause_on))
    return Terms(seconds, policy_id, policy_version, calendar, statuses, warn_at_percent, bot_counts)


def as_values(clock: Clock) -> dict[str, Any]:
    """All columns that say what the clock is; `as_clock` reads it back from them."""
    terms, relief = clock.terms, clock.relief
    ended = clock.ended_at
    due_at = clock.due_at
    return {
        "metric": clock.metric,
        "cycle": clock.cycle,
        "started_at": clock.started_at,
        "promised_until": clock.promised_until,
        "policy_id": terms.policy_id,
        "policy_version": terms.policy_version,
        "promised_seconds": terms.seconds,
        "calendar_id": terms.calendar.id if terms.calendar else None,
        "calendar_version": terms.calendar.version if terms.calendar else None,
        "pause_on": sorted(terms.pause_on),
        "warn_at_percent": terms.warn_at_percent,
        "bot_counts": terms.bot_counts,
        "excluded": relief.excluded,
        "extra_seconds": relief.extra_seconds,
        "relief_seconds": relief.seconds,
        "frozen": relief.frozen,
        "target_seconds": clock.target_seconds,
        "due_at": due_at,
        "original_due_at": clock.original_due_at,
        "unrelieved_due_at": due_at if relief is NO_RELIEF else clock.unrelieved_due_at,
        "warnings": clock.warnings(),
        "pauses": clock.pauses,
        "resolved": clock.resolved,
        "stopped_at": clock.stopped_at,
        "ended_at": ended,
        "ended_reason": clock.ended_reason,
        "elapsed": clock.elapsed(ended) if ended else None,
        "responder_id": clock.responder_id,
    }


def attributed(clock: Clock, attribution: Attribution) -> Attribution:
    """The columns of `ATTRIBUTED`: empty while the clock runs."""
    return attribution if clock.ended_at else _UNATTRIBUTED


def key(clock: Clock) -> Key:
    return clock.metric, clock.cycle


def write(
    tx: Transaction,
    who: log.ActorRef,
    ticket_id: UUID,
    ids: Mapping[Key, UUID],
    before: Iterable[Clock],
    after: Iterable[Clock],
    now: datetime,
    attribution: Attribution,
    *,
    optimistic: bool = False,
) -> None:
    """Queue what changed between two states of a ticket's clocks, with its events. `ids` has the ids of `before`, which
    were read `optimistic` or under their locks. Clocks that end keep the `attribution`."""
    was = {key(clock): clock for clock in before}
    for clock in after:
        earlier = was.get(key(clock))
        if earlier is None:
            _start(tx, who, ticket_id, clock, attribution)
        elif earlier is not clock and earlier != clock:
            _update(tx, who, ticket_id, ids[key(clock)], earlier, clock, now, attribution, optimistic)


def insert_history(
    tx: Transaction,
    ticket_id: UUID,
    clocks: Iterable[Clock],
    now: datetime,
    attributions: Mapping[Key, Attribution],
    former: Sequence[tuple[Clock, datetime]] = (),
) -> None:
    """Queue the clocks of an imported ticket. What already happened is recorded as facts here, so that the sweep, which
    tells people, never sees it. `former` are clocks as they were until they got other terms."""
    for clock in clocks:
        id_ = uuid7()
        values = as_values(clock) | attributed(clock, attributions.get(key(clock), _UNATTRIBUTED))
        breached = clock.breached(now)
        tx.write(
            _INSERT, id=id_, ticket_id=ticket_id, **values, next_at=clock.next_at(after=now),
            detected_at=now if breached else None,
        )  # fmt: skip
        stages = [stage for stage in former if key(stage[0]) == key(clock)]
        _record_past_alerts(tx, id_, ticket_id, [*stages, (clock, clock.ended_at or now)], now)
        if clock.ended_at and not breached:
            _record_end(tx, log.SYSTEM, ticket_id, id_, clock, imported=True)


def rewrite(tx: Transaction, id: UUID, clock: Clock, attribution: Attribution) -> None:
    """Queue a row that is wrong to be written anew. The sweep looks at it again, and tells of nothing twice."""
    values = as_values(clock) | attributed(clock, attribution)
    tx.write(_REWRITE, key_id=id, **values, next_at=clock.next_at(), detected_at=None)


def _record_past_alerts(
    tx: Transaction, id: UUID, ticket_id: UUID, stages: Iterable[tuple[Clock, datetime]], now: datetime
) -> None:
    """What passed under each of the terms that a clock had, until when it had them: once for each target, as the sweep
    tells of it."""
    passed: dict[tuple[str, int | None, int], datetime] = {}
    for clock, until in stages:
        alerts = [("at_risk", *each) for each in zip(clock.terms.warn_at_percent, clock.warnings(), strict=True)]
        for kind, percent, at in (*alerts, ("breached", 0, clock.due_at)):
            if at and at < until:
                passed.setdefault((kind, clock.target_seconds, percent), at)
    for (kind, target_seconds, percent), at in sorted(passed.items(), key=lambda each: each[1]):
        told: dict[str, Any] = {"target_seconds": target_seconds, "percent": percent}
        tx.write(_ALERT, clock_id=id, kind=kind, **told, at=at, detected_at=now)
        data = {"clock_id": id, "metric": clock.metric, "cycle": clock.cycle, **told}
        log.record(tx, log.SYSTEM, f"sla.{kind}", id, at, data, ticket_id=ticket_id, internal=True, imported=True)


def _record_end(
    tx: Transaction, who: log.ActorRef, ticket_id: UUID, id: UUID, clock: Clock, *, imported: bool = False
) -> None:
    """Tell that a clock ended in time, or without an answer. That it broke is the sweep's to tell."""
    assert clock.ended_at is not None
    state = clock.state(clock.ended_at)
    if state in (ClockState.met, ClockState.cancelled):
        data = {
            "clock_id": id, "metric": clock.metric, "cycle": clock.cycle, "target_seconds": clock.target_seconds,
            "elapsed_seconds": clock.elapsed(clock.ended_at).total_seconds(), "reason": clock.ended_reason,
        }  # fmt: skip
        at = clock.ended_at
        log.record(tx, who, f"sla.{state}", id, at, data, ticket_id=ticket_id, internal=True, imported=imported)


def _start(tx: Transaction, who: log.ActorRef, ticket_id: UUID, clock: Clock, attribution: Attribution) -> None:
    id_ = uuid7()
    if clock.ended_at or clock.relief is not NO_RELIEF:
        values = as_values(clock) | attributed(clock, attribution)
        tx.write(_INSERT, id=id_, ticket_id=ticket_id, **values, next_at=clock.next_at(), detected_at=None)
        if clock.ended_at:
            _record_end(tx, who, ticket_id, id_, clock)
    else:
        tx.write(_START, id=id_, ticket_id=ticket_id, **as_values(clock), next_at=clock.next_at())


def any_other_terms(before: Iterable[Clock], after: Iterable[Clock]) -> bool:
    """Whether a clock gets other terms or runs again: what `write` does only under its lock."""
    was = {key(clock): clock for clock in before}
    return any(_other_terms(was[key(clock)], clock) for clock in after if key(clock) in was)


def _other_terms(before: Clock, after: Clock) -> bool:
    revived = before.ended_at is not None and after.ended_at is None
    return revived or (before.terms, before.relief, before.resolved) != (after.terms, after.relief, after.resolved)


def _update(
    tx: Transaction,
    who: log.ActorRef,
    ticket_id: UUID,
    id: UUID,
    before: Clock,
    after: Clock,
    now: datetime,
    attribution: Attribution,
    optimistic: bool,
) -> None:
    """Queue the one write of a clock's row: a request may end the clock, or cover it anew, or both."""
    values = as_values(after) | attributed(after, attribution)
    if _other_terms(before, after):
        assert not optimistic
        tx.write(_CHANGE, key_id=id, **values, next_at=after.next_at(), detected_at=None)
    else:
        same = before.due_at == values["due_at"] and before.unrelieved_due_at == values["unrelieved_due_at"]
        query = (_END, _MOVE, _END_AS_READ, _MOVE_AS_READ)[2 * optimistic + (after.pauses != before.pauses or not same)]
        tx.write(query, key_id=id, **values, until=now, upcoming=after.next_at(after=now))
    if after.ended_at:
        _record_end(tx, who, ticket_id, id, after)


def to_response(row: Values, known: Calendars, now: datetime) -> dict[str, Any]:
    """A clock as it is at `now`."""
    clock = as_clock(row, known)
    state = clock.state(now)
    remaining = clock.remaining(now)
    first_warning = next(iter(clock.warnings()), None)
    return {
        **{name: row[name] for name in ("id", "ticket_id", *_FIXED, *_TERMS, *_ENDED, "detected_at", "excluded")},
        "state": state,
        "at_risk": bool(state is ClockState.running and first_warning and first_warning <= now),
        "target_seconds": clock.target_seconds,
        "hours": Hours.business if clock.terms.calendar else Hours.calendar,
        "due_at": row["due_at"],
        "original_due_at": clock.original_due_at,
        "elapsed_seconds": clock.elapsed(now).total_seconds(),
        "remaining_seconds": None if remaining is None else remaining.total_seconds(),
        "paused_seconds": clock.paused_time(now).total_seconds(),
        "breached_at": row["due_at"] if state is ClockState.breached else None,
    }


def customer_view(row: Values, known: Calendars, now: datetime) -> dict[str, Any]:
    """A clock as customers see it, as if it had no target: policies and deadlines are the staff's to know."""
    clock = as_clock(row, known)
    untold = clock._replace(
        terms=replace(clock.terms, seconds=None),
        relief=replace(clock.relief, seconds=None),
        promised_until=None,
        broken_at=None,
    )
    return {**to_response(row, known, now), **_STAFFS, "state": untold.state(now)}


async def all_shown(tx: Transaction, rows: Iterable[Values]) -> list[dict[str, Any]]:
    """Rows with their `now` as clocks."""
    found = list(rows)
    known = await calendars.versions_of(tx, found)
    return list(understood(lambda row: to_response(row, known, row["now"]), found))


STANDING = ("due_at", "at_risk_at", "waiting_since")


def standing(clocks: Iterable[Clock]) -> dict[str, datetime | None]:
    """What a ticket's row says of its clocks that run: the earliest deadline, the first warning, and since when its
    customer waits for an answer."""
    running = [clock for clock in clocks if clock.ended_at is None]
    first_warnings = (next(iter(clock.warnings()), None) for clock in running)
    return {
        "due_at": min((clock.due_at for clock in running if clock.due_at), default=None),
        "at_risk_at": min((at for at in first_warnings if at), default=None),
        "waiting_since": min((clock.started_at for clock in running if clock.metric in RESPONSES), default=None),
    }


async def of_ticket(tx: Transaction, ticket_id: UUID, *, for_customer: bool = False) -> list[dict[str, Any]]:
    found = await tx.rows(_OF_TICKET, ticket_id=ticket_id)
    known = await calendars.versions_of(tx, found)
    show = customer_view if for_customer else to_response
    return list(understood(lambda row: show(row, known, row["now"]), reversed(found)))


def states(
    due_at: ColumnElement[Any], now: ColumnElement[Any] | None = None, of: Any = _c
) -> dict[ClockState, ColumnElement[bool]]:
    """The states as SQL says them, against this deadline; `Clock.state` is the other way to say the same. `of` are the
    columns of the clocks."""
    passed = due_at < func.coalesce(of.ended_at, func.clock_timestamp() if now is None else now)
    pausing = func.cardinality(of.pauses) % 2 == 1
    return {
        ClockState.breached: passed,
        ClockState.running: of.ended_at.is_(None) & passed.is_not(True) & ~pausing,
        ClockState.paused: of.ended_at.is_(None) & passed.is_not(True) & pausing,
        ClockState.cancelled: of.ended_reason.is_not(None) & passed.is_not(True),
        ClockState.met: of.stopped_at.is_not(None) & (due_at >= of.stopped_at),
        ClockState.stopped: of.stopped_at.is_not(None) & due_at.is_(None),
    }


IS_STATE = states(_c.due_at)

"""Why a ticket's clocks are due when they are: for the support person who is asked."""

from datetime import datetime, time, timedelta
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, literal_column, or_, select

from app.auth.dependencies import Actor
from app.db import Query, Row, Transaction
from app.events.tables import events
from app.release import understood
from app.sla import calendars, clocks, coverage, policies
from app.sla.core.clock import Clock, Spans
from app.sla.core.policy import NO_RELIEF
from app.sla.customer_context import load_contexts
from app.sla.tables import sla_clocks
from app.tickets.queries import get_whole_ticket

_MOST_SPANS = 400
_MOST_STEPS = 14
_DAY_LETTERS = len("Mon 2026-11-30 ")
_APPLIED = Query(
    select(events.c.occurred_at, events.c.data)
    .where(
        events.c.ticket_id == bindparam("ticket_id"),
        or_(events.c.type == "ticket.created", events.c.type == "sla.policy_applied"),
    )
    .order_by(events.c.id.desc())
    .limit(1)
)
_CLOCKS = Query(
    select(sla_clocks, func.clock_timestamp().label("now"))
    .where(sla_clocks.c.ticket_id == bindparam("ticket_id"))
    .order_by(sla_clocks.c.started_at.desc(), sla_clocks.c.id.desc())
    .limit(literal_column("20"))
)


async def explain_ticket(tx: Transaction, actor: Actor, ticket_id: UUID) -> dict[str, Any]:
    """The policies as they are tried today, the one the ticket stands under, and the way to its deadline of each of
    the newest 20 clocks."""
    ticket = await get_whole_ticket(tx, actor, ticket_id)
    applied = await tx.row(_APPLIED, ticket_id=ticket_id)
    rows = await tx.rows(_CLOCKS, ticket_id=ticket_id)
    known = await calendars.versions_of(tx, rows)
    context = (await load_contexts(tx, [ticket["customer_id"]]))[ticket["customer_id"]]
    tried = await policies.explain(tx, {**coverage.of_ticket(ticket), **context.facts})

    def explained(row: Row) -> dict[str, Any]:
        return _explained(clocks.as_clock(row, known), clocks.to_response(row, known, row["now"]), row["now"])

    return {
        "ticket_id": ticket_id,
        "at": ticket["now"],
        "policy_id": ticket["policy_id"],
        "policy_version": ticket["policy_version"],
        "applied_at": applied["occurred_at"] if applied else None,
        "because": applied["data"].get("because", "opened") if applied else None,
        "policies": tried["policies"],
        "clocks": list(understood(explained, reversed(rows))),
    }


def _explained(clock: Clock, shown: dict[str, Any], now: datetime) -> dict[str, Any]:
    calendar = clock.terms.calendar
    zone = ZoneInfo(calendar.timezone if calendar else "UTC")
    due_at = clock.due_at
    # What counted up to the end; of a clock that runs, up to its deadline, so that the sum is the target.
    until = clock.ended_at or max(now, due_at or now)
    counted = list(islice(_counted(clock, until), _MOST_SPANS + 1))
    return {
        "clock": shown,
        "timezone": zone.key,
        "due_local": _wall(due_at, zone) if due_at else None,
        "counted": counted[:_MOST_SPANS],
        "counted_more": len(counted) > _MOST_SPANS,
        "pauses": [
            *_pauses(clock, "status", clock.pauses, now),
            *_pauses(clock, "resolved", clock.resolved, now),
            *_pauses(clock, "frozen", clock.relief.frozen, now),
        ],
        "arithmetic": _arithmetic(clock, due_at, zone, now),
    }


def _counted(clock: Clock, until: datetime) -> Any:
    calendar = clock.terms.calendar
    for start, end in clock.runs():
        stop = min(end or until, until)
        if stop <= start:
            continue
        for from_, to in calendar.intervals(start, stop) if calendar else ((start, stop),):
            yield {"start": from_, "end": to, "seconds": (to - from_).total_seconds()}


def _pauses(clock: Clock, kind: str, spans: Spans, now: datetime) -> list[dict[str, Any]]:
    found = []
    for index in range(0, len(spans), 2):
        start, end = spans[index], spans[index + 1] if index + 1 < len(spans) else clock.ended_at
        counted = clock.span(start, max(start, min(end or now, clock.ended_at or now)))
        found.append({"kind": kind, "start": start, "end": end, "seconds": counted.total_seconds()})
    return found


def _arithmetic(clock: Clock, due_at: datetime | None, zone: ZoneInfo, now: datetime) -> list[str]:
    terms, relief = clock.terms, clock.relief
    count = f"business hours ({zone.key}) count" if terms.calendar else "every hour counts"
    lines = [f"{clock.metric} {clock.cycle} started on {_wall(clock.started_at, zone)}; {count}."]
    if clock.promised_until:
        lines.append(f"It was promised by {_wall(clock.promised_until, zone)}.")
    elif terms.seconds is None:
        lines.append("No policy has a target for it: it is measured, and not judged.")
    else:
        lines.append(f"The target is {_long(timedelta(seconds=terms.seconds))}.")
    if relief != NO_RELIEF:
        lines.extend(_reliefs(clock, zone))
    if paused := clock.paused_time(now):
        lines.append(f"It stood still for {_long(paused)} of its own time.")
    lines.append(f"{_long(clock.elapsed(now))} had passed by {_wall(clock.ended_at or now, zone)}.")
    if due_at:
        lines += [*_steps(clock, due_at, zone), f"So it is due on {_wall(due_at, zone)}."]
    elif clock.paused:
        lines.append(f"It is paused in its present status; {_long(clock.remaining(now) or timedelta())} are left.")
    return lines


def _steps(clock: Clock, due_at: datetime, zone: ZoneInfo) -> list[str]:
    """The stretches that lead to the deadline, on the wall there, and between them the dates that are closed unlike
    their weekday. None where the way is straight."""
    spans = list(islice(_counted(clock, due_at), _MOST_SPANS + 1))
    if len(spans) == 1 and spans[0]["start"] == clock.started_at:
        return []
    steps = [(span["start"], _step(span, zone)) for span in spans]
    steps += [(at, f"{at:%a %Y-%m-%d} is closed.") for at in _closed(clock, due_at, zone)]
    lines = [line for _, line in sorted(steps)]
    if len(spans) > _MOST_SPANS:
        return [*lines[:_MOST_STEPS], "And so on."]
    left_out = len(lines) - _MOST_STEPS
    if left_out > 1:
        # The beginning, and the days before the deadline, which is what is asked about.
        lines[_MOST_STEPS // 2 : -_MOST_STEPS // 2] = [f"And so on, {left_out} times."]
    return lines


def _step(span: dict[str, Any], zone: ZoneInfo) -> str:
    start, end = _wall(span["start"], zone), _wall(span["end"], zone)
    same_day = start[:_DAY_LETTERS] == end[:_DAY_LETTERS]
    seconds = timedelta(seconds=span["seconds"])
    return f"{start} to {end[_DAY_LETTERS:] if same_day else end}: {_long(seconds)}."


def _closed(clock: Clock, due_at: datetime, zone: ZoneInfo) -> list[datetime]:
    calendar = clock.terms.calendar
    if calendar is None:
        return []
    first, last = (at.astimezone(zone).date() for at in (clock.started_at, due_at))
    closed = [day for day, hours in calendar.dates.items() if first <= day <= last and not hours]
    return [datetime.combine(day, time(), zone) for day in closed if calendar.weekly[day.weekday()]]


def _reliefs(clock: Clock, zone: ZoneInfo) -> list[str]:
    relief = clock.relief
    lines = []
    if relief.excluded:
        lines.append("An exception leaves it out of judgement.")
    if relief.seconds is not None:
        lines.append(f"An exception makes the target {_long(timedelta(seconds=relief.seconds))}.")
    if relief.extra_seconds:
        lines.append(f"Exceptions add {_long(timedelta(seconds=relief.extra_seconds))}.")
    for start, end in zip(relief.frozen[::2], relief.frozen[1::2], strict=True):
        lines.append(f"An exception stops time from {_wall(start, zone)} until {_wall(end, zone)}.")
    return lines


def _wall(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a %Y-%m-%d %H:%M}" + (f":{local:%S}" if local.second else "")


def _long(span: timedelta) -> str:
    """`1 h 30 min 5 s`: days are left out, because a day of business hours is not one of 24."""
    seconds = span.total_seconds()
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    rest_seconds = f"{rest:.6f}".rstrip("0").rstrip(".")
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest_seconds} s" if rest else ""]
    return ("-" if seconds < 0 else "") + (" ".join(filter(None, parts)) or "0 s")

"""What explains a goal's mean, read from the clocks, the log and the messages: bounded by the number of each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Integer, Uuid, and_, any_, bindparam, func, literal_column, or_, select

from app.availability.presences import Stretch, stretches
from app.availability.schemas import AvailabilityState
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events.tables import events
from app.goals.cohort import COHORT, JUDGED
from app.goals.why_schemas import Dimension
from app.sla import calendars
from app.sla.clocks import LOADED, as_clock
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.clock import Clock
from app.sla.core.enums import Priority
from app.sla.core.replayed_queue import BotTurn, Kind, QueueWindow
from app.sla.core.wait_parts import Presence, Span, StaffTimes, WaitPart, Work, parts_of_wait
from app.sla.tables import business_calendars, sla_clocks, sla_policy_versions
from app.tickets.attribution import ATTRIBUTES
from app.tickets.tables import messages, tickets
from app.web.slices import in_slices

# So many clocks of a window and the one before it, and so many pieces of work, one answer looks at.
MOST_WAITS = 20_000
MOST_WORK = 100_000
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_WORK = timedelta(days=1)
_RANKS = {priority: rank for rank, priority in enumerate(reversed(Priority))}
_c, _t, _m, _e, _v = sla_clocks.c, tickets.c, messages.c, events.c, sla_policy_versions.c
_INSTANT = DateTime(timezone=True)
_start, _end = (bindparam(name, type_=_INSTANT) for name in ("start", "end"))
_COLUMNS = {
    Dimension.priority: "priority", Dimension.channel: "channel", Dimension.type_: "type",
    Dimension.segment: "segment", Dimension.region: "region", Dimension.team: "team_id",
    Dimension.agent: "responder_id",
}  # fmt: skip
_deflected = and_(_c.stopped_at.is_(None), _t.self_service == literal_column("'deflected'"))
_WAITS = Query(
    select(
        *(_c[name] for name in LOADED),
        _c.ticket_id,
        *(ATTRIBUTES[column].label(f"by_{dimension}") for dimension, column in _COLUMNS.items()),
        _t.handling_seconds,
        _deflected.label("deflected"),
        # A clock of every hour has no calendar of its own: business hours are those of its policy.
        business_calendars.c.id.label("hours_calendar_id"),
        business_calendars.c.version.label("hours_calendar_version"),
    )
    .select_from(
        sla_clocks.join(tickets, _t.id == _c.ticket_id)
        .outerjoin(sla_policy_versions, and_(_v.policy_id == _c.policy_id, _v.version == _c.policy_version))
        .outerjoin(business_calendars, business_calendars.c.id == _v.calendar_id)
    )
    .where(*COHORT, JUDGED, or_(_c.ended_reason.is_(None), _deflected))
    .order_by(_c.started_at, _c.id)
    .limit(bindparam("most", type_=Integer))
)
_WORK = Query(
    select(_m.author_id, _m.created_at, _m.handling_seconds)
    .where(
        _m.handling_seconds > literal_column("0"),
        _m.author_kind == literal_column("'agent'"),
        _m.created_at > _start,
        _m.created_at < _end + _LONGEST_WORK,
    )
    .limit(literal_column(str(MOST_WORK + 1)))
)
# A bot has a ticket from its first message on until a person is asked for.
_of_tickets = bindparam("ticket_ids", type_=ARRAY(Uuid))
_BOTS = Query(
    select(_m.ticket_id, func.min(_m.created_at).label("start"))
    .where(_m.ticket_id == any_(_of_tickets), _m.author_kind == literal_column("'bot'"))
    .group_by(_m.ticket_id)
)
_HANDED_OFF = Query(
    select(_e.ticket_id, func.array_agg(_e.occurred_at).label("at"))
    .where(
        _e.ticket_id == any_(_of_tickets),
        _e.ticket_id.is_not(None),
        _e.type == literal_column("'ticket.handed_off'"),
    )
    .group_by(_e.ticket_id)
)


@dataclass(frozen=True, slots=True)
class Wait:
    """One clock: how long its customer waited, in its own time and in whole microseconds; `parts` of a deflected one
    are empty, because it is in no mean."""

    ticket_id: UUID
    clock: Clock
    groups: Mapping[Dimension, str | None]
    channel: str
    kind: Kind
    handling: int
    deflected: bool
    parts: Mapping[WaitPart, int]

    @property
    def length(self) -> int:
        return sum(self.parts.values())


def micros(at: datetime) -> int:
    return (at - _ORIGIN) // _MICROSECOND


class Staff:
    """Who was online and what they worked on in a span."""

    def __init__(self, stretches_: Sequence[Stretch], work: Iterable[Row]) -> None:
        self.online = [each for each in stretches_ if each.state is AvailabilityState.online]
        self._work = [
            Work(row["author_id"], micros(row["created_at"]) - round(row["handling_seconds"] * 1_000_000),
                 micros(row["created_at"]))
            for row in work
        ]  # fmt: skip
        self._times: dict[str, StaffTimes] = {}

    def times(self, channel: str) -> StaffTimes:
        if channel not in self._times:
            present = (
                Presence(
                    each.agent_id, micros(each.start), micros(each.end),
                    each.capacity if each.channels is None else min(each.capacity, each.channels.get(channel, 0)),
                    None if each.channels is None else frozenset(each.channels),
                )
                for each in self.online
            )  # fmt: skip
            self._times[channel] = StaffTimes(present, self._work, channel)
        return self._times[channel]


async def read_waits(tx: Transaction, given: Mapping[str, Any], most: int = MOST_WAITS) -> tuple[list[Wait], Staff]:
    """Those of a goal that started in a span, in order, and the staff until the last of them ended. Raises Invalid for
    more than `most`."""
    rows = await tx.rows(_WAITS, **given, most=most + 1)
    if len(rows) > most:
        raise _too_many(f"{most} waits in the span and the one before it")
    now: datetime = given["now"]
    last = max((row["ended_at"] or now for row in rows), default=given["end"])
    staff = await read_staff(tx, given["start"], max(last, given["end"]))
    known = await calendars.versions_of(tx, rows) | await calendars.versions_of(tx, rows, "hours_")
    bots = await _bot_spans(tx, rows, now)
    return [_wait(row, known, staff, bots[row["ticket_id"]], now) async for row in in_slices(rows)], staff


async def read_staff(tx: Transaction, start: datetime, end: datetime) -> Staff:
    work = await tx.rows(_WORK, start=start, end=end)
    if len(work) > MOST_WORK:
        raise _too_many(f"{MOST_WORK} answers with handling times")
    return Staff(await stretches(tx, start, end), work)


def _wait(
    row: Row, known: Mapping[calendars.Key, BusinessCalendar], staff: Staff, bot: Sequence[Span], now: datetime
) -> Wait:
    clock = as_clock(row, known)
    priority, channel, type_ = (row[f"by_{each}"] for each in (Dimension.priority, Dimension.channel, Dimension.type_))
    parts: Mapping[WaitPart, int] = {}
    if not row["deflected"]:
        counted = _counted(clock, now)
        hours = (row["hours_calendar_id"], row["hours_calendar_version"])
        closed = _closed(known[hours], counted) if hours[0] and not clock.terms.calendar else []
        parts = parts_of_wait(counted, closed, bot, staff.times(channel))
    return Wait(
        row["ticket_id"], clock, {each: _as_text(row[f"by_{each}"]) for each in Dimension}, channel,
        Kind(f"{channel}/{type_}", _RANKS.get(priority, len(_RANKS))),
        round(row["handling_seconds"] * 1_000_000), row["deflected"], parts,
    )  # fmt: skip


def _counted(clock: Clock, now: datetime) -> list[Span]:
    """The spans in which its own time passed: they add up to what it has elapsed."""
    end = clock.ended_at or now
    spans: list[Span] = []
    for start, until in clock.runs():
        until = min(until or end, end)
        if start < until:
            calendar = clock.terms.calendar
            open_ = calendar.intervals(start, until) if calendar else [(start, until)]
            spans += [(micros(opens), micros(closes)) for opens, closes in open_]
    return spans


def _closed(calendar: BusinessCalendar, counted: Sequence[Span]) -> list[Span]:
    closed = []
    for start, end in counted:
        at = start
        for opens, closes in calendar.intervals(_instant(start), _instant(end)):
            closed.append((at, micros(opens)))
            at = micros(closes)
        closed.append((at, end))
    return [span for span in closed if span[0] < span[1]]


def _instant(at: int) -> datetime:
    return _ORIGIN + timedelta(microseconds=at)


async def _bot_spans(tx: Transaction, rows: Sequence[Row], now: datetime) -> Mapping[UUID, list[Span]]:
    ids = list({row["ticket_id"] for row in rows})
    handed = {row["ticket_id"]: sorted(row["at"]) for row in await tx.rows(_HANDED_OFF, ticket_ids=ids)}
    spans: dict[UUID, list[Span]] = defaultdict(list)
    for row in await tx.rows(_BOTS, ticket_ids=ids):
        until = next((at for at in handed.get(row["ticket_id"], ()) if at >= row["start"]), now)
        spans[row["ticket_id"]] = [(micros(row["start"]), micros(until))]
    return spans


def queue_window(waits: Sequence[Wait], staff: Staff, start: datetime, end: datetime) -> QueueWindow:
    """As the replay takes it. Where all clocks go by one calendar, so does its time."""
    by = {wait.clock.terms.calendar for wait in waits}
    calendar = by.pop() if len(by) == 1 else None

    def place(at: datetime) -> int:
        return calendar.elapsed(start, at) // _MICROSECOND if calendar else (at - start) // _MICROSECOND

    handling: dict[str, list[int]] = defaultdict(list)
    for wait in waits:
        if wait.handling:
            handling[wait.kind.name].append(wait.handling)
    servers = []
    for each in staff.online:
        span = place(max(each.start, start)), place(min(each.end, end))
        if span[0] < span[1]:
            servers += [span] * min(each.capacity, len(waits))
    return QueueWindow(
        [place(wait.clock.started_at) for wait in waits],
        [wait.kind for wait in waits],
        [BotTurn(wait.deflected, wait.parts.get(WaitPart.with_bot, 0)) for wait in waits],
        handling,
        servers,
    )


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _too_many(what: str) -> Invalid:
    return Invalid.at("/query/from", "too_many_items", f"more than {what}: narrow `from` and `to`")

"""Policies, timelines and instants for tests of the clock core, and the strategies that make arbitrary ones."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from app.segments.rules import parse_conditions
from app.sla.conditions import TICKET_FIELDS
from app.sla.core.calendar import BusinessCalendar, Hours
from app.sla.core.clock import Clock, EndedReason
from app.sla.core.engine import TicketClocks, replay
from app.sla.core.enums import AuthorKind, Metric, Priority, Status
from app.sla.core.goal import NonLinearClocks
from app.sla.core.policy import AppliesTo, Effect, OnReopen, Policy, SlaException, Target
from app.sla.core.timeline import (
    ClocksEnded,
    Covered,
    Entry,
    Excepted,
    Opened,
    Promised,
    PromiseOver,
    Said,
    StatusSet,
)

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
"""A Monday."""
MICROSECOND = timedelta(microseconds=1)
CUSTOMER, AGENT, BOT, SYSTEM = AuthorKind.customer, AuthorKind.agent, AuthorKind.bot, AuthorKind.system
FIRST, NEXT, UPDATE, RESOLUTION, PROMISE = Metric

WEEKDAYS_9_TO_17: tuple[Hours, ...] = (((540, 1020),),) * 5 + ((), ())
# A holiday on Wednesday, a Thursday with hours of its own, and a change of the clocks four weeks after START.
BERLIN = BusinessCalendar("Europe/Berlin", WEEKDAYS_9_TO_17, {date(2026, 3, 4): (), date(2026, 3, 5): ((600, 660),)})
OFFICE = BusinessCalendar("UTC", WEEKDAYS_9_TO_17, {})
ALWAYS = BusinessCalendar("UTC", (((0, 1440),),) * 7, {})
SPLIT = BusinessCalendar("America/New_York", (((0, 360), (720, 780), (1320, 1440)),) * 7, {})
CALENDARS = (BERLIN, OFFICE, ALWAYS, SPLIT)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def promise(
    *targets: tuple[Priority | None, int],
    version: int = 1,
    number: int = 1,
    position: int = 100,
    warn_at: tuple[int, ...] = (),
    bot_counts: bool = False,
    all_of: list[object] | None = None,
) -> Policy:
    """A policy version whose targets are (priority or None for any, seconds), for the first response."""
    made = tuple(Target(FIRST, priority, seconds, warn_at) for priority, seconds in targets)
    rule = parse_conditions(all_of or [], [], TICKET_FIELDS)
    return Policy(UUID(int=number), version, position, rule, made, bot_counts)


def policy(
    *targets: Target,
    calendar: BusinessCalendar | None = None,
    on_reopen: OnReopen = OnReopen.resume,
    bot_counts: bool = False,
    version: int = 1,
) -> Policy:
    made = replace(promise(version=version, bot_counts=bot_counts), targets=targets, on_reopen=on_reopen)
    return replace(made, calendar=calendar)


def target(
    metric: Metric,
    seconds: int,
    pause_on: frozenset[Status] | None = None,
    *,
    business: bool = False,
    warn_at: tuple[int, ...] = (),
) -> Target:
    return Target(metric, None, seconds, warn_at, business, pause_on)


def covered(policy: Policy | None, seconds: float = 0, priority: Priority = Priority.normal) -> Covered:
    return Covered(at(seconds), policy, priority)


def opened(seconds: float = 0, by: AuthorKind = CUSTOMER, status: Status = Status.new) -> Opened:
    return Opened(at(seconds), by, status)


def said(seconds: float, author: AuthorKind = AGENT, *, public: bool = True) -> Said:
    return Said(at(seconds), author, public)


def status(seconds: float, word: Status, by: AuthorKind = AGENT) -> StatusSet:
    return StatusSet(at(seconds), word, by)


def ticket(*entries: Entry, target: int | None = 90) -> TicketClocks:
    """The ticket after these entries, under one target for every priority unless they say otherwise."""
    cover = covered(promise((None, target)) if target else None)
    return replay((cover, *entries))


def of(found: TicketClocks, metric: Metric) -> tuple[Clock, ...]:
    return tuple(clock for clock in found.clocks if clock.metric is metric)


def only_clock(found: TicketClocks, metric: Metric = FIRST) -> Clock:
    [clock] = of(found, metric)
    return clock


def granted(
    effect: Effect,
    seconds: int | None = None,
    *metrics: Metric,
    starts: float = 0,
    expires: float | None = None,
    number: int = 1,
    applies_to: AppliesTo = AppliesTo.running,
) -> SlaException:
    until = None if expires is None else at(expires)
    return SlaException(UUID(int=number), effect, frozenset(metrics), at(starts), until, seconds, applies_to=applies_to)


microseconds = st.integers(0, 200_000_000).map(lambda count: timedelta(microseconds=count))
# Short steps and none at all are what arithmetic trips over; long ones what calendars do.
_short = [timedelta(0), MICROSECOND, timedelta(seconds=1), timedelta(seconds=45), timedelta(seconds=90)]
_long = [timedelta(minutes=30), timedelta(hours=1), timedelta(hours=7.5), timedelta(days=1), timedelta(days=5)]
steps = st.one_of(st.sampled_from(_short), microseconds, st.sampled_from(_long))
priorities = st.sampled_from(Priority)
percents = st.lists(st.integers(1, 99), unique=True, max_size=2).map(lambda some: tuple(sorted(some)))
_UNDONE = [Status.new, Status.open, Status.pending, Status.on_hold]
_seconds = st.sampled_from([1, 15, 45, 90, 3600, 27_000, 28_800, 57_600]) | st.integers(1, 10**5)


@st.composite
def targets(draw: st.DrawFn, *metrics: Metric) -> Target:
    metric = draw(st.sampled_from(metrics or tuple(Metric)))
    return Target(
        metric,
        draw(st.none() | priorities),
        draw(_seconds),
        draw(percents),
        draw(st.booleans()),
        draw(st.none() | st.frozensets(st.sampled_from(_UNDONE))),
    )


@st.composite
def policies(draw: st.DrawFn, *metrics: Metric) -> Policy:
    found = draw(
        st.lists(targets(*metrics), unique_by=lambda target: (target.metric, target.priority), min_size=1, max_size=4)
    )
    return Policy(
        UUID(int=draw(st.integers(1, 3))),
        draw(st.integers(1, 9)),
        100,
        parse_conditions([], [], TICKET_FIELDS),
        tuple(found),
        draw(st.booleans()),
        draw(st.sampled_from(OnReopen)),
        True,
        draw(st.sampled_from(CALENDARS)),
    )


@st.composite
def exceptions(draw: st.DrawFn, now: datetime) -> SlaException:
    """In force at `now`, or over by then; a freeze may lie anywhere."""
    effect = draw(st.sampled_from(Effect))
    freeze = effect is Effect.freeze
    starts = now + draw(steps) * draw(st.sampled_from([-1, 0, 1] if freeze else [-1, 0]))
    until = starts + MICROSECOND + draw(steps)
    return SlaException(
        UUID(int=draw(st.integers(1, 9))),
        effect,
        draw(st.frozensets(st.sampled_from(Metric), max_size=2)),
        starts,
        until if freeze or draw(st.booleans()) else None,
        draw(_seconds) if effect in (Effect.extend, Effect.retarget) else None,
        applies_to=draw(st.sampled_from(AppliesTo)),
    )


@st.composite
def timelines(draw: st.DrawFn, max_size: int = 8) -> list[Entry]:
    """A ticket's life: it opens under a policy or none, then anything happens, forward in time, at last to a merge or
    to spam."""
    now = START
    entries: list[Entry] = [Covered(now, draw(st.none() | policies()), draw(priorities))]
    if draw(st.booleans()):
        entries.append(Excepted(now, tuple(draw(st.lists(exceptions(now), max_size=2)))))
    done = st.sampled_from(Status)
    usual = st.sampled_from([Status.new, Status.open, Status.pending])
    entries.append(Opened(now, draw(st.sampled_from([CUSTOMER, AGENT])), draw(usual | done)))
    for _ in range(draw(st.integers(0, max_size))):
        now += draw(steps)
        entries.append(draw(any_entry(now)))
    if draw(st.integers(0, 3)) == 0:
        now += draw(steps)
        reason = draw(st.sampled_from([EndedReason.merged, EndedReason.spam]))
        entries += [ClocksEnded(now, reason), StatusSet(now, Status.closed, AGENT)]
    return entries


def any_entry(now: datetime) -> st.SearchStrategy[Entry]:
    """Anything but a merge: the ticket is closed by that."""
    authors, this = st.sampled_from(AuthorKind), st.just(now)
    return st.one_of(
        st.builds(Said, this, authors, st.booleans()),
        st.builds(Said, this, st.sampled_from([CUSTOMER, AGENT]), st.just(True)),
        st.builds(StatusSet, this, st.sampled_from(Status), authors),
        st.builds(StatusSet, this, st.sampled_from([Status.open, Status.resolved]), st.sampled_from([CUSTOMER, AGENT])),
        st.builds(Covered, this, st.none() | policies(), priorities),
        st.builds(Excepted, this, st.lists(exceptions(now), max_size=3).map(tuple)),
        st.builds(Promised, this, steps.map(lambda step: now + MICROSECOND + step)),
        st.builds(PromiseOver, this, st.integers(1, 2), st.booleans()),
    )


def clocks_of(entries: list[Entry]) -> tuple[Clock, ...]:
    return replay(entries).clocks


def added_up(clocks: Iterable[Clock], now: datetime) -> NonLinearClocks:
    uneven = NonLinearClocks(now)
    for clock in clocks:
        uneven.add(clock)
    return uneven

"""Policies, timelines and instants for tests of the clock core, and the strategies that make arbitrary ones."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from app.segments.rules import parse_conditions
from app.sla.core.clock import Clock
from app.sla.core.engine import TicketClocks, replay
from app.sla.core.policy import Policy, Target
from app.sla.core.timeline import Covered, Entry, Opened, Said, StatusSet
from app.sla.core.words import AuthorKind, Metric, Priority, Status
from app.sla.policies import TICKET_FIELDS

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CUSTOMER, AGENT, BOT, SYSTEM = AuthorKind.customer, AuthorKind.agent, AuthorKind.bot, AuthorKind.system


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
    """A policy version whose targets are (priority or None for any, seconds)."""
    made = tuple(Target(Metric.first_response, priority, seconds, warn_at) for priority, seconds in targets)
    rule = parse_conditions(all_of or [], [], TICKET_FIELDS)
    return Policy(UUID(int=number), version, position, rule, made, bot_counts)


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


def only_clock(found: TicketClocks) -> Clock:
    [clock] = found.clocks
    return clock


microseconds = st.integers(0, 200_000_000).map(lambda count: timedelta(microseconds=count))
# Short steps and none at all are what arithmetic trips over.
steps = st.one_of(st.just(timedelta(0)), st.just(MICROSECOND), st.just(timedelta(seconds=1)), microseconds)
priorities = st.sampled_from(Priority)
percents = st.lists(st.integers(1, 99), unique=True, max_size=2).map(lambda some: tuple(sorted(some)))
targets = st.lists(
    st.tuples(st.none() | priorities, st.sampled_from([1, 15, 45, 90, 3600]) | st.integers(1, 10**6)),
    unique_by=lambda target: target[0],
    min_size=1,
    max_size=2,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return promise(
        *draw(targets), version=draw(st.integers(1, 9)), warn_at=draw(percents), bot_counts=draw(st.booleans())
    )


@st.composite
def timelines(draw: st.DrawFn, max_size: int = 10) -> list[Entry]:
    """A ticket's life: it opens under a policy or none, then anything happens, forward in time."""
    now = START
    entries: list[Entry] = [
        Covered(now, draw(st.none() | policies()), draw(priorities)),
        Opened(now, draw(st.sampled_from([CUSTOMER, AGENT])), draw(st.sampled_from(Status))),
    ]
    for _ in range(draw(st.integers(0, max_size))):
        now += draw(steps)
        entries.append(draw(_entries(now)))
    return entries


def _entries(now: datetime) -> st.SearchStrategy[Entry]:
    authors = st.sampled_from(AuthorKind)
    return st.one_of(
        st.builds(Said, st.just(now), authors, st.booleans()),
        st.builds(Said, st.just(now), st.just(CUSTOMER), st.just(True)),
        st.builds(StatusSet, st.just(now), st.sampled_from(Status), authors),
        st.builds(Covered, st.just(now), st.none() | policies(), priorities),
    )


def clocks_of(entries: list[Entry]) -> tuple[Clock, ...]:
    return replay(entries).clocks

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.clock import Clock, ClockState, EndedReason
from app.sla.core.enums import Priority, Status
from app.sla.core.policy import NO_RELIEF, Policy, Relief, Terms, terms
from tests.sla.core.builders import FIRST, MICROSECOND, PROMISE, START, at, microseconds, percents, policies, priorities

# What a clock may go through as time passes, once it can no longer be answered or covered anew.
_LATER = {
    ClockState.running: {ClockState.running, ClockState.breached},
    ClockState.breached: {ClockState.breached},
    ClockState.met: {ClockState.met},
    ClockState.cancelled: {ClockState.cancelled},
    ClockState.stopped: {ClockState.stopped},
}

# Of every hour and whatever the status: what pauses and calendars do is judged with the whole engine.
_promised = st.builds(Terms, st.sampled_from([1, 15, 45, 90, 3600]) | st.integers(1, 10**6), warn_at_percent=percents)
_terms = st.just(Terms()) | _promised


def _clock(its_terms: Terms) -> Clock:
    return Clock(FIRST, 1, START).covered(its_terms, Status.open, START)


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """Running, answered or given up, under a target or none."""
    clock = _clock(draw(_terms))
    # Instants at which something happens anyway are the ones to get wrong.
    known = [instant for instant in (*clock.warnings(), clock.due_at) if instant]
    ends: st.SearchStrategy[datetime] = microseconds.map(lambda wait: START + wait)
    end = draw(st.sampled_from(known) | ends if known else ends)
    match draw(st.sampled_from(["running", "answered", "ended"])):
        case "answered":
            return clock.stop(end)
        case "ended":
            return clock.end(end, draw(st.sampled_from(EndedReason)))
    return clock


clocks_with_deadline = _promised.map(_clock)


@given(clocks_with_deadline)
def test_stopping_at_the_deadline_is_met_and_a_microsecond_later_is_not(clock: Clock) -> None:
    assert clock.due_at is not None
    assert clock.stop(clock.due_at).state(clock.due_at) is ClockState.met
    late = clock.due_at + MICROSECOND
    assert clock.stop(late).state(late) is ClockState.breached


@given(clocks_with_deadline, st.sampled_from(EndedReason))
def test_ending_at_the_deadline_is_cancelled_and_a_microsecond_later_is_a_breach(
    clock: Clock, reason: EndedReason
) -> None:
    assert clock.due_at is not None
    assert clock.end(clock.due_at, reason).state(clock.due_at) is ClockState.cancelled
    late = clock.due_at + MICROSECOND
    assert clock.end(late, reason).state(late) is ClockState.breached


@given(clocks(), microseconds)
def test_nothing_runs_past_its_deadline(clock: Clock, waited: timedelta) -> None:
    now = START + waited
    if clock.state(now) is ClockState.running:
        assert clock.ended_at is None
        assert clock.due_at is None or now <= clock.due_at


@given(clocks(), microseconds, microseconds)
def test_a_state_never_turns_back_as_time_passes(clock: Clock, waited: timedelta, more: timedelta) -> None:
    now = START + waited
    assert clock.state(now + more) in _LATER[clock.state(now)]


@given(clocks(), microseconds, microseconds)
def test_an_ended_clock_does_not_know_the_time(clock: Clock, one: timedelta, other: timedelta) -> None:
    if clock.ended_at is not None:
        assert clock.state(START + one) is clock.state(START + other)
        assert clock.elapsed(START + one) == clock.elapsed(START + other) == clock.ended_at - START
        assert clock.remaining(START + one) is None


@given(clocks(), microseconds)
def test_without_a_target_a_clock_is_neither_met_nor_breached(clock: Clock, waited: timedelta) -> None:
    if clock.target_seconds is None:
        assert clock.state(START + waited) in {ClockState.running, ClockState.stopped, ClockState.cancelled}
        assert (clock.due_at, clock.next_at(), clock.warnings()) == (None, None, ())
        assert clock.remaining(START + waited) is None


@given(clocks_with_deadline)
def test_warnings_are_exact_in_microseconds(clock: Clock) -> None:
    assert clock.target_seconds is not None
    whole = clock.target_seconds * 1_000_000
    for percent, instant in zip(clock.terms.warn_at_percent, clock.warnings(), strict=True):
        assert instant is not None
        passed = (instant - START) // MICROSECOND
        assert passed * 100 == whole * percent
        assert START < instant < START + timedelta(seconds=clock.target_seconds)


@given(clocks(), st.none() | microseconds)
def test_next_at_is_the_earliest_thing_that_can_still_happen(clock: Clock, waited: timedelta | None) -> None:
    after = None if waited is None else START + waited
    left = {
        instant
        for instant in (*clock.warnings(), clock.due_at)
        if instant and (after is None or instant >= after) and (clock.ended_at is None or instant < clock.ended_at)
    }
    assert clock.next_at(after) == (min(left) if left else None)


@given(clocks_with_deadline, microseconds)
def test_a_breach_is_always_found_at_a_next_instant(clock: Clock, waited: timedelta) -> None:
    """Following `next_at` from the start, whoever follows it arrives at the deadline."""
    visited, after = [], START
    while (instant := clock.next_at(after)) is not None:
        visited.append(instant)
        after = instant + MICROSECOND
    assert visited[-1] == clock.due_at
    assert len(visited) == len(set(clock.warnings())) + 1
    assert clock.state(visited[-1] + MICROSECOND + waited) is ClockState.breached


@given(clocks(), st.lists(st.tuples(st.none() | policies(FIRST), priorities), max_size=5))
def test_a_new_cover_moves_only_the_promise(clock: Clock, covers: list[tuple[Policy | None, Priority]]) -> None:
    after, first_due = clock, clock.original_due_at
    for policy, priority in covers:
        everyhour = policy and replace(policy, calendar=None)
        # No target of these pauses a resolved ticket.
        after = after.covered(terms(everyhour, FIRST, priority), Status.resolved, START)
        first_due = first_due or after.due_at
        assert after.original_due_at == first_due
        target = policy.target(FIRST, priority) if policy else None
        expected = START + timedelta(seconds=target.seconds) if target else None
        assert (after.due_at, after.terms.policy_id) == (expected, policy.id if policy and target else None)
    untouched = ("metric", "cycle", "started_at", "stopped_at", "ended_at", "ended_reason", "pauses", "resolved")
    assert [getattr(after, name) for name in untouched] == [getattr(clock, name) for name in untouched]


@given(clocks_with_deadline, st.integers(1, 10**5), st.integers(1, 10**5))
def test_relief_moves_the_deadline_and_what_it_would_have_been_stays_known(clock: Clock, more: int, own: int) -> None:
    for relief, seconds in [
        (Relief(extra_seconds=more), (clock.target_seconds or 0) + more),
        (Relief(seconds=own), own),
        (Relief(seconds=own, extra_seconds=more), own + more),
    ]:
        relieved = clock.relieved(relief, clock.started_at)
        assert (relieved.due_at, relieved.target_seconds) == (START + timedelta(seconds=seconds), seconds)
        assert relieved.unrelieved_due_at == relieved.original_due_at == clock.due_at
        assert relieved.relieved(NO_RELIEF, clock.started_at) == clock
    excluded = clock.relieved(Relief(excluded=True), clock.started_at)
    assert (excluded.due_at, excluded.next_at(), excluded.unrelieved_due_at) == (None, None, clock.due_at)
    assert set(excluded.warnings()) <= {None}


@given(clocks_with_deadline, microseconds, microseconds)
def test_frozen_time_is_a_gap_known_beforehand(clock: Clock, ahead: timedelta, wait: timedelta) -> None:
    assert clock.due_at is not None
    start, until = START + ahead, START + ahead + wait
    frozen = clock.relieved(Relief(frozen=(start, until)), clock.started_at)
    # Used up at the very instant at which time stops: reached when it runs on.
    assert frozen.due_at == (clock.due_at if clock.due_at < start else clock.due_at + wait)
    assert (frozen.elapsed(start), frozen.elapsed(until)) == (ahead, ahead)
    assert frozen.elapsed(until + wait) == ahead + wait
    assert (frozen.paused, frozen.paused_time(until)) == (False, timedelta(0))


@given(microseconds, st.integers(1, 99))
def test_a_promise_brings_its_own_deadline_and_its_warnings_are_shares_of_it(wait: timedelta, percent: int) -> None:
    due_at = START + wait + MICROSECOND
    its_terms = Terms(seconds=1, warn_at_percent=(percent,))
    clock = Clock(PROMISE, 1, START, its_terms, due_at)
    assert clock.due_at == due_at
    assert clock.warnings() == (START + (due_at - START) * percent // 100,)
    assert clock.target_seconds is not None
    assert clock.target_seconds - 1 < (due_at - START).total_seconds() <= clock.target_seconds
    assert clock.relieved(Relief(extra_seconds=60), clock.started_at).due_at == due_at + timedelta(seconds=60)


def test_what_is_used_up_at_the_instant_of_a_pause_is_reached_when_the_clock_runs_on() -> None:
    clock = _clock(Terms(90, pause_on=frozenset({Status.pending}), warn_at_percent=(50,)))
    paused = clock.in_status(Status.pending, at(90))
    assert (paused.state(at(1000)), paused.due_at, paused.warnings()) == (ClockState.paused, None, (at(45),))
    assert paused.remaining(at(1000)) == timedelta(0)
    assert paused.in_status(Status.open, at(200)).due_at == at(200)
    late = clock.in_status(Status.pending, at(90) + MICROSECOND)
    assert (late.state(at(1000)), late.due_at, late.paused) == (ClockState.breached, at(90), True)


def test_what_is_paused_and_frozen_at_once_is_left_out_once() -> None:
    clock = _clock(Terms(90, pause_on=frozenset({Status.pending}))).relieved(Relief(frozen=(at(10), at(50))), at(0))
    paused = clock.in_status(Status.pending, at(20)).in_status(Status.open, at(30))
    assert (paused.due_at, paused.elapsed(at(60)), paused.unrelieved_due_at) == (
        at(130),
        timedelta(seconds=20),
        at(100),
    )
    assert paused.in_status(Status.pending, at(40)).in_status(Status.open, at(70)).due_at == at(150)


def test_a_clock_that_stops_while_paused_has_the_deadline_of_running_on_right_then() -> None:
    paused = _clock(Terms(90, pause_on=frozenset({Status.pending}))).in_status(Status.pending, at(30))
    for over in (paused.stop(at(500)), paused.end(at(500), EndedReason.merged)):
        assert (over.due_at, over.elapsed(at(999)), over.paused_time(at(999))) == (
            at(560), timedelta(seconds=30), timedelta(seconds=470)
        )  # fmt: skip
        assert not over.paused
    assert paused.stop(at(500)).state(at(999)) is ClockState.met

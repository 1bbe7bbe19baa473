from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.clock import Clock, EndedReason, State
from app.sla.core.policy import Policy
from app.sla.core.words import Metric, Priority
from tests.sla.core.builders import MICROSECOND, START, microseconds, policies, priorities

# What a clock may go through as time passes, once it can no longer be answered or covered anew.
_LATER = {
    State.running: {State.running, State.breached},
    State.breached: {State.breached},
    State.met: {State.met},
    State.cancelled: {State.cancelled},
    State.stopped: {State.stopped},
}


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """Running, answered or given up, under a policy or none."""
    clock = Clock(Metric.first_response, 1, START).covered(draw(st.none() | policies()), draw(priorities))
    # Instants at which something happens anyway are the ones to get wrong.
    known = [*clock.warnings(), *([clock.due_at] if clock.due_at else [])]
    ends: st.SearchStrategy[datetime] = microseconds.map(lambda wait: START + wait)
    end = draw(st.sampled_from(known) | ends if known else ends)
    match draw(st.sampled_from(["running", "answered", "ended"])):
        case "answered":
            return clock.stop(end)
        case "ended":
            return clock.end(end, draw(st.sampled_from(EndedReason)))
    return clock


@st.composite
def clocks_with_deadline(draw: st.DrawFn) -> Clock:
    policy, priority = draw(policies()), draw(priorities)
    clock = Clock(Metric.first_response, 1, START).covered(policy, priority)
    return clock if clock.due_at else clock.covered(_any_priority(policy), priority)


def _any_priority(policy: Policy) -> Policy:
    first = policy.targets[0]
    target = type(first)(first.metric, None, first.seconds, first.warn_at_percent)
    return Policy(policy.id, policy.version, policy.position, policy.rule, (target,), policy.bot_counts)


@given(clocks_with_deadline())
def test_stopping_at_the_deadline_is_met_and_a_microsecond_later_is_not(clock: Clock) -> None:
    assert clock.due_at is not None
    assert clock.stop(clock.due_at).state(clock.due_at) is State.met
    late = clock.due_at + MICROSECOND
    assert clock.stop(late).state(late) is State.breached


@given(clocks_with_deadline(), st.sampled_from(EndedReason))
def test_ending_at_the_deadline_is_cancelled_and_a_microsecond_later_is_a_breach(
    clock: Clock, reason: EndedReason
) -> None:
    assert clock.due_at is not None
    assert clock.end(clock.due_at, reason).state(clock.due_at) is State.cancelled
    late = clock.due_at + MICROSECOND
    assert clock.end(late, reason).state(late) is State.breached


@given(clocks(), microseconds)
def test_nothing_runs_past_its_deadline(clock: Clock, waited: timedelta) -> None:
    now = START + waited
    if clock.state(now) is State.running:
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


@given(clocks(), microseconds)
def test_without_a_target_a_clock_is_neither_met_nor_breached(clock: Clock, waited: timedelta) -> None:
    if clock.target_seconds is None:
        assert clock.state(START + waited) in {State.running, State.stopped, State.cancelled}
        assert (clock.due_at, clock.next_at(), clock.warnings()) == (None, None, ())


@given(clocks_with_deadline())
def test_warnings_are_exact_in_microseconds(clock: Clock) -> None:
    assert clock.target_seconds is not None
    whole = clock.target_seconds * 1_000_000
    for percent, instant in zip(clock.warn_at_percent, clock.warnings(), strict=True):
        passed = (instant - START) // MICROSECOND
        assert passed * 100 == whole * percent
        assert START < instant < START + timedelta(seconds=clock.target_seconds)


@given(clocks(), st.none() | microseconds)
def test_next_at_is_the_earliest_thing_that_can_still_happen(clock: Clock, waited: timedelta | None) -> None:
    after = None if waited is None else START + waited
    found = clock.next_at(after)
    possible = {*clock.warnings(), *([clock.due_at] if clock.due_at else [])}
    left = {
        instant
        for instant in possible
        if (after is None or instant >= after) and (clock.ended_at is None or instant < clock.ended_at)
    }
    assert found == (min(left) if left else None)


@given(clocks_with_deadline(), microseconds)
def test_a_breach_is_always_found_at_a_next_instant(clock: Clock, waited: timedelta) -> None:
    """Following `next_at` from the start, whoever follows it arrives at the deadline."""
    visited, after = [], START
    while (instant := clock.next_at(after)) is not None:
        visited.append(instant)
        after = instant + MICROSECOND
    assert visited[-1] == clock.due_at
    assert len(visited) == len(set(clock.warnings())) + 1
    assert clock.state(visited[-1] + MICROSECOND + waited) is State.breached


@given(clocks(), st.lists(st.tuples(st.none() | policies(), priorities), max_size=5))
def test_a_new_cover_moves_only_the_promise(clock: Clock, covers: list[tuple[Policy | None, Priority]]) -> None:
    after, first_due = clock, clock.original_due_at
    for policy, priority in covers:
        after = after.covered(policy, priority)
        first_due = first_due or after.due_at
        assert after.original_due_at == first_due
        target = policy.target(Metric.first_response, priority) if policy else None
        expected = START + timedelta(seconds=target.seconds) if target else None
        assert (after.due_at, after.policy_id) == (expected, policy.id if policy and target else None)
    untouched = ("metric", "cycle", "started_at", "stopped_at", "ended_at", "ended_reason")
    assert [getattr(after, name) for name in untouched] == [getattr(clock, name) for name in untouched]

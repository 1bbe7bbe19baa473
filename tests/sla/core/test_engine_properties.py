"""Arbitrary timelines of every metric: against the slow model, and what holds of them whatever happens."""

from collections import Counter
from datetime import datetime, timedelta
from functools import reduce
from itertools import accumulate, pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.sla.core.clock import Clock, ClockState
from app.sla.core.engine import TicketClocks, advance, replay
from app.sla.core.enums import DONE, Metric, Priority, Status
from app.sla.core.policy import NO_RELIEF, Effect, Policy
from app.sla.core.timeline import Covered, Entry, Excepted, StatusSet
from tests.sla.core.builders import (
    AGENT,
    FIRST,
    MICROSECOND,
    NEXT,
    PROMISE,
    RESOLUTION,
    any_entry,
    at,
    clocks_of,
    covered,
    granted,
    of,
    opened,
    policies,
    priorities,
    promise,
    steps,
    timelines,
)
from tests.sla.core.slow_model import HORIZON, Life, Lives

_ZERO = timedelta(0)
# Late at 90 s, taken out of judgement at 100 s.
_BROKEN_THEN_EXCLUDED: list[Entry] = [
    covered(promise((None, 90))),
    opened(),
    Excepted(at(100), (granted(Effect.exclude, starts=100),)),
]
_OVER = {ClockState.met, ClockState.breached, ClockState.cancelled, ClockState.stopped}


def _pairs(entries: list[Entry]) -> list[tuple[Clock, Life]]:
    lives = {(life.metric, life.cycle): life for life in Lives(entries).all}
    clocks = clocks_of(entries)
    assert Counter((clock.metric, clock.cycle) for clock in clocks) == Counter(lives.keys())
    return [(clock, lives[clock.metric, clock.cycle]) for clock in clocks]


def _seen(at: datetime | None) -> datetime | None:
    return at and min(at, HORIZON)


@settings(max_examples=200, deadline=None)
@given(timelines(), steps)
def test_the_clocks_are_those_of_the_slow_model(entries: list[Entry], step: timedelta) -> None:
    now = entries[-1].at + step
    for clock, life in _pairs(entries):
        assert (clock.started_at, clock.ended_at) == (life.started_at, life.ended_at)
        assert clock.stopped_at == (life.ended_at if life.stopped else None)
        assert (clock.ended_reason, clock.paused) == (life.reason, life.paused)
        for instant in (clock.started_at, entries[len(entries) // 2].at, now):
            if instant >= clock.started_at:
                assert clock.elapsed(instant) == life.elapsed(instant)
        assert clock.paused_time(now) == life.paused_time(now)
        _judged_alike(clock, life, now)


def _judged_alike(clock: Clock, life: Life, now: datetime) -> None:
    due_at, need = life.due_at(), life.need()
    assert _seen(clock.due_at) == due_at
    assert _seen(clock.unrelieved_due_at) == life.due_at(relieved=False)
    assert [_seen(warning) for warning in clock.warnings()] == life.warnings()
    assert clock.target_seconds == (None if need is None else -(-need // timedelta(seconds=1)))
    for instant in (now, *([due_at, due_at + MICROSECOND] if due_at and due_at < HORIZON else [])):
        assert clock.state(instant) is life.state(instant)
        assert clock.breached(instant) is (clock.state(instant) is ClockState.breached)


@given(timelines())
def test_one_customer_waits_for_one_answer_at_a_time(entries: list[Entry]) -> None:
    for known in accumulate(entries, advance, initial=TicketClocks()):
        running = [clock for clock in known.clocks if clock.ended_at is None]
        assert sum(clock.metric in (FIRST, NEXT) for clock in running) <= 1
        several = Counter(clock.metric for clock in running if clock.metric is not PROMISE)
        assert max(several.values(), default=0) <= 1
        if known.status in DONE:
            assert {clock.metric for clock in running} <= {PROMISE}


@given(timelines())
def test_the_cycles_of_a_metric_have_no_holes(entries: list[Entry]) -> None:
    known = replay(entries)
    for metric in Metric:
        clocks = of(known, metric)
        assert [clock.cycle for clock in clocks] == list(range(1, len(clocks) + 1))
        if metric is not PROMISE:
            for earlier, later in pairwise(clocks):
                assert earlier.ended_at is not None
                assert earlier.ended_at <= later.started_at
    assert not any(clock.answered for clock in of(known, FIRST)[:-1])
    assert not of(known, NEXT) or of(known, FIRST)[-1].answered


@given(timelines())
def test_what_has_ended_stays_as_it_was(entries: list[Entry]) -> None:
    """Whatever happens afterwards; but a resolution may run on when its ticket is reopened."""
    before = TicketClocks()
    for entry in entries:
        after = advance(before, entry)
        for old, new in zip(before.clocks, after.clocks, strict=False):
            if old.ended_at is None or old == new:
                continue
            assert (old.metric, isinstance(entry, StatusSet)) == (RESOLUTION, True)
            assert (before.status in DONE, after.status in DONE) == (True, False)
            assert new.ended_at is None
            assert new.elapsed(entry.at) == new.elapsed(old.ended_at)
        before = after


@given(timelines())
def test_a_clock_ends_by_its_stop_or_by_a_reason(entries: list[Entry]) -> None:
    for clock in clocks_of(entries):
        if clock.ended_at is None:
            assert (clock.stopped_at, clock.ended_reason) == (None, None)
        else:
            assert clock.stopped_at == (None if clock.ended_reason else clock.ended_at)
            assert clock.ended_at >= clock.started_at


@given(timelines(), st.lists(steps, min_size=2, max_size=5))
def test_elapsed_and_pauses_only_grow_and_fill_the_time(entries: list[Entry], more: list[timedelta]) -> None:
    for clock in clocks_of(entries):
        last = _ZERO, _ZERO
        for passed in accumulate(more, initial=_ZERO):
            now = entries[-1].at + passed
            found = clock.elapsed(now), clock.paused_time(now)
            assert found[0] >= last[0] >= _ZERO
            assert found[1] >= last[1] >= _ZERO
            end = clock.ended_at or now
            whole = clock.span(clock.started_at, end) - _resolved(clock)
            if not clock.relief.frozen:
                assert sum(found, _ZERO) == whole
            else:
                assert found[0] <= whole - found[1]
            last = found
            if clock.ended_at is not None:
                assert clock.elapsed(now) == clock.elapsed(clock.ended_at)


def _resolved(clock: Clock) -> timedelta:
    pairs = zip(clock.resolved[::2], clock.resolved[1::2], strict=True)
    return sum((clock.span(start, until) for start, until in pairs), _ZERO)


@given(timelines(), steps)
@example(_BROKEN_THEN_EXCLUDED, _ZERO)
def test_what_is_due_and_when(entries: list[Entry], step: timedelta) -> None:
    now = entries[-1].at + step
    for clock in clocks_of(entries):
        due_at, target = clock.due_at, clock._target(clock.relief)
        assert clock.state(now) in _OVER if clock.ended_at else clock.state(now) is not ClockState.met
        assert clock.breached(now) is (due_at is not None and (clock.ended_at or now) > due_at)
        if target is None or clock.relief.excluded:
            # What had broken before it was excluded stays broken, and keeps the deadline that it missed.
            assert (due_at, clock.remaining(now)) == (clock.broken_at, None)
            assert clock.next_at() in (due_at, None)
        elif due_at is None:
            assert clock.paused
            assert clock.elapsed(now) <= target
            assert clock.remaining(now) == target - clock.elapsed(now)
        elif clock.ended_at is None:
            assert clock.elapsed(due_at) == target
            assert clock.remaining(due_at) == _ZERO
            # Consumed at the first instant there is, or, where a pause began right then, when it runs on.
            before = clock.elapsed(due_at - MICROSECOND)
            assert before < target or due_at in (*clock.pauses, *clock.resolved, *clock.relief.frozen)
            if clock.paused:
                assert clock.breached(now) or now == due_at


@given(timelines())
@example(_BROKEN_THEN_EXCLUDED)
def test_following_the_next_instants_misses_none(entries: list[Entry]) -> None:
    for clock in clocks_of(entries):
        end = clock.ended_at
        there = {at for at in (*clock.warnings(), clock.due_at) if at and (end is None or at < end)}
        visited, after = set(), None
        while (instant := clock.next_at(after)) is not None:
            assert instant not in visited
            visited.add(instant)
            after = instant + MICROSECOND
        assert visited == there


@given(timelines())
@example(_BROKEN_THEN_EXCLUDED)
def test_the_first_deadline_stays_known(entries: list[Entry]) -> None:
    first: dict[tuple[Metric, int], datetime] = {}
    for known in accumulate(entries, advance, initial=TicketClocks()):
        for clock in known.clocks:
            if clock.due_at is not None:
                first.setdefault((clock.metric, clock.cycle), clock.due_at)
            assert clock.original_due_at == first.get((clock.metric, clock.cycle))


@given(timelines(), st.data())
def test_stored_clocks_and_a_replay_arrive_at_the_same(entries: list[Entry], data: st.DataObject) -> None:
    """Wherever it is split; and of the clocks that ended the last one of each metric is enough."""
    whole = replay(entries)
    cut = data.draw(st.integers(0, len(entries)))
    known = replay(entries[:cut])
    assert reduce(advance, entries[cut:], known) == whole
    last = {clock.metric: clock for clock in known.clocks}
    kept = [clock for clock in known.clocks if clock.ended_at is None or last[clock.metric] is clock]
    left = [clock for clock in known.clocks if clock not in kept]
    short = reduce(advance, entries[cut:], known._replace(clocks=tuple(kept)))
    assert Counter(map(str, (*left, *short.clocks))) == Counter(map(str, whole.clocks))


@given(timelines(), policies(), policies(), priorities, priorities)
def test_another_cover_and_back_again_changes_nothing(
    entries: list[Entry], one: Policy, other: Policy, here: Priority, there: Priority
) -> None:
    """But for the first deadline, where it had none before, and updates that the other one promises."""
    at = entries[-1].at
    before = advance(replay(entries), Covered(at, one, here))
    after = replay([*entries, Covered(at, one, here), Covered(at, other, there), Covered(at, one, here)])
    for old, new in zip(before.clocks, after.clocks, strict=False):
        assert (new.due_at, new.terms, new.paused) == (old.due_at, old.terms, old.paused)
        assert (new.warnings(), new.elapsed(at), new.paused_time(at)) == (
            old.warnings(), old.elapsed(at), old.paused_time(at)
        )  # fmt: skip
        assert old.original_due_at in (None, new.original_due_at)


@given(timelines(), st.sampled_from([Status.new, Status.open, Status.pending, Status.on_hold]), steps)
def test_a_pause_of_no_length_changes_nothing(entries: list[Entry], word: Status, step: timedelta) -> None:
    before = replay(entries)
    if before.status in DONE:
        return
    at = entries[-1].at + step
    after = replay([*entries, StatusSet(at, word, AGENT), StatusSet(at, before.status, AGENT)])
    for old, new in zip(before.clocks, after.clocks, strict=True):
        for now in (at, at + timedelta(days=1)):
            assert (new.elapsed(now), new.paused_time(now)) == (old.elapsed(now), old.paused_time(now))
            assert (new.state(now), new.remaining(now)) == (old.state(now), old.remaining(now))
        assert (new.due_at, new.warnings()) == (old.due_at, old.warnings()) or at in (old.due_at, *old.warnings())


@given(timelines(), steps)
@example(_BROKEN_THEN_EXCLUDED, _ZERO)
def test_exceptions_taken_back_leave_the_deadline_that_would_have_been(entries: list[Entry], step: timedelta) -> None:
    at = entries[-1].at + step
    before = replay(entries)
    after = advance(before, Excepted(at, ()))
    for old, new in zip(before.clocks, after.clocks, strict=True):
        assert new.unrelieved_due_at == old.unrelieved_due_at
        if old.ended_at is None:
            assert (new.relief, new.due_at) == (NO_RELIEF, old.unrelieved_due_at)
        else:
            assert new == old


@given(timelines(), steps, st.data())
def test_time_alone_turns_running_into_breached_and_nothing_else(
    entries: list[Entry], step: timedelta, data: st.DataObject
) -> None:
    now = entries[-1].at + step
    later = now + data.draw(steps)
    for clock in clocks_of(entries):
        was, becomes = clock.state(now), clock.state(later)
        assert becomes is was or (was, becomes) == (ClockState.running, ClockState.breached)


@given(timelines(max_size=6), st.data())
def test_an_entry_of_a_later_instant_does_not_change_the_time_before_it(
    entries: list[Entry], data: st.DataObject
) -> None:
    """What was measured until an entry stays measured, unless the entry changes how the clock's time counts."""
    before = replay(entries)
    entry = data.draw(any_entry(entries[-1].at + data.draw(steps)))
    after = advance(before, entry)
    for old, new in zip(before.clocks, after.clocks, strict=False):
        if (old.terms.calendar, old.relief.frozen) == (new.terms.calendar, new.relief.frozen):
            assert new.elapsed(entry.at) == old.elapsed(entry.at)

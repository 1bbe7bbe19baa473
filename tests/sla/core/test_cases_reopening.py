"""The numbered cases at the end of the SLA semantics: reopening and merging; beside them promises and exceptions."""

from datetime import timedelta

import pytest

from app.sla.core.clock import ClockState, EndedReason
from app.sla.core.engine import advance, replay
from app.sla.core.enums import Metric, Status
from app.sla.core.policy import NO_RELIEF, AppliesTo, Effect, OnReopen
from app.sla.core.timeline import ClocksEnded, Entry, Excepted, Promised, PromiseOver
from tests.sla.core.builders import (
    CUSTOMER,
    FIRST,
    NEXT,
    PROMISE,
    RESOLUTION,
    UPDATE,
    at,
    covered,
    granted,
    of,
    only_clock,
    opened,
    policy,
    said,
    status,
    target,
    ticket,
)

WEEK = 7 * 86_400
_REOPENED = said(WEEK, CUSTOMER), status(WEEK, Status.open, CUSTOMER)


def test_case_12_a_thanks_after_an_unanswered_resolution_waits_from_the_thanks() -> None:
    after = ticket(opened(), status(10, Status.resolved), *_REOPENED)
    judged, waiting = of(after, FIRST)
    assert judged.state(at(WEEK)) is ClockState.cancelled
    assert (waiting.cycle, waiting.started_at, waiting.due_at) == (2, at(WEEK), at(WEEK + 90))
    assert waiting.state(at(WEEK)) is ClockState.running


def test_case_12_a_thanks_after_an_answer_breaches_nothing_from_the_creation() -> None:
    cover = covered(policy(target(FIRST, 90), target(NEXT, 90), target(RESOLUTION, 600), target(UPDATE, 300)))
    after = ticket(cover, opened(), said(10), status(20, Status.resolved), *_REOPENED, target=None)
    assert {clock.state(at(WEEK)) for clock in after.clocks if clock.ended_at is None} == {ClockState.running}
    assert (only_clock(after, NEXT).started_at, of(after, UPDATE)[-1].started_at) == (at(WEEK), at(WEEK))
    # What is left of the 600 seconds: 20 were used, the week in between was not.
    assert only_clock(after, RESOLUTION).due_at == at(WEEK + 580)


def test_case_12_a_thanks_that_does_not_reopen_starts_nothing() -> None:
    resolved = ticket(opened(), said(10), status(20, Status.resolved))
    assert advance(resolved, said(WEEK, CUSTOMER)) == resolved


def test_case_13_reopened_a_week_after_its_answer_the_first_response_stays() -> None:
    cover = covered(policy(target(FIRST, 90), target(NEXT, 45), target(RESOLUTION, 600)))
    before = ticket(cover, opened(), said(10), status(20, Status.resolved), target=None)
    after = before
    for entry in _REOPENED:
        after = advance(after, entry)
    assert of(after, FIRST) == of(before, FIRST)
    clock = only_clock(after, NEXT)
    assert (clock.cycle, clock.started_at, clock.due_at) == (1, at(WEEK), at(WEEK + 45))
    resumed = only_clock(after, RESOLUTION)
    assert (resumed.cycle, resumed.stopped_at, resumed.elapsed(at(WEEK + 1))) == (1, None, timedelta(seconds=21))
    assert (resumed.paused_time(at(WEEK + 1)), resumed.original_due_at) == (timedelta(0), at(600))


def test_case_13_a_policy_may_begin_the_resolution_anew() -> None:
    cover = covered(policy(target(RESOLUTION, 600), on_reopen=OnReopen.new_cycle))
    after = ticket(cover, opened(), said(10), status(700, Status.resolved), *_REOPENED, target=None)
    old, new = of(after, RESOLUTION)
    assert (old.cycle, old.state(at(WEEK)), old.stopped_at) == (1, ClockState.breached, at(700))
    assert (new.cycle, new.started_at, new.due_at) == (2, at(WEEK), at(WEEK + 600))


def test_case_13_resolved_while_paused_and_reopened_counts_neither() -> None:
    cover = covered(policy(target(RESOLUTION, 600)))
    entries: list[Entry] = [
        opened(),
        status(100, Status.pending),
        status(200, Status.resolved),
        status(1000, Status.open),
    ]
    clock = only_clock(ticket(cover, *entries, target=None), RESOLUTION)
    assert (clock.elapsed(at(1000)), clock.paused_time(at(1000))) == (timedelta(seconds=100), timedelta(seconds=100))
    assert clock.due_at == at(1500)
    waiting = only_clock(ticket(cover, *entries[:-1], status(1000, Status.pending), target=None), RESOLUTION)
    assert (waiting.state(at(1100)), waiting.paused_time(at(1100))) == (ClockState.paused, timedelta(seconds=200))


def test_case_13_an_agent_who_reopens_starts_no_response() -> None:
    after = ticket(opened(), said(10), status(20, Status.resolved), status(WEEK, Status.open))
    assert of(after, NEXT) == ()
    assert only_clock(after, RESOLUTION).ended_at is None


@pytest.mark.parametrize(("seconds", "state"), [(90, ClockState.cancelled), (90.000001, ClockState.breached)])
def test_case_21_merged_ends_what_runs_and_nothing_starts_again(seconds: float, state: ClockState) -> None:
    cover = covered(policy(target(FIRST, 90), target(RESOLUTION, 90), target(UPDATE, 90)))
    entries: list[Entry] = [cover, opened(), Promised(at(0), at(90))]
    merged = replay([*entries, ClocksEnded(at(seconds), EndedReason.merged), status(seconds, Status.closed)])
    assert sorted(clock.metric for clock in merged.clocks) == [FIRST, UPDATE, PROMISE, RESOLUTION]
    for clock in merged.clocks:
        assert (clock.ended_at, clock.ended_reason) == (at(seconds), EndedReason.merged)
        assert (clock.stopped_at, clock.state(at(WEEK))) == (None, state)


def test_case_21_what_was_answered_before_the_merge_stays_answered() -> None:
    answered = ticket(opened(), said(10))
    merged = advance(answered, ClocksEnded(at(20), EndedReason.merged))
    assert only_clock(merged) == only_clock(answered)
    assert only_clock(merged, RESOLUTION).state(at(WEEK)) is ClockState.cancelled


def test_promises_outlive_resolution_and_are_kept_late_or_withdrawn() -> None:
    cover = covered(policy(target(FIRST, 90)))
    entries: list[Entry] = [
        cover,
        opened(),
        Promised(at(10), at(500)),
        Promised(at(20), at(300)),
        Promised(at(30), at(900)),
    ]
    over = [PromiseOver(at(400), 2, kept=True), PromiseOver(at(500), 1, kept=True), PromiseOver(at(500), 3, kept=False)]
    found = replay([*entries, status(100, Status.resolved)])
    assert [(c.cycle, c.due_at, c.ended_at) for c in of(found, PROMISE)] == [
        (1, at(500), None), (2, at(300), None), (3, at(900), None)
    ]  # fmt: skip
    for entry in over:
        found = advance(found, entry)
    assert [c.state(at(WEEK)) for c in of(found, PROMISE)] == [
        ClockState.met,
        ClockState.breached,
        ClockState.cancelled,
    ]
    assert of(found, PROMISE)[2].ended_reason is EndedReason.withdrawn
    assert advance(found, PromiseOver(at(600), 1, kept=False)) == found


@pytest.mark.parametrize(("metric", "reached"), [(FIRST, True), (RESOLUTION, False)])
def test_an_excluded_clock_has_no_deadline_and_ends_stopped_or_cancelled(metric: Metric, reached: bool) -> None:
    excluding = Excepted(at(80), (granted(Effect.exclude, None, metric, starts=80, expires=110),))
    late = ticket(opened(), excluding)
    assert only_clock(late).state(at(105)) is (ClockState.running if reached else ClockState.breached)
    # It stays with the clock after it expired.
    answered = only_clock(advance(late, said(200)))
    assert answered.state(at(WEEK)) is (ClockState.stopped if reached else ClockState.breached)
    given_up = only_clock(advance(late, status(200, Status.resolved)))
    assert given_up.state(at(WEEK)) is (ClockState.cancelled if reached else ClockState.breached)
    assert given_up.ended_reason is (EndedReason.exception if reached else EndedReason.resolved_without_response)


def test_a_breach_that_has_happened_stays_one_when_its_clock_is_excluded() -> None:
    excluding = Excepted(at(100), (granted(Effect.exclude, None, FIRST, starts=100, expires=110),))
    late = ticket(opened(), excluding)
    for clock in (only_clock(late), only_clock(advance(late, said(200)))):
        assert (clock.state(at(WEEK)), clock.due_at, clock.relief.excluded) == (ClockState.breached, at(90), True)
    more = granted(Effect.extend, 60, starts=0, expires=None)
    still = only_clock(advance(late, Excepted(at(120), (*excluding.exceptions, more))))
    assert (still.state(at(130)), still.due_at) == (ClockState.breached, at(90))
    # Taken back, it is judged as if it had never been granted.
    back = only_clock(advance(late, Excepted(at(120), ())))
    assert (back.state(at(130)), back.due_at, back.relief.excluded) == (ClockState.breached, at(90), False)


def test_an_exception_for_what_starts_reaches_nothing_that_runs() -> None:
    exclude = granted(Effect.exclude, None, starts=50, expires=100, applies_to=AppliesTo.started)
    running = ticket(opened(), Excepted(at(50), (exclude,)))
    assert (only_clock(running).relief, only_clock(running).due_at) == (NO_RELIEF, at(90))
    for start, excluded in ((50, True), (99, True), (100, False)):
        assert only_clock(ticket(Excepted(at(50), (exclude,)), opened(start))).relief.excluded is excluded


def test_exceptions_reach_only_clocks_that_run_while_they_are_in_force() -> None:
    later = granted(Effect.extend, 60, starts=50, expires=100)
    before = ticket(opened(), Excepted(at(10), (later,)))
    assert only_clock(before).due_at == at(90)
    in_force = advance(before, Excepted(at(50), (later,)))
    assert (only_clock(in_force).due_at, only_clock(in_force).unrelieved_due_at) == (at(150), at(90))
    answered = advance(in_force, said(60))
    assert only_clock(advance(answered, Excepted(at(70), ()))) == only_clock(answered)
    # Whatever starts while it is in force, but not at the instant at which it expires.
    assert only_clock(ticket(Excepted(at(50), (later,)), opened(99))).due_at == at(249)
    assert only_clock(ticket(Excepted(at(50), (later,)), opened(100))).due_at == at(190)


def test_of_several_other_targets_the_last_granted_counts_and_extensions_add_up() -> None:
    several = (
        granted(Effect.retarget, 30, number=1),
        granted(Effect.extend, 5, number=2),
        granted(Effect.retarget, 45, number=3),
        granted(Effect.extend, 7, number=4),
    )
    clock = only_clock(ticket(opened(), Excepted(at(1), several)))
    assert (clock.due_at, clock.target_seconds, clock.original_due_at) == (at(57), 57, at(90))

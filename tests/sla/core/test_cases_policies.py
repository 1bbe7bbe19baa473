"""The numbered cases at the end of the SLA semantics: another priority, another policy, none."""

from datetime import timedelta
from itertools import permutations

import pytest

from app.sla.core.clock import ClockState
from app.sla.core.engine import advance, replay
from app.sla.core.enums import Metric, Priority, Status
from app.sla.core.policy import first_match
from app.sla.core.timeline import Entry
from tests.sla.core.builders import (
    CUSTOMER,
    FIRST,
    NEXT,
    OFFICE,
    RESOLUTION,
    START,
    UPDATE,
    at,
    covered,
    of,
    only_clock,
    opened,
    policy,
    promise,
    said,
    status,
    target,
    ticket,
)


def test_case_04_a_priority_changed_while_breached_and_back() -> None:
    its_policy = promise((Priority.high, 60), (Priority.low, 3600))
    first = ticket(covered(its_policy, priority=Priority.high), opened(), target=None)
    assert only_clock(first).state(at(100)) is ClockState.breached
    calmer = advance(first, covered(its_policy, 100, Priority.low))
    clock = only_clock(calmer)
    assert (clock.state(at(100)), clock.due_at, clock.target_seconds) == (ClockState.running, at(3600), 3600)
    assert only_clock(advance(calmer, said(3600))).state(at(9999)) is ClockState.met
    assert clock.breached(at(3600.000001))
    again = only_clock(advance(calmer, covered(its_policy, 200, Priority.high)))
    assert again == only_clock(first)
    assert {c.original_due_at for c in (only_clock(first), clock, again)} == {at(60)}
    assert {c.started_at for c in (only_clock(first), clock, again)} == {START}


def test_case_04_a_priority_changed_while_paused_and_back() -> None:
    urgent, calm = policy(target(RESOLUTION, 600)), policy(target(RESOLUTION, 3600), version=2)
    paused = replay([covered(urgent), opened(), status(100, Status.pending)])
    clock = only_clock(paused, RESOLUTION)
    assert (clock.due_at, clock.remaining(at(500))) == (None, timedelta(seconds=500))
    calmer = advance(paused, covered(calm, 300))
    clock = only_clock(calmer, RESOLUTION)
    assert (clock.state(at(500)), clock.due_at, clock.remaining(at(500))) == (
        ClockState.paused, None, timedelta(seconds=3500)
    )  # fmt: skip
    assert (clock.paused_time(at(500)), clock.original_due_at) == (timedelta(seconds=400), at(600))
    assert only_clock(advance(calmer, status(700, Status.open)), RESOLUTION).due_at == at(3600 + 600)
    back = advance(calmer, covered(urgent, 400))
    assert only_clock(back, RESOLUTION) == only_clock(paused, RESOLUTION)
    assert only_clock(advance(back, status(700, Status.open)), RESOLUTION).due_at == at(600 + 600)


def test_case_04_a_target_that_counts_the_wait_for_the_customer_runs_on_from_the_change() -> None:
    """What was paused stays so; what a status does from the change on, the new terms say."""
    pausing, counting = policy(target(RESOLUTION, 600)), policy(target(RESOLUTION, 600, frozenset()), version=2)
    changed = replay([covered(pausing), opened(), status(100, Status.pending), covered(counting, 150)])
    clock = only_clock(changed, RESOLUTION)
    assert (clock.state(at(150)), clock.due_at, clock.paused_time(at(999))) == (
        ClockState.running, at(650), timedelta(seconds=50)
    )  # fmt: skip
    again = only_clock(advance(changed, covered(pausing, 250)), RESOLUTION)
    assert (again.state(at(300)), again.remaining(at(300))) == (ClockState.paused, timedelta(seconds=400))


def test_case_04_a_breached_clock_pauses_and_stays_breached() -> None:
    late = replay([covered(policy(target(RESOLUTION, 60))), opened(), status(100, Status.pending)])
    clock = only_clock(late, RESOLUTION)
    assert (clock.state(at(200)), clock.due_at, clock.paused) == (ClockState.breached, at(60), True)
    assert clock.remaining(at(200)) == timedelta(seconds=-40)


def test_case_04_another_calendar_recomputes_the_whole_running_clock() -> None:
    """Nothing is accumulated: the deadline is worked out from the start."""
    every, office = target(RESOLUTION, 12 * 3600), target(RESOLUTION, 12 * 3600, business=True)
    clock = only_clock(
        replay([covered(policy(every)), opened(), covered(policy(office, calendar=OFFICE), 86_400)]), RESOLUTION
    )
    # Monday 09:30 to 17:00 are 7.5 hours, Tuesday from 09:00 4.5 more.
    assert clock.due_at == at(28 * 3600)
    assert clock.elapsed(at(86_400)) == timedelta(hours=8)
    assert clock.original_due_at == at(12 * 3600)


def test_case_05_a_policy_replaced_leaves_what_has_ended_as_it_was_judged() -> None:
    late = ticket(opened(), said(91), status(95, Status.resolved))
    after = advance(late, covered(promise((None, 3600), version=2), 100))
    assert after.clocks == late.clocks
    assert only_clock(after).state(at(10**6)) is ClockState.breached


def test_case_05_a_running_breach_is_judged_anew_and_can_be_breached_again() -> None:
    late = ticket(opened())
    assert only_clock(late).state(at(91)) is ClockState.breached
    clock = only_clock(advance(late, covered(promise((None, 120), version=2), 100)))
    assert (clock.state(at(100)), clock.next_at(at(100)), clock.original_due_at) == (
        ClockState.running,
        at(120),
        at(90),
    )
    assert (clock.state(at(121)), clock.terms.policy_version) == (ClockState.breached, 2)


@pytest.mark.parametrize("priority", Priority)
def test_case_06_a_policy_with_one_metric_and_one_priority_reaches_its_end(priority: Priority) -> None:
    its_policy = promise((Priority.high, 90), warn_at=(50, 80))
    before = ticket(covered(its_policy, priority=priority), opened(), target=None)
    clock = only_clock(before)
    if priority is Priority.high:
        assert (clock.next_at(), clock.terms.policy_version) == (at(45), 1)
    else:
        assert (clock.next_at(), clock.terms.policy_id, clock.target_seconds) == (None, None, None)
    after = advance(before, said(10))
    assert [each.next_at() for each in after.clocks] == [None, None]
    ended = only_clock(after)
    assert ended.state(at(10**6)) is (ClockState.met if priority is Priority.high else ClockState.stopped)
    measured = only_clock(advance(after, status(20, Status.resolved)), RESOLUTION)
    assert (measured.state(at(30)), measured.due_at) == (ClockState.stopped, None)


@pytest.mark.parametrize("metric", [FIRST, NEXT, UPDATE, RESOLUTION])
def test_case_06_whatever_the_metric_nothing_is_left_to_happen_when_all_is_done(metric: Metric) -> None:
    cover = covered(policy(target(metric, 90, warn_at=(50,))))
    done = replay([cover, opened(), said(1), said(2, CUSTOMER), said(3), status(4, Status.resolved)])
    assert all(clock.ended_at and clock.next_at() is None for clock in done.clocks)


def test_case_24_a_policy_archived_leaves_history_and_a_measured_clock() -> None:
    running = ticket(opened())
    ended = advance(running, said(91))
    resolved = advance(ended, status(95, Status.resolved))
    assert advance(resolved, covered(None, 100)).clocks == resolved.clocks
    assert only_clock(advance(ended, covered(None, 100))) == only_clock(ended)
    measured = only_clock(advance(running, covered(None, 100)))
    assert (measured.state(at(10**6)), measured.due_at, measured.terms.policy_id) == (ClockState.running, None, None)
    assert measured.original_due_at == at(90)
    assert only_clock(advance(advance(running, covered(None, 100)), said(120))).state(at(120)) is ClockState.stopped


def test_case_24_without_a_policy_every_hour_counts_and_the_usual_statuses_pause() -> None:
    its_policy = policy(target(RESOLUTION, 600, frozenset({Status.open}), business=True), calendar=OFFICE)
    entries: list[Entry] = [
        covered(its_policy),
        opened(),
        status(100, Status.open),
        covered(None, 150),
        status(200, Status.pending),
    ]
    clock = only_clock(replay(entries), RESOLUTION)
    assert (clock.terms.calendar, clock.state(at(10**6))) == (None, ClockState.paused)
    assert (clock.elapsed(at(300)), clock.paused_time(at(300))) == (timedelta(seconds=150), timedelta(seconds=150))


def test_case_25_overlapping_policies_are_tried_by_position_then_id() -> None:
    high = {"field": "ticket.priority", "op": "eq", "value": "high"}
    one, two = promise((None, 1), number=1, position=5), promise((None, 2), number=2, position=5)
    narrow = promise((None, 3), number=3, position=1, all_of=[high])
    for order in permutations([one, two, narrow]):
        ordered = sorted(order, key=lambda policy: (policy.position, policy.id))
        assert first_match(ordered, {"ticket.priority": "high"}) is narrow
        assert first_match(ordered, {"ticket.priority": "low"}) is one
    assert first_match([narrow], {"ticket.priority": "low"}) is None


def test_case_26_other_facts_match_another_policy_and_what_runs_takes_its_target() -> None:
    """A segment's membership is a fact like any other; here the priority stands for it."""
    high = {"field": "ticket.priority", "op": "eq", "value": "high"}
    narrow = promise((None, 30), number=3, position=1, all_of=[high])
    usual = promise((None, 90), number=1, position=5)
    before = first_match([narrow, usual], {"ticket.priority": "low"})
    joined = first_match([narrow, usual], {"ticket.priority": "high"})
    assert (before, joined) == (usual, narrow)
    running = ticket(covered(before), opened(), target=None)
    clock = only_clock(advance(running, covered(joined, 10)))
    assert (clock.started_at, clock.due_at, clock.original_due_at) == (START, at(30), at(90))
    assert clock.terms.policy_id == narrow.id
    answered = advance(running, said(40))
    after = advance(answered, covered(joined, 50))
    assert only_clock(after) == only_clock(answered)
    assert only_clock(after).state(at(60)) is ClockState.met


def test_case_26_updates_that_are_promised_later_are_due_from_then_on() -> None:
    running = replay([covered(promise((None, 90))), opened(), said(10)])
    assert of(running, UPDATE) == ()
    promised = advance(running, covered(policy(target(UPDATE, 600)), 100))
    assert [(c.started_at, c.due_at) for c in of(promised, UPDATE)] == [(at(100), at(700))]
    # No policy any more: the interval is measured to its end, and the next one is not kept.
    measured = advance(advance(promised, covered(None, 200)), said(300))
    clock = only_clock(measured, UPDATE)
    assert (clock.state(at(999)), clock.elapsed(at(999)), clock.due_at) == (
        ClockState.stopped, timedelta(seconds=200), None
    )  # fmt: skip

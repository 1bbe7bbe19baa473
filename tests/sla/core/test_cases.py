"""The numbered cases at the end of the SLA semantics, as far as the pure core decides them. Each was somebody's shipped
bug; the numbers are theirs."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from app.sla.core.clock import EndedReason, State
from app.sla.core.engine import advance
from app.sla.core.policy import first_match
from app.sla.core.timeline import Entry
from app.sla.core.words import AuthorKind, Priority, Status
from tests.sla.core.builders import (
    BOT,
    CUSTOMER,
    MICROSECOND,
    START,
    SYSTEM,
    at,
    covered,
    only_clock,
    opened,
    promise,
    said,
    status,
    ticket,
)


@pytest.mark.parametrize("done", [Status.resolved, Status.closed])
def test_case_01_a_reply_that_resolves_is_an_answer_and_a_status(done: Status) -> None:
    after = ticket(opened(), said(30), status(30, done))
    clock = only_clock(after)
    assert (clock.stopped_at, clock.ended_reason, clock.state(at(30))) == (at(30), None, State.met)
    assert after.status is done


def test_case_04_a_priority_changed_while_breached_and_back() -> None:
    policy = promise((Priority.high, 60), (Priority.low, 3600))
    first = ticket(covered(policy, priority=Priority.high), opened(), target=None)
    assert only_clock(first).state(at(100)) is State.breached
    calmer = advance(first, covered(policy, 100, Priority.low))
    clock = only_clock(calmer)
    assert (clock.state(at(100)), clock.due_at, clock.target_seconds) == (State.running, at(3600), 3600)
    assert clock.state(at(3600) + MICROSECOND) is State.breached
    again = only_clock(advance(calmer, covered(policy, 200, Priority.high)))
    assert again == only_clock(first)
    assert {c.original_due_at for c in (only_clock(first), clock, again)} == {at(60)}
    assert {c.started_at for c in (only_clock(first), clock, again)} == {START}


def test_case_05_a_policy_replaced_leaves_what_has_ended_as_it_was_judged() -> None:
    late = ticket(opened(), said(91))
    after = advance(late, covered(promise((None, 3600), version=2), 100))
    assert after.clocks == late.clocks
    assert only_clock(after).state(at(10**6)) is State.breached


@pytest.mark.parametrize("priority", Priority)
def test_case_06_a_policy_with_one_metric_and_one_priority_reaches_its_end(priority: Priority) -> None:
    policy = promise((Priority.high, 90), warn_at=(50, 80))
    before = ticket(covered(policy, priority=priority), opened(), target=None)
    clock = only_clock(before)
    if priority is Priority.high:
        assert (clock.next_at(), clock.policy_version) == (at(45), 1)
    else:
        assert (clock.next_at(), clock.policy_id, clock.target_seconds) == (None, None, None)
    ended = only_clock(advance(before, said(10)))
    assert ended.next_at() is None
    assert ended.state(at(10**6)) is (State.met if priority is Priority.high else State.stopped)


def test_case_07_a_reply_exactly_at_the_deadline_is_in_time() -> None:
    before = ticket(opened())
    assert only_clock(before).state(at(90)) is State.running
    clock = only_clock(advance(before, said(90)))
    assert clock.state(at(90)) is State.met
    assert clock.state(at(10**6)) is State.met


def test_case_08_a_reply_after_the_deadline_is_a_breach_at_the_deadline() -> None:
    clock = only_clock(ticket(opened(), said(90.000001)))
    assert clock.state(at(90.000001)) is State.breached
    assert (clock.due_at, clock.stopped_at) == (at(90), at(90) + MICROSECOND)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, State.cancelled), (89, State.cancelled), (90, State.cancelled), (90.000001, State.breached)],
)
@pytest.mark.parametrize(
    ("by", "reason"),
    [
        (AuthorKind.agent, EndedReason.resolved_without_response),
        (AuthorKind.bot, EndedReason.resolved_without_response),
        (AuthorKind.customer, EndedReason.closed_by_customer),
    ],
)
def test_case_10_resolved_without_a_reply_is_never_met(
    seconds: float, state: State, by: AuthorKind, reason: EndedReason
) -> None:
    clock = only_clock(ticket(opened(), status(seconds, Status.resolved, by)))
    assert (clock.state(at(10**6)), clock.ended_reason, clock.answered) == (state, reason, False)


def test_case_12_a_thanks_after_an_unanswered_resolution_waits_from_the_thanks() -> None:
    week = 7 * 86_400
    after = ticket(opened(), status(10, Status.resolved), said(week, CUSTOMER), status(week, Status.open, CUSTOMER))
    judged, waiting = after.clocks
    assert judged.state(at(week)) is State.cancelled
    assert (waiting.cycle, waiting.started_at, waiting.due_at) == (2, at(week), at(week + 90))
    assert waiting.state(at(week)) is State.running


def test_case_13_reopened_a_week_after_its_answer_the_first_response_stays() -> None:
    before = ticket(opened(), said(10), status(20, Status.resolved))
    week = 7 * 86_400
    after = advance(advance(before, said(week, CUSTOMER)), status(week, Status.open, CUSTOMER))
    assert after.clocks == before.clocks


def test_case_15_around_the_clock_midnight_is_an_instant_like_any_other() -> None:
    before_midnight = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    offset = (before_midnight - START).total_seconds()
    clock = only_clock(ticket(opened(offset)))
    assert clock.due_at == datetime(2027, 1, 1, 0, 1, tzinfo=UTC)
    assert clock.elapsed(datetime(2027, 1, 1, tzinfo=UTC)) == timedelta(seconds=30)


@pytest.mark.parametrize("seconds", [1, 15, 45, 90])
def test_case_17_short_targets_are_exact(seconds: int) -> None:
    clock = only_clock(ticket(opened(), target=seconds))
    assert clock.due_at == START + timedelta(seconds=seconds)
    assert clock.state(clock.due_at) is State.running
    assert clock.state(clock.due_at + MICROSECOND) is State.breached


def test_case_20_what_is_replayed_from_history_is_what_happened_live() -> None:
    entries: list[Entry] = [opened(), said(5, SYSTEM), said(80, CUSTOMER), said(91), status(95, Status.resolved)]
    live = ticket(entries[0])
    for entry in entries[1:]:
        live = advance(live, entry)
    assert live == ticket(*entries)
    assert only_clock(live).state(at(91)) is State.breached


def test_case_22_of_many_first_replies_only_the_first_counts() -> None:
    clock = only_clock(ticket(opened(), *(said(20 + n) for n in range(10))))
    assert clock.stopped_at == at(20)


def test_case_23_marking_twice_is_marking_once() -> None:
    clock = only_clock(ticket(opened()))
    assert clock.next_at(after=at(90)) == at(90)
    assert clock.next_at(after=at(90) + MICROSECOND) is None


def test_case_24_a_policy_archived_leaves_history_and_a_measured_clock() -> None:
    running = ticket(opened())
    ended = advance(running, said(91))
    assert advance(ended, covered(None, 100)).clocks == ended.clocks
    measured = only_clock(advance(running, covered(None, 100)))
    assert (measured.state(at(10**6)), measured.due_at, measured.policy_id) == (State.running, None, None)
    assert measured.original_due_at == at(90)
    assert only_clock(advance(advance(running, covered(None, 100)), said(120))).state(at(120)) is State.stopped


def test_case_25_overlapping_policies_are_tried_by_position_then_id() -> None:
    high = {"field": "ticket.priority", "op": "eq", "value": "high"}
    one, two = promise((None, 1), number=1, position=5), promise((None, 2), number=2, position=5)
    narrow = promise((None, 3), number=3, position=1, all_of=[high])
    for order in permutations([one, two, narrow]):
        ordered = sorted(order, key=lambda policy: (policy.position, policy.id))
        assert first_match(ordered, {"ticket.priority": "high"}) is narrow
        assert first_match(ordered, {"ticket.priority": "low"}) is one
    assert first_match([narrow], {"ticket.priority": "low"}) is None


def test_case_27_who_answered_is_no_part_of_a_clock() -> None:
    # Nothing of the author but the kind at that instant reaches the engine: there is nothing that could change later.
    assert said(10) == said(10, AuthorKind.agent)
    assert only_clock(ticket(opened(), said(10))).state(at(10**6)) is State.met


def test_case_29_a_bot_answers_then_hands_over_and_the_wait_runs_from_the_customer() -> None:
    handed_over = only_clock(ticket(opened(), said(1, BOT), said(60)))
    assert (handed_over.started_at, handed_over.elapsed(at(999))) == (START, timedelta(seconds=60))
    counted = ticket(covered(promise((None, 90), bot_counts=True)), opened(), said(1, BOT), said(60), target=None)
    assert only_clock(counted).stopped_at == at(1)

from functools import reduce

import pytest
from hypothesis import given

from app.sla.core.clock import ClockState
from app.sla.core.engine import TicketClocks, advance, replay
from app.sla.core.enums import DONE, AuthorKind, Status
from app.sla.core.timeline import Entry, Opened, Said, StatusSet
from tests.sla.core.builders import (
    AGENT,
    BOT,
    CUSTOMER,
    FIRST,
    NEXT,
    RESOLUTION,
    SYSTEM,
    at,
    clocks_of,
    covered,
    of,
    only_clock,
    opened,
    promise,
    said,
    status,
    ticket,
    timelines,
)


@given(timelines())
def test_advancing_step_by_step_arrives_where_a_replay_does(entries: list[Entry]) -> None:
    for cut in range(len(entries)):
        assert reduce(advance, entries[cut:], replay(entries[:cut])) == replay(entries)


@given(timelines())
def test_a_clock_starts_with_a_customer_and_stops_with_an_answer(entries: list[Entry]) -> None:
    asked = {e.at for e in entries if _by(e) is CUSTOMER}
    answered = {e.at for e in entries if isinstance(e, Said) and e.public and e.author in (AGENT, BOT)}
    for clock in clocks_of(entries):
        if clock.metric in (FIRST, NEXT):
            assert clock.started_at in asked
            assert clock.stopped_at is None or clock.stopped_at in answered


@given(timelines())
def test_what_is_no_response_moves_no_clock(entries: list[Entry]) -> None:
    """Internal notes and system messages may be left out of any timeline."""
    noise = [e for e in entries if isinstance(e, Said) and (not e.public or e.author is SYSTEM)]
    assert clocks_of([e for e in entries if e not in noise]) == clocks_of(entries)


@given(timelines())
def test_a_status_that_is_not_done_is_no_response(entries: list[Entry]) -> None:
    before = replay(entries)
    for word in set(Status) - DONE:
        after = advance(before, StatusSet(entries[-1].at, word, AGENT))
        for old, new in zip(before.clocks, after.clocks, strict=False):
            assert old.answered is new.answered or (old.metric, before.status in DONE) == (RESOLUTION, True)
        assert [clock.metric for clock in after.clocks[len(before.clocks) :] if clock.metric in (FIRST, NEXT)] == []


def test_a_ticket_opened_towards_a_customer_waits_for_nobody_until_they_write() -> None:
    outbound = ticket(opened(by=AGENT), said(5), status(6, Status.pending))
    assert [clock.metric for clock in outbound.clocks] == [RESOLUTION]
    after = advance(advance(outbound, said(100, CUSTOMER)), said(120, CUSTOMER))
    assert (only_clock(after).started_at, only_clock(after).due_at) == (at(100), at(190))


@pytest.mark.parametrize("done", DONE)
def test_a_ticket_opened_done_has_a_wait_that_is_over(done: Status) -> None:
    found = ticket(opened(status=done))
    clock = only_clock(found)
    assert (clock.ended_at, clock.next_at()) == (clock.started_at, None)
    assert clock.state(at(10**6)) is ClockState.cancelled
    assert only_clock(found, RESOLUTION).stopped_at == at(0)


def test_several_messages_of_the_customer_wait_from_the_first() -> None:
    clock = only_clock(ticket(opened(), said(10, CUSTOMER), said(50, CUSTOMER), said(60)))
    assert (clock.started_at, clock.stopped_at) == (at(0), at(60))


@pytest.mark.parametrize("author", [BOT, SYSTEM, CUSTOMER])
def test_only_an_agent_answers_unless_the_policy_counts_bots(author: AuthorKind) -> None:
    assert not only_clock(ticket(opened(), said(10, author))).answered
    counting = ticket(covered(promise((None, 90), bot_counts=True)), opened(), said(10, author), target=None)
    assert only_clock(counting).answered is (author is BOT)


def test_bots_count_by_the_policy_at_the_time_of_their_message() -> None:
    counts = promise((None, 90), bot_counts=True, version=2)
    too_early = ticket(opened(), said(10, BOT), covered(counts, 20))
    assert not only_clock(too_early).answered
    assert only_clock(advance(too_early, said(30, BOT))).stopped_at == at(30)


def test_an_agent_who_reopens_by_status_starts_nothing_and_the_next_message_does() -> None:
    reopened = ticket(opened(), status(10, Status.resolved), status(20, Status.open))
    assert only_clock(reopened).ended_at == at(10)
    judged, waiting = of(advance(reopened, said(30, CUSTOMER)), FIRST)
    assert judged == only_clock(reopened)
    assert (waiting.cycle, waiting.started_at, waiting.target_seconds) == (2, at(30), 90)


def test_an_answer_is_final_through_any_number_of_reopenings() -> None:
    answered = ticket(opened(), said(10))
    after = answered
    for n in range(3):
        for entry in (status(20 + n, Status.resolved), said(20 + n, CUSTOMER), status(20 + n, Status.open, CUSTOMER)):
            after = advance(after, entry)
    assert of(after, FIRST) == of(answered, FIRST)
    assert [(clock.cycle, clock.started_at, clock.ended_at) for clock in of(after, NEXT)] == [
        (1, at(20), at(21)),
        (2, at(21), at(22)),
        (3, at(22), None),
    ]


def test_a_new_cycle_is_judged_by_the_policy_of_its_start() -> None:
    stricter = promise((None, 5), version=2)
    judged = ticket(opened(), status(10, Status.closed))
    after = advance(advance(judged, covered(stricter, 20)), status(30, Status.open, CUSTOMER))
    assert [clock.terms.policy_version for clock in of(after, FIRST)] == [1, 2]
    assert of(after, FIRST)[1].due_at == at(35)


def test_the_state_carries_no_more_than_the_last_cover() -> None:
    after = ticket(opened(), covered(None, 5))
    assert after._replace(clocks=()) == TicketClocks(status=Status.new, policy=None)


def _by(entry: Entry) -> AuthorKind | None:
    match entry:
        case Opened(_, by, _) | StatusSet(_, _, by):
            return by
        case Said(_, author, _):
            return author
        case _:
            return None

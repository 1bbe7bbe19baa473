"""Which ticket is next: what can still be met by its deadline, then goals near their crossing, then who waits longest;
and nobody waits much longer than under oldest-first."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.next_answer import (
    LONGEST,
    NEAR,
    WaitingTicket,
    Why,
    in_words,
    place,
    spare_claims,
    why,
    worst_wait,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(days=1)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


_seconds = st.integers(-7200, 7200)
_maybe = st.none() | _seconds.map(_at)
_tickets = st.lists(
    st.builds(WaitingTicket, st.uuids(), st.integers(-7200, 0).map(_at), _maybe, _maybe),
    min_size=1, max_size=20, unique_by=lambda ticket: ticket.id,
)  # fmt: skip


@given(_tickets)
def test_what_can_be_met_comes_by_slack_then_goals_then_the_longest_wait(tickets: list[WaitingTicket]) -> None:
    ordered = sorted(tickets, key=lambda ticket: place(ticket, NOW, oldest_first=False))
    for one, other in pairwise(ordered):
        can_be_met = [ticket.due_at is not None and ticket.due_at > NOW for ticket in (one, other)]
        assert can_be_met[0] or not can_be_met[1]
        if all(can_be_met):
            assert (one.due_at or LATER) <= (other.due_at or NOW)
        if not any(can_be_met):
            near = [t.crosses_at is not None and NOW < t.crosses_at <= NOW + NEAR for t in (one, other)]
            assert near[0] or not near[1]
            if all(near):
                assert (one.crosses_at or LATER) <= (other.crosses_at or NOW)
            elif not any(near):
                assert one.since <= other.since


@given(_tickets)
def test_once_it_is_their_turn_the_oldest_comes_first_whatever_is_due(tickets: list[WaitingTicket]) -> None:
    first = min(tickets, key=lambda ticket: place(ticket, NOW, oldest_first=True))
    assert first.since == min(ticket.since for ticket in tickets)
    assert why(first, NOW, oldest_first=True) is Why.oldest_first


_arrivals = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([5, 30, 90, 600, 7200]), st.integers(0, 60)), min_size=1, max_size=120
)  # the time since the one before, the target, and the time from a claim to the next one


class _Waits(NamedTuple):
    worst: timedelta
    # Had each claim gone to who had come first of all.
    worst_of_oldest_first: timedelta
    met: int


def _claim_all(arrivals: list[tuple[int, int, int]], least: int = 1) -> _Waits:
    """Claims as irregular as may be, as long as somebody waits. With fewer spare claims than `least` the oldest come
    first."""
    at, tickets = NOW, []
    for number, (gap, target, _) in enumerate(arrivals):
        at += gap * SECOND
        tickets.append(WaitingTicket(UUID(int=number + 1), at, at + target * SECOND))
    waiting: list[WaitingTicket] = []
    coming, claims, worst, longest, met, now = list(tickets), 0, timedelta(0), timedelta(0), 0, NOW
    fair = timedelta(0)
    while coming or waiting:
        now = now if waiting else max(now, coming[0].since)
        while coming and coming[0].since <= now:
            waiting.append(coming.pop(0))
        came = [ticket.since for ticket in tickets[claims : claims + len(waiting)]]
        worst = worst_wait(worst, came, now)
        spare = spare_claims(sorted(ticket.since for ticket in waiting), came, worst)
        chosen = min(waiting, key=lambda ticket: place(ticket, now, oldest_first=spare < least))
        waiting.remove(chosen)
        longest, fair = max(longest, now - chosen.since), max(fair, now - came[0])
        met += chosen.due_at is not None and now <= chosen.due_at
        worst = worst if waiting else timedelta(0)
        now += arrivals[claims][2] * SECOND
        claims += 1
    return _Waits(longest, fair, met)


@given(_arrivals)
def test_nobody_waits_more_than_1_2_times_the_worst_of_oldest_first(arrivals: list[tuple[int, int, int]]) -> None:
    found = _claim_all(arrivals)
    assert found.worst <= LONGEST * found.worst_of_oldest_first


def test_without_the_bound_somebody_would_wait_longer() -> None:
    """Ten who are late at once, and one who is due soon with every claim: they all would wait for the others."""
    arrivals = [(0, 5, 10)] * 10 + [(10, 600, 10)] * 60
    bound, free = _claim_all(arrivals), _claim_all(arrivals, least=0)
    assert free.worst > LONGEST * free.worst_of_oldest_first
    assert bound.worst <= LONGEST * bound.worst_of_oldest_first


def test_passing_over_the_oldest_saves_what_can_be_saved() -> None:
    arrivals = [(0, 5, 10)] * 40 + [(10, 30, 10)] * 60
    always_oldest_first = _claim_all(arrivals, least=1000)
    assert always_oldest_first.worst == always_oldest_first.worst_of_oldest_first
    assert _claim_all(arrivals).met > always_oldest_first.met


def test_the_worst_is_remembered_and_spare_claims_follow_from_it() -> None:
    line = [_at(-10 * number) for number in range(10, 0, -1)]
    assert worst_wait(timedelta(0), line, NOW) == 100 * SECOND
    assert worst_wait(500 * SECOND, line, NOW) == 500 * SECOND
    assert worst_wait(500 * SECOND, [], NOW) == timedelta(0)
    # A fifth of 100 s is two places of ten seconds each.
    assert spare_claims(line, line, 100 * SECOND) == 2
    assert spare_claims(line, line, 500 * SECOND) == 10
    assert spare_claims(line, line, timedelta(0)) == 0
    # Who is behind their place already is not passed over again.
    assert spare_claims([_at(-400), *line[1:]], line, 100 * SECOND) == 0
    assert spare_claims([], [], timedelta(0)) == 0


_WAITED = "its customer has waited 3 min 5 s"


@pytest.mark.parametrize(
    ("because", "words"),
    [
        (Why.can_be_met, f"Its deadline is in 41 s and can still be met; {_WAITED}."),
        (Why.goal, f"A goal that counts it is missed in 2 min 0 s; {_WAITED}."),
        (Why.waits_longest, f"No deadline of it can still be met, and {_WAITED}, longer than any other such."),
        (Why.oldest_first, f"I{_WAITED[1:]}: nobody may wait much longer than the oldest in the queue."),
    ],
)
def test_the_reason_is_told_in_words(because: Why, words: str) -> None:
    ticket = WaitingTicket(UUID(int=1), _at(-185), _at(41), _at(120))
    assert in_words(ticket, because, NOW) == words

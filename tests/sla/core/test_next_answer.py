"""Which ticket is next: what can still be met by its deadline, then goals near their crossing, then who waits longest;
and nobody waits much longer than under oldest-first."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sla.core.next_answer import (
    LONGEST,
    NEAR,
    Queue,
    WaitingTicket,
    Why,
    in_words,
    oldest_first_from,
    place,
    why,
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


@given(_tickets, st.none() | st.integers(1, 7200).map(_at))
def test_what_can_be_met_comes_by_slack_then_goals_then_the_longest_wait(
    tickets: list[WaitingTicket], hold: datetime | None
) -> None:
    ordered = sorted(tickets, key=lambda ticket: place(ticket, NOW, hold))
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


@given(_tickets, st.integers(-7200, 0).map(_at))
def test_once_it_is_time_the_oldest_comes_first_whatever_is_due(tickets: list[WaitingTicket], hold: datetime) -> None:
    first = min(tickets, key=lambda ticket: place(ticket, NOW, hold))
    assert first.since == min(ticket.since for ticket in tickets)
    assert why(first, NOW, hold) is Why.oldest_first


_arrivals = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([5, 30, 90, 600, 7200])), min_size=1, max_size=120
)  # the time since the one before, and the target


def _worst_wait(arrivals: list[tuple[int, int]], pace: int, *, oldest_first: bool) -> timedelta:
    """One claim each `pace` seconds, as long as somebody waits."""
    at, coming = NOW, []
    for number, (gap, target) in enumerate(arrivals):
        at += gap * SECOND
        coming.append(WaitingTicket(UUID(int=number + 1), at, at + target * SECOND))
    waiting: list[WaitingTicket] = []
    queue: Queue | None = None
    now, worst = NOW, timedelta(0)
    while coming or waiting:
        if not waiting:
            now = max(now, coming[0].since)
        while coming and coming[0].since <= now:
            waiting.append(coming.pop(0))
            queue = Queue.after(queue, len(waiting), pace * SECOND)
        assert queue
        hold = now if oldest_first else oldest_first_from(queue, [ticket.since for ticket in waiting])
        chosen = min(waiting, key=lambda ticket: place(ticket, now, hold))
        waiting.remove(chosen)
        worst = max(worst, now - chosen.since)
        if not waiting:
            queue = Queue.after(queue, 0, pace * SECOND)
        now += pace * SECOND
    return worst


@given(_arrivals, st.integers(1, 15))
def test_nobody_waits_more_than_1_2_times_the_worst_of_oldest_first(arrivals: list[tuple[int, int]], pace: int) -> None:
    fair = _worst_wait(arrivals, pace, oldest_first=True)
    # What is known of the worst wait is known to a claim.
    assert _worst_wait(arrivals, pace, oldest_first=False) <= LONGEST * (fair + pace * SECOND)


def test_without_the_bound_somebody_would_wait_longer() -> None:
    """Ten who are late at once, and one who is due soon with every claim: they all would wait for the others."""
    arrivals = [(0, 5)] * 10 + [(10, 600)] * 60
    assert _worst_wait(arrivals, 10, oldest_first=True) < timedelta(seconds=110)
    assert _worst_wait(arrivals, 10, oldest_first=False) <= timedelta(seconds=132)


def test_a_queue_remembers_the_worst_until_it_is_empty() -> None:
    long = Queue.after(None, 10, 60 * SECOND)
    assert long.worst == 600 * SECOND
    shorter = Queue.after(long, 2, 60 * SECOND)
    assert shorter.worst == 600 * SECOND
    assert Queue.after(Queue.after(shorter, 0, SECOND), 1, SECOND).worst == SECOND
    assert oldest_first_from(shorter, []) is None


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

"""Which ticket is to be answered next: the one whose answer saves most of what is promised. Pure.

First those that can still be met, the nearest deadline first. What is late already cannot be saved: of that, first what
a goal near its crossing counts, then who has waited longest. Going by deadlines alone may let somebody wait for ever.
So from `oldest_first_from` on the oldest come first, such that nobody waits longer than 1.2 times the worst wait that
oldest-first would have brought."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

# Of the worst wait under oldest-first.
LONGEST = 1.2
# A goal that is missed within this time, unless more is answered, is near.
NEAR = timedelta(minutes=10)


class Why(StrEnum):
    """Why a ticket is to be answered next: nobody may wait longer than its customer has (`oldest_first`), its deadline
    can still be met (`can_be_met`), a goal that is about to be missed counts it (`goal`), or no customer waits longer
    (`waits_longest`)."""

    oldest_first = "oldest_first"
    can_be_met = "can_be_met"
    goal = "goal"
    waits_longest = "waits_longest"


@dataclass(frozen=True, slots=True)
class WaitingTicket:
    """`due_at` is the earliest deadline of its running clocks, `crosses_at` when the first of the goals that count it
    is missed if nothing more is answered."""

    id: UUID
    since: datetime
    due_at: datetime | None = None
    crosses_at: datetime | None = None


def why(ticket: WaitingTicket, now: datetime, oldest_first_from: datetime | None) -> Why:
    if oldest_first_from is not None and oldest_first_from <= now:
        return Why.oldest_first
    if ticket.due_at is not None and ticket.due_at > now:
        return Why.can_be_met
    if ticket.crosses_at is not None and now < ticket.crosses_at <= now + NEAR:
        return Why.goal
    return Why.waits_longest


_ORDER = tuple(Why)


def place(
    ticket: WaitingTicket, now: datetime, oldest_first_from: datetime | None
) -> tuple[int, datetime, datetime, UUID]:
    """The smallest one is next."""
    because = why(ticket, now, oldest_first_from)
    first = {Why.can_be_met: ticket.due_at, Why.goal: ticket.crosses_at}.get(because) or ticket.since
    return _ORDER.index(because), first, ticket.since, ticket.id


@dataclass(frozen=True, slots=True)
class Queue:
    """Of those who wait for an answer and are nobody's yet. `pace` is the time between two claims; `worst` the longest
    wait that oldest-first would have brought since the queue was last empty, as far as it can be told."""

    waiting: int
    pace: timedelta
    worst: timedelta

    @classmethod
    def after(cls, before: "Queue | None", waiting: int, pace: timedelta) -> "Queue":
        """Under oldest-first whoever came last waits for as many claims as there are in the queue."""
        so_far = before.worst if before and before.waiting and waiting else timedelta(0)
        return cls(waiting, pace, max(so_far, waiting * pace))

    @property
    def longest(self) -> timedelta:
        return LONGEST * self.worst


def oldest_first_from(queue: Queue, since: Iterable[datetime]) -> datetime | None:
    """From when on the oldest come first, so that each of those who wait `since` then, the oldest first, is reached
    within the longest wait. Who is overtaken until then is still reached. None where nobody waits."""
    reached = (start + queue.longest - place * queue.pace for place, start in enumerate(since, 1))
    return min(reached, default=None)


def in_words(ticket: WaitingTicket, because: Why, now: datetime) -> str:
    waited = f"its customer has waited {_long(now - ticket.since)}"
    match because:
        case Why.oldest_first:
            return f"{waited[0].upper()}{waited[1:]}: nobody may wait much longer than the oldest in the queue."
        case Why.can_be_met:
            assert ticket.due_at is not None
            return f"Its deadline is in {_long(ticket.due_at - now)} and can still be met; {waited}."
        case Why.goal:
            assert ticket.crosses_at is not None
            return f"A goal that counts it is missed in {_long(ticket.crosses_at - now)}; {waited}."
    return f"No deadline of it can still be met, and {waited}, longer than any other such."


def _long(span: timedelta) -> str:
    minutes, seconds = divmod(max(0, int(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{seconds} s" if not hours else ""]
    return " ".join(filter(None, parts))

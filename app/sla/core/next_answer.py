"""Which ticket is to be answered next: the one whose answer saves most of what is promised. Pure.

First those that can still be met, the nearest deadline first. What is late already cannot be saved: of that, first what
a goal near its crossing counts, then who has waited longest. Going by deadlines alone may let somebody wait for ever.
So the oldest may be passed over only so often (`spare_claims`) that nobody waits longer than 1.2 times the worst wait
that oldest-first would have brought."""

from collections.abc import Sequence
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


def why(ticket: WaitingTicket, now: datetime, *, oldest_first: bool) -> Why:
    if oldest_first:
        return Why.oldest_first
    if ticket.due_at is not None and ticket.due_at > now:
        return Why.can_be_met
    if ticket.crosses_at is not None and now < ticket.crosses_at <= now + NEAR:
        return Why.goal
    return Why.waits_longest


_ORDER = tuple(Why)


def place(ticket: WaitingTicket, now: datetime, *, oldest_first: bool) -> tuple[int, datetime, datetime, UUID]:
    """The smallest one is next."""
    because = why(ticket, now, oldest_first=oldest_first)
    first = {Why.can_be_met: ticket.due_at, Why.goal: ticket.crosses_at}.get(because) or ticket.since
    return _ORDER.index(because), first, ticket.since, ticket.id


def worst_wait(before: timedelta, came: Sequence[datetime], now: datetime) -> timedelta:
    """The longest wait that oldest-first would have brought since the queue was last empty. `came` is since when as
    many of the last to come wait as are in the queue, the oldest first: under oldest-first it is they who would."""
    return max(before, now - came[0]) if came else timedelta(0)


def spare_claims(waiting: Sequence[datetime], came: Sequence[datetime], worst: timedelta) -> int:
    """So many claims may pass over the oldest; then it is their turn. `waiting` is since when those in the queue wait,
    the oldest first, `came` and `worst` as of `worst_wait`.

    At every claim from now on the next of both lines goes. So whoever is the i-th to wait does so longer than the i-th
    under oldest-first by as much as they came before them, however fast claims come. As long as that is at most a fifth
    of the worst wait, no wait is more than 1.2 times the worst. A claim that passes over the oldest moves oldest-first
    on by one place."""
    more = (LONGEST - 1) * worst
    spare, place = len(waiting), 0
    for number, since in enumerate(waiting):
        while place < len(came) and came[place] <= since + more:
            place += 1
        if place == len(came):
            break
        spare = min(spare, place - 1 - number)
    return max(spare, 0)


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

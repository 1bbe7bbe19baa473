"""Which status may follow which, and what a message does to one. Pure."""

from enum import StrEnum

from app.errors import Conflict, NotFound
from app.sla.core.enums import DONE, AuthorKind, Status


class Visibility(StrEnum):
    public = "public"
    internal = "internal"


class SlaState(StrEnum):
    """Of a ticket's clocks: one runs past its warning and can still be kept; one broke, and runs or has ended."""

    at_risk = "at_risk"
    breached = "breached"


class LinkKind(StrEnum):
    relates_to = "relates_to"
    duplicates = "duplicates"
    caused_by = "caused_by"
    parent_of = "parent_of"
    follow_up_of = "follow_up_of"


class TransitionNotAllowed(Conflict):
    """A ticket's status cannot go there from where it is. Nothing becomes `new` again, and `closed` is final."""

    code = "transition_not_allowed"
    title = "The status cannot change like that"


def no_such_ticket() -> NotFound:
    """Not there and not yours are told in the same words."""
    return NotFound("there is no ticket with this id, or it is not yours")


class TicketClosed(Conflict):
    """A closed ticket takes nothing more: open a new one. A customer's message to it opens a follow-up."""

    code = "ticket_closed"
    title = "The ticket is closed"


_WORK = frozenset({Status.open, Status.pending, Status.on_hold, Status.resolved, Status.closed})
NEXT: dict[Status, frozenset[Status]] = {
    Status.new: _WORK,
    Status.open: _WORK,
    Status.pending: _WORK,
    Status.on_hold: _WORK,
    Status.resolved: frozenset({Status.open, Status.pending, Status.on_hold, Status.closed}),
    Status.closed: frozenset(),
}


def check_transition(before: Status, after: Status) -> None:
    """Raises TransitionNotAllowed. Staying where it is, is allowed everywhere."""
    if before is not after and after not in NEXT[before]:
        allowed = ", ".join(sorted(NEXT[before])) or "nothing"
        raise TransitionNotAllowed(f"from {before} a ticket goes to {allowed}")


def after_message(status: Status, author: AuthorKind, visibility: Visibility) -> Status:
    """The status that a public message brings about by itself. Raises TicketClosed."""
    if status is Status.closed:
        raise TicketClosed("open a new ticket")
    if visibility is Visibility.internal:
        return status
    if author is AuthorKind.customer and (status is Status.pending or status in DONE):
        return Status.open
    if author is AuthorKind.agent and status is Status.new:
        return Status.open
    return status

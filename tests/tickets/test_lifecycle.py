from itertools import product

import pytest

from app.errors import Conflict
from app.sla.core.enums import AuthorKind, Status
from app.tickets.lifecycle import NEXT, TicketClosed, TransitionNotAllowed, Visibility, after_message, check_transition

# From each status (down) to each (across): `=` stays, `+` may, `-` may not.
_TRANSITIONS = """
            new open pending on_hold resolved closed
new          =   +     +       +        +       +
open         -   =     +       +        +       +
pending      -   +     =       +        +       +
on_hold      -   +     +       =        +       +
resolved     -   +     +       +        =       +
closed       -   -     -       -        -       =
"""
# What a public message by each author (across) makes of each status (down): a status, or `.` where it stays.
_AFTER_PUBLIC_MESSAGE = """
            customer agent   bot  system
new            .     open     .     .
open           .     .        .     .
pending        open  .        .     .
on_hold        .     .        .     .
resolved       open  .        .     .
"""


def _cells(table: str) -> dict[tuple[str, str], str]:
    head, *lines = [line.split() for line in table.strip().splitlines()]
    return {(line[0], column): cell for line in lines for column, cell in zip(head, line[1:], strict=True)}


TRANSITIONS = _cells(_TRANSITIONS)
AFTER_PUBLIC_MESSAGE = _cells(_AFTER_PUBLIC_MESSAGE)


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_status_goes_where_the_table_says(before: Status, after: Status) -> None:
    if TRANSITIONS[before, after] == "-":
        with pytest.raises(TransitionNotAllowed) as refused:
            check_transition(before, after)
        assert str(before) in refused.value.detail
    else:
        check_transition(before, after)


def test_every_pair_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(product(Status, Status))
    assert set(NEXT) == set(Status)


def test_a_refusal_names_where_the_ticket_may_go() -> None:
    with pytest.raises(TransitionNotAllowed, match=r"closed, on_hold, open, pending$"):
        check_transition(Status.resolved, Status.new)
    with pytest.raises(TransitionNotAllowed, match="nothing"):
        check_transition(Status.closed, Status.open)


_OPEN_ENDED = [status for status in Status if status is not Status.closed]


@pytest.mark.parametrize(("status", "author"), list(product(_OPEN_ENDED, AuthorKind)))
def test_a_public_message_moves_the_status_as_the_table_says(status: Status, author: AuthorKind) -> None:
    cell = AFTER_PUBLIC_MESSAGE[status, author]
    expected = status if cell == "." else Status(cell)
    assert after_message(status, author, Visibility.public) is expected


@pytest.mark.parametrize(("status", "author"), list(product(_OPEN_ENDED, AuthorKind)))
def test_an_internal_message_moves_nothing(status: Status, author: AuthorKind) -> None:
    assert after_message(status, author, Visibility.internal) is status


@pytest.mark.parametrize(("author", "visibility"), list(product(AuthorKind, Visibility)))
def test_a_closed_ticket_takes_no_message_from_anybody(author: AuthorKind, visibility: Visibility) -> None:
    with pytest.raises(TicketClosed):
        after_message(Status.closed, author, visibility)


@pytest.mark.parametrize(("status", "author", "visibility"), list(product(_OPEN_ENDED, AuthorKind, Visibility)))
def test_what_a_message_brings_about_is_a_transition_that_is_allowed(
    status: Status, author: AuthorKind, visibility: Visibility
) -> None:
    check_transition(status, after_message(status, author, visibility))


def test_refusals_of_the_lifecycle_are_conflicts() -> None:
    assert issubclass(TransitionNotAllowed, Conflict)
    assert issubclass(TicketClosed, Conflict)

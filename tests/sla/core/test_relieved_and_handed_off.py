"""Exceptions where several meet, and whoever asks for a person."""

from app.sla.core.enums import Status
from app.sla.core.policy import Effect, SlaException
from app.sla.core.timeline import Entry, Excepted, HandedOff
from tests.sla.core.builders import (
    AGENT,
    BOT,
    FIRST,
    NEXT,
    RESOLUTION,
    at,
    covered,
    granted,
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


def excepted(seconds: float, *exceptions: SlaException) -> Excepted:
    return Excepted(at(seconds), exceptions)


def test_one_that_was_over_does_not_hide_the_next() -> None:
    over, lasting = granted(Effect.extend, 500, expires=10), granted(Effect.extend, 60, number=2)
    late = ticket(excepted(0, over, lasting), opened(20))
    assert only_clock(late).due_at == at(20 + 90 + 60)


def test_a_freeze_holds_up_the_warnings_as_it_does_the_deadline() -> None:
    cover = covered(policy(target(FIRST, 90, warn_at=(50,))))
    frozen = ticket(cover, opened(), excepted(5, granted(Effect.freeze, starts=10, expires=40)), target=None)
    clock = only_clock(frozen)
    assert (clock.warnings(), clock.due_at, clock.unrelieved_due_at) == ((at(75),), at(120), at(90))
    assert clock.next_at() == at(75)


def test_what_runs_on_gets_the_exceptions_of_its_own_metric() -> None:
    cover = covered(policy(target(RESOLUTION, 600)))
    reopened: list[Entry] = [opened(), status(100, Status.resolved)]
    for metric, due in ((RESOLUTION, 600 + 50 + 30), (FIRST, 600 + 50)):
        grant = excepted(120, granted(Effect.extend, 30, metric, starts=120))
        found = ticket(cover, *reopened, grant, status(150, Status.open), target=None)
        assert only_clock(found, RESOLUTION).due_at == at(due), metric


def test_who_asks_for_a_person_waits_from_then_on_unless_they_wait_already() -> None:
    outbound = ticket(opened(0, AGENT), HandedOff(at(10)))
    assert (only_clock(outbound).started_at, only_clock(outbound).due_at) == (at(10), at(100))
    waits = ticket(opened(), HandedOff(at(10)))
    assert only_clock(waits).started_at == at(0)
    cover = covered(promise((None, 90), bot_counts=True))
    answered_by_a_bot = ticket(cover, opened(), said(5, BOT), HandedOff(at(10)), target=None)
    assert only_clock(answered_by_a_bot, NEXT).started_at == at(10)


def test_on_a_resolved_ticket_asking_starts_nothing_by_itself() -> None:
    for word in (Status.resolved, Status.closed):
        done = ticket(opened(), said(5), status(8, word))
        assert ticket(opened(), said(5), status(8, word), HandedOff(at(10))) == done
        assert of(done, NEXT) == ()

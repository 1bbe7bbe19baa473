"""The numbered cases at the end of the SLA semantics: pauses and business time, every instant reckoned by hand."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.sla.core.calendar import BusinessCalendar, Hours
from app.sla.core.clock import Clock, ClockState
from app.sla.core.engine import replay
from app.sla.core.enums import Metric, Priority, Status
from app.sla.core.goal import Cohort, judge_mean
from app.sla.core.policy import Policy
from app.sla.core.timeline import Covered, Entry, Opened, Said, StatusSet
from tests.sla.core.builders import (
    AGENT,
    ALWAYS,
    CUSTOMER,
    FIRST,
    MICROSECOND,
    OFFICE,
    RESOLUTION,
    WEEKDAYS_9_TO_17,
    at,
    covered,
    only_clock,
    opened,
    policy,
    said,
    status,
    target,
    ticket,
)

_BERLIN = ZoneInfo("Europe/Berlin")
_HOUR = 3600


def berlin(month: int, day: int, hour: float, *, fold: int = 0) -> datetime:
    minute = round(hour * 60)
    return datetime(2026, month, day, minute // 60, minute % 60, tzinfo=_BERLIN, fold=fold).astimezone(UTC)


def _in_berlin(weekly: Sequence[Hours], seconds: int, closed: Sequence[date] = ()) -> Policy:
    calendar = BusinessCalendar("Europe/Berlin", weekly, dict.fromkeys(closed, ()))
    return policy(target(RESOLUTION, seconds, business=True), calendar=calendar)


def _resolution(its_policy: Policy, opens: datetime, *statuses: tuple[datetime, Status]) -> Clock:
    entries: list[Entry] = [Covered(opens, its_policy, Priority.normal), Opened(opens, CUSTOMER)]
    entries += [StatusSet(instant, word, AGENT) for instant, word in statuses]
    return only_clock(replay(entries), RESOLUTION)


@pytest.mark.parametrize(
    ("pauses", "resumes", "closed", "paused_hours", "due"),
    [
        # Friday 15:00 to Monday 10:00: two hours and one; the weekend costs nothing.
        (berlin(3, 6, 15), berlin(3, 9, 10), (), 3, berlin(3, 9, 11)),
        # Saturday to Sunday: nothing at all.
        (berlin(3, 7, 8), berlin(3, 8, 20), (), 0, berlin(3, 6, 16)),
        # Over Monday, which is a holiday.
        (berlin(3, 6, 15), berlin(3, 10, 10), (date(2026, 3, 9),), 3, berlin(3, 10, 11)),
        # From the holiday's morning to its evening: nothing.
        (berlin(3, 9, 9), berlin(3, 9, 17), (date(2026, 3, 9),), 0, berlin(3, 6, 16)),
    ],
)
def test_case_02_a_pause_over_a_weekend_or_a_holiday(
    pauses: datetime, resumes: datetime, closed: tuple[date, ...], paused_hours: int, due: datetime
) -> None:
    opens = berlin(3, 6, 13)  # a Friday
    clock = _resolution(
        _in_berlin(WEEKDAYS_9_TO_17, 3 * _HOUR, closed), opens, (pauses, Status.pending), (resumes, Status.open)
    )
    assert clock.due_at == due
    assert clock.paused_time(resumes) == timedelta(hours=paused_hours)
    assert clock.elapsed(due) == timedelta(hours=3)


@pytest.mark.parametrize(
    ("day", "month", "real_hours"),
    # The clocks go forward on 29 March (02:00 to 03:00) and back on 25 October (03:00 to 02:00).
    [(28, 3, 3), (24, 10, 5)],
)
def test_case_02_a_pause_over_a_change_of_the_clocks(day: int, month: int, real_hours: int) -> None:
    always = (((0, 1440),),) * 7
    pauses, resumes = berlin(month, day, 23), berlin(month, day + 1, 3)
    assert resumes - pauses == timedelta(hours=real_hours)
    opens = berlin(month, day, 22)
    for its_policy in (_in_berlin(always, 2 * _HOUR), policy(target(RESOLUTION, 2 * _HOUR))):
        clock = _resolution(its_policy, opens, (pauses, Status.on_hold), (resumes, Status.open))
        assert clock.paused_time(resumes) == timedelta(hours=real_hours)
        assert clock.due_at == berlin(month, day + 1, 4)
        assert clock.elapsed(resumes) == timedelta(hours=1)


def test_case_02_what_is_left_stays_while_it_is_paused_over_a_weekend() -> None:
    clock = _resolution(
        _in_berlin(WEEKDAYS_9_TO_17, 3 * _HOUR), berlin(3, 6, 15.5), (berlin(3, 6, 16.5), Status.pending)
    )
    for now in (berlin(3, 6, 16.5), berlin(3, 8, 12), berlin(3, 9, 12)):
        assert (clock.state(now), clock.due_at, clock.remaining(now)) == (ClockState.paused, None, timedelta(hours=2))
    assert clock.paused_time(berlin(3, 9, 12)) == timedelta(hours=3.5)


def test_case_03_two_pauses_in_the_same_minute() -> None:
    cover = covered(policy(target(RESOLUTION, 90)))
    entries: list[Entry] = [
        cover,
        opened(),
        status(10, Status.pending),
        status(20.25, Status.open),
        status(30, Status.on_hold),
        status(40.000001, Status.open),
    ]
    clock = only_clock(ticket(*entries, target=None), RESOLUTION)
    assert clock.paused_time(at(60)) == timedelta(seconds=20, microseconds=250_001)
    assert clock.due_at == at(110.250001)
    assert (clock.state(at(110.250001)), clock.state(at(110.250001) + MICROSECOND)) == (
        ClockState.running,
        ClockState.breached,
    )


def test_case_03_from_one_waiting_status_into_another_is_one_pause_and_none_at_all_is_none() -> None:
    cover = covered(policy(target(RESOLUTION, 90)))
    both = [status(10, Status.pending), status(20, Status.on_hold), status(30, Status.open)]
    nothing = [status(40, Status.pending), status(40, Status.open)]
    clock = only_clock(ticket(cover, opened(), *both, *nothing, target=None), RESOLUTION)
    assert (clock.paused_time(at(60)), clock.due_at) == (timedelta(seconds=20), at(110))


def test_case_14_opened_and_answered_outside_hours_is_nothing_and_in_the_mean() -> None:
    saturday = datetime(2026, 3, 7, 11, tzinfo=UTC)
    its_policy = policy(target(FIRST, 90, business=True), calendar=OFFICE)
    cover, opens = Covered(saturday, its_policy, Priority.normal), Opened(saturday, CUSTOMER)
    found = replay([cover, opens, Said(saturday + timedelta(hours=20), AGENT, True)])
    clock = only_clock(found)
    now = saturday + timedelta(days=3)
    assert (clock.elapsed(now), clock.state(now)) == (timedelta(0), ClockState.met)
    assert clock.due_at == datetime(2026, 3, 9, 9, 1, 30, tzinfo=UTC)
    status = judge_mean(Cohort(2, clock.elapsed(now) + timedelta(seconds=60), 0, timedelta(0)), 90, now)
    assert status.mean_answered_seconds == 30


def test_case_14_answered_at_the_very_same_instant_is_nothing_and_met() -> None:
    clock = only_clock(ticket(opened(), said(0)))
    assert (clock.elapsed(at(99)), clock.state(at(99)), clock.answered) == (timedelta(0), ClockState.met, True)


@pytest.mark.parametrize("business", [False, True])
def test_case_15_around_the_clock_midnight_is_an_instant_like_any_other(business: bool) -> None:
    opens = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    its_policy = policy(target(FIRST, 90, business=business), calendar=ALWAYS)
    clock = only_clock(replay([Covered(opens, its_policy, Priority.normal), Opened(opens, CUSTOMER)]))
    assert clock.due_at == datetime(2027, 1, 1, 0, 1, tzinfo=UTC)
    assert clock.elapsed(datetime(2027, 1, 1, tzinfo=UTC)) == timedelta(seconds=30)
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    exactly = only_clock(
        replay([Covered(opens, its_policy, Priority.normal), Opened(midnight - timedelta(seconds=90), CUSTOMER)])
    )
    assert exactly.due_at == midnight


def test_case_16_a_deadline_rolls_over_weekdays_of_different_hours() -> None:
    # Thursday 10-12 and 13-14, Friday 9-10, Monday 22-24, Tuesday 0-2.
    weekly = (((1320, 1440),), ((0, 120),), (), ((600, 720), (780, 840)), ((540, 600),), (), ())
    opens = berlin(3, 5, 11)  # Thursday
    expected = [
        (1, berlin(3, 5, 12)),  # used up at closing: due at closing
        (2, berlin(3, 5, 14)),
        (3, berlin(3, 6, 10)),
        (4, berlin(3, 9, 23)),
        (5, berlin(3, 9, 24 - 1) + timedelta(hours=1)),
        (6, berlin(3, 10, 1)),
        (8, berlin(3, 12, 11)),
    ]
    for hours, due in expected:
        assert _resolution(_in_berlin(weekly, hours * _HOUR), opens).due_at == due
    late = _resolution(_in_berlin(weekly, _HOUR), opens, (berlin(3, 5, 12.5), Status.resolved))
    # Nothing more was consumed after closing, but past the deadline is past the deadline.
    assert (late.elapsed(opens), late.state(opens)) == (timedelta(hours=1), ClockState.breached)
    at_closing = _resolution(_in_berlin(weekly, _HOUR), opens, (berlin(3, 5, 12), Status.resolved))
    assert at_closing.state(opens) is ClockState.met


@pytest.mark.parametrize(
    ("opens", "hours", "due"),
    [
        # Nights are open, 22:00 to 06:00: seven real hours on 28 to 29 March, nine on 24 to 25 October.
        (berlin(3, 28, 22), 7, berlin(3, 29, 6)),
        (berlin(3, 28, 22), 8, berlin(3, 29, 23)),
        (berlin(3, 29, 1), 1, berlin(3, 29, 3)),
        (berlin(10, 24, 22), 9, berlin(10, 25, 6)),
        (berlin(10, 24, 22), 5, berlin(10, 25, 2, fold=1)),
        (berlin(10, 25, 2), 1, berlin(10, 25, 2, fold=1)),
        (berlin(10, 25, 2), 2, berlin(10, 25, 3)),
    ],
)
def test_case_18_a_deadline_across_both_changes_of_the_clocks(opens: datetime, hours: int, due: datetime) -> None:
    nights: tuple[Hours, ...] = (((0, 360), (1320, 1440)),) * 7
    clock = _resolution(_in_berlin(nights, hours * _HOUR), opens)
    assert clock.due_at == due
    assert clock.elapsed(due) == timedelta(hours=hours)


@pytest.mark.parametrize(("month", "friday", "monday"), [(3, 27, 30), (10, 23, 26)])
def test_case_18_nine_stays_nine_across_a_change_of_the_clocks(month: int, friday: int, monday: int) -> None:
    clock = _resolution(_in_berlin(WEEKDAYS_9_TO_17, 2 * _HOUR), berlin(month, friday, 16))
    assert clock.due_at == berlin(month, monday, 10)


def test_case_19_a_calendar_that_never_opens_is_refused_and_one_that_hardly_does_is_not() -> None:
    with pytest.raises(AssertionError):
        BusinessCalendar("UTC", ((),) * 7, {})
    hardly = BusinessCalendar("UTC", (((0, 1),), *(((),) * 6)), {})
    its_policy = policy(target(Metric.first_response, 90, business=True), calendar=hardly)
    clock = only_clock(ticket(covered(its_policy), opened(), target=None))
    # A minute on Monday 9 March, and half of the next Monday's.
    assert clock.due_at == datetime(2026, 3, 16, 0, 0, 30, tzinfo=UTC)

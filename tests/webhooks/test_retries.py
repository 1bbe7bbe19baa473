"""When an attempt is repeated: pure."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.webhooks.retries import KEPT_TRYING, Attempt, DeliveryState, Failure, Next, after, of_status

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FAILED = Attempt(Failure.answer, 500)


@given(st.lists(st.floats(0, 1), min_size=40, max_size=40), st.integers(0, 15))
def test_attempts_are_spread_over_three_days_further_and_further_apart(jitters: list[float], seconds: int) -> None:
    at, waits = NOW, list[timedelta]()
    for number, jitter in enumerate(jitters, start=1):
        what_next = after(FAILED, number, at + timedelta(seconds=seconds), NOW + KEPT_TRYING, jitter)
        if what_next.at is None:
            break
        waits.append(what_next.at - at)
        at = what_next.at
    assert what_next == Next(DeliveryState.dead)
    assert at == NOW + KEPT_TRYING
    assert 12 <= len(waits) <= 20
    assert waits[0] <= timedelta(seconds=6.25 + seconds)
    assert all(later > earlier for earlier, later in pairwise(waits[:9]))
    assert max(waits) <= timedelta(hours=10, seconds=seconds)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("0", 5),
        ("-5", 5),
        ("1", 5),
        ("99999999999999999999", 86_400),
        ("9" * 65, 5),
        ("soon", 5),
        ("²", 5),
        ("", 5),
        (None, 5),
        (format_datetime(NOW + timedelta(seconds=300)), 300),
        (format_datetime(NOW - timedelta(seconds=300)), 5),
        (format_datetime(NOW + timedelta(days=400)), 86_400),
        ("Mon, 99 Jan 2026 09:00:00 GMT", 5),
        ("Mon, 05 Jan 2026 09:05:00 -0000", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 5),
    ],
)
def test_retry_after_is_believed_within_reason(said: str | None, seconds: int) -> None:
    attempt = Attempt(Failure.answer, 503, "", said)
    what_next = after(attempt, 1, NOW, NOW + KEPT_TRYING, 0)
    assert what_next.at is not None
    # What is beyond a datetime is a day at most as well.
    assert (what_next.at - NOW).total_seconds() in {seconds, 86_400 if "9999" in (said or "") else seconds}


def test_a_success_ends_it_and_what_cannot_succeed_is_not_repeated() -> None:
    assert after(Attempt(None, 204), 1, NOW, NOW, 0) == Next(DeliveryState.delivered)
    for failure in (Failure.gone, Failure.expired):
        assert after(Attempt(failure), 1, NOW, NOW + KEPT_TRYING, 0) == Next(DeliveryState.dead)
    assert after(FAILED, 1, NOW, NOW, 0) == Next(DeliveryState.dead)


def test_what_a_status_says() -> None:
    assert {status: of_status(status) for status in (200, 204, 299)} == dict.fromkeys((200, 204, 299))
    assert of_status(410) is Failure.gone
    assert {of_status(status) for status in (300, 301, 304, 399)} == {Failure.redirect}
    assert {of_status(status) for status in (199, 400, 404, 429, 500, 599)} == {Failure.answer}

"""When an attempt is repeated and what it says of its endpoint. Pure: takes how an attempt ended and the instant, and
returns what becomes of the delivery."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

KEPT_TRYING = timedelta(days=3)
_FIRST = timedelta(seconds=5)
_FACTOR = 3
_LONGEST = timedelta(hours=8)
# Where a receiver says when to come back, it is believed up to here.
_LONGEST_ASKED = timedelta(hours=24)

# The breaker: so many deliveries in a row that failed at their first attempt, and how long nothing goes out then.
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 15
OPEN_SECONDS_AT_MOST = 300


class DeliveryState(StrEnum):
    """How a delivery stands. A dead one is not tried again unless somebody asks for it."""

    pending = "pending"
    delivered = "delivered"
    dead = "dead"


class Failure(StrEnum):
    """What went wrong with an attempt, for programs."""

    answer = "answer"
    redirect = "redirect"
    gone = "gone"
    timeout = "timeout"
    connect = "connect"
    tls = "tls"
    name = "name"
    not_public = "not_public"
    protocol = "protocol"
    payload = "payload"
    secret = "secret"  # noqa: S105 - a word, not one
    expired = "expired"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended: `status` is the answer's where there was one, `failure` is None where it was a 2xx."""

    failure: Failure | None
    status: int | None = None
    answer: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of the delivery; `at` is the next attempt of one that is pending."""

    state: DeliveryState
    at: datetime | None = None


def of_status(status: int) -> Failure | None:
    """What an answer's status says: 2xx alone is a success."""
    if 200 <= status < 300:
        return None
    if status == 410:
        return Failure.gone
    return Failure.redirect if 300 <= status < 400 else Failure.answer


def after(attempt: Attempt, number: int, now: datetime, give_up_at: datetime, jitter: float) -> Next:
    """`number` is 1 for the first attempt, `jitter` from 0 to 1 spreads what failed together over a quarter of the
    wait. The last attempt comes when it is time to give up."""
    if attempt.failure is None:
        return Next(DeliveryState.delivered)
    if attempt.failure in (Failure.gone, Failure.expired) or now >= give_up_at:
        return Next(DeliveryState.dead)
    wait = min(_FIRST * _FACTOR ** min(number - 1, 20), _LONGEST) * (1 + jitter / 4)
    asked = _asked(attempt.retry_after, now)
    return Next(DeliveryState.pending, min(now + max(wait, min(asked, _LONGEST_ASKED)), give_up_at))


def _asked(retry_after: str | None, now: datetime) -> timedelta:
    """How long the receiver wants to be left alone; none where it does not say so in a way that can be read."""
    if retry_after is None or len(retry_after) > 64:
        return timedelta(0)
    if retry_after.isascii() and retry_after.isdigit():
        return timedelta(seconds=min(int(retry_after), 10**9))
    try:
        asked = parsedate_to_datetime(retry_after) - now
    except (ValueError, TypeError, OverflowError):
        return timedelta(0)
    return max(asked, timedelta(0))

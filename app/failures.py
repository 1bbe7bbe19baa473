"""What loops make of rounds that fail: they wait longer each time, and say so now and then. A database that is away
fails every round of every loop, and is one piece of news."""

import random
import time
from math import inf

import structlog

from app.db import FAULTS
from app.errors import Unavailable

log = structlog.get_logger("ninety.loops")

_SAID_EVERY_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
# What was away for long is noticed within a second of coming back.
_LONGEST_PAUSE_SECONDS = 1.0
# When something was last said, and what has not been said since: of the database, and of each loop's own errors.
_said: dict[str, tuple[float, int]] = {}


class Rounds:
    """The rounds of one loop."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._failed = 0

    def done(self) -> None:
        self._failed = 0

    def failed(self, error: Exception) -> float:
        """For how many seconds to wait; loops that failed together do not all come again at once."""
        _say(self._loop, error)
        self._failed += 1
        longest: float = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._failed, 10))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret


def _say(loop: str, error: Exception) -> None:
    about = "database" if isinstance(error, (*FAULTS, Unavailable)) else loop
    now = time.monotonic()
    last, unsaid = _said.get(about, (-inf, 0))
    if now < last + _SAID_EVERY_SECONDS:
        _said[about] = last, unsaid + 1
        return
    _said[about] = now, 0
    log.warning("round_failed", loop=loop, error=repr(error), failed_since_last_said=unsaid)

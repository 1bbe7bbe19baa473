"""What facts are about, by which pairs of it there are cubes, and what became of a clock, as one number."""

from collections.abc import Collection
from typing import NamedTuple

from app.sla.core.clock import EndedReason
from app.sla.core.enums import Metric

# Under the names that reports have for them. Customers and organizations are too many, and tags too few a ticket.
DIMENSIONS = (
    "segment", "team", "agent", "assignee", "priority", "channel", "type", "region", "product", "policy"
)  # fmt: skip
# By priority and each of these there is a cube; by other pairs reports are added up from the facts. Every pair more
# takes some bytes a clock.
WITH_PRIORITY = ("segment", "team", "channel", "type", "region")
PAIRS = tuple(tuple(sorted(("priority", name), key=DIMENSIONS.index)) for name in WITH_PRIORITY)
METRICS = tuple(Metric)
_REASONS = tuple(EndedReason)

DAY, MONTH = 0, 1
QUARTER_SECONDS = 900


def cube_of(names: Collection[str]) -> int | None:
    """The number of the cube by these dimensions: PostgreSQL's `GROUPING(…)` of all of them, a bit for each one that is
    not grouped by. None where there is no such cube."""
    known = len(names) < 2 or any(set(names) == set(pair) for pair in PAIRS)
    if not known or not set(names) <= set(DIMENSIONS):
        return None
    return sum(1 << place for place, name in enumerate(reversed(DIMENSIONS)) if name not in names)


class Outcome(NamedTuple):
    """Of a clock that has ended. The verdicts are by the deadline with and without exceptions. Of a spam ticket's clock
    nothing else is told."""

    # Place in `EndedReason`, counted from 1; 0 was answered, and 7 is what only a newer release knows.
    reason: int
    verdict: int
    unrelieved_verdict: int
    excluded: bool
    spam: bool

    @classmethod
    def of(cls, number: int) -> "Outcome":
        return cls(number & 7, number >> 3 & 3, number >> 5 & 3, bool(number & 128), bool(number & 256))

    @property
    def answered(self) -> bool:
        return self.reason == 0 and not self.spam

    @property
    def ended_reason(self) -> EndedReason | None:
        return _REASONS[self.reason - 1] if 0 < self.reason <= len(_REASONS) else None


NO_VERDICT, MET, BREACHED, CANCELLED = range(4)
SPAM = 256
EXCLUDED = 128
UNKNOWN_REASON = 7

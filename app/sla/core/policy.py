"""Which promise covers a ticket. A policy version never changes: writing a policy makes the next version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.segments.rules import Rule, evaluate


class Priority(StrEnum):
    low = "low"
    normal = "normal"
    high = "high"
    urgent = "urgent"


class Metric(StrEnum):
    first_response = "first_response"


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised: `seconds` for a metric, for one priority or (None) for any."""

    metric: Metric
    priority: Priority | None
    seconds: int
    warn_at_percent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a policy."""

    id: UUID
    version: int
    position: int
    rule: Rule
    targets: tuple[Target, ...]
    bot_counts: bool = False

    def target(self, metric: Metric, priority: Priority) -> Target | None:
        """A target for the very priority outweighs one for any priority."""
        fitting = [t for t in self.targets if t.metric is metric and t.priority in (priority, None)]
        return max(fitting, key=lambda target: target.priority is not None, default=None)


def first_match(policies: Iterable[Policy], facts: Mapping[str, object]) -> Policy | None:
    """The first policy, by position and then id, whose conditions the facts meet. `policies` come in that order."""
    return next((policy for policy in policies if evaluate(policy.rule, facts)), None)

"""One clock: how long somebody waited, against what was promised.

Measuring is separate from judging. A clock has a start and an end whether or not a policy covers it; the target only
lays a deadline over it. Whether it is running, met or breached is never stored as a decision: it is computed from the
instants and `now`, so that no reader sees a passed deadline as running."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.sla.core.policy import Metric, Policy, Priority


class State(StrEnum):
    running = "running"
    met = "met"
    breached = "breached"
    cancelled = "cancelled"
    stopped = "stopped"


class EndedReason(StrEnum):
    """Why a clock ended without its stop."""

    resolved_without_response = "resolved_without_response"
    closed_by_customer = "closed_by_customer"


@dataclass(frozen=True, slots=True)
class Clock:
    metric: Metric
    cycle: int
    started_at: datetime
    policy_id: UUID | None = None
    policy_version: int | None = None
    target_seconds: int | None = None
    warn_at_percent: tuple[int, ...] = ()
    bot_counts: bool = False
    due_at: datetime | None = None
    original_due_at: datetime | None = None
    stopped_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None

    @property
    def answered(self) -> bool:
        return self.stopped_at is not None

    def elapsed(self, now: datetime) -> timedelta:
        """In the clock's own time, up to the end or `now`."""
        return (self.ended_at or now) - self.started_at

    def breached(self, now: datetime) -> bool:
        """Stopped at the deadline exactly is met; one microsecond later is not."""
        return self.due_at is not None and (self.ended_at or now) > self.due_at

    def state(self, now: datetime) -> State:
        if self.breached(now):
            return State.breached
        if self.ended_at is None:
            return State.running
        if self.ended_reason is not None:
            return State.cancelled
        return State.stopped if self.due_at is None else State.met

    def warnings(self) -> tuple[datetime, ...]:
        """The instants that `warn_at_percent` names, in its order."""
        if self.target_seconds is None:
            return ()
        # Whole microseconds: a percent of a whole second is one.
        return tuple(
            self.started_at + timedelta(microseconds=self.target_seconds * percent * 10_000)
            for percent in self.warn_at_percent
        )

    def next_at(self, after: datetime | None = None) -> datetime | None:
        """The next instant at which anything happens to the clock by itself: a warning or the breach.
        Without `after`, the first one there is, even where it has passed."""
        if self.due_at is None:
            return None
        instants = (*self.warnings(), self.due_at)
        end = self.ended_at
        waiting = [at for at in instants if (after is None or at >= after) and (end is None or at < end)]
        return min(waiting, default=None)

    def covered(self, policy: Policy | None, priority: Priority) -> "Clock":
        """The clock under another promise: the start and the time consumed stay, the deadline is worked out anew."""
        target = policy.target(self.metric, priority) if policy else None
        due_at = self.started_at + timedelta(seconds=target.seconds) if target else None
        return replace(
            self,
            policy_id=policy.id if policy and target else None,
            policy_version=policy.version if policy and target else None,
            target_seconds=target.seconds if target else None,
            warn_at_percent=target.warn_at_percent if target else (),
            bot_counts=bool(policy and policy.bot_counts),
            due_at=due_at,
            original_due_at=self.original_due_at or due_at,
        )

    def stop(self, at: datetime) -> "Clock":
        return replace(self, stopped_at=at, ended_at=at)

    def end(self, at: datetime, reason: EndedReason) -> "Clock":
        return replace(self, ended_at=at, ended_reason=reason)

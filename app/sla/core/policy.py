"""Which promise covers a ticket, and what it says of each clock. A policy version never changes: writing a policy makes
the next version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.segments.rules import Rule, evaluate
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.enums import Metric, Priority, Status


class OnReopen(StrEnum):
    """What becomes of the `resolution` clock: it runs on without the time spent resolved, or the next one starts."""

    resume = "resume"
    new_cycle = "new_cycle"


_WAITING = frozenset({Status.pending, Status.on_hold})
PAUSE_ON: Mapping[Metric, frozenset[Status]] = {
    metric: _WAITING if metric in (Metric.periodic_update, Metric.resolution) else frozenset() for metric in Metric
}
"""In which statuses a metric's clocks stand still, unless a target says otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised: `seconds` for a metric, for one priority or (None) for any."""

    metric: Metric
    priority: Priority | None
    seconds: int
    warn_at_percent: tuple[int, ...] = ()
    business_hours: bool = False
    pause_on: frozenset[Status] | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What one clock has to reach, and how its time counts: every hour, or those of a calendar."""

    seconds: int | None = None
    policy_id: UUID | None = None
    policy_version: int | None = None
    calendar: BusinessCalendar | None = None
    pause_on: frozenset[Status] = frozenset()
    warn_at_percent: tuple[int, ...] = ()
    bot_counts: bool = False


NO_TERMS = {metric: Terms(pause_on=PAUSE_ON[metric]) for metric in Metric}
"""Of clocks that are measured without a promise."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a policy, with one version of its calendar."""

    id: UUID
    version: int
    position: int
    rule: Rule
    targets: tuple[Target, ...]
    bot_counts: bool = False
    on_reopen: OnReopen = OnReopen.resume
    reopen_on_customer_message: bool = True
    calendar: BusinessCalendar | None = None
    shown_to_customers: bool = True
    _terms: dict[tuple[Metric, Priority], Terms] = field(default_factory=dict, init=False, compare=False, repr=False)

    def target(self, metric: Metric, priority: Priority) -> Target | None:
        """A target for the very priority outweighs one for any priority."""
        fitting = [t for t in self.targets if t.metric is metric and t.priority in (priority, None)]
        return max(fitting, key=lambda target: target.priority is not None, default=None)

    def terms(self, metric: Metric, priority: Priority) -> Terms:
        found = self._terms.get((metric, priority))
        if found is None:
            found = self._terms[metric, priority] = self._made(metric, self.target(metric, priority))
        return found

    def _made(self, metric: Metric, target: Target | None) -> Terms:
        if target is None:
            # Who counts as an answer is the policy's to say, whether or not it promises one.
            return replace(NO_TERMS[metric], bot_counts=self.bot_counts) if self.bot_counts else NO_TERMS[metric]
        return Terms(
            target.seconds,
            self.id,
            self.version,
            # A promise brings its own deadline, an instant: only where that is left out do business hours lead to it.
            self.calendar if target.business_hours and metric is not Metric.promise else None,
            PAUSE_ON[metric] if target.pause_on is None else target.pause_on,
            target.warn_at_percent,
            self.bot_counts,
        )


def terms(policy: Policy | None, metric: Metric, priority: Priority) -> Terms:
    return policy.terms(metric, priority) if policy else NO_TERMS[metric]


def first_match(policies: Iterable[Policy], facts: Mapping[str, object]) -> Policy | None:
    """The first policy, by position and then id, whose conditions the facts meet. `policies` come in that order."""
    return next((policy for policy in policies if evaluate(policy.rule, facts)), None)


class Effect(StrEnum):
    """What an exception does to a clock: leaves it out of judgement, gives it more seconds, gives it other seconds, or
    stops its time between two instants."""

    exclude = "exclude"
    extend = "extend"
    retarget = "retarget"
    freeze = "freeze"


class Scope(StrEnum):
    """Whose clocks an exception reaches: those of one ticket, of a customer, of a segment's members, or all."""

    ticket = "ticket"
    customer = "customer"
    segment = "segment"
    everything = "everything"


class AppliesTo(StrEnum):
    """Which clocks an exception reaches: those that start while it is in force, or also those that run when it
    begins."""

    started = "started"
    running = "running"


@dataclass(frozen=True, slots=True)
class SlaException:
    """A promise set aside for a reason. It reaches the clocks of its metrics (none named: all) that start between its
    instants, and those that run then where it `applies_to` them; it stays with each until that clock ends. `of` is the
    customer or segment of a wider scope than a ticket."""

    id: UUID
    effect: Effect
    metrics: frozenset[Metric]
    starts_at: datetime
    expires_at: datetime | None = None
    seconds: int | None = None
    scope: Scope = Scope.ticket
    of: UUID | None = None
    applies_to: AppliesTo = AppliesTo.running

    def reaches(self, started_at: datetime) -> bool:
        """Whether a clock that started then is one of those that it is for."""
        if self.expires_at is not None and self.expires_at <= started_at:
            return False
        return self.applies_to is AppliesTo.running or started_at >= self.starts_at

    def begun(self, now: datetime) -> bool:
        """Frozen time is known beforehand; everything else begins when it begins."""
        return self.effect is Effect.freeze or self.starts_at <= now

    def over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Relief:
    """What all exceptions together do to one clock. `frozen` is from, until, from, until …"""

    excluded: bool = False
    extra_seconds: int = 0
    seconds: int | None = None
    frozen: tuple[datetime, ...] = ()


NO_RELIEF = Relief()


def relief(exceptions: Iterable[SlaException], metric: Metric, started_at: datetime, now: datetime) -> Relief:
    """For a clock that runs at `now`. Of several that set other seconds the last one granted counts."""
    excluded, extra, seconds, frozen = False, 0, None, list[datetime]()
    for each in exceptions:
        if each.metrics and metric not in each.metrics:
            continue
        if not each.reaches(started_at):
            continue
        if each.effect is Effect.freeze:
            assert each.expires_at is not None
            frozen += (each.starts_at, each.expires_at)
        elif each.starts_at <= now:
            excluded = excluded or each.effect is Effect.exclude
            extra += each.seconds or 0 if each.effect is Effect.extend else 0
            seconds = each.seconds if each.effect is Effect.retarget else seconds
    if not (excluded or extra or seconds or frozen):
        return NO_RELIEF
    return Relief(excluded, extra, seconds, tuple(frozen))

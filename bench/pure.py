"""How many tickets a second the engine replays: no database, one core, ten entries after the first cover each."""

import gc
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.segments.rules import AllOf
from app.sla.core.calendar import BusinessCalendar
from app.sla.core.engine import replay
from app.sla.core.enums import AuthorKind, Metric, Priority, Status
from app.sla.core.policy import Policy, Target
from app.sla.core.timeline import Covered, Entry, Opened, Said, StatusSet
from bench.rounds import Spread

_TICKETS = 2_000
_OFFICE = BusinessCalendar("Europe/Helsinki", [((540, 1020),)] * 5 + [(), ()], {})


def replay_rates(rounds: int) -> dict[str, Spread]:
    """Tickets a second under a policy of every hour, and under one of business hours."""
    return {name: _rate(_policy(business), rounds) for name, business in (("24/7", False), ("business hours", True))}


def _rate(policy: Policy, rounds: int) -> Spread:
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    timelines = [_timeline(policy, start + timedelta(minutes=7 * n)) for n in range(_TICKETS)]
    gc.collect()
    gc.freeze()
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        for timeline in timelines:
            replay(timeline)
        rates.append(_TICKETS / (time.process_time() - began))
    gc.unfreeze()
    return Spread.of(rates)


def _policy(business: bool) -> Policy:
    metrics = {Metric.first_response: 3_600, Metric.next_response: 7_200, Metric.resolution: 86_400}
    targets = tuple(
        Target(metric, None, seconds, (80,), business_hours=business) for metric, seconds in metrics.items()
    )
    return Policy(UUID(int=1), 1, 1, AllOf(()), targets, calendar=_OFFICE)


def _timeline(policy: Policy, start: datetime) -> list[Entry]:
    """A talk of two exchanges, with a pause, and its end: ten entries after the one that covers it."""
    customer, agent = AuthorKind.customer, AuthorKind.agent

    def after(minutes: int) -> datetime:
        return start + timedelta(minutes=minutes)

    return [
        Covered(start, policy, Priority.normal),
        Opened(start, customer),
        Said(after(3), agent, True),
        StatusSet(after(3), Status.open, agent),
        Said(after(60), customer, True),
        Said(after(70), agent, True),
        StatusSet(after(70), Status.pending, agent),
        Said(after(600), customer, True),
        StatusSet(after(600), Status.open, customer),
        Said(after(650), agent, True),
        StatusSet(after(700), Status.resolved, agent),
    ]

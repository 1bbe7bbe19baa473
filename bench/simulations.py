"""How many tickets a second a simulation replays: what the worker does with a batch that it has read, on one core."""

import gc
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.segments.rules import AllOf
from app.simulations.figures import AFTER, BEFORE, Figures, changed
from app.simulations.replay import Replay
from app.sla.core.enums import Metric
from app.sla.core.policy import Policy, Target
from app.verification.clocks import Cover
from bench.rounds import Spread

_TICKETS = 2_000
_START = datetime(2026, 3, 2, 8, tzinfo=UTC)
_ID = UUID(int=1)
_TICKET: dict[str, Any] = {
    "subject": "S", "priority": "normal", "type": "question", "channel": "phone", "product": None, "team_id": None,
    "tags": ["bench"], "custom_fields": {},
}  # fmt: skip


def simulation_rates(rounds: int) -> dict[str, Spread]:
    """Tickets a second where the policies sent are those that were, and where each deadline is another one."""
    return {"what was": _rate(_policy(90), rounds), "another target": _rate(_policy(60), rounds)}


def _rate(drafted: Policy, rounds: int) -> Spread:
    logs = [_log(_START + timedelta(minutes=7 * number)) for number in range(_TICKETS)]
    covers: dict[Cover, Policy] = {(str(_ID), 1, None): _policy(90)}
    now = _START + timedelta(days=365)
    gc.collect()
    gc.freeze()
    rates = []
    for _ in range(rounds):
        figures, began = Figures(), time.process_time()
        for log in logs:
            told = Replay(lambda _: drafted)
            told.tell(log, _TICKET, covers, now)
            before, after = told.clocks()
            if told.differs:
                figures.add(None, (BEFORE,), before, now)
                figures.add(None, (AFTER,), after, now)
                assert changed(before, after, now)
            else:
                figures.add(None, (BEFORE, AFTER), before, now)
        rates.append(_TICKETS / (time.process_time() - began))
    gc.unfreeze()
    return Spread.of(rates)


def _policy(seconds: int) -> Policy:
    return Policy(_ID, 1, 1, AllOf(()), (Target(Metric.first_response, None, seconds),))


def _log(opened: datetime) -> list[dict[str, Any]]:
    """As the log has it of a ticket that is answered, made pressing, and resolved."""
    cover = {"policy_id": str(_ID), "policy_version": 1, "calendar_version": None}
    told: list[tuple[int, str, str, dict[str, Any]]] = [
        (0, "ticket.created", "customer", {"opened_by": "customer", "status": "new", "priority": "normal", **cover}),
        (70, "message.created", "agent", {"opening": False, "visibility": "public"}),
        (300, "ticket.updated", "agent", {"changes": {"priority": {"before": "normal", "after": "high"}}}),
        (300, "sla.policy_applied", "system", {"priority": "high", **cover}),
        (900, "ticket.status_changed", "agent", {"changes": {"status": {"before": "new", "after": "resolved"}}}),
    ]
    return [
        {"occurred_at": opened + timedelta(seconds=after), "type": type_, "actor_kind": kind, "actor_id": None,
         "data": data}
        for after, type_, kind, data in told
    ]  # fmt: skip

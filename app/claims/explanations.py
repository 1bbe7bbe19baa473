"""Where a ticket stands among those that are to be answered, beside why its clocks are due when they are."""

from typing import Any
from uuid import UUID

from app.auth.dependencies import Actor
from app.claims.service import as_waiting, current, oldest_first
from app.db import Transaction
from app.sla.core.next_answer import in_words, why
from app.tickets import explanations
from app.tickets.queries import get_whole_ticket


async def explain_ticket(tx: Transaction, actor: Actor, ticket_id: UUID) -> dict[str, Any]:
    ticket = await get_whole_ticket(tx, actor, ticket_id)
    waiting, claim = await as_waiting(tx, ticket), await current(tx, ticket_id)
    hold = await oldest_first(tx)
    queued = None
    if waiting:
        because = why(waiting, ticket["now"], oldest_first=hold)
        queued = {
            "waiting_since": waiting.since, "due_at": waiting.due_at, "goal_crosses_at": waiting.crosses_at,
            "oldest_first": hold, "why": because, "reason": in_words(waiting, because, ticket["now"]),
        }  # fmt: skip
    in_force = claim if claim and claim["agent_id"] == ticket["assignee_id"] else None
    explained = await explanations.explain_ticket(tx, actor, ticket_id)
    return {**explained, "queued": queued, "claim": in_force and dict(in_force)}

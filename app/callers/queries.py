"""Who a caller is, told to themselves: what agents see of an agent and customers of themselves."""

from typing import Any

from app.agents.service import AGENTS, TEAMS
from app.auth.dependencies import Actor
from app.customers.service.customers import CUSTOMERS
from app.db import Transaction
from app.tickets.queries import customer_shown


async def whoever(tx: Transaction, actor: Actor) -> dict[str, Any]:
    agent = await AGENTS.get(tx, actor.agent_id) if actor.agent_id else None
    team_ids = agent["team_ids"] if agent else []
    customer = await CUSTOMERS.get(tx, actor.customer_id) if actor.customer_id else None
    return {
        "kind": actor.kind,
        "role": actor.role,
        "scopes": sorted(actor.scopes),
        "limits": {
            "requests_per_minute": getattr(tx.settings, f"rate_limit_{actor.role}"),
            "requests_at_once": tx.settings.share_of_caller,
        },
        "agent": dict(agent) if agent else None,
        "team": dict(await TEAMS.get(tx, team_ids[0])) if len(team_ids) == 1 else None,
        "customer": dict(await customer_shown(tx, actor, customer) or {}) if customer else None,
    }

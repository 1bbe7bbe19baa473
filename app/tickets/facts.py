"""What policy conditions read of a ticket, and the answer to which policy covers it. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.sla.core.policy import Policy, first_match
from app.sla.core.timeline import Covered

# A change of one of these re-matches the ticket. Status and assignee are not among them: they move no clock.
MATCHED = ("subject", "priority", "type", "channel", "product", "team_id", "tags", "custom_fields")


def covering(policies: Iterable[Policy], ticket: Mapping[str, Any]) -> Policy | None:
    """The policy for a ticket of these attributes."""
    team_id = ticket["team_id"]
    facts: dict[str, object] = {f"ticket.{name}": ticket[name] for name in MATCHED[:5]}
    facts["ticket.team_id"] = str(team_id) if team_id else None
    facts["ticket.tags"] = ticket["tags"]
    facts.update((f"ticket.custom_fields.{name}", value) for name, value in ticket["custom_fields"].items())
    return first_match(policies, facts)


def cover_data(cover: Covered) -> dict[str, Any]:
    """How a cover stands in the log, for `verify` to read it again."""
    policy = cover.policy
    return {
        "policy_id": policy.id if policy else None,
        "policy_version": policy.version if policy else None,
        "priority": cover.priority,
    }

"""What policy conditions read of a ticket, which policy covers it, and how that and its exceptions stand in the log.
Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.instants import written
from app.sla.core.enums import Metric
from app.sla.core.policy import AppliesTo, Effect, Policy, Scope, SlaException, first_match
from app.sla.core.timeline import Covered

# A change of one of these re-matches the ticket. Status and assignee are not among them: they move no clock.
MATCHED = ("subject", "priority", "type", "channel", "product", "team_id", "tags", "custom_fields")


def of_ticket(ticket: Mapping[str, Any]) -> dict[str, object]:
    """The facts of a ticket of these attributes."""
    team_id = ticket["team_id"]
    facts: dict[str, object] = {f"ticket.{name}": ticket[name] for name in MATCHED[:5]}
    facts["ticket.team_id"] = str(team_id) if team_id else None
    facts["ticket.tags"] = ticket["tags"]
    facts.update((f"ticket.custom_fields.{name}", value) for name, value in ticket["custom_fields"].items())
    return facts


def match_policy(
    policies: Iterable[Policy], ticket: Mapping[str, Any], of_customer: Mapping[str, object]
) -> Policy | None:
    """The policy for a ticket of these attributes, whose customer has these facts."""
    return first_match(policies, {**of_ticket(ticket), **of_customer})


def coverage_columns(cover: Covered) -> dict[str, Any]:
    """The cover as the ticket's row has it."""
    policy = cover.policy
    calendar = policy.calendar if policy else None
    return {
        "policy_id": policy.id if policy else None,
        "policy_version": policy.version if policy else None,
        "calendar_version": calendar.version if calendar else None,
    }


def coverage_data(cover: Covered) -> dict[str, Any]:
    """How a cover stands in the log, for `verify` to read it again."""
    return {**coverage_columns(cover), "priority": cover.priority}


def exceptions_data(exceptions: Iterable[SlaException]) -> list[dict[str, Any]]:
    """How a ticket's exceptions stand in its row and in the log."""
    return [
        {
            "id": str(each.id),
            "effect": each.effect,
            "metrics": sorted(each.metrics),
            "starts_at": written(each.starts_at),
            "expires_at": written(each.expires_at) if each.expires_at else None,
            "seconds": each.seconds,
            **({} if each.scope is Scope.ticket else {"scope": each.scope, "of": str(each.of) if each.of else None}),
            **({} if each.applies_to is AppliesTo.running else {"applies_to": each.applies_to}),
        }
        for each in exceptions
    ]


def exceptions_from(data: Iterable[Mapping[str, Any]] | None) -> tuple[SlaException, ...]:
    return tuple(
        SlaException(
            UUID(each["id"]),
            Effect(each["effect"]),
            frozenset(map(Metric, each["metrics"])),
            datetime.fromisoformat(each["starts_at"]),
            datetime.fromisoformat(each["expires_at"]) if each["expires_at"] else None,
            each["seconds"],
            Scope(each.get("scope", Scope.ticket)),
            UUID(each["of"]) if each.get("of") else None,
            AppliesTo(each.get("applies_to", AppliesTo.running)),
        )
        for each in data or ()
    )

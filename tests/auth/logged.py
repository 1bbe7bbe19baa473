"""What the log may hold of a customer's ticket and no other scene brings about, with a value for every field."""

import json
from typing import Any

from tests.support.world import Body, World

_ID = "00000000-0000-7000-8000-000000000000"
_LATER = "2036-01-01T00:00:00Z"
_VALUES = {
    "priority": "high", "type": "task", "channel": "phone", "product": "card", "tags": ["vip"], "customer_id": _ID,
    "organization_id": _ID, "assignee_id": _ID, "team_id": _ID,
}  # fmt: skip
_CLOCK = {"clock_id": _ID, "metric": "resolution", "cycle": 1, "target_seconds": 60}
_AUTOMATION = {"key": "auto_close", "version": 1}
_OVERRIDE = {"override_id": _ID, "segment_id": _ID, "after": {"effect": "include", "expires_at": _LATER}}
_DATA: dict[str, Body] = {
    "ticket.status_changed": {
        "changes": {"status": {"before": "open", "after": "closed"}}, "automation": _AUTOMATION,
    },
    "message.created": {
        "visibility": "public", "opening": False, "attachment_ids": [], "article_ids": [_ID], "automation": _AUTOMATION,
    },
    "ticket.outlook_worsened": {"p50": _LATER, "p80": _LATER, "p95": _LATER, "told_before": _LATER},
    "ticket.overload_offered": {"choices": ["call_back", "wait"], "goal_id": _ID},
    "ticket.overload_chosen": {"choice": "call_back", "call_back_by": _LATER},
    "ticket.updated": {"changes": {name: {"before": value, "after": value} for name, value in _VALUES.items()}},
    "ticket.merged": {"into": _ID, "number": 1},
    "ticket.absorbed": {"from": _ID, "number": 1, "waiting_since": _LATER},
    "ticket.unmerged": {"from": _ID, "number": 1, "merged_at": _LATER},
    "ticket.released": {"from": _ID, "number": 1, "moved": True, "waiting_since": _LATER},
    "ticket.snoozed": {"until": _LATER},
    "ticket.woken": {"because": "time"},
    "ticket.claimed": {"agent_id": _ID, "answer_by": _LATER, "why": "can_be_met", "reason": "Its deadline is near."},
    "ticket.claim_expired": {"agent_id": _ID, "claimed_at": _LATER},
    "ticket.linked": {"kind": "relates_to", "source_id": _ID, "target_id": _ID},
    "sla.breached": {**_CLOCK, "percent": 100},
    "sla.cancelled": {**_CLOCK, "elapsed_seconds": 1.5, "reason": "closed"},
    "satisfaction.given": {"resolved_at": _LATER, "score": 4, "met": ["advice"], "missed": ["accuracy"]},
    "sla.policy_applied": {"policy_id": _ID, "policy_version": 1, "because": "ticket"},
    "sla.exceptions_applied": {"applied": [{"id": _ID}], "because": "granted"},
    "sla_exception.granted": {
        "after": {
            "kind": "sla", "scope": "ticket", "customer_id": _ID, "segment_id": _ID, "automations": ["auto_close"],
            "effect": "extend", "metrics": ["resolution"], "seconds": 60, "applies_to": "started",
            "starts_at": _LATER, "expires_at": _LATER,
        }
    },
    "sla_policy.updated": {"version": 2, "changes": {"name": {"before": "A", "after": "B"}}},
    "sla_policy.reapplied": {"job_id": _ID},
    "goal.missed": {
        "metric": "first_response", "statistic": "attainment", "target_seconds": 60,
        "target_percent": 80.5, "value": 61.5, "mean_floor": 61.5, "crosses_at": _LATER,
    },
    "goal.unfair": {
        "metric": "first_response", "target_seconds": 60, "by": "region", "max_gap_points": 5.5, "group": "SE",
        "behind": "FI", "waits": 300, "attainment": 61.5, "gap_points": 20.5, "at_least_points": 7.5,
    },
    "segment.member_added": {"segment_id": _ID, "key": "vip", "rule_version": 1, "override_id": _ID},
    "segment_override.created": _OVERRIDE,
    "customer.merged": {"source_id": _ID, "target_id": _ID},
    "customer.updated": {"changes": {"name": {"before": "A", "after": "B"}}},
    "agent.teams_changed": {"joined": [_ID], "left": [_ID]},
    "agent.availability_changed": {
        "before": "offline", "after": "online", "because": "said", "capacity": 3,
        "channels": [{"channel": "chat", "capacity": 2}], "skills": ["french"], "until": _LATER,
    },
    "api_key.created": {"after": {"role": "admin"}},
}  # fmt: skip
_WRITE = """INSERT INTO events (type, occurred_at, actor_kind, actor_id, subject_id, ticket_id, ticket_version, data)
    VALUES ($1, now(), 'agent', $2, $3, $3, 1, $4)"""


async def log_everything(world: World, ticket: dict[str, Any]) -> None:
    """Also what is the staff's, as if somebody had forgotten to say that it is internal."""
    rows = [(type_, world.agent, ticket["id"], json.dumps(data)) for type_, data in _DATA.items()]
    await world.sql.executemany(_WRITE, rows)

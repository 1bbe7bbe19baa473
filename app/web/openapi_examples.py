"""A body for each operation that takes one, as `/docs` fills it in: sent as it is, it is taken. Where only an id can be
meant, it is `ID`, to be replaced."""

from typing import Any

from app.web.body import JSONL

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
_LATER = "2036-01-02T09:00:00Z"
_WEEKDAYS = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
_RULE = {"field": "customer.region", "op": "eq", "value": "FI"}
_TICKET = {
    "external_id": "INC-1", "subject": "Charged twice", "customer": {"external_id": "c-1"},
    "created_at": "2026-03-21T09:30:00Z",
    "timeline": [{"at": "2026-03-21T09:31:00Z", "kind": "message", "author": "agent", "body": "Repaid."}],
}  # fmt: skip
EXAMPLES: dict[str, Any] = {
    "create_ticket": {"subject": "Charged twice", "customer": {"external_id": "c-1"}},
    "create_message": {"body": "It is on its way."},
    "merge_ticket": {"into": ID},
    "snooze_ticket": {"until": _LATER},
    "choose_at_overload": {"choice": "wait"},
    "solve_ticket_by_article": {"article_id": ID},
    "create_promise": {"text": "A call by noon.", "due_at": _LATER},
    "create_satisfaction": {"score": 4, "met": ["accuracy"], "missed": ["availability"]},
    "withdraw_promise": {"reason": "They called first."},
    "claim_tickets": {"count": 1},
    "create_link": {"kind": "relates_to", "ticket_id": ID},
    "add_participant": {"customer_id": ID},
    "solve_problem": {"body": "It works again."},
    "update_tickets": {"tickets": [{"id": ID, "priority": "high"}]},
    "create_view": {"name": "New ones", "filter": {"status": ["new"]}},
    "create_macro": {"name": "Thanks", "body": "Thank you, {{customer.name}}."},
    "apply_macro_to_tickets": {"ticket_ids": [ID]},
    "create_customer": {"name": "Ada", "email": "ada@shop.example", "external_id": "c-2"},
    "upsert_customer": {"name": "Ada", "region": "FI"},
    "merge_customer": {"into": ID},
    "create_organization": {"name": "Acme", "external_id": "o-1"},
    "upsert_organization": {"name": "Acme"},
    "create_segment": {"key": "finland", "name": "Finland", "rule": _RULE},
    "preview_segment": {"rule": _RULE},
    "create_segment_override": {"customer_id": ID, "effect": "include", "reason": "A pilot."},
    "create_service_goal": {
        "key": "quick", "name": "90 s", "target_seconds": 90, "window": {"calendar_day": "Europe/Helsinki"},
    },
    "create_sla_policy": {
        "key": "urgent", "name": "Urgent", "targets": [{"metric": "first_response", "seconds": 90}],
    },
    "explain_sla_policies": {"facts": {"ticket.priority": "high"}},
    "reapply_sla_policy": {"dry_run": True},
    "create_sla_exception": {
        "scope": "everything", "effect": "extend", "seconds": 3600, "reason": "A move.",
        "starts_at": "2036-01-01T09:00:00Z", "expires_at": _LATER,
    },
    "create_sla_simulation": {
        "policies": [{"key": "quick", "name": "60 s", "targets": [{"metric": "first_response", "seconds": 60}]}],
        "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z",
    },
    "create_business_calendar": {"name": "Office", "timezone": "Europe/Helsinki", "hours": _WEEKDAYS},
    "compute_business_time": {
        "calendar": {"timezone": "Europe/Helsinki", "hours": _WEEKDAYS}, "op": "after", "start": _LATER,
        "seconds": 3600,
    },
    "compute_staffing_forecast": {
        "target": {"target_seconds": 90}, "handling_seconds": 240, "patience_seconds": 300, "shrinkage": 0.3,
    },
    "import_tickets": {"tickets": [_TICKET]},
    "import_email": "From: <ada@shop.example>\nSubject: Help\n\nCharged twice.\n",
    "create_attachment": "A file.",
    "create_agent": {"name": "Ann", "external_id": "a-1"},
    "create_team": {"key": "billing", "name": "Billing"},
    "update_availability": {"state": "online"},
    "create_custom_field": {"subject": "ticket", "key": "plan", "name": "Plan", "type": "text"},
    "create_greeting": {"channel": "web", "body": "Hello, {{customer_name}}."},
    "create_article": {"key": "refunds", "title": "Refunds", "body": "Within a week.", "language": "en"},
    "suggest_articles": {"text": "refund"},
    "create_api_key": {"name": "Loader", "role": "service", "scopes": ["events:read"]},
    "create_webhook": {"url": "https://hooks.example.com/in", "types": ["ticket.created"]},
    "rotate_webhook_secret": {"overlap_seconds": 3600},
    "redeliver_webhook_deliveries": {"failed_only": True},
}  # fmt: skip


def exemplify(operation: dict[str, Any]) -> None:
    """Each media type of its body has the example: JSON that goes by lines has a line of it."""
    body = EXAMPLES.get(operation["operationId"])
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items() if body else ():
        content["example"] = _TICKET if media_type == JSONL else body

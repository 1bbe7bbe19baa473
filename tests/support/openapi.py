"""The operations as the OpenAPI document has them, and a valid request for each: made from its schema, so that a new
operation is walked without anybody remembering to add it."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI

from tests.support.custom_fields import define
from tests.support.document import at, plain

NOBODY = "00000000-0000-7000-8000-000000000000"
METHODS = ("get", "put", "post", "patch", "delete")
Open = Callable[..., Awaitable[dict[str, Any]]]

_HOURS: dict[str, Any] = {
    "timezone": "Europe/Helsinki",
    "hours": {"mon": [["09:00", "17:00"]], "tue": [["09:00", "12:00"], ["13:00", "24:00"]]},
    "holidays": ["2026-12-24"],
    "holiday_region": "FI",
    "date_hours": {"2026-12-23": [["09:00", "12:00"]]},
}
_FILTER: dict[str, Any] = {
    "status": ["new", "open"],
    "assignee_id": ["none"],
    "tag": ["x"],
    "created_after": "2026-02-03T04:05:06Z",
    "needs_human": True,
    "sla": "at_risk",
    "q": "words",
}
_RULE = {"all": [{"field": "customer.region", "op": "eq", "value": "FI"}, {"not": {"any": []}}]}
# Where a value that fits the schema is not yet one that makes sense.
_SENSIBLE: dict[str, dict[str, Any]] = {
    "create_ticket": {"customer": {"external_id": "c-1"}},
    "create_greeting": {"channel": "web", "body": "Hello, {{customer_name}}."},
    "create_webhook": {"url": "https://hooks.example.com/in", "types": ["*"]},
    "update_webhook": {"url": "https://hooks.example.com/in", "types": ["ticket.created"]},
    "create_api_key": {"role": "service", "scopes": ["tickets:read"]},
    # A required one would be asked for by every opening that follows.
    "create_custom_field": {"subject": "ticket", "required": False},
    "update_custom_field": {"required": False},
    "create_message": {"visibility": "public"},
    "snooze_ticket": {"until": "2036-01-01T00:00:00Z"},
    "update_availability": {"state": "online", "until": "2036-01-01T00:00:00Z"},
    "claim_tickets": {"count": 1},
    "create_satisfaction": {"met": ["accuracy"], "missed": ["availability"]},
    "create_link": {"kind": "relates_to"},
    "update_tickets": {"tickets": [{"id": NOBODY, "if_match": None, "status": "open", "tags": ["x"]}]},
    "create_view": {"filter": _FILTER},
    "update_view": {"filter": _FILTER},
    "create_business_calendar": _HOURS,
    "update_business_calendar": _HOURS,
    "create_sla_simulation": {
        "calendars": [],
        "exceptions": [],
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
    },
    "compute_staffing_forecast": {
        "target": {"target_seconds": 90},
        "filter": None,
        "days": 1,
        "shrinkage": 0.3,
        "arrivals_quantile": 0.8,
        "from": "2036-01-01",
        "timezone": "UTC",
    },
    "compute_business_time": {"calendar": _HOURS, "op": "after", "seconds": 3600},
    "update_automation": {"enabled": False, "settings": {"after_days": 7}},
    "create_sla_exception": {"scope": "ticket", "effect": "extend", "seconds": 60},
    "create_service_goal": {
        "statistic": "attainment",
        "target_percent": 80,
        "window": {"calendar_day": "Asia/Tokyo"},
    },
    "update_service_goal": {"window": {"rolling_seconds": 60}},
    "create_segment": {"rule": _RULE},
    "preview_segment": {"rule": _RULE},
    "update_segment": {"rule": _RULE},
    "explain_sla_policies": {"facts": {"ticket.priority": "high"}},
    "import_tickets": {
        "tickets": [
            {
                "external_id": "i-1",
                "subject": "Lost",
                "priority": "high",
                "type": "incident",
                "channel": "email",
                "tags": ["x"],
                "custom_fields": {"a": 1},
                "product": "p",
                "customer": {"external_id": "c-2", "name": "N"},
                "opened_by": "customer",
                "created_at": "2013-03-21T09:30:00Z",
                "status": "new",
                "timeline": [
                    {
                        "at": "2013-03-21T09:31:00Z",
                        "kind": "message",
                        "author": "agent",
                        "visibility": "public",
                        "body": "b",
                    },
                    {"at": "2013-03-21T09:32:00Z", "kind": "assignee", "assignee": {"external_id": "a-1"}},
                    {"at": "2013-03-21T09:33:00Z", "kind": "tags", "tags": ["y"]},
                    {"at": "2013-03-21T09:34:00Z", "kind": "status", "status": "pending", "by": "agent"},
                ],
            }
        ]
    },
}
_LEFT_OUT = {
    # Only a goal that judges it has one.
    "create_service_goal": {"fairness"},
    # Of what the staff write, and this is a customer's.
    "create_message": {"handling_seconds"},
    "claim_tickets": {"team_id", "channels"},
    "create_ticket": {"assignee_id", "team_id", "asks_confirmation", "remind_at"},
    "create_customer": {"organization_id"},
    "update_customer": {"organization_id"},
    "upsert_customer": {"organization_id"},
    "create_api_key": {"agent_id", "customer_id"},
    "create_sla_exception": {"starts_at", "customer_id", "segment_id", "automations"},
    # It never changes.
    "update_segment": {"key"},
    "create_webhook": {"secret"},
    "rotate_webhook_secret": {"secret"},
    "redeliver_webhook_deliveries": {"from_position", "to_position"},
    "create_custom_field": {"choices", "ticket_types"},
    "update_custom_field": {"choices", "ticket_types"},
    "compute_business_time": {"calendar_id"},
    "compute_staffing_forecast": {"goal_id"},
    "update_service_goal": {"target_percent", "fairness"},
    "explain_sla_policies": {"ticket_id"},
}
_BY_FIELD: dict[str, Any] = {
    "team_ids": [],
    "attachment_ids": [],
    "segment_ids": [],
    # `things` defines it.
    "custom_fields": {"a": "b"},
    "attributes": {"a": "b"},
    "region": "FI",
    "language": "en-GB",
    "subject": "Charged twice",
    "field": "ticket.subject",
    "op": "eq",
    "value": "x",
    "metric": "first_response",
    "warn_at_percent": [50, 80],
    "expires_at": "2099-01-01T00:00:00Z",
    "due_at": "2036-01-01T00:00:00Z",
}


def an_email() -> dict[str, Any]:
    """Of a sender of its own, as httpx takes it."""
    mail = f"From: <{secrets.token_hex(6)}@example.test>\r\nSubject: Help\r\n\r\nHelp!"
    return {"content": mail.encode(), "headers": {"Content-Type": "message/rfc822"}}


# What an operation needs to have happened to it has happened to another thing of `things`.
_READY = {
    "unmerge_customer": ("customer_id", "merged_customer"),
    "release_ticket": ("ticket_id", "claimed_ticket"),
    "unmerge_ticket": ("ticket_id", "merged_ticket"),
    "delete_customer": ("customer_id", "unused_customer"),
    "create_satisfaction": ("ticket_id", "resolved_ticket"),
    "solve_problem": ("ticket_id", "problem"),
    "remove_participant": ("customer_id", "participant"),
}


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    path_names: tuple[str, ...]
    query_names: tuple[str, ...]
    header_names: tuple[str, ...]
    body: dict[str, Any] | None
    scopes: tuple[str, ...] = field(default=())

    def fresh_body(self, ids: dict[str, Any] | None = None) -> Any:
        """The valid body, with what must be unique made new, and about the things of `ids` where it names one."""
        if self.body is None:
            return None
        word = secrets.token_hex(6)
        unique = {
            "key": word, "external_id": word, "email": f"{word}@example.test", "language": f"en-{word[:8]}",
        }  # fmt: skip
        named = {name: (ids or {}).get(name, NOBODY) for name in ("ticket_id", "into", "article_id")}
        named["ticket_ids"] = [named["ticket_id"]]
        if self.id == "claim_tickets":
            named["agent_id"] = (ids or {}).get("agent_id", NOBODY)
        if self.id == "create_link":
            named["ticket_id"] = named["into"]
        if self.id == "update_tickets":
            named["tickets"] = [{**patch, "id": named["ticket_id"]} for patch in self.body["tickets"]]
        if self.id in ("create_segment_override", "add_participant"):
            # Each may have one at a time; whoever asked takes part already.
            named["customer_id"] = (ids or {}).get("into_customer", NOBODY)
        if self.id in ("create_service_goal", "update_service_goal"):
            # A goal is of a segment that there is.
            named["filter"] = {**self.body["filter"], "segment": (ids or {}).get("key", "words")}
        if self.id == "merge_customer":
            named["into"] = (ids or {}).get("into_customer", NOBODY)
        return self.body | {n: v for n, v in (unique | named).items() if n in self.body}

    def content(self, ids: dict[str, Any] | None = None) -> dict[str, Any]:
        """The valid body as httpx takes it: JSON, or an e-mail with its media type."""
        if self.id != "import_email":
            return {"json": self.fresh_body(ids)}
        return an_email()

    def url(self, ids: dict[str, Any], **replaced: str) -> str:
        path = self.path
        name, stands = _READY.get(self.id, ("", ""))
        if stands in ids:
            ids = {**ids, name: ids[stands]}
        for name in self.path_names:
            value = replaced.get(name, str(ids.get(name, "")))
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return path


def operations(app: FastAPI) -> Iterator[Operation]:
    document = plain(app.openapi())
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield _operation(document, path, method, operation)


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Operation:
    parameters = operation.get("parameters", ())
    names = {place: tuple(p["name"] for p in parameters if p["in"] == place) for place in ("path", "query", "header")}
    scopes = [scope for entry in operation.get("security", ()) for some in entry.values() for scope in some]
    body = None
    if content := operation.get("requestBody", {}).get("content", {}).get("application/json"):
        id_ = operation["operationId"]
        schema = at(document, content["schema"])
        left_out = _LEFT_OUT.get(id_, set())
        schema = {**schema, "properties": {n: s for n, s in schema["properties"].items() if n not in left_out}}
        body = {**example(document, schema), **_SENSIBLE.get(id_, {})}
    return Operation(
        operation["operationId"],
        method.upper(),
        path,
        names["path"],
        names["query"],
        names["header"],
        body,
        tuple(scopes),
    )


def kind_of(schema: dict[str, Any]) -> str | None:
    """The type, of what may be null the other one."""
    kinds = schema.get("type")
    return next(kind for kind in kinds if kind != "null") if isinstance(kinds, list) else kinds


def example(document: dict[str, Any], schema: dict[str, Any], name: str = "", level: int = 0) -> Any:
    """A value that fits the schema, every property filled."""
    schema = at(document, schema)
    if name in _BY_FIELD:
        return _BY_FIELD[name]
    if "anyOf" in schema or "oneOf" in schema:
        return example(document, (schema.get("anyOf") or schema["oneOf"])[0], name, level + 1)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match kind_of(schema):
        case "object":
            properties = schema.get("properties", {})
            return (
                {key: example(document, inner, key, level + 1) for key, inner in properties.items()}
                if level < 6
                else {}
            )
        case "array":
            return [example(document, schema["items"], "", level + 1)] if schema.get("minItems") or level < 4 else []
        case "integer" | "number":
            return int(schema.get("minimum", 1))
        case "boolean":
            return True
    return {"uuid": None, "date-time": "2026-02-03T04:05:06Z"}.get(schema.get("format", ""), "words")


async def things(client: httpx.AsyncClient, open_ticket: Open, customer_id: str | None = None) -> dict[str, Any]:
    """One of each thing that paths name, new ones: the ids by the names that paths use."""

    async def made(path: str, **body: Any) -> Any:
        answer = await client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    word = secrets.token_hex(6)
    segment_id = await made("/v1/segments", key=word, name="S", rule=_RULE)
    segment_jobs = (await client.get("/v1/segment-jobs?limit=1")).json()["items"]
    customer_id = customer_id or await made("/v1/customers", external_id=word, name="C")
    # Towards the customer, so that it may be confirmed; by e-mail, whose messages are read by their own ids.
    ticket = await open_ticket(channel="email", customer={"id": customer_id}, opened_by="agent", asks_confirmation=True)
    other = await open_ticket(customer={"id": customer_id})
    gone = await open_ticket(customer={"id": customer_id})
    merged = await client.post(f"/v1/tickets/{gone['id']}/merge", json={"into": other["id"]})
    assert merged.is_success, merged.text
    resolved = await open_ticket(customer={"id": customer_id})
    done = await client.patch(f"/v1/tickets/{resolved['id']}", json={"status": "resolved"})
    assert done.is_success, done.text
    problem = await open_ticket(customer={"id": customer_id}, type="problem")
    solved = await client.post(f"/v1/tickets/{problem['id']}/solve-problem", json={"body": "Solved."})
    assert solved.status_code == 202, solved.text
    target = {"metric": "first_response", "seconds": 90}
    path, far = f"/v1/tickets/{ticket['id']}", "2036-01-01T00:00:00Z"
    policy_id = await made("/v1/sla-policies", key=word, name="P", position=1000, targets=[target])
    reapplied = await client.post(f"/v1/sla-policies/{policy_id}/reapply", json={})
    await define(client, "text", "a")
    webhook_id = await made("/v1/webhooks", url="https://hooks.example.com/in", types=["*"])
    into_id, merged_id, unused_id, participant_id = [await made("/v1/customers") for _ in range(4)]
    joined = await client.post(f"{path}/participants", json={"customer_id": participant_id})
    assert joined.is_success, joined.text
    merged = await client.post(f"/v1/customers/{merged_id}/merge", json={"into": into_id})
    assert merged.is_success, merged.text
    agent_id = await made("/v1/agents", name="A", external_id=word)
    available = await client.put(f"/v1/agents/{agent_id}/availability", json={"state": "online", "capacity": 100})
    assert available.is_success, available.text
    team_id = await made("/v1/teams", key=word, name="T")
    await open_ticket(customer={"id": customer_id}, team_id=team_id)
    claimed = await client.post("/v1/tickets/claim", json={"agent_id": agent_id, "team_id": team_id})
    assert claimed.is_success, claimed.text
    claimed_id = claimed.json()["items"][0]["ticket_id"]
    # A team that has a ticket is not deleted.
    freed = await client.patch(f"/v1/tickets/{claimed_id}", json={"team_id": None})
    assert freed.is_success, freed.text
    return {
        "ticket_id": ticket["id"],
        "into": other["id"],
        "merged_ticket": gone["id"],
        "resolved_ticket": resolved["id"],
        "number": ticket["number"],
        "message_id": await made(f"{path}/messages", body="A note.", visibility="internal", external_id=word),
        "attachment_id": await made(f"{path}/attachments?visibility=public", any="file"),
        "link_id": await made(f"{path}/links", kind="duplicates", ticket_id=other["id"]),
        "promise_id": await made(f"{path}/promises", text="A call.", due_at=far),
        "exception_id": await made("/v1/sla-exceptions", ticket_id=ticket["id"], effect="exclude", reason="R"),
        "calendar_id": await made("/v1/business-calendars", name="C", timezone="UTC", hours=_HOURS["hours"]),
        "job_id": reapplied.json()["id"],
        "customer_id": customer_id,
        "into_customer": into_id,
        "merged_customer": merged_id,
        "unused_customer": unused_id,
        "participant": participant_id,
        "problem": problem["id"],
        "incident_job_id": solved.json()["id"],
        "organization_id": await made("/v1/organizations", name="O", external_id=word),
        "field_id": await made("/v1/custom-fields", subject="ticket", key=f"f_{word}", name="F", type="text"),
        "greeting_id": await made("/v1/greetings", channel="phone", language=f"en-{word[:8]}", body="Hello."),
        "article_id": await made("/v1/articles", key=word, title="A", body="B", language="en"),
        "automation_key": "auto_close",
        "segment_id": segment_id,
        "segment_job_id": segment_jobs[0]["id"],
        "override_id": await made(
            f"/v1/segments/{segment_id}/overrides", customer_id=customer_id, effect="include", reason="R"
        ),
        "external_id": word,
        # The segment, the goal, the policy and the team each have it.
        "key": word,
        "agent_id": agent_id,
        "team_id": team_id,
        "claimed_ticket": claimed_id,
        "goal_id": await made(
            "/v1/service-goals", key=word, name="G", target_seconds=90, window={"rolling_seconds": 60}, filter={}
        ),
        "policy_id": policy_id,
        "simulation_id": await made(
            "/v1/sla-simulations", policies=[], to="2026-02-01T00:00:00Z", **{"from": "2026-01-01T00:00:00Z"}
        ),
        "macro_id": await made("/v1/macros", name="M", body="Hello."),
        "view_id": await made("/v1/views", name="V", filter={"q": "words"}, shared=True),
        "webhook_id": webhook_id,
        "delivery_id": await made(f"/v1/webhooks/{webhook_id}/test"),
        "key_id": await made("/v1/api-keys", name="K", role="service", scopes=["tickets:read"]),
        "code": "not_found",
    }

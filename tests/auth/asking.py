"""How each operation of the contract is asked for, such that nothing but permission can stand in its way."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.auth.matrix import MatrixRow, Whose
from tests.support.openapi import an_email
from tests.support.world import (
    CALLED,
    POLICY_TARGETS,
    PROMISE,
    Body,
    World,
    article,
    calendar,
    custom_field,
    everywhere,
    exception,
    goal,
    greeting,
    macro,
    policy,
    segment,
    simulation,
    unique,
    view,
    webhook,
)

_METHODS = {"get", "put", "post", "patch", "delete"}


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    path_parameters: tuple[str, ...]
    scopes: tuple[str, ...]


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document."""
    for path, item in document["paths"].items():
        for method in sorted(_METHODS & set(item)):
            found = item[method]
            named = tuple(part.strip("{}") for part in path.split("/") if part.startswith("{"))
            entries = found.get("security", ())
            scopes = tuple(scope for entry in entries for names in entry.values() for scope in names)
            yield Operation(found["operationId"], method.upper(), path, named, scopes)


def _customer(world: World, context: Whose) -> Body:
    return {"id": world.stranger if context is Whose.others else world.customer}


def _opening(world: World, context: Whose, **more: Any) -> Body:
    return {"subject": "Help", "customer": _customer(world, context), **more}


def _imported(_world: World, _whose: Whose) -> Body:
    ticket = {"external_id": unique(), "subject": "Old", "created_at": "2020-01-01T00:00:00Z"}
    return {"tickets": [{**ticket, "customer": {"external_id": unique()}, "timeline": []}]}


_BODIES: dict[str, Callable[[World, Whose], Body]] = {
    "create_ticket": _opening,
    "create_ticket/for_the_agent": lambda w, context: _opening(w, context, assignee_id=w.agent),
    "create_ticket/for_another_agent": lambda w, context: _opening(w, context, assignee_id=w.colleague),
    "create_ticket/with_suggestions": _opening,
    "choose_at_overload": lambda w, _: {"choice": "wait"},
    "solve_ticket_by_article": lambda w, _: {"article_id": w.article},
    "create_article": lambda w, _: article(),
    "create_article/draft": lambda w, _: article() | {"active": False},
    "update_article": lambda w, _: {"title": "Other"},
    "update_article/draft": lambda w, _: {"title": "Other"},
    "suggest_articles": lambda w, _: {"text": "Where is my parcel?"},
    "update_automation": lambda w, _: {},
    "create_sla_exception/from_automations": lambda w, _: {
        "kind": "automation",
        "scope": "customer",
        "customer_id": w.customer,
        "reason": "Prefers people.",
    },
    "update_ticket": lambda w, _: {},
    "update_ticket/subject": lambda w, _: {"subject": "Other"},
    "update_ticket/channel": lambda w, _: {"channel": "phone"},
    "update_ticket/priority": lambda w, _: {"priority": "urgent"},
    "update_ticket/type": lambda w, _: {"type": "incident"},
    "update_ticket/team_id": lambda w, _: {"team_id": None},
    "update_ticket/tags": lambda w, _: {"tags": ["vip"]},
    "update_ticket/custom_fields": lambda w, _: {"custom_fields": {"order": 1}},
    "update_ticket/external_id": lambda w, _: {"external_id": unique()},
    "update_ticket/product": lambda w, _: {"product": "card"},
    "update_ticket/to_the_agent": lambda w, _: {"assignee_id": w.agent},
    "update_ticket/to_another_agent": lambda w, _: {"assignee_id": w.colleague},
    "update_ticket/to_nobody": lambda w, _: {"assignee_id": None},
    "create_message": lambda w, _: {"body": "Hello."},
    "create_message/internal": lambda w, _: {"body": "Between us.", "visibility": "internal"},
    "create_message/author_named": lambda w, _: {"body": "Hello.", "author": {"kind": "agent", "id": w.agent}},
    "create_message/to_the_agent": lambda w, _: {"body": "Hello.", "assignee_id": w.agent},
    "create_message/to_another_agent": lambda w, _: {"body": "Hello.", "assignee_id": w.colleague},
    "solve_problem": lambda w, _: {"body": "It works again."},
    "create_macro": lambda w, _: macro(),
    "update_macro": lambda w, _: {"name": "Other"},
    "apply_macro_to_tickets": lambda w, _: {"ticket_ids": [w.ticket]},
    "create_view": lambda w, _: {"name": "Mine"},
    "create_view/shared": lambda w, _: view(),
    "update_view": lambda w, _: {"sort": "due_at"},
    "create_customer": lambda w, _: {"external_id": unique()},
    "upsert_customer": lambda w, _: {"name": "Maija"},
    "update_customer": lambda w, _: {"region": "FI"},
    "merge_customer": lambda w, _: {"into": w.stranger},
    "create_organization": lambda w, _: {"name": "Acme"},
    "upsert_organization": lambda w, _: {"name": "Acme"},
    "update_organization": lambda w, _: {"region": "FI"},
    "create_custom_field": lambda w, _: custom_field(),
    "update_custom_field": lambda w, _: {"required": False},
    "create_greeting": lambda w, _: greeting(),
    "update_greeting": lambda w, _: {"body": "Hello!"},
    "create_service_goal": lambda w, _: goal(),
    "update_service_goal": lambda w, _: {"target_seconds": 60},
    "create_sla_policy": lambda w, _: policy(),
    "update_sla_policy": lambda w, _: {"targets": POLICY_TARGETS},
    "reapply_sla_policy": lambda w, _: {},
    "reapply_sla_policy/dry_run": lambda w, _: {"dry_run": True},
    "explain_sla_policies": lambda w, _: {"facts": {"ticket.priority": "high"}},
    "explain_sla_policies/of_a_ticket": lambda w, _: {"ticket_id": w.ticket},
    "create_business_calendar": lambda w, _: calendar(),
    "update_business_calendar": lambda w, _: {"hours": {"tue": [["10:00", "11:00"]]}},
    "compute_business_time": lambda w, _: {"calendar": calendar(), "op": "is_open", "start": "2026-11-23T08:00:00Z"},
    "compute_staffing_forecast": lambda w, _: {"target": {"target_seconds": 90}, "handling_seconds": 60},
    "create_sla_simulation": lambda w, _: simulation(),
    "create_segment": lambda w, _: segment(),
    "update_segment": lambda w, _: {"name": "Other"},
    "preview_segment": lambda w, _: {"rule": {"all": []}},
    "create_segment_override": lambda w, _: {"customer_id": w.stranger, "effect": "exclude", "reason": "Not them."},
    "create_sla_exception/for_everything": lambda w, _: everywhere(),
    "create_sla_exception": lambda w, _: exception(w.ticket),
    "merge_ticket": lambda w, context: {"into": w.strangers_ticket if context is Whose.others else w.ticket},
    "snooze_ticket": lambda w, _: {"until": "2036-01-01T00:00:00Z"},
    "add_participant": lambda w, _: {"customer_id": w.guest},
    "create_link": lambda w, _: {"kind": "relates_to", "ticket_id": w.ticket},
    "update_tickets": lambda w, _: {"tickets": [{"id": w.ticket}]},
    "create_promise": lambda w, _: PROMISE,
    "update_message": lambda w, _: {"body": "Hello again."},
    "create_satisfaction": lambda w, _: {"score": 5},
    "withdraw_promise": lambda w, _: {"reason": "Not needed."},
    "import_tickets": _imported,
    "create_agent": lambda w, _: {"name": "Ann"},
    "update_agent": lambda w, _: {"name": "Anne"},
    "claim_tickets": lambda w, _: {"agent_id": w.agent},
    "update_availability": lambda w, _: {"state": "online", "capacity": 2},
    "create_team": lambda w, _: {"key": unique(), "name": "Team"},
    "update_team": lambda w, _: {"name": "Crew"},
    "create_webhook": lambda w, _: webhook(),
    "update_webhook": lambda w, _: {"types": ["ticket.created"]},
    "rotate_webhook_secret": lambda w, _: {},
    "redeliver_webhook_deliveries": lambda w, _: {},
    "create_api_key": lambda w, _: {"name": "k", "role": "service", "scopes": ["keys:write"]},
}
_QUERIES = {
    "include": {"include": "clocks,messages,customer"},
    "with_suggestions": {"suggest": "true"},
    "by_deadline": {"sort": "due_at"},
    "of_a_segment": {"segment": "vip"},
    "at_risk": {"sla": "at_risk"},
    "snoozed": {"snoozed": "false"},
    "spam": {"spam": "true"},
    "followed": {"follower_id": "00000000-0000-7000-8000-000000000000"},
}


def _body(world: World, row: MatrixRow) -> Body | None:
    if row.variant.startswith("status_"):
        plain = _BODIES[row.operation](world, row.context)
        return {**plain, "status": row.variant.removeprefix("status_")}
    make = _BODIES.get(f"{row.operation}/{row.variant}" if row.variant not in {"", "include"} else row.operation)
    return make(world, row.context) if make else None


async def outcomes(
    world: World, row: MatrixRow, operation: Operation, **more: Any
) -> tuple[dict[str, str], dict[str, httpx.Response]]:
    """What each caller gets, in a word and whole. Reading and being refused change nothing, so that all who read and
    all who are to be refused ask about the same thing; whoever changes something has one of their own."""
    shared: str | None = None
    got: dict[str, str] = {}
    answers = {}
    for caller in sorted(row.expected, key=lambda caller: row.expected[caller] == "ok"):
        if shared is None or (row.expected[caller] == "ok" and operation.method != "GET"):
            shared = await place(world, row, operation)
        answers[caller] = answer = await send(world, caller, row, operation, shared, **more)
        got[caller] = outcome(answer)
        if got[caller] != row.expected[caller]:
            got[caller] += f" ({answer.text[:300]})"
    return {caller: got[caller] for caller in row.expected}, answers


def outcome(answer: httpx.Response) -> str:
    """`ok` or a status: of what came of the one thing that was sent, where the answer says it of each."""
    found = answer.json() if answer.is_success and answer.content and "json" in answer.headers["content-type"] else {}
    items = found.get("items") if isinstance(found, dict) else None
    status = items[0].get("status") if items and "problem" in items[0] else answer.status_code
    return "ok" if not isinstance(status, int) or status < 400 else str(status)


async def place(world: World, row: MatrixRow, operation: Operation) -> str:
    """The operation's path, to something made for the question."""
    path = operation.path
    parts: dict[str, str] = {}
    names = {"article_id": "draft_id"} if row.variant == "draft" else {}
    what = operation.id.partition("_by_")[0].removeprefix("get_")
    if what in CALLED and "_by_" in operation.id:
        names = {name: f"{name} of {what}" for name in ("external_id", "key")}
    for name in operation.path_parameters:
        # What hangs on something comes after it.
        hangs = world.on_ticket.get(name) if parts else None
        if name == "override_id":
            parts[name] = await world.add_override(parts["segment_id"])
        else:
            parts[name] = await (
                hangs(next(iter(parts.values()))) if hangs else world.path_part(names.get(name, name), row.context)
            )
        path = path.replace(f"{{{name}}}", parts[name])
    await _get_ready(world, row, operation, parts)
    return path


async def _get_ready(world: World, row: MatrixRow, operation: Operation, parts: dict[str, str]) -> None:
    """What has to have happened before."""
    of_ticket = {
        "release_ticket": world.claim, "choose_at_overload": world.offer, "create_satisfaction": world.resolve,
        "solve_problem": world.become_problem,
    }  # fmt: skip
    if operation.id in of_ticket:
        await of_ticket[operation.id](parts["ticket_id"])
    match operation.id:
        case "unmerge_customer":
            await world.merge_away(parts["customer_id"])
        case "unmerge_ticket":
            await world.merge_ticket_away(parts["ticket_id"], row.context)
        case "keep_availability":
            await world.make_available(parts["agent_id"])
        case "claim_tickets":
            await world.make_available(world.agent)


async def send(
    world: World,
    caller: str,
    row: MatrixRow,
    operation: Operation,
    path: str,
    query: Callable[[httpx.AsyncClient], Awaitable[Body]] | None = None,
    change: Callable[[Body], Awaitable[Body]] | None = None,
) -> httpx.Response:
    """`query` says what the caller asks for along with the row, `change` what becomes of its body."""
    http = await world.caller(caller, " ".join(operation.scopes))
    body = _body(world, row)
    asked = {**_QUERIES.get(row.variant, {}), **(await query(http) if query else {})}
    if body is not None and change:
        body = await change(body)
    if operation.id == "import_email":
        return await http.post(path, **an_email())
    return await http.request(operation.method, path, params=asked or None, json=body)

"""What is sent for each field that `matrix.toml` has a line for, and whether the answer says that it was taken."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.auth.fields import Place
from tests.support.world import Body, World, unique

_LATER = "2036-01-01T00:00:00Z"
_NOBODY = "00000000-0000-7000-8000-000000000000"
# By `Schema.word`, or by the word alone. `field=word` sends the word itself unless it is here.
_SAMPLES: dict[str, Callable[[World], Any]] = {
    "assignee_id=self": lambda w: w.agent,
    "assignee_id=another": lambda w: w.colleague,
    "assignee_id=nobody": lambda w: None,
    "CustomerRef.id=self": lambda w: w.customer,
    "CustomerRef.id=another": lambda w: w.stranger,
    "CustomerRef.name": lambda w: "Maija",
    "AuthorIn.id": lambda w: w.agent,
    "customer": lambda w: {"id": w.customer},
    "author": lambda w: {"kind": "bot"},
    "if_match": lambda w: "*",
    "attachment_ids": lambda w: [],
    "body": lambda w: "Hello.",
    "subject": lambda w: "Other",
    "description": lambda w: "It is broken.",
    "channel": lambda w: "phone",
    "get_message_by_external_id?.channel": lambda w: "email",
    "list_messages?.sort": lambda w: "-created_at",
    "OverloadChoiceIn.choice": lambda w: "wait",
    "in_reply_to": lambda w: unique(),
    "sent_at": lambda w: "2020-01-01T00:00:00Z",
    "handling_seconds": lambda w: 1.5,
    "snoozed": lambda w: "true",
    "spam": lambda w: "true",
    "priority": lambda w: "urgent",
    "type": lambda w: "incident",
    "tags": lambda w: ["vip"],
    "custom_fields": lambda w: {"order": 1},
    "product": lambda w: "card",
    "external_id": lambda w: unique(),
    "email": lambda w: f"{unique()}@example.org",
    "organization_id": lambda w: w.organization,
    "team_id": lambda w: w.team,
    "asks_confirmation": lambda w: True,
    "remind_at": lambda w: _LATER,
    "SatisfactionIn.score": lambda w: 4,
    "comment": lambda w: "Good.",
    "met": lambda w: ["accuracy"],
    "missed": lambda w: ["availability"],
    "name": lambda w: "file.txt",
    "status": lambda w: "open",
    "customer_id": lambda w: w.customer,
    "assignee_id": lambda w: w.agent,
    "follower_id": lambda w: _NOBODY,
    "tag": lambda w: "vip",
    "created_after": lambda w: "2020-01-01T00:00:00Z",
    "created_before": lambda w: _LATER,
    "updated_after": lambda w: "2020-01-01T00:00:00Z",
    "needs_human": lambda w: "true",
    "excel": lambda w: "true",
    "sla": lambda w: "at_risk",
    "q": lambda w: "help",
    "segment": lambda w: "vip",
    "suggest": lambda w: "true",
    "active": lambda w: "true",
    "language": lambda w: "en",
    "text": lambda w: "Where is my parcel?",
    "limit": lambda w: 3,
    "timezone": lambda w: "Europe/Helsinki",
    "article_id": lambda w: w.article,
    "count": lambda w: "estimate",
    "after": lambda w: "1.0.0",
    "from": lambda w: "2020-01-01T00:00:00Z",
    "to": lambda w: "2099-01-01T00:00:00Z",
    "order": lambda w: "desc",
    "types": lambda w: "ticket.created",
    "ticket_id": lambda w: w.ticket,
    "ids": lambda w: w.ticket,
}
# The answer has more of it than was sent.
_NAMED = {"author", "customer"}
# What a field makes sense with only.
_WITH: dict[str, Body] = {
    "asks_confirmation": {"opened_by": "agent"},
    "remind_at": {"opened_by": "agent", "asks_confirmation": True},
    "AuthorIn.id": {"kind": "agent"},
    "sort=relevance": {"q": "help"},
}


def sample(world: World, schema: str, word: str) -> Any:
    make = _SAMPLES.get(f"{schema}.{word}") or _SAMPLES.get(word)
    if make:
        return make(world)
    name, equals, value = word.partition("=")
    assert equals, f"say in samples.py what to send for {schema}.{name}"
    return value


def along(schema: str, word: str) -> Body:
    return _WITH.get(f"{schema}.{word}") or _WITH.get(word) or {}


def with_field(world: World, place: Place, word: str, body: Body) -> Body:
    """The body with the field in it, where the operation takes it."""
    name = word.partition("=")[0]
    if name == "tickets":
        return body
    *way, last = place.way or ("",)
    if not place.way:
        return {**body, name: sample(world, place.schema, word), **along(place.schema, word)}
    within: Any = body
    for step in way:
        within = within[step]
    kept = within[last] if last == 0 else {}
    within[last] = {**kept, name: kept.get(name) or sample(world, place.schema, word), **along(place.schema, word)}
    return body


def echoed(answer: httpx.Response, word: str) -> bool:
    """Whether an answer that has the field says what was sent for it."""
    name = word.partition("=")[0]
    if name in _NAMED:
        return True
    sent = json.loads(answer.request.content) if "json" in answer.request.headers.get("content-type", "") else {}
    told = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if "tickets" in sent:
        sent, told = sent["tickets"][0], told["items"][0]["ticket"]
    return name not in sent or name not in told or told[name] == sent[name]

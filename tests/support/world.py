"""One installation with a caller of every kind in it, for tests that ask many questions and change nothing that another
question rests on: whatever is read, changed or removed is made for that one question."""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import asyncpg
import httpx
from fastapi import FastAPI

from app.auth.roles import SCOPES
from app.main import create_app
from tests.auth.matrix import Whose
from tests.conftest import ADMIN_KEY, Databases, client_for, roomy

Body = dict[str, Any]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
FOR_CUSTOMERS = {"visible_to_customers": True, "writable_by_customers": True}
PROMISE = {"text": "A call.", "due_at": "2036-01-01T00:00:00Z"}
POLICY_TARGETS = [{"metric": "first_response", "seconds": 90}]


def unique() -> str:
    return secrets.token_hex(8)


class World:
    """`customer` is the caller, `stranger` another customer, `guest` one without a ticket;
    `agent` is the calling agent, `colleague` another;
    `ticket` one that everything may be done with but ending it."""

    def __init__(self, app: FastAPI, admin: httpx.AsyncClient, sql: Sql, stack: AsyncExitStack) -> None:
        self.app = app
        self.admin = admin
        self.sql = sql
        self._stack = stack
        self._callers: dict[tuple[str, str], httpx.AsyncClient] = {}
        self.customer = self.stranger = self.agent = self.colleague = self.ticket = self.strangers_ticket = ""
        self.organization = self.team = self.article = self.guest = ""

    async def logged(self, thing: Body) -> list[tuple[str, Body]]:
        """What the log says of a thing, in order: type and data."""
        query = "SELECT type, data FROM events WHERE subject_id = $1 ORDER BY id"
        return [(row["type"], json.loads(row["data"])) for row in await self.sql.fetch(query, thing["id"])]

    async def settle(self) -> None:
        self.customer = await self.add_customer()
        self.stranger = await self.add_customer()
        self.guest = await self.add_customer()
        self.agent = await self.add_agent()
        self.colleague = await self.add_agent()
        self.ticket = (await self.add_ticket(Whose.own))["id"]
        self.strangers_ticket = (await self.add_ticket(Whose.others))["id"]
        self.organization = (await self.made("/v1/organizations", {"name": "Acme"}))["id"]
        self.team = (await self.made("/v1/teams", {"key": unique(), "name": "Team"}))["id"]
        await self.made("/v1/custom-fields", custom_field(key="order", **FOR_CUSTOMERS))
        self.article = (await self.made("/v1/articles", article()))["id"]

    async def caller(self, kind: str, scope: str) -> httpx.AsyncClient:
        """The client of a caller. `scope` is the one that a service has or lacks; of several, with spaces, it has all
        or lacks the first."""
        known = kind, scope if kind.startswith("service") else ""
        if known not in self._callers:
            self._callers[known] = await self._stack.enter_async_context(
                client_for(self.app, await self._key_of(kind, scope))
            )
        return self._callers[known]

    async def _key_of(self, kind: str, scope: str) -> str | None:
        match kind:
            case "nobody":
                return None
            case "admin":
                return ADMIN_KEY
            case "customer":
                return await self.add_key(role="customer", customer_id=self.customer)
            case "agent":
                return await self.add_key(role="agent", agent_id=self.agent)
            case "lead":
                return await self.add_key(role="lead", agent_id=self.colleague)
            case "service+":
                # A service has some scope: where none is needed, any.
                return await self.add_key(role="service", scopes=scope.split() or ["imports:write"])
        assert kind == "service-"
        return await self.add_key(role="service", scopes=sorted(SCOPES - set(scope.split()[:1])))

    async def made(self, path: str, body: Body) -> Body:
        answer = await self.admin.post(path, json=body)
        assert answer.status_code == 201, answer.text
        thing: Body = answer.json()
        return thing

    async def add_key(self, **body: Any) -> str:
        return str((await self.made("/v1/api-keys", {"name": "caller", **body}))["key"])

    async def add_customer(self) -> str:
        return str((await self.made("/v1/customers", {"external_id": unique()}))["id"])

    async def merge_away(self, customer_id: str) -> None:
        answer = await self.admin.post(f"/v1/customers/{customer_id}/merge", json={"into": self.stranger})
        assert answer.is_success, answer.text

    async def offer(self, ticket_id: str) -> None:
        """As if a goal had been about to be missed when its customer wrote, and an article had been sent."""
        asked = {"body": "Hello?", "author": {"kind": "customer"}}
        await self.made(f"/v1/tickets/{ticket_id}/messages", asked)
        await self.sql.execute(
            "INSERT INTO overload_offers VALUES ($1, gen_random_uuid(), '{article,call_back,wait}', now(), null, null,"
            " null) ON CONFLICT DO NOTHING",
            ticket_id,
        )
        sent = "INSERT INTO ticket_offers VALUES ($1, $2, 0.5, now(), null) ON CONFLICT DO NOTHING"
        await self.sql.execute(sent, ticket_id, self.article)

    async def claim(self, ticket_id: str) -> None:
        """As if the calling agent had been given it."""
        await self.sql.execute("UPDATE tickets SET assignee_id = $2 WHERE id = $1", ticket_id, self.agent)
        await self.sql.execute(
            "INSERT INTO ticket_claims (id, ticket_id, agent_id, claimed_at, answer_by, why, reason)"
            " VALUES (gen_random_uuid(), $1, $2, now(), now() + interval '1 hour', 'waits_longest', 'R')",
            ticket_id,
            self.agent,
        )

    async def make_available(self, agent_id: str) -> None:
        said = {"state": "online", "capacity": 100}
        answer = await self.admin.put(f"/v1/agents/{agent_id}/availability", json=said)
        assert answer.is_success, answer.text

    async def merge_ticket_away(self, ticket_id: str, context: Whose) -> None:
        into = {"into": self.strangers_ticket if context is Whose.others else self.ticket}
        answer = await self.admin.post(f"/v1/tickets/{ticket_id}/merge", json=into)
        assert answer.is_success, answer.text

    async def add_external_message(self, context: Whose) -> str:
        """The external id of a message of an e-mail ticket."""
        customer = self.stranger if context is Whose.others else self.customer
        ticket = {"subject": "Help", "channel": "email", "customer": {"id": customer}}
        ticket_id, external_id = (await self.made("/v1/tickets", ticket))["id"], unique()
        await self.made(f"/v1/tickets/{ticket_id}/messages", {"body": "Hello.", "external_id": external_id})
        return external_id

    async def _add_participant(self, ticket_id: str) -> str:
        customer_id = await self.add_customer()
        await self.made(f"/v1/tickets/{ticket_id}/participants", {"customer_id": customer_id})
        return customer_id

    async def add_agent(self) -> str:
        return str((await self.made("/v1/agents", {"name": "Ann"}))["id"])

    async def add_ticket(self, context: Whose) -> Body:
        customer = self.stranger if context is Whose.others else self.customer
        towards = {"opened_by": "agent", "asks_confirmation": True}  # so that it may be confirmed
        return await self.made("/v1/tickets", {"subject": "Help", "customer": {"id": customer}, **towards})

    async def path_part(self, name: str, context: Whose) -> str:
        """What stands for `{name}` in a path: something new of the kind."""
        makers: dict[str, Callable[[], Awaitable[object]]] = {
            "ticket_id": lambda: self._ticket_part(context, "id"),
            "number": lambda: self._ticket_part(context, "number"),
            "customer_id": lambda: self._customer_part(context),
            "organization_id": lambda: self._id_of("/v1/organizations", {"name": "Acme"}),
            "field_id": lambda: self._id_of("/v1/custom-fields", custom_field()),
            "agent_id": self.add_agent,
            "team_id": lambda: self._id_of("/v1/teams", {"key": unique(), "name": "Team"}),
            "key_id": lambda: self._id_of("/v1/api-keys", {"name": "k", "role": "admin"}),
            "greeting_id": lambda: self._id_of("/v1/greetings", greeting()),
            "article_id": lambda: self._id_of("/v1/articles", article()),
            "draft_id": lambda: self._id_of("/v1/articles", article() | {"active": False}),
            "automation_key": self._automation_key,
            "goal_id": lambda: self._id_of("/v1/service-goals", goal()),
            "policy_id": lambda: self._id_of("/v1/sla-policies", policy()),
            "calendar_id": lambda: self._id_of("/v1/business-calendars", calendar()),
            "exception_id": lambda: self._id_of("/v1/sla-exceptions", exception(self.ticket)),
            "job_id": self._job_id,
            "segment_id": lambda: self._id_of("/v1/segments", segment()),
            "segment_job_id": self._segment_job_id,
            "simulation_id": lambda: self._id_of("/v1/sla-simulations", simulation()),
            "webhook_id": lambda: self._id_of("/v1/webhooks", webhook()),
            "incident_job_id": self._incident_job_id,
            "macro_id": lambda: self._id_of("/v1/macros", macro()),
            "view_id": lambda: self._id_of("/v1/views", view()),
            "external_id": (self._external_id if context is Whose.any else lambda: self.add_external_message(context)),
            **{f"external_id of {what}": partial(self._called, path, body) for what, path, body in _EXTERNAL},
            **{f"key of {what}": partial(self._called, path, body) for what, path, body in _KEYED},
        }
        return str(await makers[name]())

    async def _called(self, path: str, body: Callable[[], Body]) -> object:
        """What a new thing is called, with a slash in it where that may be: as a part of a path."""
        made = await self.made(path, body())
        return quote(str(made.get("external_id") or made["key"]), safe="")

    async def _ticket_part(self, context: Whose, name: str) -> object:
        return (await self.add_ticket(context))[name]

    async def _customer_part(self, context: Whose) -> object:
        if context is Whose.any:
            return await self.add_customer()
        return self.stranger if context is Whose.others else self.customer

    async def _id_of(self, path: str, body: Body) -> object:
        return (await self.made(path, body))["id"]

    @property
    def on_ticket(self) -> dict[str, Callable[[str], Awaitable[str]]]:
        """Makes what stands for `{name}` on a ticket. The message is somebody's who is none of the callers."""
        return {
            "promise_id": self.add_promise,
            "message_id": self._add_message,
            "attachment_id": self._add_attachment,
            "link_id": self._add_link,
            "delivery_id": self._add_delivery,
            "customer_id": self._add_participant,
        }

    async def _add_message(self, ticket_id: str) -> str:
        author = {"kind": "agent", "id": await self.add_agent()}
        return str(await self._id_of(f"/v1/tickets/{ticket_id}/messages", {"body": "Hello.", "author": author}))

    async def _add_attachment(self, ticket_id: str) -> str:
        return str(await self._id_of(f"/v1/tickets/{ticket_id}/attachments?visibility=public", {}))

    async def _add_link(self, ticket_id: str) -> str:
        link = {"kind": "relates_to", "ticket_id": self.ticket}
        return str(await self._id_of(f"/v1/tickets/{ticket_id}/links", link))

    async def _add_delivery(self, webhook_id: str) -> str:
        """One that was given up."""
        delivery_id = str(await self._id_of(f"/v1/webhooks/{webhook_id}/test", {}))
        await self.sql.execute("UPDATE webhook_deliveries SET state = 'dead' WHERE id = $1", delivery_id)
        return delivery_id

    async def add_promise(self, ticket_id: str) -> str:
        return str(await self._id_of(f"/v1/tickets/{ticket_id}/promises", PROMISE))

    async def _job_id(self) -> object:
        policy_id = await self._id_of("/v1/sla-policies", policy())
        return (await self.admin.post(f"/v1/sla-policies/{policy_id}/reapply", json={})).json()["id"]

    async def _automation_key(self) -> object:
        return "auto_close"

    async def _segment_job_id(self) -> object:
        await self.made("/v1/segments", segment())
        return (await self.admin.get("/v1/segment-jobs?limit=1")).json()["items"][0]["id"]

    async def add_override(self, segment_id: str) -> str:
        override = {"customer_id": await self.add_customer(), "effect": "include", "reason": "VIP."}
        return str(await self._id_of(f"/v1/segments/{segment_id}/overrides", override))

    async def become_problem(self, ticket_id: str) -> None:
        answer = await self.admin.patch(f"/v1/tickets/{ticket_id}", json={"type": "problem"})
        assert answer.is_success, answer.text

    async def resolve(self, ticket_id: str) -> None:
        answer = await self.admin.patch(f"/v1/tickets/{ticket_id}", json={"status": "resolved"})
        assert answer.is_success, answer.text

    async def _incident_job_id(self) -> object:
        problem_id = str((await self.add_ticket(Whose.own))["id"])
        await self.become_problem(problem_id)
        answer = await self.admin.post(f"/v1/tickets/{problem_id}/solve-problem", json={"body": "It works again."})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def _external_id(self) -> object:
        return unique()


def goal() -> Body:
    return {"key": unique(), "name": "Goal", "target_seconds": 90, "window": {"rolling_seconds": 60}}


_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def greeting() -> Body:
    """In a language that none has yet."""
    language = "".join(secrets.choice(_LETTERS) for _ in range(3))
    return {"channel": "phone", "language": f"{language}-{unique()[:8]}", "body": "Hello, {{customer_name}}."}


def article() -> Body:
    return {"key": unique(), "title": "Where is my parcel?", "body": "On its way.", "language": "en"}


def custom_field(**more: Any) -> Body:
    """Of tickets, and a number, unless told otherwise."""
    return {"subject": "ticket", "key": unique(), "name": "Field", "type": "number", **more}


def policy() -> Body:
    """One that covers nothing, so that it gets into nobody's way."""
    never = {"all": [{"field": "ticket.subject", "op": "eq", "value": unique()}], "any": []}
    return {"key": unique(), "name": "Policy", "conditions": never, "targets": POLICY_TARGETS}


def simulation() -> Body:
    return {"policies": [], "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


def segment() -> Body:
    """One that holds nobody, so that it gets into nobody's way."""
    never = {"field": "customer.external_id", "op": "eq", "value": unique()}
    return {"key": unique(), "name": "Segment", "rule": never}


def macro() -> Body:
    changes = {"priority": "high", "add_tags": ["late"]}
    return {"name": "Apology", "body": "Sorry about {{ticket.number}}.", "changes": changes}


def view() -> Body:
    return {"name": "View", "filter": {"status": ["new", "open"]}, "sort": "due_at", "shared": True}


def webhook() -> Body:
    return {"url": "https://hooks.example.com/in", "types": ["*"]}


def calendar() -> Body:
    return {"name": "Office", "timezone": "Europe/Helsinki", "hours": {"mon": [["09:00", "17:00"]]}}


def exception(ticket_id: str) -> Body:
    return {"ticket_id": ticket_id, "effect": "extend", "seconds": 60, "reason": "Storm."}


def everywhere() -> Body:
    """An exception that reaches nothing: it begins when nobody works any more."""
    return {"scope": "everything", "effect": "extend", "seconds": 1, "reason": "x", "starts_at": "2090-01-01T00:00:00Z"}


_EXTERNAL: list[tuple[str, str, Callable[[], Body]]] = [
    ("customer", "/v1/customers", lambda: {"external_id": f"a/{unique()}"}),
    ("organization", "/v1/organizations", lambda: {"name": "O", "external_id": f"a/{unique()}"}),
    ("agent", "/v1/agents", lambda: {"name": "A", "external_id": f"a/{unique()}"}),
]
_KEYED: list[tuple[str, str, Callable[[], Body]]] = [
    ("team", "/v1/teams", lambda: {"name": "T", "key": f"a/{unique()}"}),
    ("segment", "/v1/segments", segment),
    ("service_goal", "/v1/service-goals", goal),
    ("sla_policy", "/v1/sla-policies", policy),
]


CALLED = {what for what, _, _ in (*_EXTERNAL, *_KEYED)}
"""What is read by a key or an external id of its own."""


@asynccontextmanager
async def a_world(databases: Databases, data_dir: Path) -> AsyncIterator[World]:
    """A world with a database of its own."""
    with databases() as url:
        app = create_app(roomy(url, data_dir))
        async with app.router.lifespan_context(app), AsyncExitStack() as stack:
            sql = await asyncpg.connect(url)
            stack.push_async_callback(sql.close)
            world = World(app, await stack.enter_async_context(client_for(app, ADMIN_KEY)), sql, stack)
            await world.settle()
            yield world

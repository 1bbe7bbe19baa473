"""A stage for canaries: a customer's ticket and one that they take part in, with notes on them, and a stranger's
ticket, all full of marked words."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import httpx

from tests.auth.crawl import Body
from tests.conftest import Person

NOTE = "canary-note"
THEIRS = "canary-theirs"
STAFF = "canary-staff"
ASKER = "canary-asker"
USED_KEY = "canary-key-"
SCOPES = ["tickets:read", "tickets:write"]


class Stage:
    """`own` is the customer's ticket, `joined` one that they take part in, `theirs` the stranger's;
    `private` is what must not reach the customer."""

    def __init__(self, admin: httpx.AsyncClient, sql: Any) -> None:
        self.admin = admin
        self.sql = sql
        self.private = {NOTE, THEIRS, STAFF, ASKER}
        self.values: list[str] = []
        self._keys = count()

    async def build(self, person: Callable[..., Awaitable[Person]]) -> None:
        agent_id = await self._made("/v1/agents", {"name": STAFF, "email": f"{STAFF}@example.org"})
        team_id = await self._made("/v1/teams", {"key": STAFF, "name": STAFF})
        self.agent = await person("agent", agent_id=agent_id["id"])
        self.lead = await person("lead")
        self.service = await person("service", scopes=SCOPES)
        self.customer = await person("customer")
        await self._made("/v1/custom-fields", {"subject": "ticket", "key": "f", "name": STAFF, "type": "text"})
        theirs = {"name": THEIRS, "external_id": THEIRS, "email": f"{THEIRS}@example.org", "attributes": {"a": THEIRS}}
        organization = await self._made("/v1/organizations", theirs)
        self.own = await self._made("/v1/tickets", {"subject": "Mine", "customer": {"id": str(self.customer.id)}})
        await self._take_part()
        self.theirs = await self._made("/v1/tickets", _full_of_words(organization["id"]))
        await self.say(self.agent.http, self.own, "Said aloud.")
        await self.say(self.customer.http, self.own, "Said back.")
        await self.say(self.agent.http, self.theirs, THEIRS)
        await self.write_notes(self.own)
        await self.write_notes(self.theirs)
        await self._agree_on_times(team_id["id"])
        link = {"kind": "duplicates", "ticket_id": self.theirs["id"]}
        link_id = (await self._made(f"/v1/tickets/{self.own['id']}/links", link))["id"]
        await self._made(f"/v1/tickets/{self.theirs['id']}/attachments?name={THEIRS}", {"words": THEIRS})
        await self.agent.http.put(f"/v1/tickets/{self.own['id']}/followers/{agent_id['id']}")
        await self._write_articles()
        self.own_ids = [self.own["id"], str(self.own["number"]), str(self.customer.id)]
        self.values = [
            *self.own_ids, self.joined["id"], str(self.joined["number"]),
            self.theirs["id"], str(self.theirs["number"]), self.theirs["customer_id"], THEIRS,
            agent_id["id"], team_id["id"], organization["id"], "not_found",
            *await self.ids("SELECT id FROM messages WHERE visibility = 'internal' LIMIT 1"),
            *await self._one_of_each_kind(),
        ]  # fmt: skip
        self.private |= {
            self.theirs["id"], self.theirs["customer_id"], organization["id"],
            link_id, *await self.ids("SELECT id FROM attachments"),
            *await self.ids("SELECT id FROM sla_policies UNION SELECT id FROM business_calendars"),
            *await self.ids("SELECT id FROM messages WHERE body LIKE 'canary%'"),
            *await self.ids(f"SELECT id FROM sla_clocks WHERE ticket_id = '{self.theirs['id']}'"),
        }  # fmt: skip

    async def _take_part(self) -> None:
        """The customer reads somebody else's ticket: not who that is, and no note on it."""
        asker = {"external_id": ASKER, "name": ASKER, "email": f"{ASKER}@example.org"}
        self.joined = await self._made("/v1/tickets", {"subject": "Ours", "customer": asker})
        await self._made(f"/v1/tickets/{self.joined['id']}/participants", {"customer_id": str(self.customer.id)})
        await self.say(self.agent.http, self.joined, "Said to both.")
        await self.write_notes(self.joined)

    async def _write_articles(self) -> None:
        """One that is not shown yet, and one for others, about what a customer asks for."""
        members = await self._made("/v1/segments", {"key": STAFF, "name": STAFF, "position": 1, "self_service": True})
        article = {"title": f"Hello again {STAFF}", "body": f"{STAFF} {NOTE}", "tags": [STAFF], "language": "en"}
        await self._made("/v1/articles", {**article, "key": "draft", "active": False})
        await self._made("/v1/articles", {**article, "key": "members", "segment_ids": [members["id"]]})

    async def _one_of_each_kind(self) -> list[str]:
        """An id or two of every table that has ids of things, whichever there are: the contract's paths lead to them.
        Tickets, messages and customers are named one by one."""
        tables = await self.ids(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'id' AND data_type = 'uuid'"
            " AND table_schema = 'public' AND table_name NOT IN ('tickets', 'messages', 'customers', 'sla_clocks')"
        )
        return [id_ for table in tables for id_ in await self.ids(f'SELECT id FROM "{table}" ORDER BY id DESC LIMIT 2')]

    async def _agree_on_times(self, team_id: str) -> None:
        """Promises to both customers, exceptions for both tickets, a policy and a calendar: the staff's own business,
        but for a promise to oneself."""
        promise = {"text": THEIRS, "due_at": "2036-01-01T00:00:00Z"}
        await self._made(f"/v1/tickets/{self.theirs['id']}/promises", promise)
        await self._made(f"/v1/tickets/{self.own['id']}/promises", {**promise, "text": "To call you."})
        for ticket in (self.own, self.theirs):
            exception = {"ticket_id": ticket["id"], "effect": "extend", "seconds": 60, "reason": NOTE}
            await self._made("/v1/sla-exceptions", exception)
        await self._made("/v1/macros", {"name": STAFF, "body": STAFF})
        await self._made("/v1/views", {"name": STAFF, "filter": {"tag": THEIRS}, "shared": True})
        hours = {"mon": [["09:00", "17:00"]]}
        calendar = await self._made("/v1/business-calendars", {"name": STAFF, "timezone": "UTC", "hours": hours})
        target = {"metric": "first_response", "seconds": 60, "hours": "business"}
        its_team = {"field": "ticket.team_id", "op": "eq", "value": team_id}
        policy = {"key": STAFF, "name": STAFF, "conditions": {"all": [its_team]}, "targets": [target]}
        made = await self._made("/v1/sla-policies", {**policy, "calendar_id": calendar["id"]})
        await self.admin.post(f"/v1/sla-policies/{made['id']}/reapply", json={})

    async def write_notes(self, ticket: Body) -> None:
        """By everybody who can write them, in the name of everybody they can name."""
        for staff in (self.agent.http, self.lead.http, self.service.http, self.admin):
            await self.say(staff, ticket, NOTE, visibility="internal")
        for kind in ("customer", "agent", "bot", "system"):
            for may_name in (self.service.http, self.admin):
                author = {"kind": kind, "id": str(self.agent.id if kind == "agent" else self.customer.id)}
                await self.say(may_name, ticket, NOTE, visibility="internal", author=author)
        file = await self._made(f"/v1/tickets/{ticket['id']}/attachments?name={NOTE}&visibility=internal", {"a": NOTE})
        await self.say(self.agent.http, ticket, NOTE, visibility="internal", attachment_ids=[file["id"]])

    async def say(self, who: httpx.AsyncClient, ticket: Body, body: str, **more: Any) -> Body:
        headers = {"Idempotency-Key": f"{USED_KEY}{next(self._keys)}"}
        answer = await who.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": body, **more}, headers=headers)
        assert answer.status_code == 201, answer.text
        said: Body = answer.json()
        return said

    async def ids(self, query: str) -> list[str]:
        return [str(id_) for [id_] in await self.sql.fetch(query)]

    async def _made(self, path: str, body: Body) -> Body:
        answer = await self.admin.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made: Body = answer.json()
        return made


def _full_of_words(organization_id: str) -> Body:
    return {
        "subject": THEIRS, "description": THEIRS, "tags": [THEIRS], "product": THEIRS, "custom_fields": {"f": THEIRS},
        "organization_id": organization_id, "external_id": THEIRS,
        "customer": {"external_id": THEIRS, "name": THEIRS, "email": f"{THEIRS}@example.org"},
    }  # fmt: skip

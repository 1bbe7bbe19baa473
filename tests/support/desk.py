"""A desk with people at it: they open, answer and change tickets, and look at what came of it."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.custom_fields import define
from tests.support.world import Body, World, unique

__all__ = ["Body", "Desk", "a_desk", "pointer", "unique"]


@dataclass(frozen=True, slots=True)
class Desk:
    """`agent` and `lead` stand for `agent_id` and `lead_id`, `customer` for `customer_id`."""

    admin: httpx.AsyncClient
    lead: httpx.AsyncClient
    agent: httpx.AsyncClient
    service: httpx.AsyncClient
    customer: httpx.AsyncClient
    agent_id: str
    lead_id: str
    customer_id: str

    async def open(self, **body: Any) -> Body:
        """A ticket of the customer's."""
        answer = await self.admin.post("/v1/tickets", json={"subject": "Help", "customer": self.them, **body})
        assert answer.status_code == 201, answer.text
        return as_body(answer)

    @property
    def them(self) -> Body:
        return {"id": self.customer_id}

    async def define(self, type_: str, *keys: str) -> None:
        await define(self.admin, type_, *keys)

    async def in_status(self, status: str) -> Body:
        ticket = await self.open()
        if status != "new":
            assert (await self.change(self.admin, ticket, status=status)).status_code == 200
        return await self.read(ticket)

    async def say(self, who: httpx.AsyncClient, ticket: Body, **message: Any) -> httpx.Response:
        return await who.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Hello.", **message})

    async def change(self, who: httpx.AsyncClient, ticket: Body, **patch: Any) -> httpx.Response:
        return await who.patch(f"/v1/tickets/{ticket['id']}", json=patch)

    async def read(self, ticket: Body) -> Body:
        return as_body(await self.admin.get(f"/v1/tickets/{ticket['id']}"))

    async def messages(self, ticket: Body) -> list[Body]:
        return await self._items(f"/v1/tickets/{ticket['id']}/messages")

    async def events(self, ticket: Body, *types: str) -> list[Body]:
        found = await self._items(f"/v1/tickets/{ticket['id']}/events")
        return [event for event in found if not types or event["type"] in types]

    async def statuses(self, ticket: Body) -> list[tuple[str, str, str]]:
        """Each recorded change of status: from, to, by what kind of actor."""
        changes = [(event["data"], event["actorkind"]) for event in await self.events(ticket, "ticket.status_changed")]
        return [(change["before"], change["after"], by) for change, by in changes]

    async def clock(self, ticket: Body) -> Body:
        """The first clock."""
        return (await self._items(f"/v1/tickets/{ticket['id']}/clocks", limit=None))[0]

    async def _items(self, path: str, limit: int | None = 200) -> list[Body]:
        answer = await self.admin.get(path, params={"limit": limit} if limit else None)
        items: list[Body] = as_body(answer)["items"]
        return items


async def a_desk(world: World) -> Desk:
    return Desk(
        admin=world.admin,
        lead=await world.caller("lead", ""),
        agent=await world.caller("agent", ""),
        service=await world.caller("service+", "tickets:write"),
        customer=await world.caller("customer", ""),
        agent_id=world.agent,
        lead_id=world.colleague,
        customer_id=world.customer,
    )


def as_body(answer: httpx.Response) -> Body:
    assert answer.is_success, answer.text
    body: Body = answer.json()
    return body


def as_changed(ticket: Body) -> Body:
    """A ticket that was read, as a change answers it: without what `include` asks for."""
    beside = {"clocks", "messages", "customer", "assignee", "team", "last_message"}
    return {name: value for name, value in ticket.items() if name not in beside}


def pointer(answer: httpx.Response) -> str:
    """What a 422 points at."""
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["pointer"])

"""The promises of all tickets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.support.expect import problem
from tests.support.openapi import Open
from tests.support.verification import Body, good, soon

Make = Callable[..., Awaitable[Person]]


async def _promise(http: httpx.AsyncClient, ticket: Body, seconds: float) -> Body:
    return good(
        await http.post(f"/v1/tickets/{ticket['id']}/promises", json={"text": "A call.", "due_at": soon(seconds)})
    )


async def _listed(http: httpx.AsyncClient, **asked: Any) -> list[str]:
    return [each["id"] for each in good(await http.get("/v1/promises", params=asked))["items"]]


async def test_promises_of_all_tickets_are_listed_by_when_they_are_due(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    made = [await _promise(client, await open_ticket(), seconds) for seconds in (300, 100, 200)]
    due = [made[1]["id"], made[2]["id"], made[0]["id"]]
    assert await _listed(client) == due
    assert await _listed(client, sort="-due_at") == due[::-1]
    assert await _listed(client, due_before=made[2]["due_at"]) == due[:1]
    assert await _listed(client, due_after=made[2]["due_at"]) == due[1:]
    first = good(await client.get("/v1/promises", params={"limit": 2}))
    assert first["items"][0] == {**made[1], "state": "open"}
    assert await _listed(client, limit=2, cursor=first["next_cursor"]) == due[2:]


async def test_a_list_and_a_ticket_say_the_same_state_and_each_is_found_by_it(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    broken, kept, withdrawn, _open, late = [await _promise(client, ticket, s) for s in (0.3, 100, 100, 100, 0.4)]
    path = f"/v1/tickets/{ticket['id']}/promises"
    good(await client.post(f"{path}/{kept['id']}/keep"))
    good(await client.post(f"{path}/{withdrawn['id']}/withdraw", json={"reason": "Not needed."}))
    await asyncio.sleep(0.5)
    good(await client.post(f"{path}/{late['id']}/keep"))
    of_ticket = {each["id"]: each["state"] for each in good(await client.get(path))["items"]}
    assert of_ticket[late["id"]] == of_ticket[broken["id"]] == "broken"
    for state in ("open", "kept", "broken", "withdrawn"):
        expected = {id_ for id_, its in of_ticket.items() if its == state}
        assert expected
        found = good(await client.get("/v1/promises", params={"state": state}))["items"]
        assert {(each["id"], each["state"]) for each in found} == {(id_, state) for id_ in expected}
    assert set(await _listed(client, state="open,kept")) == {kept["id"], _open["id"]}


async def test_an_agent_finds_their_own_and_who_is_no_agent_is_told(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    agent = await person("agent")
    ticket = await open_ticket()
    await _promise(client, ticket, 100)
    own = await _promise(agent.http, ticket, 200)
    assert await _listed(agent.http, agent_id="me") == await _listed(client, agent_id=str(agent.id)) == [own["id"]]
    problem(await client.get("/v1/promises", params={"agent_id": "me"}), 422)


async def test_customers_read_their_promises_on_the_ticket_only(person: Make) -> None:
    problem(await (await person("customer")).http.get("/v1/promises"), 403)


@pytest.mark.parametrize("name", ["assignee_id", "team_id", "segment"])
async def test_clocks_of_what_nobody_has_are_asked_for_with_none(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, name: str
) -> None:
    agent = await person("agent")
    team = good(await client.post("/v1/teams", json={"key": "t", "name": "T"}))
    without = await open_ticket()
    with_both = await open_ticket(assignee_id=str(agent.id), team_id=team["id"])

    async def tickets(**asked: str) -> set[str]:
        found = good(await agent.http.get("/v1/sla-clocks", params={"sort": "started_at", **asked}))["items"]
        return {clock["ticket_id"] for clock in found}

    both = {without["id"], with_both["id"]}
    assert await tickets() == both
    assert await tickets(**{name: "none"}) == (both if name == "segment" else {without["id"]})
    if name == "assignee_id":
        assert await tickets(assignee_id="me") == {with_both["id"]}
        assert await tickets(assignee_id="me,none") == both

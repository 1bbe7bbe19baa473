"""Following a ticket: who may for whom, as often as they like, without a trace on the ticket."""

import asyncio

import httpx

from tests.support.desk import Body, Desk, as_body
from tests.support.expect import problem
from tests.support.openapi import NOBODY


def _path(ticket: Body, agent_id: str = "") -> str:
    return f"/v1/tickets/{ticket['id']}/followers" + (f"/{agent_id}" if agent_id else "")


async def _following(who: httpx.AsyncClient, ticket: Body) -> list[str]:
    return [item["agent_id"] for item in as_body(await who.get(_path(ticket)))["items"]]


async def test_an_agent_follows_for_themselves_and_a_lead_for_anybody(desk: Desk) -> None:
    ticket = await desk.open()
    assert (await desk.agent.put(_path(ticket, desk.agent_id))).status_code == 204
    problem(await desk.agent.put(_path(ticket, desk.lead_id)), 403, "forbidden")
    assert (await desk.service.put(_path(ticket, desk.lead_id))).status_code == 204
    assert await _following(desk.agent, ticket) == [desk.agent_id, desk.lead_id]
    problem(await desk.agent.delete(_path(ticket, desk.lead_id)), 403, "forbidden")
    for who, agent_id in ((desk.lead, desk.agent_id), (desk.admin, desk.lead_id)):
        assert (await who.delete(_path(ticket, agent_id))).status_code == 204
    assert await _following(desk.agent, ticket) == []


async def test_whoever_is_not_there_or_has_left_does_not_follow(desk: Desk) -> None:
    ticket = await desk.open()
    gone = as_body(await desk.admin.post("/v1/agents", json={"name": "Gone"}))["id"]
    assert (await desk.lead.put(_path(ticket, gone))).status_code == 204
    await desk.admin.delete(f"/v1/agents/{gone}")
    problem(await desk.lead.put(_path(ticket, gone)), 404, "not_found")
    assert (await desk.lead.delete(_path(ticket, gone))).status_code == 204
    problem(await desk.lead.put(_path(ticket, NOBODY)), 404, "not_found")
    for method in ("PUT", "DELETE"):
        answer = await desk.agent.request(method, _path({"id": NOBODY}, desk.agent_id))
        problem(answer, 404, "not_found")
    problem(await desk.agent.get(_path({"id": NOBODY})), 404, "not_found")
    assert await _following(desk.agent, ticket) == []


async def test_a_repeat_changes_and_tells_nothing_and_neither_touches_the_ticket(desk: Desk) -> None:
    ticket = await desk.open()
    path = _path(ticket, desk.agent_id)
    for method in ("PUT", "PUT", "DELETE", "DELETE", "PUT"):
        assert (await desk.agent.request(method, path)).status_code == 204
    told = await desk.events(ticket, "ticket.followed", "ticket.unfollowed")
    assert [(e["type"], e["subject"], e.get("actorid")) for e in told] == [
        (f"ticket.{verb}", desk.agent_id, desk.agent_id) for verb in ("followed", "unfollowed", "followed")
    ]
    assert await desk.read(ticket) == ticket | dict.fromkeys(
        ("clocks", "messages", "customer", "assignee", "team", "last_message")
    )


async def test_at_once_is_once(desk: Desk) -> None:
    ticket = await desk.open()
    answers = await asyncio.gather(*(desk.agent.put(_path(ticket, desk.agent_id)) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {204}
    assert len(await desk.events(ticket, "ticket.followed")) == 1
    assert await _following(desk.agent, ticket) == [desk.agent_id]


async def test_a_customer_is_told_nothing_of_followers(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.agent.put(_path(ticket, desk.agent_id))
    for method, path in (
        ("GET", _path(ticket)), ("PUT", _path(ticket, desk.agent_id)), ("DELETE", _path(ticket, desk.agent_id)),
    ):  # fmt: skip
        problem(await desk.customer.request(method, path), 403, "forbidden")
    theirs = as_body(await desk.customer.get(f"/v1/tickets/{ticket['id']}/events"))["items"]
    assert "follow" not in str(theirs)
    assert await _following(desk.lead, ticket) == [desk.agent_id]

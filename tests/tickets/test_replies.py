from typing import Any
from uuid import UUID

import pytest

from tests.support.desk import Desk, pointer
from tests.support.events import actor_of


async def test_a_reply_with_a_status_applies_the_message_first_and_records_both(desk: Desk) -> None:
    ticket = await desk.open()
    assert (await desk.say(desk.agent, ticket, status="pending")).status_code == 201
    assert await desk.statuses(ticket) == [("new", "open", "agent"), ("open", "pending", "agent")]
    types = [event["type"] for event in await desk.events(ticket)]
    assert types.index("message.created") < types.index("ticket.status_changed")
    assert (await desk.read(ticket))["status"] == "pending"


async def test_the_first_public_message_of_an_agent_opens_a_new_ticket(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.agent, ticket)
    await desk.say(desk.agent, ticket)
    assert await desk.statuses(ticket) == [("new", "open", "agent")]


async def test_a_customers_message_leaves_a_new_ticket_new(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.customer, ticket)
    assert (await desk.read(ticket))["status"] == "new"
    assert await desk.statuses(ticket) == []


async def test_a_customers_message_takes_a_ticket_out_of_pending(desk: Desk) -> None:
    ticket = await desk.in_status("pending")
    await desk.say(desk.customer, ticket)
    assert (await desk.statuses(ticket))[-1] == ("pending", "open", "customer")


@pytest.mark.parametrize("who", ["agent", "customer"])
async def test_a_ticket_on_hold_stays_there_whoever_writes(desk: Desk, who: str) -> None:
    ticket = await desk.in_status("on_hold")
    await desk.say(getattr(desk, who), ticket)
    assert (await desk.read(ticket))["status"] == "on_hold"


async def test_a_customers_message_reopens_a_resolved_ticket(desk: Desk) -> None:
    ticket = await desk.in_status("resolved")
    assert ticket["resolved_at"] is not None
    await desk.say(desk.customer, ticket)
    assert (await desk.statuses(ticket))[-1] == ("resolved", "open", "customer")
    after = await desk.read(ticket)
    assert (after["status"], after["resolved_at"]) == ("open", None)


async def test_an_agents_message_leaves_a_resolved_ticket_resolved(desk: Desk) -> None:
    ticket = await desk.in_status("resolved")
    await desk.say(desk.agent, ticket)
    after = await desk.read(ticket)
    assert (after["status"], after["resolved_at"]) == ("resolved", ticket["resolved_at"])


async def test_what_is_reopened_and_resolved_in_one_request_is_resolved_anew(desk: Desk) -> None:
    ticket = await desk.in_status("resolved")
    said = (await desk.say(desk.customer, ticket, status="resolved")).json()
    assert (await desk.statuses(ticket))[-2:] == [("resolved", "open", "customer"), ("open", "resolved", "customer")]
    assert (await desk.read(ticket))["resolved_at"] == said["created_at"] > ticket["resolved_at"]


@pytest.mark.parametrize("who", ["agent", "lead", "admin", "service"])
async def test_a_closed_ticket_takes_no_message(desk: Desk, who: str) -> None:
    ticket = await desk.in_status("closed")
    answer = await desk.say(getattr(desk, who), ticket)
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_closed")
    assert (await desk.messages(ticket), await desk.read(ticket)) == ([], ticket)


async def test_a_refused_status_takes_the_message_with_it(desk: Desk) -> None:
    ticket = await desk.in_status("open")
    answer = await desk.say(desk.agent, ticket, status="new")
    assert (answer.status_code, answer.json()["code"]) == (409, "transition_not_allowed")
    assert (await desk.messages(ticket), await desk.read(ticket)) == ([], ticket)


@pytest.mark.parametrize("who", ["agent", "lead", "admin", "service"])
@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "resolved"])
async def test_an_internal_note_changes_nothing(desk: Desk, who: str, status: str) -> None:
    ticket, events = await desk.in_status(status), ["message.created"]
    before = await desk.events(ticket)
    clock = await desk.clock(ticket)
    answer = await desk.say(getattr(desk, who), ticket, visibility="internal")
    assert answer.json()["visibility"] == "internal"
    assert await desk.read(ticket) == ticket
    assert [event["type"] for event in (await desk.events(ticket))[len(before) :]] == events
    assert (await desk.clock(ticket))["stopped_at"] == clock["stopped_at"]


async def test_an_internal_note_may_carry_a_status_and_an_assignee(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.agent, ticket, visibility="internal", status="on_hold", assignee_id=desk.agent_id)
    after = await desk.read(ticket)
    assert (after["status"], after["assignee_id"], after["version"]) == ("on_hold", desk.agent_id, 2)


async def test_a_public_message_makes_one_new_version(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.agent, ticket, status="pending", assignee_id=desk.agent_id)
    assert (await desk.read(ticket))["version"] == ticket["version"] + 1


async def test_a_reply_may_assign_and_the_audit_says_from_whom_to_whom(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.lead, ticket, assignee_id=desk.agent_id)
    assert (await desk.read(ticket))["assignee_id"] == desk.agent_id
    [event] = await desk.events(ticket, "ticket.updated")
    assert event["data"]["changed"] == ["assignee_id"]
    assert (event["data"]["before"]["assignee_id"], event["data"]["after"]["assignee_id"]) == (None, desk.agent_id)
    assert actor_of(event) == {"kind": "agent", "id": desk.lead_id}


async def test_assigning_whom_it_has_already_is_no_change(desk: Desk) -> None:
    ticket = await desk.open(assignee_id=desk.agent_id)
    await desk.say(desk.agent, ticket, assignee_id=desk.agent_id)
    assert await desk.events(ticket, "ticket.updated") == []


async def test_an_agent_assigns_only_themselves_and_a_lead_anybody(desk: Desk) -> None:
    ticket = await desk.open()
    refused = await desk.say(desk.agent, ticket, assignee_id=desk.lead_id)
    assert refused.status_code == 403
    assert await desk.messages(ticket) == []
    assert (await desk.say(desk.agent, ticket, assignee_id=desk.agent_id)).status_code == 201
    assert (await desk.say(desk.lead, ticket, assignee_id=desk.lead_id)).status_code == 201
    assert (await desk.say(desk.lead, ticket, assignee_id=desk.agent_id)).status_code == 201


async def test_an_unknown_assignee_is_pointed_at(desk: Desk) -> None:
    ticket = await desk.open()
    assert pointer(await desk.say(desk.lead, ticket, assignee_id=desk.customer_id)) == "/assignee_id"
    assert await desk.messages(ticket) == []


@pytest.mark.parametrize("status", ["resolved", "closed"])
async def test_a_customer_may_resolve_and_close_with_their_last_word(desk: Desk, status: str) -> None:
    ticket = await desk.in_status("open")
    assert (await desk.say(desk.customer, ticket, status=status)).status_code == 201
    assert (await desk.statuses(ticket))[-1] == ("open", status, "customer")


@pytest.mark.parametrize("message", [{"status": "on_hold"}, {"status": "open"}, {"visibility": "internal"}])
async def test_a_customer_may_do_nothing_else_with_a_message(desk: Desk, message: dict[str, Any]) -> None:
    ticket = await desk.in_status("pending")
    assert (await desk.say(desk.customer, ticket, **message)).status_code == 403
    assert (await desk.messages(ticket), await desk.read(ticket)) == ([], ticket)


async def test_everybody_is_the_author_of_what_they_write(desk: Desk) -> None:
    ticket = await desk.open()
    for who in (desk.agent, desk.lead, desk.customer, desk.admin, desk.service):
        assert (await desk.say(who, ticket)).status_code == 201
    assert [message["author"] for message in await desk.messages(ticket)] == [
        {"kind": "agent", "id": desk.agent_id},
        {"kind": "agent", "id": desk.lead_id},
        {"kind": "customer", "id": desk.customer_id},
        {"kind": "agent", "id": None},
        {"kind": "bot", "id": None},
    ]


@pytest.mark.parametrize("who", ["agent", "lead", "customer"])
async def test_only_admin_and_service_name_an_author(desk: Desk, who: str) -> None:
    ticket = await desk.open()
    answer = await desk.say(getattr(desk, who), ticket, author={"kind": "agent", "id": desk.agent_id})
    assert answer.status_code == 403


@pytest.mark.parametrize("who", ["admin", "service"])
@pytest.mark.parametrize("kind", ["customer", "agent", "bot", "system"])
async def test_a_named_author_is_who_said_it_and_what_it_brings_about(desk: Desk, who: str, kind: str) -> None:
    ticket = await desk.in_status("pending")
    answer = await desk.say(getattr(desk, who), ticket, author={"kind": kind})
    # Whoever writes for the customer writes for the ticket's.
    assert answer.json()["author"] == {"kind": kind, "id": ticket["customer_id"] if kind == "customer" else None}
    assert (await desk.read(ticket))["status"] == ("open" if kind == "customer" else "pending")
    [event] = await desk.events(ticket, "message.created")
    assert event["actorkind"] == kind


@pytest.mark.parametrize(("kind", "state"), [("agent", "met"), ("bot", "running"), ("system", "running")])
async def test_only_an_agents_message_is_an_answer(desk: Desk, kind: str, state: str) -> None:
    ticket = await desk.open()
    await desk.say(desk.admin, ticket, author={"kind": kind})
    assert (await desk.clock(ticket))["state"] == state


async def test_a_bots_message_leaves_a_new_ticket_new_and_its_clock_running(desk: Desk) -> None:
    ticket = await desk.open()
    await desk.say(desk.service, ticket)
    assert ((await desk.read(ticket))["status"], (await desk.clock(ticket))["state"]) == ("new", "running")


async def test_messages_come_oldest_first_with_the_description_before_them(desk: Desk) -> None:
    ticket = await desk.open(description="It broke.")
    for body in ("One.", "Two.", "Three."):
        await desk.say(desk.agent, ticket, body=body)
    assert [message["body"] for message in await desk.messages(ticket)] == ["It broke.", "One.", "Two.", "Three."]


async def test_the_text_of_a_message_is_not_in_the_log(desk: Desk) -> None:
    ticket = await desk.open(description="A most private matter.")
    await desk.say(desk.agent, ticket, body="A most private matter.")
    assert "private matter" not in repr(await desk.events(ticket))


@pytest.mark.parametrize("kind", ["agent", "customer"])
@pytest.mark.parametrize("who", ["admin", "service"])
async def test_an_author_who_is_named_is_there(desk: Desk, who: str, kind: str) -> None:
    ticket = await desk.read(await desk.open())
    nobody = {"kind": kind, "id": str(UUID(int=7))}
    answer = await desk.say(getattr(desk, who), ticket, author=nobody)
    assert (answer.status_code, pointer(answer)) == (422, "/author/id")
    assert (await desk.messages(ticket), await desk.read(ticket)) == ([], ticket)
    somebody = {"kind": kind, "id": desk.agent_id if kind == "agent" else desk.customer_id}
    assert (await desk.say(getattr(desk, who), ticket, author=somebody)).json()["author"] == somebody


async def test_a_bots_id_is_its_owners_own(desk: Desk) -> None:
    bot = {"kind": "bot", "id": str(UUID(int=7))}
    assert (await desk.say(desk.service, await desk.open(), author=bot)).json()["author"] == bot

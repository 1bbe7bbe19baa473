import asyncio
from typing import Any

import pytest

from tests.support.desk import Desk, as_body, as_changed, pointer, unique
from tests.support.events import actor_of
from tests.support.world import World

_NULLABLE = ("assignee_id", "team_id", "external_id", "product")
_NEVER_NULL = ("subject", "status", "channel", "priority", "type", "tags", "custom_fields")
_CHANGES: dict[str, Any] = {
    "subject": "Another", "channel": "phone", "priority": "urgent", "type": "incident", "tags": ["vip"],
    "custom_fields": {"order": 7}, "product": "card", "external_id": "X-1",
}  # fmt: skip


@pytest.mark.parametrize("field", _CHANGES)
async def test_a_patch_changes_what_it_names_and_nothing_else(desk: Desk, field: str) -> None:
    await desk.define("number", "order")
    ticket = await desk.open()
    value = unique() if field == "external_id" else _CHANGES[field]
    after = as_body(await desk.change(desk.agent, ticket, **{field: value}))
    assert after == {**ticket, field: value, "version": 2, "updated_at": after["updated_at"]}
    assert after["updated_at"] > ticket["updated_at"]
    assert as_changed(await desk.read(ticket)) == after


@pytest.mark.parametrize("field", _NULLABLE)
async def test_null_empties_what_may_be_empty(desk: Desk, world: World, field: str) -> None:
    team = await world.made("/v1/teams", {"key": unique(), "name": "Cards"})
    full = {"assignee_id": desk.agent_id, "team_id": team["id"], "external_id": unique(), "product": "card"}
    ticket = await desk.open(**full)
    after = as_body(await desk.change(desk.agent, ticket, **{field: None}))
    assert {name: after[name] for name in full} == {**full, field: None}


@pytest.mark.parametrize("field", _NEVER_NULL)
async def test_null_is_refused_where_something_must_be(desk: Desk, field: str) -> None:
    ticket = await desk.open()
    assert pointer(await desk.change(desk.admin, ticket, **{field: None})).startswith(f"/{field}")
    assert as_changed(await desk.read(ticket)) == ticket


@pytest.mark.parametrize("field", ["number", "customer_id", "created_at", "version", "resolved_at", "colour"])
async def test_what_cannot_be_set_is_refused(desk: Desk, field: str) -> None:
    ticket = await desk.open()
    assert pointer(await desk.change(desk.admin, ticket, **{field: ticket.get(field)})) == f"/{field}"


async def test_custom_fields_are_merged_and_null_takes_one_away(desk: Desk) -> None:
    await desk.define("number", "a", "b", "c")
    ticket = await desk.open(custom_fields={"a": 1, "b": 2})
    after = as_body(await desk.change(desk.agent, ticket, custom_fields={"b": None, "c": 3, "never": None}))
    assert after["custom_fields"] == {"a": 1, "c": 3}
    [event] = await desk.events(ticket, "ticket.updated")
    assert event["data"]["changed"] == ["custom_fields"]


async def test_patches_add_up_to_no_more_fields_than_one_body_may_hold(desk: Desk) -> None:
    await desk.define("number", "g", *(f"f{n}" for n in range(100)))
    ticket = await desk.open(custom_fields={f"f{n}": n for n in range(100)})
    assert pointer(await desk.change(desk.agent, ticket, custom_fields={"g": 1})) == "/custom_fields"
    swapped = as_body(await desk.change(desk.agent, ticket, custom_fields={"g": 1, "f0": None}))
    assert len(swapped["custom_fields"]) == 100
    assert as_changed(await desk.read(ticket)) == swapped


async def test_tags_are_replaced_whole_and_kept_once_each(desk: Desk) -> None:
    ticket = await desk.open(tags=["old"])
    assert as_body(await desk.change(desk.agent, ticket, tags=["b", "a", "b"]))["tags"] == ["b", "a"]
    assert as_body(await desk.change(desk.agent, ticket, tags=[]))["tags"] == []


async def test_the_audit_says_who_when_what_before_and_after(desk: Desk) -> None:
    ticket = await desk.open(priority="low")
    after = as_body(await desk.change(desk.agent, ticket, priority="high", subject="Other", status="pending"))
    updated, moved = await desk.events(ticket, "ticket.updated", "ticket.status_changed")
    for event in (updated, moved):
        assert actor_of(event) == {"kind": "agent", "id": desk.agent_id}
        assert event["time"] == after["updated_at"]
        assert event["ticketid"] == event["subject"] == ticket["id"]
    # Texts stay inside: that the subject differs is told, and not what it was.
    assert updated["data"]["changed"] == ["priority", "subject"]
    assert (updated["data"]["before"]["priority"], updated["data"]["after"]["priority"]) == ("low", "high")
    assert (moved["data"]["before"], moved["data"]["after"]) == ("new", "pending")


@pytest.mark.parametrize("again", [True, False])
async def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(desk: Desk, again: bool) -> None:
    await desk.define("number", "a")
    said = {"priority": "high", "tags": ["a"], "custom_fields": {"a": 1}, "status": "new", "product": None}
    ticket = await desk.open(priority="high", tags=["a"], custom_fields={"a": 1})
    events = await desk.events(ticket)
    answer = await desk.change(desk.agent, ticket, **(said if again else {}))
    assert (as_body(answer), answer.headers["etag"]) == (ticket, '"1"')
    assert await desk.events(ticket) == events
    assert as_changed(await desk.read(ticket)) == ticket


async def test_every_change_makes_the_next_version_which_is_the_etag(desk: Desk) -> None:
    ticket = await desk.open()
    for n, subject in enumerate(("One", "Two", "Three"), start=2):
        answer = await desk.change(desk.agent, ticket, subject=subject)
        assert (as_body(answer)["version"], answer.headers["etag"]) == (n, f'"{n}"')
    read = await desk.agent.get(f"/v1/tickets/{ticket['id']}")
    assert read.headers["etag"] == '"4"'
    not_modified = await desk.agent.get(f"/v1/tickets/{ticket['id']}", headers={"If-None-Match": '"4"'})
    assert (not_modified.status_code, not_modified.content) == (304, b"")


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ('"1"', 412), ('"2"', 200), ("*", 200), ('"1", "2"', 200), ("2", 412),
        # What proxies make of a tag means the tag.
        ('W/"2"', 200), ('"2-gzip"', 200), ('W/"2-gzip"', 200), ('W/"1"', 412), ('"1-gzip"', 412), ('"2-other"', 412),
    ],
)  # fmt: skip
async def test_if_match_guards_a_change(desk: Desk, if_match: str, status: int) -> None:
    ticket = await desk.open()
    await desk.change(desk.agent, ticket, subject="Second version")
    path = f"/v1/tickets/{ticket['id']}"
    answer = await desk.agent.patch(path, json={"subject": "Third"}, headers={"If-Match": if_match})
    assert answer.status_code == status
    assert (await desk.read(ticket))["subject"] == ("Third" if status == 200 else "Second version")


async def test_of_many_changes_on_one_etag_one_is_made(desk: Desk) -> None:
    ticket = await desk.open()
    path, headers = f"/v1/tickets/{ticket['id']}", {"If-Match": '"1"'}
    answers = await asyncio.gather(
        *(desk.agent.patch(path, json={"subject": f"Change {n}"}, headers=headers) for n in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    assert len(await desk.events(ticket, "ticket.updated")) == 1


async def test_changes_of_different_fields_at_once_all_last(desk: Desk) -> None:
    ticket = await desk.open()
    names = [f"f{n}" for n in range(10)]
    await desk.define("number", *names)
    await asyncio.gather(*(desk.change(desk.agent, ticket, custom_fields={name: 1}) for name in names))
    after = await desk.read(ticket)
    assert (set(after["custom_fields"]), after["version"]) == (set(names), 11)


async def test_resolving_and_closing_are_stamped_and_reopening_takes_the_stamp_off(desk: Desk) -> None:
    ticket = await desk.open()
    for status, resolved, closed in [
        ("open", False, False), ("resolved", True, False), ("pending", False, False), ("resolved", True, False),
        ("closed", True, True),
    ]:  # fmt: skip
        after = as_body(await desk.change(desk.agent, ticket, status=status))
        assert (after["resolved_at"] is not None, after["closed_at"] is not None) == (resolved, closed), status
    assert after["closed_at"] == after["updated_at"] > after["resolved_at"]


async def test_a_status_that_cannot_be_is_refused_with_everything_beside_it(desk: Desk) -> None:
    ticket = await desk.in_status("closed")
    answer = await desk.change(desk.agent, ticket, status="open", subject="Reopened")
    assert (answer.status_code, answer.json()["code"]) == (409, "transition_not_allowed")
    assert await desk.read(ticket) == ticket


async def test_what_a_patch_refers_to_must_be_there(desk: Desk, world: World) -> None:
    ticket = await desk.open()
    gone = await world.made("/v1/agents", {"name": "Gone", "active": False})
    assert pointer(await desk.change(desk.lead, ticket, assignee_id=gone["id"])) == "/assignee_id"
    assert pointer(await desk.change(desk.lead, ticket, team_id=gone["id"])) == "/team_id"
    assert as_changed(await desk.read(ticket)) == ticket


async def test_an_external_id_of_another_ticket_is_refused(desk: Desk) -> None:
    first, second = await desk.open(external_id=unique()), await desk.open()
    answer = await desk.change(desk.agent, second, external_id=first["external_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert as_changed(await desk.read(second)) == second


async def test_an_agent_takes_tickets_and_a_lead_gives_them(desk: Desk) -> None:
    ticket = await desk.open()
    assert (await desk.change(desk.agent, ticket, assignee_id=desk.lead_id)).status_code == 403
    assert as_body(await desk.change(desk.lead, ticket, assignee_id=desk.lead_id))["assignee_id"] == desk.lead_id
    assert as_body(await desk.change(desk.agent, ticket, assignee_id=desk.agent_id))["assignee_id"] == desk.agent_id


@pytest.mark.parametrize("status", ["resolved", "closed"])
async def test_a_customer_resolves_and_closes_their_ticket(desk: Desk, status: str) -> None:
    ticket = await desk.open()
    assert as_body(await desk.change(desk.customer, ticket, status=status))["status"] == status
    assert await desk.statuses(ticket) == [("new", status, "customer")]


async def test_a_customer_changes_nothing_beside_the_status(desk: Desk) -> None:
    ticket = await desk.open()
    assert (await desk.change(desk.customer, ticket, status="closed", priority="high")).status_code == 403
    assert as_changed(await desk.read(ticket)) == ticket

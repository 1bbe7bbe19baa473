"""Links between tickets: each kind, from both ends, and no parents in a circle."""

import asyncio
from itertools import pairwise

import httpx

from tests.support.desk import Body, Desk, as_body, pointer
from tests.support.expect import problem
from tests.support.openapi import NOBODY


async def _link(who: httpx.AsyncClient, ticket: Body, kind: str, other: Body) -> httpx.Response:
    return await who.post(f"/v1/tickets/{ticket['id']}/links", json={"kind": kind, "ticket_id": other["id"]})


async def _links(desk: Desk, ticket: Body) -> list[Body]:
    items: list[Body] = as_body(await desk.agent.get(f"/v1/tickets/{ticket['id']}/links"))["items"]
    return items


async def _several(desk: Desk, count: int) -> list[Body]:
    return sorted([await desk.open() for _ in range(count)], key=lambda ticket: str(ticket["id"]))


async def test_a_link_is_seen_from_both_ends_and_points_one_way(desk: Desk) -> None:
    [one, two] = await _several(desk, 2)
    for kind in ("duplicates", "caused_by", "parent_of", "follow_up_of"):
        for source, target in ((one, two), (two, one)):
            if kind == "parent_of" and source is two:
                continue
            made = as_body(await _link(desk.agent, source, kind, target))
            assert made == {
                "id": made["id"], "kind": kind, "source_id": source["id"], "target_id": target["id"],
                "created_at": made["created_at"], "made_by": {"kind": "agent", "id": desk.agent_id},
                "from_ticket_id": None,
            }  # fmt: skip
            assert (await _links(desk, one))[-1] == (await _links(desk, two))[-1] == made
    assert await _links(desk, await desk.open()) == []


async def test_what_relates_is_stored_once_whichever_way_it_is_said(desk: Desk) -> None:
    [small, large] = await _several(desk, 2)
    made = as_body(await _link(desk.agent, large, "relates_to", small))
    assert (made["source_id"], made["target_id"]) == (small["id"], large["id"])
    for source, target in ((small, large), (large, small)):
        problem(await _link(desk.agent, source, "relates_to", target), 409, "link_exists")
    assert await _links(desk, small) == await _links(desk, large) == [made]


async def test_a_link_that_makes_no_sense_is_refused(desk: Desk) -> None:
    [one, two] = await _several(desk, 2)
    for kind in ("relates_to", "duplicates", "parent_of"):
        assert pointer(await _link(desk.agent, one, kind, one)) == "/ticket_id"
        assert pointer(await _link(desk.agent, one, kind, {"id": NOBODY})) == "/ticket_id"
        problem(await _link(desk.agent, {"id": NOBODY}, kind, one), 404, "not_found")
    assert pointer(await _link(desk.agent, one, "marries", two)) == "/kind"
    as_body(await _link(desk.agent, one, "duplicates", two))
    problem(await _link(desk.agent, one, "duplicates", two), 409, "link_exists")
    assert len(await _links(desk, one)) == 1


async def test_a_ticket_has_one_parent_and_a_parent_many_children(desk: Desk) -> None:
    [parent, other, *children] = await _several(desk, 4)
    for child in children:
        as_body(await _link(desk.agent, parent, "parent_of", child))
        problem(await _link(desk.agent, other, "parent_of", child), 409, "has_parent")
        problem(await _link(desk.agent, parent, "parent_of", child), 409, "link_exists")
    assert len(await _links(desk, parent)) == len(children)
    assert await _links(desk, other) == []


async def test_nobody_becomes_their_own_ancestor(desk: Desk) -> None:
    line = [await desk.open() for _ in range(4)]
    for parent, child in pairwise(line):
        as_body(await _link(desk.agent, parent, "parent_of", child))
    for descendant in line[1:]:
        problem(await _link(desk.agent, descendant, "parent_of", line[0]), 409, "link_cycle")
    assert (await _link(desk.agent, line[-1], "duplicates", line[0])).status_code == 201


async def test_parents_go_up_a_hundred_levels(desk: Desk) -> None:
    line = [await desk.open() for _ in range(102)]
    # From below, where there is nobody above yet.
    for parent, child in reversed(list(pairwise(line[:101]))):
        as_body(await _link(desk.agent, parent, "parent_of", child))
    problem(await _link(desk.agent, line[100], "parent_of", line[101]), 409, "too_many_levels")
    assert (await _link(desk.agent, line[99], "parent_of", line[101])).status_code == 201


async def test_links_made_at_once_never_close_a_circle(desk: Desk) -> None:
    refused = set()
    for round_ in range(12):
        ring = [await desk.open() for _ in range(3 + round_ % 3)]
        pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        answers = await asyncio.gather(*(_link(desk.agent, *_said(pair)) for pair in pairs))
        made = [answer for answer in answers if answer.status_code == 201]
        assert len(made) == len(ring) - 1, [answer.text for answer in answers]
        refused |= {answer.json()["code"] for answer in answers if answer.status_code != 201}
    assert refused == {"link_cycle"}


async def test_of_two_parents_or_two_equal_links_at_once_one_is_made(desk: Desk) -> None:
    for _ in range(6):
        [child, *parents] = [await desk.open() for _ in range(4)]
        answers = await asyncio.gather(*(_link(desk.agent, parent, "parent_of", child) for parent in parents))
        assert sorted(answer.json().get("code", "") for answer in answers) == ["", "has_parent", "has_parent"]
        [one, two, _] = parents
        pairs = ((one, two), (two, one), (one, two))
        answers = await asyncio.gather(*(_link(desk.agent, a, "relates_to", b) for a, b in pairs))
        assert sorted(answer.json().get("code", "") for answer in answers) == ["", "link_exists", "link_exists"]


def _said(pair: tuple[Body, Body]) -> tuple[Body, str, Body]:
    return pair[0], "parent_of", pair[1]


async def test_a_link_is_deleted_from_either_end_and_from_nowhere_else(desk: Desk) -> None:
    [one, two, other] = await _several(desk, 3)
    for end in (one, two):
        made = as_body(await _link(desk.agent, one, "parent_of", two))
        problem(await desk.agent.delete(f"/v1/tickets/{other['id']}/links/{made['id']}"), 404, "not_found")
        assert (await desk.agent.delete(f"/v1/tickets/{end['id']}/links/{made['id']}")).status_code == 204
        problem(await desk.agent.delete(f"/v1/tickets/{end['id']}/links/{made['id']}"), 404, "not_found")
    assert await _links(desk, one) == []


async def test_both_tickets_tell_of_a_link_and_none_is_changed_by_it(desk: Desk) -> None:
    [one, two] = await _several(desk, 2)
    made = as_body(await _link(desk.lead, one, "caused_by", two))
    await desk.agent.delete(f"/v1/tickets/{two['id']}/links/{made['id']}")
    data = {"kind": "caused_by", "source_id": one["id"], "target_id": two["id"]}
    for ticket in (one, two):
        told = await desk.events(ticket, "ticket.linked", "ticket.unlinked")
        assert [(event["type"], event["data"], event.get("actorid")) for event in told] == [
            ("ticket.linked", data, desk.lead_id),
            ("ticket.unlinked", data, desk.agent_id),
        ]
        assert {event["subject"] for event in told} == {made["id"]}
        theirs = as_body(await desk.customer.get(f"/v1/tickets/{ticket['id']}/events"))["items"]
        assert "linked" not in str(theirs)
        assert (await desk.read(ticket))["version"] == ticket["version"]


async def test_a_follow_up_is_linked_to_what_it_follows(desk: Desk) -> None:
    closed = await desk.in_status("closed")
    said = as_body(await desk.say(desk.customer, closed))
    [link] = await _links(desk, closed)
    assert (link["kind"], link["source_id"], link["target_id"]) == ("follow_up_of", said["ticket_id"], closed["id"])
    assert link["made_by"] == {"kind": "customer", "id": desk.customer_id}


async def test_customers_have_no_business_with_links(desk: Desk) -> None:
    [one, two] = await _several(desk, 2)
    made = as_body(await _link(desk.agent, one, "relates_to", two))
    path = f"/v1/tickets/{one['id']}/links"
    for answer in (
        await desk.customer.get(path),
        await _link(desk.customer, one, "duplicates", two),
        await desk.customer.delete(f"{path}/{made['id']}"),
    ):
        problem(answer, 403, "forbidden")
    assert await _links(desk, one) == [made]

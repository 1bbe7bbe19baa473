"""What a merge shows and moves, and what undoing it gives back: nobody who waits is lost either way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.sla import Sql, patch, reply, sweep_dry
from tests.support.verification import Body, assert_verified, clocks, events, good, soon, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
RESPONSES = ("first_response", "next_response")


@pytest.fixture
def open_ticket(open_ticket: Open) -> Open:
    async def make(**body: Any) -> Body:
        return await open_ticket(**{"customer": {"external_id": "one"}, **body})

    return make


async def _merge(client: httpx.AsyncClient, source: Body, into: Body) -> Body:
    return good(await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": into["id"]}))


async def _unmerge(client: httpx.AsyncClient, source: Body) -> Body:
    return good(await client.post(f"/v1/tickets/{source['id']}/unmerge"))


async def _items(client: httpx.AsyncClient, ticket: Body, what: str) -> list[Body]:
    items: list[Body] = good(await client.get(f"/v1/tickets/{ticket['id']}/{what}"))["items"]
    return items


async def _read(client: httpx.AsyncClient, ticket: Body) -> Body:
    return good(await client.get(f"/v1/tickets/{ticket['id']}"))


async def _says(client: httpx.AsyncClient, ticket: Body) -> Body:
    return await reply(client, ticket, author={"kind": "customer"})


async def _waits(client: httpx.AsyncClient, ticket: Body) -> list[str]:
    """Since when the customer waits for an answer, by the clocks that run."""
    found = [clock for metric in RESPONSES for clock in await clocks(client, ticket, metric)]
    return [clock["started_at"] for clock in found if clock["state"] in ("running", "paused")]


async def _still(client: httpx.AsyncClient, ticket: Body) -> list[Body]:
    """The clocks, but for what passes by itself."""
    moving = {"elapsed_seconds": 0, "remaining_seconds": 0, "paused_seconds": 0}
    return [{**clock, **moving} for clock in await _items(client, ticket, "clocks")]


async def test_a_waiting_ticket_merged_into_a_resolved_one_reopens_it_and_waits_there(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    target = await open_ticket()
    await reply(client, target, status="resolved")
    urgent = await open_ticket(priority="urgent")
    await _merge(client, urgent, target)
    assert (await _read(client, target))["status"] == "open"
    assert await _waits(client, target) == [urgent["created_at"]]
    answered = await reply(client, target)
    [clock] = await clocks(client, target, "next_response")
    assert (clock["started_at"], clock["stopped_at"]) == (urgent["created_at"], answered["created_at"])
    await assert_verified(db)


async def test_the_older_of_two_waits_runs_on(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    older, younger = await open_ticket(), await open_ticket()
    await _merge(client, older, younger)
    assert await _waits(client, younger) == [older["created_at"]]
    first, second = await clocks(client, younger, "first_response")
    assert (first["ended_reason"], first["state"], second["cycle"]) == ("merged", "cancelled", 2)
    third = await open_ticket()
    await _merge(client, third, younger)
    assert await _waits(client, younger) == [older["created_at"]]
    await assert_verified(db)


async def test_a_wait_for_another_answer_goes_on_where_nobody_was_answered_yet(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source = await open_ticket()
    await reply(client, source)
    asked = await _says(client, source)
    target = await open_ticket()
    await _merge(client, source, target)
    assert await _waits(client, target) == [asked["created_at"]]
    await reply(client, target)
    assert await _waits(client, target) == []
    await assert_verified(db)


async def test_nobody_who_waits_is_merged_into_spam(client: httpx.AsyncClient, open_ticket: Open) -> None:
    source, spam = await open_ticket(), await open_ticket()
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    answer = await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": spam["id"]})
    assert answer.status_code == 409
    assert await _waits(client, source) == [source["created_at"]]


async def test_a_wait_that_was_late_when_it_came_is_late_and_told_of(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    source = await open_ticket()
    await asyncio.sleep(1.1)
    target = await open_ticket()
    await _merge(client, source, target)
    await sweep_dry(db)
    states = [clock["state"] for clock in await clocks(client, target, "first_response")]
    assert states == ["cancelled", "breached"]
    assert len(await events(client, target, "sla.breached")) == 1
    await assert_verified(db)


async def test_a_merge_of_answered_tickets_starts_no_wait(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await reply(client, source)
    await reply(client, target, status="resolved")
    await _merge(client, source, target)
    assert (await _read(client, target))["status"] == "resolved"
    assert await _waits(client, target) == []
    await assert_verified(db)


async def test_the_target_shows_what_the_source_had_and_where_it_came_from(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    agent, other = await person("agent"), await open_ticket()
    source, target = await open_ticket(tags=["a", "b"]), await open_ticket(tags=["b"])
    path = f"/v1/tickets/{source['id']}"
    for answer in (
        await client.post(f"{path}/attachments?name=a.txt", content=b"hello"),
        await client.post(f"{path}/links", json={"kind": "relates_to", "ticket_id": other["id"]}),
        await client.put(f"{path}/followers/{agent.id}"),
    ):
        assert answer.is_success, answer.text
    await _merge(client, source, target)
    after = await _read(client, target)
    assert (after["tags"], after["merged_from"]) == (["b", "a"], [source["id"]])
    for what in ("messages", "attachments", "links", "followers"):
        came = {item["from_ticket_id"] for item in await _items(client, target, what)}
        assert came == ({None, source["id"]} if what == "messages" else {source["id"]}), what
        # The source keeps its own copy.
        assert {item["from_ticket_id"] for item in await _items(client, source, what)} == {None}
    included = good(await client.get(f"/v1/tickets/{target['id']}?include=messages"))["messages"]
    assert [message["ticket_id"] for message in included] == [source["id"], target["id"]]
    back = await _unmerge(client, source)
    assert (back["merged_into"], back["status"], back["tags"]) == (None, "new", ["a", "b"])
    after = await _read(client, target)
    assert (after["tags"], after["merged_from"]) == (["b"], [])
    for what in ("messages", "attachments", "links", "followers"):
        assert {item["from_ticket_id"] for item in await _items(client, target, what)} <= {None}
    assert len(await _items(client, source, "followers")) == 1
    await assert_verified(db)


async def test_paging_goes_on_where_a_ticket_is_merged_meanwhile(client: httpx.AsyncClient, open_ticket: Open) -> None:
    source, target = await open_ticket(), await open_ticket()
    for _ in range(3):
        await _says(client, target)
    path = f"/v1/tickets/{target['id']}/messages?limit=2"
    page = good(await client.get(path))
    await _merge(client, source, target)
    more = good(await client.get(path, params={"cursor": page["next_cursor"], "limit": 2}))
    assert len({item["id"] for item in [*page["items"], *more["items"]]}) == 4


@pytest.mark.parametrize("excluded", [[0], [1], [0, 1]])
async def test_a_merge_of_excluded_waits_is_undone_like_any_other(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, excluded: list[int]
) -> None:
    pair = [await open_ticket(), await open_ticket()]
    for index in excluded:
        given = {"ticket_id": pair[index]["id"], "effect": "exclude", "reason": "R"}
        good(await client.post("/v1/sla-exceptions", json=given))
    for _ in range(2):
        await _merge(client, *pair)
        assert await _waits(client, pair[1]) == [pair[0]["created_at"]]
        good(await client.post(f"/v1/tickets/{pair[0]['id']}/unmerge", json={}))
        assert [await _waits(client, ticket) for ticket in pair] == [[ticket["created_at"]] for ticket in pair]
    await assert_verified(db)


async def test_undone_the_source_is_what_it_was_and_both_wait_from_their_own_starts(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    promise = {"text": "A call.", "due_at": soon(600)}
    for _ in range(2):
        good(await client.post(f"/v1/tickets/{source['id']}/promises", json=promise))
    await patch(client, source, status="pending")
    before, was = await _still(client, source), await _read(client, source)
    own = await _waits(client, target)
    await _merge(client, source, target)
    await _unmerge(client, source)
    moved = ("version", "updated_at")
    now = await _read(client, source)
    assert {**now, **{name: was[name] for name in moved}} == was
    assert await _still(client, source) == before
    assert await _waits(client, target) == own
    for type_, ticket in (("ticket.unmerged", source), ("ticket.released", target)):
        assert len(await events(client, ticket, type_)) == 1
    await assert_verified(db)


async def test_a_target_that_only_the_merge_reopened_is_resolved_again(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    target = await open_ticket()
    await reply(client, target, status="resolved")
    source = await open_ticket()
    await _merge(client, source, target)
    await _unmerge(client, source)
    assert (await _read(client, target))["status"] == "resolved"
    assert (await _waits(client, target), await _waits(client, source)) == ([], [source["created_at"]])
    await assert_verified(db)


async def test_what_the_customer_asked_on_the_target_since_is_not_lost_by_undoing(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    target = await open_ticket()
    await reply(client, target)
    source = await open_ticket()
    await _merge(client, source, target)
    asked = await _says(client, target)
    await _says(client, target)
    await _unmerge(client, source)
    assert await _waits(client, target) == [asked["created_at"]]
    await assert_verified(db)


async def test_undoing_one_of_several_merges_leaves_the_wait_of_the_others(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    sources = [await open_ticket() for _ in range(3)]
    target = await open_ticket()
    for source in sources:
        await _merge(client, source, target)
    for done, source in enumerate(sources):
        await _unmerge(client, source)
        left = [*sources[done + 1 :], target]
        assert await _waits(client, target) == [left[0]["created_at"]]
        assert (await _read(client, target))["merged_from"] == [each["id"] for each in left[:-1]]
    await assert_verified(db)


async def test_what_was_answered_on_the_target_starts_no_wait_there_when_the_merge_is_undone(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await _merge(client, source, target)
    await reply(client, target)
    await _unmerge(client, source)
    assert (await _waits(client, target), await _waits(client, source)) == ([], [source["created_at"]])
    await assert_verified(db)


async def test_a_breach_of_before_the_merge_is_told_once(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    source, target = await open_ticket(), await open_ticket(priority="low")
    await asyncio.sleep(1.1)
    await sweep_dry(db)
    await _merge(client, source, target)
    await _unmerge(client, source)
    await sweep_dry(db)
    [clock] = await clocks(client, source, "first_response")
    assert (clock["state"], clock["stopped_at"], clock["ended_reason"]) == ("breached", None, None)
    assert len(await events(client, source, "sla.breached")) == 1
    await assert_verified(db)


async def test_a_chain_is_undone_from_its_end(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    one, two, three = [await open_ticket() for _ in range(3)]
    await _merge(client, one, two)
    await _merge(client, two, three)
    assert (await _read(client, three))["merged_from"] == [two["id"], one["id"]]
    assert await _waits(client, three) == [one["created_at"]]
    refused = await client.post(f"/v1/tickets/{one['id']}/unmerge")
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_unmerge")
    await _unmerge(client, two)
    await _unmerge(client, one)
    assert [(await _waits(client, each)) for each in (one, two, three)] == [
        [each["created_at"]] for each in (one, two, three)
    ]
    refused = await client.post(f"/v1/tickets/{one['id']}/unmerge")
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_unmerge")
    await assert_verified(db)


async def test_two_who_undo_one_merge_at_once_undo_it_once(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await _merge(client, source, target)
    path = f"/v1/tickets/{source['id']}/unmerge"
    answers = await asyncio.gather(*(client.post(path) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    await assert_verified(db)


async def test_verify_finds_a_wait_that_a_merge_moved_and_somebody_moved_back(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    source, target = await open_ticket(), await open_ticket()
    await _merge(client, source, target)
    await sql.execute("UPDATE sla_clocks SET started_at = started_at + interval '1 second' WHERE cycle = 2")
    with pytest.raises(AssertionError):
        await assert_verified(db)

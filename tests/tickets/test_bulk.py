"""Many tickets changed at once: each as by itself, refused ones left alone, all or nothing where something breaks."""

import asyncio
import random
from uuid import UUID

import httpx

from app.db import Database
from tests.sending import sent_by
from tests.support.desk import Body, Desk, as_body, as_changed, pointer, unique
from tests.support.expect import problem
from tests.support.openapi import NOBODY, Open
from tests.support.sla import Sql
from tests.support.world import World


async def _change(who: httpx.AsyncClient, *patches: Body, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await who.post("/v1/tickets/bulk", json={"tickets": patches}, headers=headers)


async def _items(who: httpx.AsyncClient, *patches: Body) -> list[Body]:
    items: list[Body] = as_body(await _change(who, *patches))["items"]
    return items


async def test_each_is_answered_as_its_patch_would_be_in_the_order_sent(desk: Desk) -> None:
    fine, closed, stale = await desk.open(), await desk.in_status("closed"), await desk.open()
    assert (await desk.change(desk.agent, stale, tags=["old"])).status_code == 200
    patches = [
        {"id": closed["id"], "status": "open"},
        {"id": fine["id"], "status": "pending", "tags": ["a"], "if_match": '"1"'},
        {"id": NOBODY, "status": "open"},
        {"id": stale["id"], "status": "open", "if_match": '"1"'},
    ]
    random.shuffle(patches)
    items = await _items(desk.agent, *patches)
    assert [item["ticket_id"] for item in items] == [patch["id"] for patch in patches]
    by_id = {item["ticket_id"]: item for item in items}
    assert by_id[fine["id"]] == {
        "ticket_id": fine["id"], "status": 200, "ticket": as_changed(await desk.read(fine)), "problem": None,
    }  # fmt: skip
    for ticket, status, code in (
        (closed, 409, "transition_not_allowed"),
        ({"id": NOBODY}, 404, "not_found"),
        (stale, 412, "precondition_failed"),
    ):
        item = by_id[ticket["id"]]
        assert (item["status"], item["ticket"], item["problem"]["code"]) == (status, None, code)
        assert item["problem"]["instance"] == f"/v1/tickets/{ticket['id']}"


async def test_what_is_refused_says_the_same_as_a_patch_alone(desk: Desk) -> None:
    ticket = await desk.open()
    for patch in ({"custom_fields": {"nope": 1}}, {"assignee_id": NOBODY}, {"status": "new", "team_id": NOBODY}):
        alone = await desk.change(desk.lead, ticket, **patch)
        [item] = await _items(desk.lead, {"id": ticket["id"], **patch})
        assert item["problem"] == {"errors": None, **alone.json()}
        assert item["status"] == alone.status_code == 422


async def test_a_refused_one_leaves_nothing_behind_and_the_others_are_changed(desk: Desk) -> None:
    tickets = [await desk.open() for _ in range(12)]
    taken = unique()
    await desk.change(desk.admin, tickets[0], external_id=taken)
    patches: list[Body] = []
    for index, ticket in enumerate(tickets[1:]):
        kinds: list[Body] = [
            {},
            {"external_id": taken},
            {"external_id": unique()},
            {"status": "new"},
            {"if_match": '"9"'},
        ]
        extra = kinds[index % 5]
        patches.append({"id": ticket["id"], "priority": "urgent", "tags": ["x"], "status": "open", **extra})
    items = await _items(desk.lead, *patches)
    for ticket, patch, item in zip(tickets[1:], patches, items, strict=True):
        now = await desk.read(ticket)
        told = [event["type"] for event in await desk.events(ticket)]
        refused = patch.get("external_id") == taken or "if_match" in patch
        assert (item["status"] == 200) is not refused, item
        if refused:
            assert as_changed(now) == as_changed(ticket)
            assert told == ["ticket.created"]
        else:
            assert (now["priority"], now["tags"], now["version"]) == ("urgent", ["x"], 2)
            assert told.count("ticket.updated") == 1
            assert told.count("ticket.status_changed") == (0 if patch["status"] == "new" else 1)
    assert {item["problem"]["code"] for item in items if item["problem"]} == {"conflict", "precondition_failed"}


async def test_of_two_that_want_the_same_external_id_one_gets_it(desk: Desk) -> None:
    tickets, wanted = [await desk.open() for _ in range(3)], unique()
    items = await _items(desk.lead, *({"id": ticket["id"], "external_id": wanted} for ticket in tickets))
    assert sorted(item["status"] for item in items) == [200, 409, 409]
    assert [(await desk.read(ticket))["external_id"] for ticket in tickets].count(wanted) == 1


async def test_what_is_wrong_with_the_request_is_pointed_at_and_nothing_is_changed(desk: Desk) -> None:
    one, two = await desk.open(), await desk.open()
    fine: Body = {"id": one["id"], "status": "open"}
    for patches, where in (
        ([fine, {"id": two["id"], "status": "open"}, fine], "/tickets/2/id"),
        ([fine, {"id": two["id"], "status": "broken"}], "/tickets/1/status"),
        ([fine, {"id": two["id"], "color": "red"}], "/tickets/1/color"),
        ([fine, {"status": "open"}], "/tickets/1/id"),
        ([fine, {"id": two["id"], "if_match": 3}], "/tickets/1/if_match"),
        ([], "/tickets"),
        ([fine] * 201, "/tickets"),
    ):
        assert pointer(await _change(desk.agent, *patches)) == where
    assert (await desk.read(one))["status"] == "new"


async def test_a_customer_resolves_their_own_and_learns_of_no_others(desk: Desk, world: World) -> None:
    own, other, same = await desk.open(), await desk.open(), await desk.open()
    assert same["due_at"]
    stranger = await world.made("/v1/tickets", {"subject": "x", "customer": {"id": world.stranger}})
    items = await _items(
        desk.customer,
        {"id": own["id"], "status": "resolved"},
        {"id": stranger["id"], "status": "resolved"},
        {"id": NOBODY, "status": "resolved"},
        {"id": other["id"], "priority": "high"},
        {"id": same["id"]},
    )
    assert [item["status"] for item in items] == [200, 404, 404, 403, 200]
    assert items[4]["ticket"]["due_at"] is None
    assert (await desk.read(stranger))["status"] == "new"
    problems = [str(item["problem"]).replace(item["ticket_id"], "") for item in items[1:3]]
    assert problems[0] == problems[1]


async def test_two_hundred_go_in_at_once_and_a_repeat_changes_nothing(desk: Desk) -> None:
    tickets = await asyncio.gather(*(desk.open() for _ in range(10)))
    tickets += [await desk.open() for _ in range(190)]
    patches = [{"id": ticket["id"], "status": "pending", "tags": [f"t{n}"]} for n, ticket in enumerate(tickets)]
    key = unique()
    first = await _change(desk.agent, *patches, key=key)
    again = await _change(desk.agent, *patches, key=key)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    items = as_body(first)["items"]
    assert [(item["status"], item["ticket"]["tags"], item["ticket"]["version"]) for item in items] == [
        (200, [f"t{n}"], 2) for n in range(200)
    ]


async def test_a_fault_fails_the_whole_and_stores_nothing(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    tickets = [await open_ticket() for _ in range(4)]
    await sql.execute("""
        CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$;
        CREATE TRIGGER fails BEFORE UPDATE ON tickets FOR EACH ROW WHEN (NEW.status = 'on_hold')
            EXECUTE FUNCTION fails()
    """)
    patches: list[Body] = [{"id": ticket["id"], "status": "open", "external_id": unique()} for ticket in tickets]
    patches[2]["status"] = "on_hold"
    key, before = unique(), await sql.fetchval("SELECT count(*) FROM events")
    problem(await _change(client, *patches, key=key), 503)
    assert await sql.fetchval("SELECT count(*) FROM tickets WHERE version > 1 OR external_id IS NOT NULL") == 0
    assert await sql.fetchval("SELECT count(*) FROM events") == before
    await sql.execute("DROP TRIGGER fails ON tickets")
    items = as_body(await _change(client, *patches, key=key))["items"]
    assert [item["status"] for item in items] == [200] * 4


async def test_a_deadlock_is_tried_again(client: httpx.AsyncClient, open_ticket: Open, sql: Sql) -> None:
    tickets = [await open_ticket() for _ in range(3)]
    await sql.execute("""
        CREATE SEQUENCE tries;
        GRANT USAGE ON tries TO ninety_service;
        CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$;
        CREATE TRIGGER fails BEFORE UPDATE ON tickets FOR EACH ROW WHEN (nextval('tries') = 2)
            EXECUTE FUNCTION fails()
    """)
    items = await _items(client, *({"id": ticket["id"], "external_id": unique()} for ticket in tickets))
    assert [item["status"] for item in items] == [200] * 3
    assert await sql.fetchval("SELECT last_value FROM tries") == 5


async def test_two_that_change_the_same_tickets_at_once_both_go_through(desk: Desk) -> None:
    tickets = [await desk.open() for _ in range(20)]
    orders = [tickets, tickets[::-1], random.sample(tickets, 20), random.sample(tickets, 20)]
    answers = await asyncio.gather(
        *(
            _change(desk.agent, *({"id": ticket["id"], "tags": [f"t{n}"]} for ticket in order))
            for n, order in enumerate(orders)
        )
    )
    for answer in answers:
        assert {item["status"] for item in as_body(answer)["items"]} == {200}
    now = [await desk.read(ticket) for ticket in tickets]
    assert {ticket["version"] for ticket in now} == {5}
    assert len({tuple(ticket["tags"]) for ticket in now}) == 1


async def test_it_costs_one_read_a_ticket_and_the_writes_of_one(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    counts = []
    for size in (30, 90):
        tickets = [await open_ticket() for _ in range(size)]
        random.shuffle(tickets)
        with sent_by(db) as sent:
            await _items(client, *({"id": ticket["id"], "status": "open"} for ticket in tickets))
        locks = [args for text, args in sent if "FOR NO KEY UPDATE" in text]
        ids = sorted(UUID(ticket["id"]) for ticket in tickets)
        # In the order of their ids, as everybody locks several tickets.
        assert [arg for args in locks for arg in args if arg in ids] == ids
        assert len(locks) == size
        counts.append(len(sent) - size)
    assert counts[0] == counts[1] <= 8

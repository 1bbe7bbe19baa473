"""What is said on a ticket that does not go on itself: on a merged one it lands on the target, on a closed one it opens
a follow-up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.db import Database
from tests.conftest import Person
from tests.support.verification import Body, assert_verified, clocks, events, good

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _say(who: httpx.AsyncClient, ticket: Body, body: str = "And another thing.", **more: Any) -> httpx.Response:
    return await who.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": body, **more})


async def _merge(client: httpx.AsyncClient, source: Body, target: Body) -> None:
    good(await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": target["id"]}))


async def _bodies(client: httpx.AsyncClient, ticket: Body) -> list[str]:
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]
    return [item["body"] for item in items]


async def _read(client: httpx.AsyncClient, ticket: Body) -> Body:
    return good(await client.get(f"/v1/tickets/{ticket['id']}"))


async def test_a_reply_to_a_merged_ticket_lands_where_it_went_through_a_chain(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    one, two, three = [await open_ticket(customer={"external_id": "one"}) for _ in range(3)]
    await _merge(client, one, two)
    await _merge(client, two, three)
    said = good(await _say(client, one, "An answer.", status="pending"))
    assert said["ticket_id"] == three["id"]
    assert (await _bodies(client, three))[-1] == "An answer."
    assert (await _bodies(client, one), await _bodies(client, two)) == (["Please help."], ["Please help."] * 2)
    assert (await _read(client, three))["status"] == "pending"
    assert [clock["state"] for clock in await clocks(client, three, "first_response")] == ["cancelled", "met"]
    await assert_verified(db)


async def test_a_customer_who_writes_on_their_merged_ticket_is_told_where_that_went(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    customer = await person("customer")
    one, other = [await open_ticket(customer={"id": str(customer.id)}) for _ in range(2)]
    await _merge(client, one, other)
    said = good(await _say(customer.http, one, "Still waiting."))
    handed = good(await customer.http.post(f"/v1/tickets/{one['id']}/handoff"))
    assert (said["ticket_id"], handed["id"]) == (other["id"], other["id"])
    assert (await _bodies(customer.http, other))[-1] == "Still waiting."
    assert (await _read(client, other))["needs_human"] is True
    await assert_verified(db)


async def test_a_customers_message_on_a_closed_ticket_opens_a_follow_up_that_is_linked(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database
) -> None:
    customer = await person("customer")
    more = {"priority": "high", "type": "incident", "channel": "email", "tags": ["card"], "product": "debit"}
    closed = await open_ticket(customer={"id": str(customer.id)}, external_id="x-1", **more)
    good(await _say(client, closed, "Done.", status="closed"))
    before = await _read(client, closed)
    said = good(await _say(customer.http, closed, "It happened again."))
    assert said["ticket_id"] != closed["id"]
    follow_up = await _read(client, {"id": said["ticket_id"]})
    kept = ("subject", "customer_id", *more)
    assert {name: follow_up[name] for name in kept} == {name: before[name] for name in kept}
    assert (follow_up["status"], follow_up["external_id"], follow_up["assignee_id"]) == ("new", None, None)
    # They find it, and as on every ticket of theirs the desk's tags stay inside.
    assert good(await customer.http.get(f"/v1/tickets/{follow_up['id']}"))["tags"] == []
    assert await _bodies(customer.http, follow_up) == ["It happened again."]
    assert (await clocks(client, follow_up, "first_response"))[0]["state"] == "running"
    assert (await _read(client, closed), await _bodies(client, closed)) == (before, ["Please help.", "Done."])
    for ticket in (closed, follow_up):
        (linked,) = await events(client, ticket, "ticket.linked")
        assert linked["data"] == {
            "kind": "follow_up_of", "source_id": follow_up["id"], "target_id": closed["id"],
        }  # fmt: skip
    await assert_verified(db)


async def test_a_follow_up_of_a_merged_and_closed_ticket_is_of_the_one_that_was_written_on(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    customer = await person("customer")
    context = {"customer": {"id": str(customer.id)}}
    one, other = await open_ticket(**context, subject="One"), await open_ticket(**context, subject="Other")
    await _merge(client, one, other)
    good(await _say(client, other, "Done.", status="closed"))
    said = good(await _say(customer.http, one))
    follow_up = good(await customer.http.get(f"/v1/tickets/{said['ticket_id']}"))
    assert (follow_up["subject"], follow_up["customer_id"]) == ("One", str(customer.id))


async def test_a_follow_up_takes_a_text_and_nothing_else(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    customer = await person("customer")
    closed = await open_ticket(customer={"id": str(customer.id)})
    good(await customer.http.patch(f"/v1/tickets/{closed['id']}", json={"status": "closed"}))
    refused = await _say(customer.http, closed, status="resolved")
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_closed")
    assert len(good(await client.get("/v1/tickets"))["items"]) == 1


async def test_several_messages_on_a_closed_ticket_make_one_follow_up_with_one_clock(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, db: Database
) -> None:
    customer = await person("customer")
    closed = await open_ticket(customer={"id": str(customer.id)})
    good(await _say(client, closed, "Done.", status="closed"))
    said = [good(answer) for answer in await asyncio.gather(*(_say(customer.http, closed, str(n)) for n in range(4)))]
    (id_,) = {message["ticket_id"] for message in said}
    [clock] = await clocks(client, {"id": id_}, "first_response")
    assert clock["started_at"] == min(message["created_at"] for message in said)
    assert sorted(await _bodies(client, {"id": id_})) == ["0", "1", "2", "3"]
    # Once that is closed the next one opens another.
    good(await _say(client, {"id": id_}, "Done.", status="closed"))
    assert good(await _say(customer.http, closed))["ticket_id"] not in (id_, closed["id"])
    await assert_verified(db)


async def test_a_follow_up_link_to_another_customers_ticket_carries_no_message_there(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    customer = await person("customer")
    closed, others = await open_ticket(customer={"id": str(customer.id)}), await open_ticket()
    good(await _say(client, closed, "Done.", status="closed"))
    link = {"kind": "follow_up_of", "ticket_id": closed["id"]}
    good(await client.post(f"/v1/tickets/{others['id']}/links", json=link))
    assert good(await _say(customer.http, closed))["ticket_id"] != others["id"]

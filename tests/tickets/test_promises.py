import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.sla import patch, reply, sweep_dry
from tests.support.verification import (
    Body,
    after,
    assert_verified,
    clocks,
    events,
    good,
    instant,
    pointers,
    soon,
    write_calendar,
    write_targets,
)

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
NOWHERE = "01900000-0000-7000-8000-000000000000"


def _url(ticket: Body, promise: Body | None = None, verb: str = "") -> str:
    path = f"/v1/tickets/{ticket['id']}/promises"
    return f"{path}/{promise['id']}/{verb}" if promise else path


async def _promise(client: httpx.AsyncClient, ticket: Body, due_at: str | None, text: str = "A call.") -> Body:
    answer = await client.post(_url(ticket), json={"text": text, **({"due_at": due_at} if due_at else {})})
    assert answer.status_code == 201, answer.text
    return good(answer)


async def _listed(client: httpx.AsyncClient, ticket: Body) -> list[Any]:
    items: list[Any] = good(await client.get(_url(ticket)))["items"]
    return items


async def test_a_promise_has_a_clock_of_its_own(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    ticket = await open_ticket()
    made = await _promise(client, ticket, soon(600))
    assert (made["text"], made["state"], made["ticket_id"]) == ("A call.", "open", ticket["id"])
    assert (made["kept_at"], made["withdrawn_at"], made["withdrawn_reason"]) == (None, None, None)
    assert await _listed(client, ticket) == [made]
    [clock] = await clocks(client, ticket, "promise")
    assert (clock["state"], clock["due_at"], clock["started_at"]) == ("running", made["due_at"], made["created_at"])
    second = await _promise(client, ticket, soon(300), "A parcel.")
    assert await _listed(client, ticket) == [made, second]
    assert [clock["cycle"] for clock in await clocks(client, ticket, "promise")] == [1, 2]
    await assert_verified(db)


async def test_kept_in_time_and_withdrawn_in_time(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    ticket = await open_ticket()
    first, second, third = [await _promise(client, ticket, soon(600 + n)) for n in range(3)]
    kept = good(await client.post(_url(ticket, second, "keep")))
    withdrawn = good(await client.post(_url(ticket, first, "withdraw"), json={"reason": "Not needed."}))
    assert kept == {**second, "state": "kept", "kept_at": kept["kept_at"]}
    assert (withdrawn["state"], withdrawn["withdrawn_reason"]) == ("withdrawn", "Not needed.")
    assert await _listed(client, ticket) == [withdrawn, kept, third]
    judged = [
        (clock["state"], clock["ended_reason"], clock["stopped_at"])
        for clock in await clocks(client, ticket, "promise")
    ]
    assert judged == [("cancelled", "withdrawn", None), ("met", None, kept["kept_at"]), ("running", None, None)]
    await assert_verified(db)


async def test_broken_is_what_was_not_kept_by_its_instant(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    late, never, withdrawn = [await _promise(client, ticket, soon(0.4)) for _ in range(3)]
    await asyncio.sleep(0.5)
    assert [item["state"] for item in await _listed(client, ticket)] == ["broken"] * 3
    await sweep_dry(db)
    assert good(await client.post(_url(ticket, late, "keep")))["state"] == "broken"
    gone = await client.post(_url(ticket, withdrawn, "withdraw"), json={"reason": "Too late."})
    assert good(gone)["state"] == "broken"
    await sweep_dry(db)
    assert [clock["state"] for clock in await clocks(client, ticket, "promise")] == ["breached"] * 3
    breaches = await events(client, ticket, "sla.breached")
    assert sorted(event["data"]["cycle"] for event in breaches) == [1, 2, 3]
    assert good(await client.post(_url(ticket, never, "keep")))["kept_at"] is not None
    await assert_verified(db)


async def test_what_is_over_stays_as_it_is(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    ticket = await open_ticket()
    kept, withdrawn = await _promise(client, ticket, soon(600)), await _promise(client, ticket, soon(600))
    await client.post(_url(ticket, kept, "keep"))
    await client.post(_url(ticket, withdrawn, "withdraw"), json={"reason": "R"})
    before = await _listed(client, ticket)
    for promise in (kept, withdrawn):
        for verb in ("keep", "withdraw"):
            answer = await client.post(
                _url(ticket, promise, verb), json={"reason": "R"} if verb == "withdraw" else None
            )
            assert (answer.status_code, answer.json()["code"]) == (409, "promise_over")
    assert await _listed(client, ticket) == before
    await assert_verified(db)


async def test_of_many_who_keep_it_at_once_one_does(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    ticket = await open_ticket()
    made = await _promise(client, ticket, soon(600))
    answers = await asyncio.gather(*(client.post(_url(ticket, made, "keep")) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert len(await events(client, ticket, "promise.kept")) == 1
    await assert_verified(db)


async def test_promises_made_at_once_get_a_clock_each(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    await asyncio.gather(*(_promise(client, ticket, soon(600)) for _ in range(6)))
    assert [clock["cycle"] for clock in await clocks(client, ticket, "promise")] == [1, 2, 3, 4, 5, 6]
    await assert_verified(db)


async def test_where_it_is_not_said_by_when_the_policy_says_it(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "promise", "seconds": 900, "warn_at_percent": [50]})
    ticket = await open_ticket()
    made = await _promise(client, ticket, None)
    assert instant(made["due_at"]) == instant(made["created_at"]) + timedelta(seconds=900)
    [clock] = await clocks(client, ticket, "promise")
    assert (clock["due_at"], clock["target_seconds"]) == (made["due_at"], 900)
    # One of its own outweighs it.
    own = await _promise(client, ticket, soon(60))
    [_, clock] = await clocks(client, ticket, "promise")
    assert clock["due_at"] == own["due_at"]
    await assert_verified(db)


async def test_business_hours_lead_to_its_instant(client: httpx.AsyncClient, open_ticket: Open, db: Database) -> None:
    calendar = await write_calendar(client)
    target = {"metric": "promise", "seconds": 20 * 3600, "hours": "business"}
    await write_targets(client, target, calendar_id=calendar["id"])
    ticket = await open_ticket()
    made = await _promise(client, ticket, None)
    assert instant(made["due_at"]) == await after(client, calendar, made["created_at"], 20 * 3600)
    [clock] = await clocks(client, ticket, "promise")
    assert clock["due_at"] == made["due_at"]
    await assert_verified(db)


async def test_a_promise_outlives_pauses_other_policies_and_the_resolution(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "promise", "seconds": 900})
    ticket = await open_ticket()
    made = await _promise(client, ticket, None)
    await patch(client, ticket, status="pending")
    await write_targets(client, {"metric": "promise", "seconds": 60}, key="faster", position=0)
    await patch(client, ticket, priority="urgent")
    await reply(client, ticket, status="resolved")
    [clock] = await clocks(client, ticket, "promise")
    assert (clock["state"], clock["due_at"]) == ("running", made["due_at"])
    assert good(await client.post(_url(ticket, made, "keep")))["state"] == "kept"
    await assert_verified(db)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": "A call."}, "/due_at"),
        ({"text": "A call.", "due_at": "2020-01-01T00:00:00Z"}, "/due_at"),
        ({"text": "A call.", "due_at": "tomorrow"}, "/due_at"),
        ({"text": "", "due_at": "2036-01-01T00:00:00Z"}, "/text"),
        ({"text": "x" * 2001, "due_at": "2036-01-01T00:00:00Z"}, "/text"),
        ({"due_at": "2036-01-01T00:00:00Z"}, "/text"),
        ({"text": "A call.", "due_at": "2099-01-01T00:00:00Z"}, "/due_at"),
    ],
)
async def test_a_wrong_part_is_named_and_nothing_is_promised(
    client: httpx.AsyncClient, open_ticket: Open, body: Body, pointer: str
) -> None:
    ticket = await open_ticket()
    assert pointers(await client.post(_url(ticket), json=body)) == [pointer]
    assert await _listed(client, ticket) == []
    assert await clocks(client, ticket, "promise") == []


async def test_withdrawing_needs_a_reason(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    made = await _promise(client, ticket, soon(600))
    for body in ({}, {"reason": ""}, {"reason": None}):
        assert pointers(await client.post(_url(ticket, made, "withdraw"), json=body)) == ["/reason"]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket, other = await open_ticket(), await open_ticket()
    made = await _promise(client, ticket, soon(600))
    for where, what in ((ticket, {"id": NOWHERE}), (other, made), ({"id": NOWHERE}, made)):
        assert (await client.post(_url(where, what, "keep"))).status_code == 404
        assert (await client.post(_url(where, what, "withdraw"), json={"reason": "R"})).status_code == 404
    assert (await client.get(_url({"id": NOWHERE}))).status_code == 404
    assert (await client.post(_url({"id": NOWHERE}), json={"text": "x", "due_at": soon(60)})).status_code == 404


async def test_agents_promise_and_customers_see_what_they_were_promised(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, db: Database
) -> None:
    agent, customer, stranger = await person("agent"), await person("customer"), await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    made = await _promise(agent.http, ticket, soon(600))
    assert made["made_by"] == {"kind": "agent", "id": str(agent.id)}
    assert await _listed(customer.http, ticket) == [made]
    assert (await stranger.http.get(_url(ticket))).status_code == 404
    for asking in (customer, stranger):
        for answer in (
            await asking.http.post(_url(ticket), json={"text": "x", "due_at": soon(600)}),
            await asking.http.post(_url(ticket, made, "keep")),
            await asking.http.post(_url(ticket, made, "withdraw"), json={"reason": "R"}),
        ):
            assert answer.status_code == 403
    await client.post(_url(ticket, made, "keep"))
    seen = [event["type"] for event in await events(customer.http, ticket)]
    assert [type_ for type_ in seen if type_.startswith("promise.")] == ["promise.made", "promise.kept"]
    assert not [type_ for type_ in seen if type_.startswith("sla")]
    # The text stays out of the log.
    assert "A call." not in (await client.get(f"/v1/tickets/{ticket['id']}/events")).text
    await assert_verified(db)


async def test_a_promise_is_broken_for_the_customer_whatever_time_an_exception_gives_its_clock(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    made = await _promise(client, ticket, soon(0.4))
    body = {"ticket_id": ticket["id"], "effect": "extend", "seconds": 600, "reason": "Storm."}
    assert (await client.post("/v1/sla-exceptions", json=body)).status_code == 201
    await asyncio.sleep(0.5)
    kept = good(await client.post(_url(ticket, made, "keep")))
    [clock] = await clocks(client, ticket, "promise")
    await assert_verified(db)
    assert (clock["state"], kept["state"]) == ("met", "broken")


async def test_nothing_is_promised_on_a_closed_ticket(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    await patch(client, ticket, status="closed")
    answer = await client.post(_url(ticket), json={"text": "A call.", "due_at": soon(600)})
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_closed")

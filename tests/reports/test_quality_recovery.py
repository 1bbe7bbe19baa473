"""Complaints recovered and requests for a person, against counts by hand."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.support.quality import by, move_back, quality, rate, whole
from tests.support.sla import Sql, patch, reply
from tests.support.verification import Body, good, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _complaint(
    client: httpx.AsyncClient,
    open_ticket: Open,
    sql: Sql,
    customer: str,
    seconds: float | None,
    days: float,
    **more: Any,
) -> Body:
    """One that was answered after so many seconds, if at all, and resolved so many days ago."""
    ticket = await open_ticket(customer={"external_id": customer}, type="complaint", **more)
    if seconds is not None:
        await reply(client, ticket)
    await patch(client, ticket, status="resolved")
    await sql.execute(
        "UPDATE sla_clocks SET elapsed = $2 * interval '1 second' WHERE ticket_id = $1 AND metric = 'first_response'",
        ticket["id"], seconds,
    )  # fmt: skip
    await move_back(sql, ticket, days)
    return ticket


async def test_complaints_are_recovered_where_the_customer_is_satisfied_or_comes_back(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    async def later(customer: str, days: float, **more: Any) -> None:
        await move_back(sql, await open_ticket(customer={"external_id": customer}, **more), days)

    satisfied = await _complaint(client, open_ticket, sql, "a", 60, 20)
    await rate(client, satisfied, 4)
    await later("a", 10)
    unsatisfied = await _complaint(client, open_ticket, sql, "b", 60.5, 20)
    await rate(client, unsatisfied, 3)
    await _complaint(client, open_ticket, sql, "c", 100, 20)
    await later("c", 21)  # before
    await later("c", 10, type="complaint")
    await _complaint(client, open_ticket, sql, "d", 101, 120)
    await later("d", 29.5)  # after more than 90 days
    await _complaint(client, open_ticket, sql, "e", 101, 120)
    await later("e", 30.5)
    await _complaint(client, open_ticket, sql, "f", None, 20, product="x")
    await later("f", 19)
    reopened = await _complaint(client, open_ticket, sql, "g", 1, 20)
    await patch(client, reopened, status="open")
    spam = await _complaint(client, open_ticket, sql, "h", 1, 20)
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    asked = {"from": soon(-200 * 86_400), "buckets": "60,100"}
    names = ("up_to_seconds", "answered", "resolved", "satisfied", "came_back", "recovered", "recovery_rate")
    expected = [
        (60, True, 1, 1, 1, 1, 100),
        (100, True, 2, 0, 0, 0, 0),
        (None, True, 2, 0, 1, 1, 50),
        (None, False, 1, 0, 1, 1, 100),
    ]
    found = (await whole(client, **asked))["complaints"]
    assert [tuple(each[name] for name in names) for each in found] == expected
    by_product = {
        each["group"]["product"]: each["complaints"] for each in await quality(client, group_by="product", **asked)
    }
    assert [each["recovered"] for each in by_product["x"]] == [0, 0, 0, 1]
    assert [each["recovered"] for each in by_product[None]] == [1, 0, 1, 0]


async def test_a_contact_of_the_instant_of_the_resolution_came_before_it(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ticket = await _complaint(client, open_ticket, sql, "a", 1, 5)
    contact = await open_ticket(customer={"external_id": "a"})
    await sql.execute(
        "UPDATE sla_clocks SET started_at = (SELECT resolved_at FROM ticket_resolutions) WHERE ticket_id = $1"
        " AND metric = 'first_response'",
        contact["id"],
    )
    assert (await whole(client))["complaints"][0]["came_back"] == 0
    await sql.execute(
        "UPDATE sla_clocks SET started_at = started_at + interval '1 microsecond' WHERE ticket_id = $1", contact["id"]
    )
    assert (await whole(client))["complaints"][0]["came_back"] == 1
    assert ticket["id"] != contact["id"]


async def test_requests_for_a_person_are_over_with_a_persons_answer(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    ada, ben = await person("agent"), await person("agent")

    async def ask(ticket: Body, seconds: int = 0) -> None:
        good(await client.post(f"/v1/tickets/{ticket['id']}/handoff"))
        await sql.execute(
            "UPDATE person_requests SET asked_at = asked_at - $2 * interval '1 second'"
            " WHERE ticket_id = $1 AND ended_at IS NULL",
            ticket["id"], seconds,
        )  # fmt: skip

    answered, twice, given_up, waiting, never = [await open_ticket(team_id=None, product=p) for p in "aabcd"]
    await ask(answered, 100)
    await reply(client, answered, author={"kind": "bot"})
    await reply(client, answered, visibility="internal")
    await ask(answered)  # who asks again has waited since the first time
    await patch(client, answered, product="z")
    await reply(ada.http, answered)
    await ask(twice, 10)
    await reply(ben.http, twice)
    await ask(twice, 300)
    await reply(ben.http, twice, status="resolved")
    await ask(given_up)
    await patch(client, given_up, status="resolved")
    await ask(waiting)
    await reply(ada.http, never)
    found = (await whole(client))["person_requests"]
    assert (found["asked"], found["answered"], found["waiting"]) == (5, 3, 1)
    assert found["mean_seconds"] == pytest.approx(410 / 3, abs=30)
    assert found["p50_seconds"] == pytest.approx(100, abs=30)
    assert found["p90_seconds"] == pytest.approx(300, abs=30)
    assert await by(client, "agent", "person_requests", "answered") == {str(ada.id): 1, str(ben.id): 2}
    # Of what it was when it was answered; of who waits, when they asked.
    assert await by(client, "product", "person_requests", "asked") == {"z": 1, "a": 2, "b": 1, "c": 1}


async def test_who_asked_on_a_merged_ticket_is_answered_on_the_other_one(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    agent = await person("agent")
    one, two = [await open_ticket(customer={"external_id": "c"}) for _ in range(2)]
    good(await client.post(f"/v1/tickets/{one['id']}/handoff"))
    good(await client.post(f"/v1/tickets/{one['id']}/merge", json={"into": two["id"]}))
    assert (await whole(client))["person_requests"]["waiting"] == 1
    await reply(agent.http, two)
    found = (await whole(client))["person_requests"]
    assert (found["asked"], found["answered"], found["waiting"]) == (1, 1, 0)

"""What is told of a ticket, and to whom."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg
import httpx

from app.db import Database
from app.outlook import hands
from app.sla.core.outlook import NEEDED
from tests.conftest import Person
from tests.outlook.test_learning import call, past
from tests.support.sla import let_pass, patch, reply, write_policy
from tests.support.verification import ALWAYS, Body, assert_verified, good, instant, write_calendar, write_targets

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def outlook(http: httpx.AsyncClient, ticket: Body, **query: str) -> Body:
    return good(await http.get(f"/v1/tickets/{ticket['id']}/outlook", params=query))


async def known_past(client: httpx.AsyncClient, db: Database) -> None:
    """Half are answered within 20 seconds, four of five within 60, all within 200."""
    waits = [20] * 50 + [60] * 30 + [200] * 20
    await past(client, db, [call(number, 1000 * number, waited) for number, waited in enumerate(waits)])


def seconds(found: Body, name: str) -> float:
    return (instant(found["likely_by"][name]) - instant(found["at"])).total_seconds()


async def test_a_customer_is_told_what_is_promised_and_what_is_likely(
    client: httpx.AsyncClient, db: Database, person: Make, open_ticket: Open
) -> None:
    await known_past(client, db)
    customer = await person("customer")
    good(await client.patch(f"/v1/customers/{customer.id}", json={"language": "fi-FI"}))
    ticket = good(await customer.http.post("/v1/tickets", json={"subject": "Help", "description": "Please."}))
    found = await outlook(customer.http, ticket, timezone="Europe/Helsinki")
    whole = good(await client.get(f"/v1/tickets/{ticket['id']}"))
    assert (found["promised_by"], found["promised_seconds"]) == (whole["due_at"], 90)
    assert [seconds(found, name) for name in ("p50", "p80", "p95")] == [20, 60, 200]
    assert (found["place_in_queue"], found["chance_within_target"], found["why"]) == (1, 0.8, None)
    assert (found["service_open"], found["service_opens_at"], found["service_closes_at"]) == (True, None, None)
    assert (found["language"], found["timezone"]) == ("fi", "Europe/Helsinki")
    assert found["text"].startswith("Saat ensimmäisen vastauksen 90 sekunnin kuluessa: viimeistään ")
    stranger = await person("customer")
    assert (await stranger.http.get(f"/v1/tickets/{ticket['id']}/outlook")).status_code == 404
    unknown = await customer.http.get(f"/v1/tickets/{ticket['id']}/outlook?timezone=Mars")
    assert unknown.status_code == 422


async def test_where_too_little_is_known_it_says_so(client: httpx.AsyncClient, db: Database, open_ticket: Open) -> None:
    await past(client, db, [call(number, 1000 * number, 20) for number in range(NEEDED - 1)])
    found = await outlook(client, await open_ticket())
    assert (found["likely_by"], found["chance_within_target"], found["why"]) == (None, None, "too_little_known")
    assert found["promised_seconds"] == 90
    assert found["place_in_queue"] == 1


async def test_targets_are_told_to_customers_where_the_policy_says_so(
    client: httpx.AsyncClient, db: Database, person: Make
) -> None:
    await known_past(client, db)
    await write_policy(client, 3600, shown_to_customers=False)
    customer = await person("customer")
    ticket = good(await customer.http.post("/v1/tickets", json={"subject": "Help", "description": "Please."}))
    found, staff = await outlook(customer.http, ticket), await outlook(client, ticket)
    assert (found["promised_by"], found["promised_seconds"], found["chance_within_target"]) == (None, None, None)
    assert found["text"].startswith("You wait for our answer. Nobody is ahead of you.")
    assert found["likely_by"]
    assert (staff["promised_seconds"], staff["chance_within_target"]) == (3600, 1.0)


async def test_once_late_it_reads_late_whatever_exception_is_granted(
    client: httpx.AsyncClient, db: Database, open_ticket: Open, sql: Sql
) -> None:
    await known_past(client, db)
    ticket = await open_ticket()
    await let_pass(sql, 100, ticket)
    exception = {"scope": "ticket", "ticket_id": ticket["id"], "effect": "extend", "seconds": 900, "reason": "Storm."}
    good(await client.post("/v1/sla-exceptions", json=exception))
    found = await outlook(client, ticket)
    assert instant(found["promised_by"]) < instant(found["at"])
    assert found["chance_within_target"] == 0
    assert "It is late, and we are sorry." in found["text"]


async def test_nobody_is_told_how_long_an_answer_takes_that_they_do_not_wait_for(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    await known_past(client, db)
    await write_targets(client, *[{"metric": metric, "seconds": 90} for metric in ("first_response", "next_response")])
    ticket = await open_ticket()
    await reply(client, ticket)
    found = await outlook(client, ticket)
    assert (found["why"], found["promised_by"], found["likely_by"]) == ("nobody_waits", None, None)
    customer = {"kind": "customer"}
    await reply(client, ticket, author=customer)
    found = await outlook(client, ticket)
    assert (found["why"], found["likely_by"], found["place_in_queue"]) == ("not_the_first", None, None)
    assert found["promised_by"]
    assert found["text"].startswith("You get our next answer by ")


async def test_the_place_is_by_deadlines_and_the_wait_by_who_is_there(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, open_ticket: Open
) -> None:
    # Alone in the queue with a hand free: at once; with somebody ahead and no hand free: late.
    await sql.execute("INSERT INTO outlook_hands VALUES ('2026-03-01', 2), ('2026-03-10', 1), ('2026-04-01', 0)")
    await past(client, db, [call(number, 1000 * number, 5) for number in range(NEEDED)])
    later = 10 * 86_400
    await past(client, db, [call(1000 + number, later + 1000 * (number // 2), 300) for number in range(2 * NEEDED)])
    await write_policy(client, {"urgent": 15, "normal": 90})
    agent = await person("agent")
    good(await agent.http.put(f"/v1/agents/{agent.id}/availability", json={"state": "online", "capacity": 1}))
    await hands.look_once(db)
    first = await open_ticket()
    assert seconds(await outlook(client, first), "p95") == 5
    await patch(client, first, assignee_id=str(agent.id))
    await hands.look_once(db)
    second, urgent = await open_ticket(), await open_ticket(priority="urgent")
    found = await outlook(client, second)
    assert (found["place_in_queue"], seconds(found, "p50")) == (3, 300)
    assert (await outlook(client, urgent))["place_in_queue"] == 1


async def test_service_hours_now_and_next_are_told(client: httpx.AsyncClient, open_ticket: Open) -> None:
    now = datetime.fromisoformat((await outlook(client, await open_ticket()))["at"])
    tomorrow = (now + timedelta(days=1)).date()
    dates = {now.date().isoformat(): [], tomorrow.isoformat(): [["09:00", "17:00"]]}
    closed = await write_calendar(client, timezone="UTC", hours=ALWAYS, date_hours=dates)
    target = {"metric": "first_response", "seconds": 3600, "hours": "business"}
    await write_targets(client, target, calendar_id=closed["id"])
    found = await outlook(client, await open_ticket())
    assert (found["service_open"], found["service_opens_at"]) == (False, f"{tomorrow}T09:00:00Z")
    assert found["promised_by"] == f"{tomorrow}T10:00:00Z"
    assert "We are closed now, and there again from 09:00 on " in found["text"]
    assert "within 1 hour of our service hours" in found["text"]
    await write_targets(
        client,
        target,
        key="open",
        position=0,
        calendar_id=(await write_calendar(client, name="Always", hours=ALWAYS))["id"],
    )
    found = await outlook(client, await open_ticket())
    assert (found["service_open"], found["service_closes_at"], found["timezone"]) == (True, None, "Europe/Helsinki")


async def opened(http: httpx.AsyncClient, query: str = "", **body: object) -> Body:
    whole = {"subject": "Help", "description": "Please.", "customer": {"external_id": "c-1", "name": "Ada"}, **body}
    return good(await http.post(f"/v1/tickets{query}", json=whole))


async def promises_of(client: httpx.AsyncClient, ticket: Body) -> list[Body]:
    items: list[Body] = good(await client.get(f"/v1/tickets/{ticket['id']}/promises"))["items"]
    return items


async def test_an_outlook_comes_with_the_ticket_where_asked(client: httpx.AsyncClient, db: Database) -> None:
    await known_past(client, db)
    assert "outlook" not in await opened(client)
    ticket = await opened(client, "?include=outlook")
    found, later = ticket["outlook"], await outlook(client, ticket)
    same = ("promised_by", "promised_seconds", "place_in_queue", "language", "why", "service_open", "ticket_id")
    assert [found[name] for name in same] == [later[name] for name in same]
    assert found["place_in_queue"] == 2
    assert (found["at"], [seconds(found, name) for name in ("p50", "p80", "p95")]) == (
        ticket["created_at"],
        [20, 60, 200],
    )
    for _ in range(20):
        last = await opened(client, "?include=outlook")
    assert last["outlook"]["place_in_queue"] == 22
    beyond = await opened(client, "?include=outlook")
    assert (beyond["outlook"]["place_in_queue"], (await outlook(client, beyond))["place_in_queue"]) == (None, 23)


async def test_what_is_almost_sure_is_promised_by_itself_and_kept_by_the_answer(
    client: httpx.AsyncClient, db: Database
) -> None:
    await known_past(client, db)
    good(await client.put("/v1/customers/by-external-id/c-1", json={"name": "Ada", "language": "fi"}))
    ticket = await opened(client, promise="auto")
    [promise] = await promises_of(client, ticket)
    assert (promise["due_at"], promise["state"]) == (ticket["outlook"]["likely_by"]["p95"], "open")
    assert (promise["text"], promise["made_by"]) == ("Ensimmäinen vastaus.", {"kind": "system", "id": None})
    await reply(client, ticket, visibility="internal")
    assert [each["state"] for each in await promises_of(client, ticket)] == ["open"]
    await reply(client, ticket)
    assert [each["state"] for each in await promises_of(client, ticket)] == ["kept"]
    await assert_verified(db)


async def test_a_promise_by_itself_is_broken_by_a_late_answer_and_withdrawn_from_who_gives_up(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    await known_past(client, db)
    late, gone = await opened(client, promise="auto"), await opened(client, promise="auto")
    await patch(client, gone, status="closed")
    assert [each["state"] for each in await promises_of(client, gone)] == ["withdrawn"]
    await sql.execute(
        "UPDATE sla_clocks SET promised_until = promised_until - interval '1 hour',"
        " started_at = started_at - interval '1 hour' WHERE ticket_id = $1",
        late["id"],
    )
    await reply(client, late)
    assert [each["state"] for each in await promises_of(client, late)] == ["broken"]


async def test_nothing_is_promised_by_itself_where_too_little_is_known(client: httpx.AsyncClient) -> None:
    ticket = await opened(client, promise="auto")
    assert ticket["outlook"]["why"] == "too_little_known"
    assert await promises_of(client, ticket) == []


async def test_nothing_is_promised_by_itself_to_whom_nobody_answers(client: httpx.AsyncClient, db: Database) -> None:
    await known_past(client, db)
    ticket = await opened(client, promise="auto", opened_by="agent")
    assert (ticket["outlook"]["why"], ticket["outlook"]["likely_by"]) == ("nobody_waits", None)
    assert await promises_of(client, ticket) == []

"""Spam is in no figure, goal or queue, and comes back exactly."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from app.db import Database
from tests.conftest import Person
from tests.support.sla import Sql, patch, reply, sweep_dry
from tests.support.verification import Body, assert_verified, clocks, events, good, write_targets
from tests.verification.test_verify import differences

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def _mark(client: httpx.AsyncClient, ticket: Body, word: str = "spam") -> Body:
    return good(await client.post(f"/v1/tickets/{ticket['id']}/{word}"))


async def _figures(client: httpx.AsyncClient, goal: Body) -> list[Body]:
    report = good(await client.get("/v1/reports/response-times"))["items"][0]
    status = good(await client.get(f"/v1/service-goals/{goal['id']}/status"))
    history = good(await client.get(f"/v1/service-goals/{goal['id']}/history"))["items"]
    backlog = good(await client.get("/v1/reports/backlog"))["items"]
    queue = good(await client.get("/v1/sla-clocks"))["items"]
    return [
        {name: report[name] for name in ("met", "breached", "cancelled", "running", "unanswered")},
        {name: status[name] for name in ("answered", "running", "unanswered", "excluded", "spam")},
        {"day": [(day["answered"], day["running"], day["spam"]) for day in history if day["spam"] or day["answered"]]},
        {"open": sum(item["open"] for item in backlog)},
        {"queue": sorted(clock["id"] for clock in queue)},
    ]


async def test_spam_is_in_no_figure_goal_or_queue_and_comes_back_exactly(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    goal = good(
        await client.post(
            "/v1/service-goals",
            json={"key": "g", "name": "G", "metric": "first_response", "statistic": "mean", "target_seconds": 90,
                  "window": {"rolling_seconds": 3600}},
        )
    )  # fmt: skip
    kept, answered, waiting = [await open_ticket() for _ in range(3)]
    await reply(client, kept)
    await reply(client, answered)
    await reply(client, answered, author={"kind": "customer"})
    before = await _figures(client, goal)
    was = [await _still(client, ticket) for ticket in (answered, waiting)]
    for ticket in (answered, waiting):
        marked = await _mark(client, ticket)
        assert (marked["status"], marked["closed_at"]) == ("closed", marked["spam_at"])
    found = good(await client.get("/v1/tickets?spam=true"))["items"]
    assert {item["id"] for item in found} == {answered["id"], waiting["id"]}
    assert [item["id"] for item in good(await client.get("/v1/tickets?spam=false"))["items"]] == [kept["id"]]
    ended = {clock["ended_reason"] for clock in good(await client.get(f"/v1/tickets/{waiting['id']}/clocks"))["items"]}
    assert ended == {"spam"}
    report, status, days, backlog, queue = await _figures(client, goal)
    assert {name: report[name] for name in ("met", "breached", "running")} == {"met": 1, "breached": 0, "running": 0}
    assert {reason: n for reason, n in report["unanswered"].items() if n} == {"spam": 2}
    alone = {"answered": 1, "running": 0, "unanswered": 0, "excluded": 0, "spam": 2}
    assert {name: status[name] for name in alone} == alone
    assert days == {"day": [(1, 0, 2)]}
    assert (backlog["open"], len(queue["queue"])) == (1, 1)
    for ticket in (answered, waiting):
        back = await _mark(client, ticket, "not-spam")
        assert (back["status"], back["spam_at"], back["closed_at"]) == (ticket_status(ticket, answered), None, None)
    assert [await _still(client, ticket) for ticket in (answered, waiting)] == was
    assert await _figures(client, goal) == before
    await assert_verified(db)


def ticket_status(ticket: Body, answered: Body) -> str:
    return "open" if ticket is answered else "new"


async def _still(client: httpx.AsyncClient, ticket: Body) -> list[Body]:
    found = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
    moving = {"elapsed_seconds": 0, "remaining_seconds": 0, "paused_seconds": 0}
    return [{**clock, **moving} for clock in found]


async def test_marking_twice_changes_nothing_and_is_told_once(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    ticket = await open_ticket()
    assert (await _mark(client, ticket, "not-spam"))["version"] == ticket["version"]
    first = await _mark(client, ticket)
    assert await _mark(client, ticket) == first
    for _ in range(2):
        await _mark(client, ticket, "not-spam")
    assert len(await events(client, ticket, "ticket.marked_spam", "ticket.unmarked_spam")) == 2
    await assert_verified(db)


async def test_spam_that_was_closed_before_stays_closed_when_it_is_none(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    for word in ("closed", "resolved"):
        ticket = await open_ticket()
        was = await patch(client, ticket, status=word)
        await _mark(client, ticket)
        back = await _mark(client, ticket, "not-spam")
        assert {**back, "version": 0, "updated_at": 0} == {**was, "version": 0, "updated_at": 0}
    await assert_verified(db)


async def test_a_deadline_that_passed_while_it_was_spam_is_broken_and_told_of_when_it_is_none(
    client: httpx.AsyncClient, open_ticket: Open, db: Database
) -> None:
    await write_targets(client, {"metric": "first_response", "seconds": 1})
    ticket = await open_ticket()
    await _mark(client, ticket)
    await asyncio.sleep(1.1)
    await sweep_dry(db)
    assert await events(client, ticket, "sla.breached") == []
    await _mark(client, ticket, "not-spam")
    await sweep_dry(db)
    [clock] = await clocks(client, ticket, "first_response")
    assert (clock["state"], clock["started_at"]) == ("breached", ticket["created_at"])
    assert len(await events(client, ticket, "sla.breached")) == 1
    await assert_verified(db)


async def test_spam_and_merged_tickets_are_not_mixed(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    one = {"customer": {"external_id": "one"}}
    spam, source, target = [await open_ticket(**one) for _ in range(3)]
    await _mark(client, spam)
    for source_, into in ((spam, target), (source, spam)):
        refused = await client.post(f"/v1/tickets/{source_['id']}/merge", json={"into": into["id"]})
        assert refused.json()["code"] == "cannot_merge"
    good(await client.post(f"/v1/tickets/{source['id']}/merge", json={"into": target["id"]}))
    refused = await client.post(f"/v1/tickets/{source['id']}/spam")
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_merged")
    customer = await person("customer")
    own = await open_ticket(customer={"id": str(customer.id)})
    assert (await customer.http.post(f"/v1/tickets/{own['id']}/spam")).status_code == 403


async def test_verify_finds_a_clock_of_spam_that_is_counted(
    client: httpx.AsyncClient, open_ticket: Open, db: Database, sql: Sql
) -> None:
    ticket = await open_ticket()
    await _mark(client, ticket)
    await sql.execute("UPDATE sla_clocks SET spam = false")
    assert {difference.field for difference in await differences(db)} == {"spam"}

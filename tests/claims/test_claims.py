"""Agents who are online are given the ticket to be answered next: never one to two, within capacity, channels, teams
and skills, with the reason; it is taken back where it is not answered, and given back by hand."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.claims import watching
from app.db import Database
from app.sla.core.next_answer import WaitingTicket, place
from tests.conftest import Person
from tests.support.sla import patch, reply
from tests.support.verification import Body, assert_verified, events, good

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def _online(agent: Person, capacity: int = 10, **more: Any) -> Person:
    said = {"state": "online", "capacity": capacity, **more}
    good(await agent.http.put(f"/v1/agents/{agent.id}/availability", json=said))
    return agent


async def _claim(agent: Person, **body: Any) -> Body:
    return good(await agent.http.post("/v1/tickets/claim", json=body))


async def _claimed(agent: Person, **body: Any) -> list[str]:
    return [item["ticket_id"] for item in (await _claim(agent, **body))["items"]]


async def _claimed_in_the_end(agent: Person, **body: Any) -> list[str]:
    """As a client asks that was told to come again: a slow machine has too few connections for all at once."""
    for _ in range(50):
        answer = await agent.http.post("/v1/tickets/claim", json=body)
        if answer.status_code not in (429, 503):
            return [item["ticket_id"] for item in good(answer)["items"]]
        await asyncio.sleep(0.1)
    raise AssertionError("nobody answered")


async def _assignee(client: httpx.AsyncClient, ticket: Body) -> str | None:
    found: str | None = good(await client.get(f"/v1/tickets/{ticket['id']}"))["assignee_id"]
    return found


async def _stands(sql: Sql, ticket: Body, waited: float, due_in: float | None = None) -> None:
    """As if its customer had waited so long, with so long to go to its deadline."""
    await sql.execute(
        "UPDATE tickets SET waiting_since = now() - make_interval(secs => $2),"
        " due_at = now() + make_interval(secs => $3) WHERE id = $1",
        UUID(ticket["id"]),
        waited,
        due_in,
    )


async def test_what_can_be_met_is_given_first_with_the_reason_then_who_waits_longest(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    late, later, soon, far = [await open_ticket() for _ in range(4)]
    for ticket, waited, due_in in ((late, 900, -600), (later, 950, -650), (soon, 49, 400), (far, 80, 900)):
        await _stands(sql, ticket, waited, due_in)
    explained = good(await client.get(f"/v1/tickets/{soon['id']}/explain"))
    assert (explained["queued"]["why"], explained["claim"]) == ("can_be_met", None)
    agent = await _online(await person("agent"))
    [first] = (await _claim(agent))["items"]
    assert (first["ticket_id"], first["agent_id"], first["why"]) == (soon["id"], str(agent.id), "can_be_met")
    assert first["reason"].startswith("Its deadline is in 6 min ")
    assert first["ticket"]["assignee_id"] == str(agent.id)
    assert await _claimed(agent, count=3) == [far["id"], later["id"], late["id"]]
    rest = await _claim(agent)
    assert rest["items"] == []
    assert rest["because"] == "Nobody who waits for an answer fits their channels, teams and skills."
    explained = good(await client.get(f"/v1/tickets/{soon['id']}/explain"))
    assert explained["queued"] is None
    assert explained["claim"]["reason"] == first["reason"]
    [told] = await events(client, soon, "ticket.claimed")
    assert (told["data"]["agent_id"], told["data"]["reason"]) == (str(agent.id), first["reason"])


async def test_twenty_agents_at_once_get_each_ticket_once_and_none_is_lost(
    person: Make, open_ticket: Open, sql: Sql, db: Database
) -> None:
    tickets = [await open_ticket() for _ in range(30)]
    agents = [await _online(await person("agent"), capacity=2) for _ in range(20)]
    # Each asks three times at once, and may hold two.
    answers = await asyncio.gather(*(_claimed_in_the_end(agent) for agent in agents for _ in range(3)))
    given = Counter(ticket_id for claimed in answers for ticket_id in claimed)
    # Whoever asks again gets what others were being given meanwhile.
    for agent in agents:
        given.update(await _claimed(agent, count=3))
    assert given == dict.fromkeys((ticket["id"] for ticket in tickets), 1)
    held = await sql.fetch("SELECT assignee_id, count(*) FROM tickets GROUP BY 1")
    assert max(row["count"] for row in held) == 2
    assert None not in {row["assignee_id"] for row in held}
    assert await sql.fetchval("SELECT count(*) FROM ticket_claims") == 30
    await assert_verified(db)


async def test_capacity_holds_in_all_and_by_channel_and_what_is_pending_takes_none(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    mails = [await open_ticket(channel="email") for _ in range(4)]
    chats = [await open_ticket(channel="chat") for _ in range(2)]
    await open_ticket(channel="phone")
    channels = [{"channel": "email", "capacity": 2}, {"channel": "chat", "capacity": 5}]
    agent = await _online(await person("agent"), 3, channels=channels)
    answer = await _claim(agent, count=10)
    assert Counter(item["ticket"]["channel"] for item in answer["items"]) == {"email": 2, "chat": 1}
    assert answer["because"] == "They hold 3 tickets, and take 3 at once, or fewer of a channel."
    await patch(client, mails[0], status="pending")
    assert await _claimed(agent, channels=["email"], count=5) == [mails[2]["id"]]
    await patch(client, chats[0], status="pending")
    assert await _claimed(agent, channels=["phone"]) == []


async def test_only_what_fits_skills_and_teams_is_given(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    teams = [good(await client.post("/v1/teams", json={"key": key, "name": key}))["id"] for key in ("mine", "others")]
    french, both = [await open_ticket(tags=tags) for tags in (["skill:French"], ["skill:french", "skill:law"])]
    ours, theirs = [await open_ticket(team_id=team_id) for team_id in teams]
    agent = await person("agent")
    good(await client.patch(f"/v1/agents/{agent.id}", json={"team_ids": teams[:1]}))
    await _online(agent, skills=["french"])
    assert await _claimed(agent, team_id=teams[0], count=3) == [ours["id"]]
    assert (await agent.http.post("/v1/tickets/claim", json={"team_id": teams[1]})).status_code == 403
    assert await _claimed(agent, count=5) == [french["id"]]
    await _online(agent, skills=["FRENCH", "law"])
    assert await _claimed(agent, count=5) == [both["id"]]
    assert await _assignee(client, theirs) is None


async def test_what_is_out_of_the_queue_is_not_given(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    snoozed, spam, done, answered, taken = [await open_ticket() for _ in range(5)]
    later = {"until": "2036-01-01T00:00:00Z"}
    good(await client.post(f"/v1/tickets/{snoozed['id']}/snooze", json=later))
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    await patch(client, done, status="resolved")
    await reply(client, answered)
    agent, other = [await _online(await person("agent")) for _ in range(2)]
    await patch(client, taken, assignee_id=str(other.id))
    assert await _claimed(agent, count=5) == []


async def test_who_is_not_online_gets_nothing(client: httpx.AsyncClient, person: Make, open_ticket: Open) -> None:
    ticket = await open_ticket()
    agent, customer = await person("agent"), await person("customer")
    for state in (None, "away", "offline"):
        if state:
            good(await agent.http.put(f"/v1/agents/{agent.id}/availability", json={"state": state}))
        refused = await agent.http.post("/v1/tickets/claim", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_available")
    assert (await customer.http.post("/v1/tickets/claim", json={})).status_code == 403
    assert (await client.post("/v1/tickets/claim", json={})).status_code == 422
    assert await _assignee(client, ticket) is None


async def test_a_claim_that_is_not_answered_is_taken_back_once_and_told(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql, db: Database
) -> None:
    silent, answered, moved = [await open_ticket() for _ in range(3)]
    agent, other = [await _online(await person("agent")) for _ in range(2)]
    assert len(await _claimed(agent, count=3)) == 3
    await watching.take_back_once(db)
    assert await _assignee(client, silent) == str(agent.id)
    await reply(agent.http, answered)
    await patch(client, moved, assignee_id=str(other.id))
    await sql.execute("UPDATE ticket_claims SET answer_by = now()")
    await asyncio.gather(*(watching.take_back_once(db) for _ in range(4)))
    holders = [await _assignee(client, ticket) for ticket in (silent, answered, moved)]
    assert holders == [None, str(agent.id), str(other.id)]
    [told] = await events(client, silent, "ticket.claim_expired")
    assert (told["data"]["agent_id"], told["actorkind"]) == (str(agent.id), "system")
    assert await events(client, answered, "ticket.claim_expired") == []
    outcomes = await sql.fetch("SELECT outcome FROM ticket_claims ORDER BY outcome")
    assert [row["outcome"] for row in outcomes] == ["answered", "expired", "reassigned"]
    # Whoever asks next gets it.
    assert await _claimed(other) == [silent["id"]]
    await assert_verified(db)


async def test_given_back_by_hand_it_goes_to_somebody_else(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    agent, other, lead = [await _online(await person(role)) for role in ("agent", "agent", "lead")]
    path = f"/v1/tickets/{ticket['id']}/release"
    refused = await agent.http.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_claimed")
    assert await _claimed(agent) == [ticket["id"]]
    assert (await other.http.post(path)).status_code == 403
    assert good(await agent.http.post(path))["assignee_id"] is None
    assert await _claimed(agent) == []
    assert await _claimed(other) == [ticket["id"]]
    assert good(await lead.http.post(path))["assignee_id"] is None
    told = await events(client, ticket, "ticket.claim_released")
    assert [event["data"]["agent_id"] for event in told] == [str(agent.id), str(other.id)]


async def test_what_a_near_goal_counts_comes_before_what_waits_longer(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    longest, counted = await open_ticket(), await open_ticket(priority="high")
    await _stands(sql, longest, 900, -600)
    await _stands(sql, counted, 800, -500)
    goal = {"key": "g", "name": "G", "target_seconds": 90, "window": {"rolling_seconds": 3600}}
    made = good(await client.post("/v1/service-goals", json={**goal, "filter": {"priority": "high"}}))
    await sql.execute(
        "INSERT INTO service_goal_states (goal_id, crosses_at) VALUES ($1, now() + interval '5 minutes')",
        UUID(made["id"]),
    )
    explained = good(await client.get(f"/v1/tickets/{counted['id']}/explain"))
    assert explained["queued"]["why"] == "goal"
    [first, second] = (await _claim(await _online(await person("agent")), count=2))["items"]
    assert (first["ticket_id"], first["why"]) == (counted["id"], "goal")
    assert (second["ticket_id"], second["why"]) == (longest["id"], "waits_longest")


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_the_statements_find_the_order_of_the_core(
    person: Make, open_ticket: Open, sql: Sql, oldest_first: bool
) -> None:
    for number, due_in in enumerate((-5, 6000, 600, None, -700, 3000, 900, -60, 1200, None)):
        await _stands(sql, await open_ticket(), (number * 7919) % 1000, due_in)
    rows = await sql.fetch("SELECT id, waiting_since, due_at, now() FROM tickets")
    now: datetime = rows[0]["now"]
    if oldest_first:
        await sql.execute(
            "INSERT INTO claim_queue (id, seen_at, waiting, worst_seconds, spare_claims) VALUES (1, now(), 10, 1, 0)"
        )
    waiting = [WaitingTicket(row["id"], row["waiting_since"], row["due_at"]) for row in rows]
    ordered = sorted(waiting, key=lambda ticket: place(ticket, now, oldest_first=oldest_first))
    expected = [str(ticket.id) for ticket in ordered]
    assert await _claimed(await _online(await person("agent")), count=10) == expected


async def test_the_worker_sees_the_queue_as_the_core_does(
    person: Make, open_ticket: Open, sql: Sql, db: Database
) -> None:
    tickets = [await open_ticket() for _ in range(10)]
    agent = await _online(await person("agent"), capacity=50)
    now = await sql.fetchval("SELECT now()")
    for number, ticket in enumerate(tickets):
        since, due_at = now - timedelta(seconds=100 - 10 * number), now + timedelta(seconds=600 if number == 9 else -1)
        statement = "UPDATE tickets SET waiting_since = $2, due_at = $3 WHERE id = $1"
        await sql.execute(statement, UUID(ticket["id"]), since, due_at)

    async def seen() -> tuple[int, int, int | None]:
        await watching.look_once(db)
        row = await sql.fetchrow("SELECT waiting, worst_seconds, spare_claims FROM claim_queue")
        assert row is not None
        return row["waiting"], round(row["worst_seconds"], -1), row["spare_claims"]

    # A fifth of somewhat more than 100 s is two places of ten seconds each.
    assert await seen() == (10, 100, 2)
    # The last one can be met; now each of the others waits one place longer than oldest-first would have them.
    assert (await _claim(agent))["items"][0]["why"] == "can_be_met"
    assert await seen() == (9, 100, 1)
    # What somebody gave back, and what is out of the queue for a while, is no claim.
    [back] = await _claimed(agent)
    good(await agent.http.post(f"/v1/tickets/{back}/release"))
    assert (await seen())[0] == 9
    await sql.execute("UPDATE tickets SET snoozed_until = now() + interval '1 hour' WHERE assignee_id IS NULL")
    assert await seen() == (0, 0, None)


async def test_the_oldest_are_passed_over_no_more_often_than_is_spare(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    tickets = [await open_ticket() for _ in range(5)]
    for number, ticket in enumerate(tickets):
        await _stands(sql, ticket, 500 - number, -100 if number == 0 else 600 + number)
    await sql.execute(
        "INSERT INTO claim_queue (id, seen_at, waiting, worst_seconds, spare_claims) VALUES (1, now(), 5, 1, 2)"
    )
    agent = await _online(await person("agent"))
    given = (await _claim(agent, count=3))["items"]
    assert [item["why"] for item in given] == ["can_be_met", "can_be_met", "oldest_first"]
    assert given[2]["ticket_id"] == tickets[0]["id"]
    assert (await _claim(agent))["items"][0]["why"] == "oldest_first"
    explained = good(await client.get(f"/v1/tickets/{tickets[4]['id']}/explain"))
    assert (explained["queued"]["oldest_first"], explained["queued"]["why"]) == (True, "oldest_first")

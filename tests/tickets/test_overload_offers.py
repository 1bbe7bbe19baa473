"""What is offered while a goal is about to be missed, to whom, and what becomes of it."""

import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from app.db import Database
from app.goals import watching
from tests.conftest import Person
from tests.outlook.test_outlook import known_past, outlook
from tests.support.articles import said, segment, set_automation, write
from tests.support.sla import let_pass, reply
from tests.support.verification import Body, assert_verified, clocks, events, good, instant, pointers

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ASKED = {"subject": "My parcel", "description": "Where is my parcel? It never arrived."}
KEY = "overload_offer"


async def judge(db: Database, sql: Sql) -> None:
    await sql.execute("UPDATE service_goal_states SET next_at = '1970-01-01 00:00Z'")
    while await watching.run_once(db):
        pass


@pytest.fixture
async def crowd(client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open) -> Body:
    """The stock goal, a mean of 90 seconds, is missed within half a minute: somebody has waited for 70."""
    await known_past(client, db)
    waiting = await open_ticket()
    await let_pass(sql, 70, waiting)
    await judge(db, sql)
    await set_automation(client, KEY)
    return waiting


async def opened(http: httpx.AsyncClient, **more: Any) -> Body:
    return good(await http.post("/v1/tickets", json={**ASKED, **more}))


async def choose(http: httpx.AsyncClient, ticket: Body, choice: str) -> httpx.Response:
    return await http.post(f"/v1/tickets/{ticket['id']}/overload-choice", json={"choice": choice})


async def test_who_comes_while_a_goal_is_about_to_be_missed_may_choose(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, crowd: Body
) -> None:
    article = await write(client)
    customer = await person("customer")
    ticket = await opened(customer.http)
    offer = ticket["outlook"]["offer"]
    assert offer["choices"] == ["article", "call_back", "wait"]
    assert (offer["article_ids"], offer["chosen"]) == ([article["id"]], None)
    assert offer["call_back_by"] == ticket["outlook"]["likely_by"]["p95"]
    assert (ticket["self_service"], ticket["status"]) == ("offered", "new")
    (_, _), (author, text) = await said(customer.http, ticket)
    assert author == "system"
    for words in ("Many people write to us now", "Choose to be called back", "Or wait", "a person at any time"):
        assert words in text
    assert text.endswith(f"{article['title']}\n{article['body']}")
    # Nothing of it answers anybody: the clock runs, and the place is kept.
    [clock] = await clocks(client, ticket, "first_response")
    assert (clock["state"], ticket["outlook"]["place_in_queue"]) == ("running", 2)
    [told] = await events(client, ticket, "ticket.overload_offered")
    goal = good(await client.get("/v1/service-goals"))["items"][0]
    assert told["data"] == {"choices": offer["choices"], "goal_id": goal["id"]}
    [theirs] = await events(customer.http, ticket, "ticket.overload_offered")
    assert theirs["data"] == {"choices": offer["choices"], "goal_id": None}
    again = (await outlook(customer.http, ticket))["offer"]
    assert (again["choices"], again["article_ids"]) == (offer["choices"], offer["article_ids"])
    await reply(client, ticket)
    assert (await outlook(customer.http, ticket))["offer"] is None
    await let_pass(sql, -70, crowd)
    await assert_verified(db)


async def test_a_call_back_is_a_promise_that_the_answer_keeps(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, crowd: Body
) -> None:
    customer = await person("customer")
    ticket = await opened(customer.http)
    chosen = good(await choose(customer.http, ticket, "call_back"))
    assert (chosen["offer"]["chosen"], chosen["offer"]["choices"]) == ("call_back", ["call_back", "wait"])
    path = f"/v1/tickets/{ticket['id']}/promises"
    [promise] = good(await customer.http.get(path))["items"]
    assert (promise["text"], promise["state"], promise["made_by"]["kind"]) == ("A call back.", "open", "system")
    assert promise["due_at"] == chosen["offer"]["call_back_by"]
    assert 199 < (instant(promise["due_at"]) - instant(chosen["offer"]["chosen_at"])).total_seconds() < 201
    # Chosen again, nothing is promised twice; and what is promised is not chosen away.
    good(await choose(customer.http, ticket, "call_back"))
    assert len(good(await client.get(path))["items"]) == 1
    refused = await choose(customer.http, ticket, "wait")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_offered")
    [told] = await events(customer.http, ticket, "ticket.overload_chosen")
    assert told["data"] == {"choice": "call_back", "call_back_by": promise["due_at"]}
    await reply(client, ticket)
    assert [each["state"] for each in good(await client.get(path))["items"]] == ["kept"]
    assert (await choose(customer.http, ticket, "wait")).status_code == 409
    await let_pass(sql, -70, crowd)
    await assert_verified(db)


async def test_it_is_by_need_and_by_setting_and_nothing_of_it_where_it_is_off(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, crowd: Body
) -> None:
    await write(client)
    for key, name in (("frail", "Needs a person"), ("busy", "Has no time")):
        await segment(client, key, self_service=False, rule={"field": "customer.name", "op": "eq", "value": name})
    await set_automation(client, KEY, segment_choices={"frail": [], "busy": ["call_back"]}, choices=["wait"])

    async def choices(name: str, **more: Any) -> list[str] | None:
        ticket = await opened(client, customer={"name": name}, **more)
        found = (await outlook(client, ticket))["offer"]
        return found and list(found["choices"])

    assert await choices("Anybody") == ["wait"]
    assert await choices("Has no time") == ["call_back"]
    assert await choices("Needs a person") is None
    # Towards the customer nobody waits; who comes first waits for nobody.
    assert await choices("Anybody", opened_by="agent") is None
    await set_automation(client, KEY, segment_choices={"frail": None})
    assert await choices("Needs a person") == ["wait"]
    await set_automation(client, KEY, choices=[])
    assert await choices("Anybody") is None
    await set_automation(client, KEY, enabled=False, choices=["wait"])
    assert await choices("Anybody") is None
    assert pointers(
        await client.patch(f"/v1/automations/{KEY}", json={"settings": {"choices": ["profit"]}})
    ) == ["/settings/choices/0"]  # fmt: skip


async def test_only_goals_that_are_near_and_judge_such_tickets_count(
    client: httpx.AsyncClient, db: Database, sql: Sql, crowd: Body, open_ticket: Open
) -> None:
    async def is_offered(**more: Any) -> bool:
        return (await outlook(client, await open_ticket(**more)))["offer"] is not None

    assert await is_offered()
    await set_automation(client, KEY, before_seconds=1)
    assert not await is_offered()
    await set_automation(client, KEY, before_seconds=60)
    goal = good(await client.get("/v1/service-goals"))["items"][0]
    for filter_, holds in (({"channel": "chat"}, "chat"), ({"channel": None, "priority": "high"}, "high")):
        good(await client.patch(f"/v1/service-goals/{goal['id']}", json={"filter": filter_}))
        name = "channel" if holds == "chat" else "priority"
        assert await is_offered(**{name: holds})
        assert not await is_offered(channel="web")
    # Missed is as near as can be; and once nobody waits before them, there is nothing to be spared.
    good(await client.patch(f"/v1/service-goals/{goal['id']}", json={"filter": {"priority": None}}))
    await let_pass(sql, 1000, crowd)
    await judge(db, sql)
    assert await sql.fetchval("SELECT standing FROM service_goal_states") == "missed"
    assert await is_offered()
    await sql.execute("UPDATE sla_clocks SET ended_at = clock_timestamp(), stopped_at = clock_timestamp()")
    assert not await is_offered()


async def test_an_exception_keeps_it_away_and_too_little_known_promises_nothing(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, crowd: Body
) -> None:
    customer, other = await person("customer"), await person("customer")
    body = {"kind": "automation", "scope": "customer", "customer_id": str(customer.id), "automations": [KEY]}
    good(await client.post("/v1/sla-exceptions", json={**body, "reason": "Prefers people."}))
    assert (await outlook(customer.http, await opened(customer.http)))["offer"] is None
    ticket = await opened(other.http)
    await sql.execute("UPDATE outlook_curves SET waits = 0, revision = revision + 1000")
    await sql.execute("UPDATE outlook_revision SET revision = revision + 1000")
    refused = await choose(other.http, ticket, "call_back")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_offered")
    assert (await outlook(other.http, await opened(other.http)))["offer"]["choices"] == ["wait"]


async def test_only_who_asked_or_the_staff_choose_and_only_what_is_offered(
    client: httpx.AsyncClient, person: Make, crowd: Body
) -> None:
    customer, stranger = await person("customer"), await person("customer")
    ticket = await opened(customer.http)
    assert (await choose(stranger.http, ticket, "wait")).status_code == 404
    assert pointers(await choose(customer.http, ticket, "article")) == ["/choice"]
    assert (await choose(client, crowd, "wait")).status_code == 409
    agent = await person("agent")
    assert good(await choose(agent.http, ticket, "wait"))["offer"]["chosen"] == "wait"
    assert good(await choose(customer.http, ticket, "call_back"))["offer"]["chosen"] == "call_back"


async def test_a_person_is_one_call_away_and_all_of_it_is_counted(
    client: httpx.AsyncClient, db: Database, sql: Sql, person: Make, crowd: Body
) -> None:
    article = await write(client)
    people = [await person("customer") for _ in range(6)]
    tickets = [await opened(each.http) for each in people]
    by_article, kept, late, wait, by_person, _ = tickets
    good(await people[0].http.post(f"/v1/tickets/{by_article['id']}/solved-by", json={"article_id": article["id"]}))
    for who, ticket in ((people[1], kept), (people[2], late)):
        good(await choose(who.http, ticket, "call_back"))
    good(await choose(people[3].http, wait, "wait"))
    good(await choose(people[4].http, by_person, "wait"))
    asked = good(await people[4].http.post(f"/v1/tickets/{by_person['id']}/handoff"))
    assert (asked["needs_human"], asked["self_service"]) == (True, "handed_off")
    assert (await outlook(people[4].http, by_person))["offer"]["chosen"] == "person"
    await reply(client, kept)
    await sql.execute("UPDATE promises SET due_at = created_at WHERE ticket_id = $1", late["id"])
    await sql.execute("UPDATE overload_offers SET call_back_by = offered_at WHERE ticket_id = $1", late["id"])
    await sql.execute("UPDATE promises p SET due_at = o.call_back_by FROM overload_offers o"
                      " WHERE o.ticket_id = p.ticket_id AND p.ticket_id = $1", late["id"])  # fmt: skip
    whole = good(await client.get("/v1/reports/overload-offers"))["items"]
    figures = {
        "offered": 6, "article": 1, "call_back": 2, "wait": 1, "person": 1, "undecided": 1, "call_backs_kept": 1,
        "call_backs_late": 1,
    }  # fmt: skip
    assert whole == [{"segment": None, **figures}]
    by_need = good(await client.get("/v1/reports/overload-offers?group_by=segment&to=2020-01-01"))["items"]
    assert by_need == []
    await segment(client, "s", self_service=False, rule={"field": "customer.name", "op": "eq", "value": "N"})
    await opened(client, customer={"name": "N"})
    groups = good(await client.get("/v1/reports/overload-offers?group_by=segment"))["items"]
    assert [(each["segment"], each["offered"], each["undecided"]) for each in groups] == [("s", 1, 1), (None, 6, 1)]
    answer = await client.get("/v1/reports/overload-offers?group_by=segment", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [{name: "" if value is None else str(value) for name, value in each.items()} for each in groups]

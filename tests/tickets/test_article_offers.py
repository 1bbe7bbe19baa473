"""Answers first: what a customer in a self-service segment gets, what came of it, and that no clock takes it for an
answer."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.db import Database
from tests.conftest import Person
from tests.support.articles import helped_first, said, segment, set_automation, write
from tests.support.events import actor_of
from tests.support.verification import Body, assert_verified, clocks, events, good, pointers

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
ASKED = {"subject": "My parcel", "description": "Where is my parcel? It never arrived."}


async def _opened(customer: Person, **more: Any) -> Body:
    return good(await customer.http.post("/v1/tickets", json={**ASKED, **more}))


async def _state(client: httpx.AsyncClient, ticket: Body) -> tuple[str, str | None, bool]:
    seen = good(await client.get(f"/v1/tickets/{ticket['id']}"))
    return seen["status"], seen["self_service"], seen["needs_human"]


async def _solve(http: httpx.AsyncClient, ticket: Body, article: Body) -> httpx.Response:
    return await http.post(f"/v1/tickets/{ticket['id']}/solved-by", json={"article_id": article["id"]})


async def test_answers_come_first_as_a_message_of_the_system_that_stops_no_clock(
    client: httpx.AsyncClient, person: Make, db: Database
) -> None:
    customer = await person("customer")
    await helped_first(client, customer.id)
    article = await write(client)
    await write(client, key="card", title="My card is lost", body="Call us.", tags=[])
    ticket = await _opened(customer)
    assert (ticket["self_service"], ticket["status"], "suggestions" in ticket) == ("offered", "new", False)
    (_, asked), (author, text) = await said(customer.http, ticket)
    assert (asked, author) == (ASKED["description"], "system")
    assert text == f"This may help while you wait for us:\n\n{article['title']}\n{article['body']}"
    (first,) = await clocks(client, ticket, "first_response")
    assert (first["state"], first["stopped_at"]) == ("running", None)
    version = good(await client.get("/v1/automations/self_service_first"))["version"]
    told = (await events(client, ticket, "message.created"))[-1]
    assert actor_of(told) == {"kind": "system", "id": None}
    assert told["data"]["automation"] == {"key": "self_service_first", "version": version}
    assert told["data"]["article_ids"] == [article["id"]]
    await assert_verified(db)


async def test_they_are_in_the_customers_language_with_its_own_words_before_them(
    client: httpx.AsyncClient, person: Make
) -> None:
    finn = good(await client.post("/v1/customers", json={"name": "F", "language": "fi-FI"}))
    swede = good(await client.post("/v1/customers", json={"name": "S", "language": "sv"}))
    await helped_first(client, finn["id"])
    await set_automation(client, "self_service_first", introductions={"fi": "Ehkä tästä on apua:"})
    await write(client)
    await write(client, language="fi", title="Missä parcel on?", body="Seuraa linkkiä.", tags=[])
    ticket = await _opened(await person("customer", customer_id=finn["id"]))
    assert (await said(client, ticket))[-1][1] == "Ehkä tästä on apua:\n\nMissä parcel on?\nSeuraa linkkiä."
    other = good(await client.post("/v1/tickets", json={**ASKED, "customer": {"id": swede["id"]}}))
    assert (other["self_service"], len(await said(client, other))) == (None, 1)


async def test_nothing_is_sent_that_scores_too_little_or_where_it_is_not_wanted(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    customer = await person("customer")
    made = await helped_first(client, customer.id)
    await write(client)
    await write(client, key="late", title="It arrived late", body="Tell us.", tags=[])
    own = {"customer": {"id": str(customer.id)}, **ASKED}
    assert (await open_ticket(**own))["self_service"] == "offered"
    # Towards the customer, to others, and about something else.
    assert (await open_ticket(**own, opened_by="agent"))["self_service"] is None
    assert (await open_ticket(**ASKED))["self_service"] is None
    assert (await _opened(customer, subject="A card", description="Lost it."))["self_service"] is None
    await set_automation(client, "self_service_first", min_score=1.0)
    assert (await _opened(customer))["self_service"] is None
    await set_automation(client, "self_service_first", min_score=0.1)
    assert (await _opened(customer))["self_service"] == "offered"
    await set_automation(client, "self_service_first", enabled=False)
    assert (await _opened(customer))["self_service"] is None
    await set_automation(client, "self_service_first")
    good(await client.patch(f"/v1/segments/{made['id']}", json={"self_service": False}))
    assert (await _opened(customer))["self_service"] is None


async def test_somebody_new_whom_a_rule_puts_into_the_segment_gets_them_too(client: httpx.AsyncClient) -> None:
    await set_automation(client, "self_service_first")
    rule = {"field": "customer.email", "op": "contains", "value": "@self.test"}
    await segment(client, rule=rule)
    await write(client)
    body = {**ASKED, "customer": {"email": "a@self.test"}}
    assert good(await client.post("/v1/tickets", json=body))["self_service"] == "offered"


async def test_suggestions_come_along_when_asked_for_and_change_nothing(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    article = await write(client, body="Word " * 100)
    await write(client, key="hidden", active=False)
    await write(client, key="members", segment_ids=[(await segment(client))["id"]])
    for http in ((await person("customer")).http, client):
        body = ASKED if http is not client else {**ASKED, "customer": {"external_id": "c"}}
        ticket = good(await http.post("/v1/tickets?suggest=true", json=body))
        (only,) = ticket["suggestions"]
        assert {**only, "score": 0} == {
            "id": article["id"], "key": "parcel", "title": article["title"], "language": "en", "score": 0,
            "excerpt": " ".join(["Word"] * 60)[:299] + "…",
        }  # fmt: skip
        assert 0 < only["score"] <= 1
        assert (ticket["self_service"], len(await said(client, ticket))) == (None, 1)


async def test_that_helped_resolves_the_ticket_and_counts_as_deflected_until_it_is_opened_again(
    client: httpx.AsyncClient, person: Make, db: Database
) -> None:
    customer = await person("customer")
    await helped_first(client, customer.id)
    article = await write(client)
    ticket = await _opened(customer)
    solved = good(await _solve(customer.http, ticket, article))
    assert (solved["status"], solved["self_service"]) == ("resolved", "deflected")
    (first,) = await clocks(client, ticket, "first_response")
    assert (first["state"], first["ended_reason"]) == ("cancelled", "closed_by_customer")
    (told,) = await events(client, ticket, "ticket.solved_by_article")
    assert told["data"] == {"article_id": article["id"]}
    assert (await _solve(customer.http, ticket, article)).is_success
    good(await customer.http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "No, it did not."}))
    assert await _state(client, ticket) == ("open", "offered", False)
    good(await customer.http.patch(f"/v1/tickets/{ticket['id']}", json={"status": "closed"}))
    assert (await _solve(customer.http, ticket, article)).status_code == 409
    await assert_verified(db)


async def test_a_person_is_always_reached_and_no_machine_takes_that_back(
    client: httpx.AsyncClient, person: Make, db: Database
) -> None:
    customer = await person("customer")
    bot = await person("service", scopes=["tickets:read", "tickets:write"])
    await helped_first(client, customer.id)
    article = await write(client)
    ticket = await _opened(customer)
    good(await _solve(customer.http, ticket, article))
    handed = good(await customer.http.post(f"/v1/tickets/{ticket['id']}/handoff"))
    assert (handed["status"], handed["self_service"], handed["needs_human"]) == ("open", "handed_off", True)
    good(await _solve(bot.http, ticket, article))
    assert await _state(client, ticket) == ("resolved", "handed_off", True)
    good(await _solve(customer.http, ticket, article))
    assert await _state(client, ticket) == ("resolved", "deflected", False)
    await assert_verified(db)


async def test_what_a_person_answered_was_not_deflected(client: httpx.AsyncClient, person: Make) -> None:
    customer, agent = await person("customer"), await person("agent")
    await helped_first(client, customer.id)
    article = await write(client)
    ticket = await _opened(customer)
    good(await agent.http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "We are looking."}))
    good(await _solve(customer.http, ticket, article))
    assert await _state(client, ticket) == ("resolved", "offered", False)


async def test_an_article_that_the_customer_cannot_have_seen_helps_nobody(
    client: httpx.AsyncClient, person: Make
) -> None:
    customer = await person("customer")
    await helped_first(client, customer.id)
    offered = await write(client)
    others = await segment(client, "others")
    hidden = await write(client, key="hidden", title="Hidden", tags=[], segment_ids=[others["id"]])
    ticket, stranger = await _opened(customer), await person("customer")
    assert (await _solve(stranger.http, ticket, offered)).status_code == 404
    for http in (customer.http, client):
        assert pointers(await _solve(http, ticket, hidden)) == ["/article_id"]
        assert pointers(await _solve(http, ticket, {"id": ticket["id"]})) == ["/article_id"]
    # One that was sent to them may be gone by now.
    good(await client.patch(f"/v1/articles/{offered['id']}", json={"active": False}))
    good(await _solve(customer.http, ticket, offered))


async def test_reports_count_what_was_offered_deflected_and_handed_off(client: httpx.AsyncClient, person: Make) -> None:
    customer = await person("customer")
    await helped_first(client, customer.id)
    parcel = await write(client)
    post = await write(client, key="post", title="Parcel or post", body="Post.", tags=[])
    tickets = [await _opened(customer) for _ in range(4)]
    await _solve(customer.http, tickets[0], parcel)
    await customer.http.post(f"/v1/tickets/{tickets[1]['id']}/handoff")

    async def report(**query: str) -> list[Any]:
        items = good(await client.get("/v1/reports/self-service", params=query))["items"]
        return [
            (*(value for value in item["group"].values() if value), item["offered"], item["deflected"],
             item["handed_off"])
            for item in items
        ]  # fmt: skip

    assert await report() == [(4, 1, 1)]
    assert await report(group_by="segment") == [("self", 4, 1, 1)]
    by_article = [(parcel["id"], 4, 1, 1), (post["id"], 4, 0, 1)]
    assert await report(group_by="article") == sorted(by_article)
    assert await report(group_by="segment,article") == [("self", *row) for row in sorted(by_article)]
    assert await report(to=tickets[0]["created_at"]) == [(0, 0, 0)]
    assert await report(**{"from": tickets[2]["created_at"]}) == [(2, 0, 0)]

"""The report on quality, against counts by hand."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from tests.conftest import Person
from tests.support.articles import write
from tests.support.imports import at, message, send, status
from tests.support.imports import item as imported_item
from tests.support.quality import URL, by, move_back, quality, rate, whole
from tests.support.sla import Sql, patch, reply
from tests.support.verification import Body, good, pointers, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def test_nothing_is_all_zeros(client: httpx.AsyncClient) -> None:
    item = await whole(client)
    assert item["resolutions"] == {
        "resolved": 0, "reopened": 0, "reopen_rate": None, "by_person": 0, "by_bot": 0, "by_article": 0, "by_nobody": 0,
    }  # fmt: skip
    assert item["satisfaction"]["scores"] == [0] * 5
    assert item["contacts"] == {"contacts": 0, "repeated": 0, "repeat_rate": None}
    assert [each["up_to_seconds"] for each in item["complaints"]] == [300, 3600, 86400, None, None]
    assert [each["answered"] for each in item["complaints"]] == [True] * 4 + [False]
    assert item["poor_quality"]["cost"] is None
    assert await quality(client, group_by="product") == []


async def test_resolutions_belong_to_who_resolved_and_reopenings_to_the_resolution(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    ada, ben = await person("agent"), await person("agent")
    one, two, three = [await open_ticket(product=product) for product in ("a", "a", "b")]
    await reply(ada.http, one, status="resolved")
    await patch(client, one, product="c")
    await patch(ben.http, one, status="open")
    await reply(ben.http, one, status="resolved")
    await reply(ada.http, two, status="closed")
    service = await person("service", scopes=["tickets:write"])
    await patch(service.http, three, status="resolved")
    item = (await whole(client))["resolutions"]
    assert (item["resolved"], item["reopened"], item["reopen_rate"]) == (4, 1, 25)
    assert (item["by_person"], item["by_nobody"]) == (3, 1)
    assert await by(client, "product", "resolutions", "resolved") == {"a": 2, "b": 1, "c": 1}
    assert await by(client, "product", "resolutions", "reopened") == {"a": 1}
    assert await by(client, "agent", "resolutions", "reopened") == {str(ada.id): 1}
    assert await by(client, "agent", "resolutions", "resolved") == {str(ada.id): 2, str(ben.id): 1, None: 1}
    assert await by(client, "product", "resolutions", "resolved", agent=str(ben.id)) == {"c": 1}


async def test_what_goes_on_elsewhere_is_not_resolved(client: httpx.AsyncClient, open_ticket: Open) -> None:
    one, two, spam = [await open_ticket(customer={"external_id": "c"}) for _ in range(3)]
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    good(await client.post(f"/v1/tickets/{one['id']}/merge", json={"into": two["id"]}))
    assert (await whole(client))["resolutions"]["resolved"] == 0
    good(await client.post(f"/v1/tickets/{one['id']}/unmerge"))
    await patch(client, one, status="resolved")
    # Spam is in no figure, and is again where it was none.
    good(await client.post(f"/v1/tickets/{one['id']}/spam"))
    assert (await whole(client))["resolutions"]["resolved"] == 0
    good(await client.post(f"/v1/tickets/{one['id']}/not-spam"))
    found = (await whole(client))["resolutions"]
    assert (found["resolved"], found["reopened"]) == (1, 0)


async def test_a_merge_that_is_undone_leaves_the_resolution_that_there_was(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    agent = await person("agent")
    waits, done = [await open_ticket(customer={"external_id": "c"}) for _ in range(2)]
    await reply(agent.http, done, status="resolved")
    good(await client.post(f"/v1/tickets/{waits['id']}/merge", json={"into": done["id"]}))
    assert (await whole(client))["resolutions"]["reopened"] == 1
    good(await client.post(f"/v1/tickets/{waits['id']}/unmerge"))
    assert good(await client.get(f"/v1/tickets/{done['id']}"))["status"] == "resolved"
    found = (await whole(client))["resolutions"]
    assert (found["resolved"], found["reopened"]) == (1, 0)
    assert await by(client, "agent", "resolutions", "resolved") == {str(agent.id): 1}


async def test_satisfaction_belongs_to_who_resolved(client: httpx.AsyncClient, person: Make, open_ticket: Open) -> None:
    ada, ben = await person("agent"), await person("agent")
    for agent, score, met, missed in (
        (ada, 5, ["accuracy", "advice"], []),
        (ada, 2, ["accuracy"], ["availability"]),
        (ben, 4, [], ["availability", "partnership"]),
    ):
        ticket = await open_ticket()
        await reply(agent.http, ticket, status="resolved")
        await rate(client, ticket, score, met=met, missed=missed)
        await patch(client, ticket, assignee_id=str(ben.id))
    found = (await whole(client))["satisfaction"]
    assert (found["given"], found["scores"]) == (3, [0, 1, 0, 1, 1])
    assert found["mean_score"] == pytest.approx(11 / 3)
    assert [(each["expectation"], each["met"], each["missed"]) for each in found["expectations"]] == [
        ("accuracy", 2, 0), ("availability", 0, 2), ("partnership", 0, 1), ("advice", 1, 0),
    ]  # fmt: skip
    assert await by(client, "agent", "satisfaction", "mean_score") == {str(ada.id): 3.5, str(ben.id): 4}


async def test_contacts_are_repeated_within_days_of_one_of_the_same_customer_and_product(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    for customer, product, days in (
        ("c", "a", 20), ("c", "a", 10), ("c", "a", 4), ("c", "b", 3), ("c", None, 3), ("c", None, 1), ("d", "a", 4),
        # Before the span, and yet a contact before.
        ("e", "a", 33), ("e", "a", 28),
    ):  # fmt: skip
        ticket = await open_ticket(customer={"external_id": customer}, product=product)
        await move_back(sql, ticket, days)
    spam = await open_ticket(customer={"external_id": "d"}, product="a")
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    outbound = {"customer": {"external_id": "d"}, "product": "a", "opened_by": "agent"}
    await open_ticket(**outbound)
    found = (await whole(client))["contacts"]
    assert (found["contacts"], found["repeated"]) == (8, 3)
    assert found["repeat_rate"] == 37.5
    assert await by(client, "product", "contacts", "repeated") == {"a": 2, None: 1}
    assert await by(client, "product", "contacts", "repeated", within_days=11) == {"a": 3, None: 1}
    assert await by(client, "product", "contacts", "repeated", within_days=3) == {None: 1}
    # What is filtered out is a contact before nonetheless.
    ticket = await open_ticket(customer={"external_id": "c"}, product="b", channel="phone")
    assert (await whole(client, channel="phone"))["contacts"]["repeated"] == 1


async def test_promises_belong_to_who_made_them(
    client: httpx.AsyncClient, person: Make, open_ticket: Open, sql: Sql
) -> None:
    ada, ben = await person("agent"), await person("agent")
    due = {"from": "2026-01-01T00:00:00Z", "to": soon(10_000)}
    states: Body = {}
    for maker, ends in ((ada, ("keep", "withdraw", None, "late")), (ben, ("keep",))):
        for end in ends:
            ticket = await open_ticket(product="a")
            url = f"/v1/tickets/{ticket['id']}/promises"
            made = good(await maker.http.post(url, json={"text": "A call.", "due_at": soon(5000)}))
            if end == "late":
                await sql.execute("UPDATE promises SET due_at = created_at WHERE id = $1", made["id"])
            elif end:
                reason = {"reason": "No."} if end == "withdraw" else None
                good(await ben.http.post(f"{url}/{made['id']}/{end}", json=reason))
            states[str(end)] = ticket
    due["from"] = soon(-1000)
    found = (await whole(client, **due))["promises"]
    assert found == {"kept": 2, "broken": 1, "withdrawn": 1, "open": 1, "kept_rate": pytest.approx(200 / 3)}
    assert await by(client, "agent", "promises", "kept", **due) == {str(ada.id): 1, str(ben.id): 1}
    assert await by(client, "agent", "promises", "broken", **due) == {str(ada.id): 1}
    good(await client.post(f"/v1/tickets/{states['late']['id']}/spam"))
    assert (await whole(client, **due))["promises"]["broken"] == 0
    # Not due yet.
    assert (await whole(client, **{**due, "to": soon(0)}))["promises"]["kept"] == 0


async def test_an_article_or_a_bot_solves_what_no_person_answered(client: httpx.AsyncClient, open_ticket: Open) -> None:
    article = await write(client, key="k")
    for by_bot, helped in ((True, False), (False, True), (False, True), (False, False)):
        ticket = await open_ticket(channel="chat" if by_bot else "web")
        if by_bot:
            await reply(client, ticket, author={"kind": "bot"})
        if helped:
            good(await client.post(f"/v1/tickets/{ticket['id']}/solved-by", json={"article_id": article["id"]}))
        else:
            await reply(client, ticket, author={"kind": "bot" if by_bot else "customer"}, visibility="public")
            service = {"status": "resolved"}
            good(await client.post(f"/v1/tickets/{ticket['id']}/messages", json={
                "body": "Done.", "author": {"kind": "bot" if by_bot else "agent"}, **service,
            }))  # fmt: skip
    found = (await whole(client))["resolutions"]
    assert [found[f"by_{who}"] for who in ("person", "bot", "article", "nobody")] == [2, 0, 2, 0]


async def test_handling_times_belong_to_who_wrote_and_to_what_the_ticket_was_then(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    ada, ben = await person("agent"), await person("agent")
    ticket = await open_ticket(product="a", tags=["x", "y"])
    await reply(ada.http, ticket, handling_seconds=60)
    await patch(client, ticket, product="b", tags=[], assignee_id=str(ben.id))
    await reply(ben.http, ticket, handling_seconds=30, visibility="internal")
    await patch(client, ticket, product="c")
    assert (await whole(client))["handling"] == {
        "tickets": 1, "messages": 2, "handling_seconds": 90, "mean_handling_seconds": 45,
    }  # fmt: skip
    assert await by(client, "product", "handling", "handling_seconds") == {"a": 60, "b": 30}
    assert await by(client, "agent", "handling", "handling_seconds") == {str(ada.id): 60, str(ben.id): 30}
    assert await by(client, "assignee", "handling", "handling_seconds") == {None: 60, str(ben.id): 30}
    assert await by(client, "tag", "handling", "handling_seconds") == {"x": 60, "y": 60, None: 30}
    items = good(await client.get("/v1/reports/handling-times", params={"group_by": "product"}))["items"]
    assert {item["group"]["product"]: item["handling_seconds"] for item in items} == {"a": 60, "b": 30}


@pytest.fixture
def costly(app: FastAPI, db: Database) -> None:
    db._settings = db._settings.model_copy(update={"cost_field": "repaid"})


@pytest.mark.usefixtures("costly")
async def test_poor_quality_costs_handling_and_money_by_product(client: httpx.AsyncClient, open_ticket: Open) -> None:
    field = {"subject": "ticket", "key": "repaid", "name": "Repaid", "type": "number"}
    good(await client.post("/v1/custom-fields", json=field))
    erased: Body = {}
    for type_, product, repaid, seconds in (
        ("complaint", "a", 10.5, 60),
        ("return", "a", 20, 30),
        ("return", "b", None, 5),
        ("question", "a", 1000, 1000),
    ):
        fields = {} if repaid is None else {"repaid": repaid}
        erased = await open_ticket(type=type_, product=product, custom_fields=fields, customer={"external_id": "c"})
        await reply(client, erased, handling_seconds=seconds, status="resolved")
    await open_ticket(type="complaint", product="a", custom_fields={"repaid": 7})  # not resolved
    expected = {"complaints": 1, "returns": 2, "handling_seconds": 95, "cost": 30.5}
    assert (await whole(client))["poor_quality"] == expected
    assert await by(client, "product", "poor_quality", "cost") == {"a": 30.5}
    assert await by(client, "product", "poor_quality", "handling_seconds") == {"a": 90, "b": 5}
    # Erasing takes the fields, and leaves the figure.
    good(await client.post(f"/v1/customers/{erased['customer_id']}/erase"))
    assert (await whole(client))["poor_quality"] == expected


async def test_imported_tickets_were_resolved_in_the_past(client: httpx.AsyncClient) -> None:
    created = {"created_at": at(0)}
    timeline = [
        message(1), status(2, "resolved"), status(3, "open", "customer"), status(4, "resolved", "customer"),
        status(5, "closed", "system"),
    ]  # fmt: skip
    sent = await send(
        client,
        imported_item("A", *timeline, product="p", **created),
        imported_item("B", status(1, "resolved", "bot"), **created),
    )
    assert sent["created"] == 2, sent
    span = {"from": "2013-03-21", "to": "2013-03-22"}
    found = (await whole(client, **span))["resolutions"]
    assert (found["resolved"], found["reopened"], found["by_person"], found["by_nobody"]) == (3, 1, 2, 1)
    assert await by(client, "product", "resolutions", "resolved", **span) == {"p": 2, None: 1}


async def test_days_are_those_of_the_time_zone(client: httpx.AsyncClient, open_ticket: Open, sql: Sql) -> None:
    for instant in ("2026-03-28T21:59:59Z", "2026-03-28T22:00:00Z", "2026-03-29T20:59:59Z", "2026-03-29T21:00:00Z"):
        ticket = await open_ticket()
        await reply(client, ticket, handling_seconds=1, status="resolved")
        for table, column in (("ticket_resolutions", "resolved_at"), ("handlings", "handled_at")):
            await sql.execute(
                f"UPDATE {table} SET {column} = $2::text::timestamptz WHERE ticket_id = $1", ticket["id"], instant
            )
    asked = {"from": "2026-03-01", "to": "2026-04-01", "timezone": "Europe/Helsinki"}
    days = {item["interval_start"]: item for item in await quality(client, interval="day", **asked)}
    expected = {"2026-03-27T22:00:00Z": 1, "2026-03-28T22:00:00Z": 2, "2026-03-29T21:00:00Z": 1}
    assert {day: item["resolutions"]["resolved"] for day, item in days.items()} == expected
    assert {day: item["handling"]["messages"] for day, item in days.items()} == expected
    hours = [item["interval_start"] for item in await quality(client, interval="hour", **asked)]
    assert hours == [
        "2026-03-28T21:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T20:00:00Z", "2026-03-29T21:00:00Z",
    ]  # fmt: skip
    [month] = await quality(client, interval="month", **asked)
    assert month["resolutions"]["resolved"] == 4
    # The end is exclusive, the beginning is not.
    edge = {"from": "2026-03-28T22:00:00Z", "to": "2026-03-29T21:00:00Z"}
    assert (await whole(client, **edge))["resolutions"]["resolved"] == 2


async def test_nothing_that_happens_later_regroups_it(
    client: httpx.AsyncClient, person: Make, open_ticket: Open
) -> None:
    ada, ben = await person("agent"), await person("agent")
    teams = [good(await client.post("/v1/teams", json={"key": key, "name": key}))["id"] for key in "tu"]
    customers = [
        good(await client.post("/v1/customers", json={"name": "C", "region": region}))["id"] for region in ("FI", "SE")
    ]
    ticket = await open_ticket(
        customer={"id": customers[0]}, team_id=teams[0], product="a", type="complaint", assignee_id=str(ada.id),
        channel="email", priority="high", tags=["x"],
    )  # fmt: skip
    good(await client.post(f"/v1/tickets/{ticket['id']}/handoff"))
    made = good(await ada.http.post(f"/v1/tickets/{ticket['id']}/promises", json={"text": "P", "due_at": soon(60)}))
    await reply(ada.http, ticket, handling_seconds=10)
    good(await ben.http.post(f"/v1/tickets/{ticket['id']}/promises/{made['id']}/keep"))
    await reply(ada.http, ticket, status="resolved")
    await rate(client, ticket, 5)
    groups = "agent,assignee,team,priority,type,channel,product,region,customer,tag"
    asked = {"group_by": groups, "from": soon(-1000), "to": soon(1000)}

    def figures(items: list[Body]) -> list[Body]:
        names = {name for name in items[0]["group"] if name.endswith("_name")}
        return [{**item, "group": {k: v for k, v in item["group"].items() if k not in names}} for item in items]

    then = figures(await quality(client, **asked))
    assert len(then) == 1
    assert then[0]["group"]["customer"] == customers[0]
    assert [then[0][part][name] for part, name in (
        ("resolutions", "resolved"), ("satisfaction", "given"), ("contacts", "contacts"), ("promises", "kept"),
        ("person_requests", "answered"), ("poor_quality", "complaints"), ("handling", "messages"),
    )] == [1] * 7  # fmt: skip
    await patch(
        client, ticket, assignee_id=str(ben.id), team_id=teams[1], product="b", type="question", channel="phone",
        priority="low", tags=["y"],
    )  # fmt: skip
    good(await client.patch(f"/v1/customers/{customers[0]}", json={"region": "NO"}))
    assert figures(await quality(client, **asked)) == then
    good(await client.post(f"/v1/customers/{customers[0]}/merge", json={"into": customers[1]}))
    assert figures(await quality(client, **asked)) == then
    other = await open_ticket(customer={"id": customers[1]})
    good(await client.post(f"/v1/tickets/{ticket['id']}/merge", json={"into": other["id"]}))
    assert figures(await quality(client, **asked, customer=customers[0])) == then
    good(await client.post(f"/v1/tickets/{ticket['id']}/unmerge"))
    good(await client.post(f"/v1/customers/{customers[1]}/erase"))
    assert figures(await quality(client, **asked, customer=customers[0])) == then
    good(await client.post(f"/v1/tickets/{ticket['id']}/spam"))
    assert await quality(client, **asked, customer=customers[0]) == []
    good(await client.post(f"/v1/tickets/{ticket['id']}/not-spam"))
    assert figures(await quality(client, **asked, customer=customers[0])) == then


async def test_csv_has_the_same_figures(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket(product="=a", type="complaint")
    await reply(client, ticket, handling_seconds=3, status="resolved")
    await rate(client, ticket, 5, met=["advice"])
    answer = await client.get(URL, params={"group_by": "product", "buckets": "60"}, headers={"Accept": "text/csv"})
    head, line = [row.split(",") for row in answer.text.splitlines()]
    cells = dict(zip(head, line, strict=True))
    assert cells["product"] == "'=a"
    expected = {
        "resolutions_resolved": 1, "satisfaction_score_5": 1, "satisfaction_advice_met": 1, "contacts_contacts": 1,
        "promises_kept": 0, "complaints_up_to_60_recovered": 1, "complaints_unanswered_resolved": 0,
        "person_requests_asked": 0, "poor_quality_complaints": 1, "handling_handling_seconds": 3,
    }  # fmt: skip
    assert {name: float(cells[name]) for name in expected} == expected
    assert cells["poor_quality_cost"] == ""
    assert len(head) == len(set(head))


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"from": "2024-01-01", "to": "2026-01-01"}, "/query/from"),
        ({"within_days": 0}, "/query/within_days"),
        ({"within_days": 91}, "/query/within_days"),
        ({"buckets": ",".join(map(str, range(1, 12)))}, "/query/buckets"),
        ({"buckets": "0"}, "/query/buckets/0"),
        ({"interval": "year"}, "/query/interval"),
        ({"timezone": "Nowhere"}, "/query/timezone"),
        ({"groupby": "team"}, "/query/groupby"),
    ],
)
async def test_what_cannot_be_is_refused(client: httpx.AsyncClient, asked: Body, pointer: str) -> None:
    for headers in ({}, {"Accept": "text/csv"}):
        assert pointers(await client.get(URL, params=asked, headers=headers)) == [pointer]


async def test_an_empty_span_holds_nothing(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await patch(client, await open_ticket(), status="resolved")
    same = soon(0)
    for interval in (None, "day", "hour"):
        asked = {"from": same, "to": same, **({"interval": interval} if interval else {})}
        assert [item["resolutions"]["resolved"] for item in await quality(client, **asked)] == ([] if interval else [0])

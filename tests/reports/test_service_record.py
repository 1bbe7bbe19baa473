"""What a customer or an organization got, against counts by hand."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from app.reports import service_records
from tests.conftest import Person
from tests.support.quality import move_back, rate
from tests.support.sla import Sql, reply
from tests.support.verification import Body, good, pointers, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]


async def record(http: httpx.AsyncClient, noun: str, id: str, **asked: int) -> Body:
    return good(await http.get(f"/v1/{noun}/{id}/service-record", params=asked))


async def test_a_customer_without_tickets_got_nothing(client: httpx.AsyncClient) -> None:
    id_ = good(await client.post("/v1/customers", json={"name": "C"}))["id"]
    found = await record(client, "customers", id_)
    assert (found["customer_id"], found["organization_id"], found["complete"]) == (id_, None, True)
    assert (found["tickets"], found["open"]) == (0, 0)
    assert found["promises"] == {"open": 0, "kept": 0, "broken": 0, "withdrawn": 0, "unkept": []}
    assert found["complaints"] == {"total": 0, "open": 0, "last_at": None}
    assert found["first_response"] == {"answered": 0, "mean_seconds": None, "waiting": 0}
    assert (found["satisfaction"]["given"], found["satisfaction"]["last_score"]) == (0, None)


async def test_what_a_customer_got_is_counted(client: httpx.AsyncClient, open_ticket: Open, sql: Sql) -> None:
    house = good(await client.post("/v1/organizations", json={"name": "O"}))["id"]
    one, two = [
        good(await client.post("/v1/customers", json={"name": name, "organization_id": house}))["id"] for name in "cd"
    ]
    complaint = await open_ticket(customer={"id": one}, type="complaint", product="a")
    again = await open_ticket(customer={"id": one}, product="a")
    other = await open_ticket(customer={"id": one}, product="b")
    theirs = await open_ticket(customer={"id": two}, product="a", type="complaint")
    await open_ticket(customer={"id": one}, product="a", opened_by="agent")
    spam, merged = [await open_ticket(customer={"id": one}, product="a", type="complaint") for _ in range(2)]
    good(await client.post(f"/v1/tickets/{spam['id']}/spam"))
    good(await client.post(f"/v1/tickets/{merged['id']}/merge", json={"into": again["id"]}))
    for ticket, seconds in ((complaint, 10), (other, 30)):
        await reply(client, ticket, status="resolved")
        await sql.execute(
            "UPDATE sla_clocks SET elapsed = $2 * interval '1 second' WHERE ticket_id = $1"
            " AND metric = 'first_response'",
            ticket["id"], seconds,
        )  # fmt: skip
    await rate(client, complaint, 1, missed=["availability"])
    await rate(client, other, 4, met=["advice"])
    promised = {}
    for name, ticket in {"open": again, "broken": again, "kept": other, "theirs": theirs, "spam": spam}.items():
        if name == "spam":
            continue
        body = {"text": f"{name}.", "due_at": soon(5000)}
        promised[name] = good(await client.post(f"/v1/tickets/{ticket['id']}/promises", json=body))
    good(await client.post(f"/v1/tickets/{other['id']}/promises/{promised['kept']['id']}/keep"))
    await sql.execute("UPDATE promises SET due_at = created_at WHERE id = $1", promised["broken"]["id"])
    found = await record(client, "customers", one)
    assert (found["tickets"], found["open"]) == (4, 2)
    assert found["complaints"] == {"total": 1, "open": 0, "last_at": complaint["created_at"]}
    assert found["contacts"] == {"contacts": 3, "repeated": 1}
    assert found["first_response"] == {"answered": 2, "mean_seconds": 20, "waiting": 1}
    assert {name: found["promises"][name] for name in ("open", "kept", "broken", "withdrawn")} == {
        "open": 1, "kept": 1, "broken": 1, "withdrawn": 0,
    }  # fmt: skip
    unkept = found["promises"]["unkept"]
    assert [(each["text"], each["state"], each["ticket_id"]) for each in unkept] == [
        ("open.", "open", again["id"]), ("broken.", "broken", again["id"]),
    ]  # fmt: skip
    rated = found["satisfaction"]
    assert (rated["given"], rated["mean_score"], rated["last_score"]) == (2, 2.5, 4)
    assert [(each["met"], each["missed"]) for each in rated["expectations"]] == [(0, 0), (0, 1), (0, 0), (1, 0)]
    whole = await record(client, "organizations", house)
    assert (whole["organization_id"], whole["customer_id"]) == (house, None)
    assert (whole["tickets"], whole["complaints"]["total"], whole["promises"]["open"]) == (5, 2, 2)
    # Of the same customer, too.
    assert whole["contacts"] == {"contacts": 4, "repeated": 1}
    await move_back(sql, complaint, 10)
    assert (await record(client, "customers", one))["contacts"]["repeated"] == 0
    assert (await record(client, "customers", one, within_days=11))["contacts"]["repeated"] == 1
    assert (await record(client, "customers", one, days=9))["complaints"]["total"] == 0


async def test_who_was_merged_is_the_one_they_were_merged_into(client: httpx.AsyncClient, open_ticket: Open) -> None:
    one, two = [good(await client.post("/v1/customers", json={"name": name}))["id"] for name in "cd"]
    await open_ticket(customer={"id": one})
    good(await client.post(f"/v1/customers/{one}/merge", json={"into": two}))
    assert [(await record(client, "customers", id_))["tickets"] for id_ in (one, two)] == [1, 1]
    assert (await record(client, "customers", one))["customer_id"] == two
    # Of who was erased the figures are left, and no words.
    good(await client.post(f"/v1/customers/{two}/erase"))
    assert (await record(client, "customers", two))["tickets"] == 1


async def test_it_has_a_scope_of_its_own(client: httpx.AsyncClient, person: Make) -> None:
    customer = await person("customer")
    urls = [f"/v1/customers/{customer.id}/service-record"]
    urls.append(
        f"/v1/organizations/{good(await client.post('/v1/organizations', json={'name': 'O'}))['id']}/service-record"
    )
    sales = await person("service", scopes=["service_records:read"])
    others = await person("service", scopes=["customers:read", "tickets:read", "reports:read"])
    for url in urls:
        assert (await sales.http.get(url)).status_code == 200
        assert (await others.http.get(url)).status_code == 403
        assert (await customer.http.get(url)).status_code == 403
    assert (await sales.http.get(f"/v1/customers/{customer.id}")).status_code == 403


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    nobody = "01900000-0000-7000-8000-000000000000"
    for noun in ("customers", "organizations"):
        assert (await client.get(f"/v1/{noun}/{nobody}/service-record")).status_code == 404
        url = f"/v1/{noun}/{nobody}/service-record"
        assert pointers(await client.get(url, params={"days": 0})) == ["/query/days"]
        assert pointers(await client.get(url, params={"within_days": 91})) == ["/query/within_days"]


async def test_so_many_tickets_are_looked_at_and_no_more(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_records, "MOST", 2)
    monkeypatch.setattr(service_records, "_OF_CUSTOMER", service_records._statements(service_records._t.customer_id))
    id_ = good(await client.post("/v1/customers", json={"name": "C"}))["id"]
    for number in range(3):
        found = await record(client, "customers", id_)
        assert (found["tickets"], found["complete"]) == (number, number < 2)
        await open_ticket(customer={"id": id_}, product=str(number))
    found = await record(client, "customers", id_)
    assert (found["tickets"], found["complete"], found["first_response"]["waiting"]) == (2, False, 2)

"""How many statements a request costs. More would be a round trip more for everybody."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.openapi import Open

BRACKETS = {"BEGIN", "COMMIT"}


@pytest.fixture
def statements(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What has been sent to the database since the last look, through whichever connection."""
    sent: list[str] = []

    def log(record: Any) -> None:
        sent.append(record.query.strip())

    def attach() -> None:
        for connection in _connections(db):
            connection.add_query_logger(log)

    def look() -> list[str]:
        attach()
        seen = list(sent)
        sent.clear()
        return seen

    yield look
    for connection in _connections(db):
        connection.remove_query_logger(log)


def _connections(db: Database) -> list[Any]:
    holders: Any = getattr(db.connections.pool, "_holders")  # noqa: B009 - asyncpg shows its connections in no other way
    return [holder._con for holder in holders if holder._con is not None]


def _work(sent: list[str]) -> list[str]:
    return [text for text in sent if text not in BRACKETS]


async def _warm(client: httpx.AsyncClient, open_ticket: Open, look: Callable[[], list[str]]) -> dict[str, Any]:
    """A ticket, with the caller's key and the policies known to the process."""
    ticket = await open_ticket()
    await client.get("/v1/tickets")
    look()
    await client.get("/livez")
    assert look() == []
    return ticket


async def test_opening_a_ticket_is_one_read_and_one_write(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    await _warm(client, open_ticket, statements)
    for customer in ({"external_id": "new"}, {"external_id": "new"}, {"email": "a@b.test"}, {"name": "N"}):
        await open_ticket(customer=customer, description="Help")
        sent = statements()
        assert 1 <= len(_work(sent)) <= 2, sent
        assert len(sent) <= 4


async def test_suggestions_cost_one_read_and_answers_first_one_more_and_nobody_else_pays_for_them(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    article = {"key": "a", "title": "Charged twice", "body": "Wait.", "language": "en"}
    assert (await client.post("/v1/articles", json=article)).status_code == 201
    greeting = {"channel": "web", "body": "Hello."}
    assert (await client.post("/v1/greetings", json=greeting)).status_code == 201
    segment = (
        await client.post("/v1/segments", json={"key": "s", "name": "S", "position": 1, "self_service": True})
    ).json()
    for n, enabled in enumerate((False, True)):
        await client.patch("/v1/automations/self_service_first", json={"enabled": enabled})
        override = {"effect": "include", "reason": "R"}
        made = await client.post("/v1/customers", json={"external_id": f"member{n}"})
        override["customer_id"] = made.json()["id"]
        assert (await client.post(f"/v1/segments/{segment['id']}/overrides", json=override)).status_code == 201
    for body in ({"subject": "warm", "customer": {"external_id": f"member{n}"}} for n in range(2)):
        await client.post("/v1/tickets?suggest=true", json=body)
    await _warm(client, open_ticket, statements)
    costs = []
    for path, customer in (
        ("/v1/tickets", "plain"), ("/v1/tickets?suggest=true", "plain"), ("/v1/tickets", "member1"),
        ("/v1/tickets?suggest=true", "member1"),
    ):  # fmt: skip
        body = {"subject": "Charged twice", "channel": "web", "customer": {"external_id": customer}}
        for _ in range(2):
            statements()
            assert (await client.post(path, json=body)).status_code == 201
        costs.append(len(_work(statements())))
    assert costs == [2, 3, 4, 4]


async def test_a_reply_that_stops_a_clock_is_one_read_and_one_write(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    ticket = await _warm(client, open_ticket, statements)
    answer = await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "On it.", "status": "pending"})
    assert answer.status_code == 201
    sent = statements()
    # Guarded by what was read, it needs no transaction around them.
    assert len(sent) == len(_work(sent)) == 2, sent
    clocks = (await client.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]
    assert {clock["metric"]: clock["state"] for clock in clocks}["first_response"] == "met"


async def test_a_reply_under_a_known_policy_is_one_read_and_one_write(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    """As above, once this process has replied under the policy version before."""
    await client.post(f"/v1/tickets/{(await open_ticket())['id']}/messages", json={"body": "Hello."})
    ticket = await _warm(client, open_ticket, statements)
    for body in ({"body": "On it.", "status": "pending"}, {"body": "Done.", "status": "resolved"}):
        assert (await client.post(f"/v1/tickets/{ticket['id']}/messages", json=body)).status_code == 201
        sent = statements()
        assert len(sent) == len(_work(sent)) == 2, sent


async def test_an_idempotency_key_costs_one_statement_and_the_transaction(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    await _warm(client, open_ticket, statements)
    body, headers = {"subject": "x", "customer": {"external_id": "c"}}, {"Idempotency-Key": "k"}
    # The first list of ids makes asyncpg look up what that is, once per connection.
    await client.post("/v1/tickets", json=body, headers={"Idempotency-Key": "warm"})
    statements()
    for _ in range(2):
        assert (await client.post("/v1/tickets", json=body, headers=headers)).status_code == 201
        sent = statements()
        assert len(_work(sent)) <= 3, sent
    assert len(_work(sent)) == 1, sent


async def test_reads_are_one_statement_without_a_transaction(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    ticket = await _warm(client, open_ticket, statements)
    for path in (
        f"/v1/tickets/{ticket['id']}",
        f"/v1/tickets/by-number/{ticket['number']}",
        "/v1/tickets?status=new&limit=50",
        "/v1/tickets?status=new,open&sort=-updated_at&tag=a&created_after=2020-01-01T00:00:00Z",
        "/v1/sla-clocks?state=running",
        "/v1/customers",
        f"/v1/customers/{ticket['customer_id']}",
        "/v1/organizations",
        "/v1/custom-fields",
        "/v1/agents",
        "/v1/teams",
        "/v1/api-keys",
        "/v1/webhooks",
        "/v1/service-goals",
        "/v1/articles?language=en",
        "/v1/automations",
        "/v1/reports/self-service?group_by=segment,article",
        "/v1/reports/backlog?group_by=region,priority",
        "/v1/sla-policies",
        "/v1/sla-jobs",
        "/v1/sla-exceptions",
        "/v1/segments",
        "/v1/segment-jobs",
        "/v1/business-calendars",
    ):
        # A connection's first look at a type of array asks the catalogue for it, once.
        for _ in range(2):
            statements()
            assert (await client.get(path)).status_code == 200
        assert len(statements()) == 1, path


async def test_a_list_costs_as_many_statements_for_many_rows_as_for_one(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    ticket = await _warm(client, open_ticket, statements)
    report = "/v1/reports/response-times?interval=day&group_by=team,agent&buckets=1,2"
    for path in (f"/v1/tickets/{ticket['id']}/messages", f"/v1/tickets/{ticket['id']}/events", "/v1/agents", report):
        await client.get(path)
        few = len(statements())
        for n in range(5):
            await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": f"{n}"})
            await client.post("/v1/agents", json={"name": f"A{n}"})
        statements()
        assert len((await client.get(path)).json()["items"]) >= (1 if path == report else 5)
        # A report reads a snapshot: its span, how far the facts are, its figures, what the core adds up, and a read for
        # each kind of name.
        assert len(statements()) == few <= (9 if path == report else 2), path


async def test_a_hundred_imported_tickets_cost_no_more_statements_than_two(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    await _warm(client, open_ticket, statements)
    costs = []
    for count in (30, 100):
        tickets = [
            {
                "external_id": f"{count}-{n}",
                "subject": "x",
                "customer": {"external_id": f"{n}"},
                "created_at": "2020-01-01T00:00:00Z",
            }
            for n in range(count)
        ]
        answer = await client.post("/v1/imports/tickets", json={"tickets": tickets})
        assert answer.json()["created"] == count
        costs.append(len(statements()))
    assert costs[1] <= costs[0], costs
    assert costs[1] < 20


async def test_a_queue_with_all_that_it_shows_is_one_request_of_few_statements(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    """However many rows there are."""
    team = (await client.post("/v1/teams", json={"key": "queue", "name": "T"})).json()["id"]
    agent = (await client.post("/v1/agents", json={"name": "A"})).json()["id"]
    for n in range(25):
        customer = {"external_id": f"queue-{n}", "name": f"N{n}"}
        await open_ticket(customer=customer, team_id=team, assignee_id=agent, description=f"text {n}")
    query = {"team_id": team, "include": "customer,assignee,team,last_message,clocks", "sort": "waiting_since"}
    await client.get("/v1/tickets", params=query)
    statements()
    items = (await client.get("/v1/tickets", params=query)).json()["items"]
    # The tickets, and each kind of thing beside them.
    assert len(_work(statements())) == 6
    assert len({item["customer"]["name"] for item in items}) == 25
    assert {item["last_message"]["body"] for item in items} == {f"text {n}" for n in range(25)}
    assert all(item["assignee"] == {"id": agent, "name": "A"} for item in items)
    assert all(item["team"] == {"id": team, "key": "queue", "name": "T"} for item in items)
    assert all(item["clocks"] for item in items)


async def test_a_tickets_page_is_one_request_of_few_statements(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    ticket = await _warm(client, open_ticket, statements)
    query = {"include": "clocks,messages,customer,assignee,team,last_message"}
    await client.get(f"/v1/tickets/{ticket['id']}", params=query)
    statements()
    shown = (await client.get(f"/v1/tickets/{ticket['id']}", params=query)).json()
    # Nobody has it, and no team.
    assert len(_work(statements())) == 5
    assert shown["messages"][-1]["body"] == shown["last_message"]["body"]


async def test_a_customer_who_is_another_costs_no_more_statements_for_many_tickets_than_for_two(
    client: httpx.AsyncClient, open_ticket: Open, statements: Callable[[], list[str]]
) -> None:
    condition = {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}
    target = {"metric": "first_response", "seconds": 60}
    policy = {"key": "pro", "name": "Pro", "position": 1, "conditions": {"all": [condition]}, "targets": [target]}
    assert (await client.post("/v1/sla-policies", json=policy)).status_code == 201
    costs = []
    for word, number in (("warm", 2), ("few", 2), ("many", 20)):
        tickets = [await open_ticket(customer={"external_id": word}) for _ in range(number)]
        path = f"/v1/customers/{tickets[0]['customer_id']}"
        await client.patch(path, json={"attributes": {"plan": "free"}})
        statements()
        assert (await client.patch(path, json={"attributes": {"plan": "pro"}})).status_code == 200
        costs.append(len(_work(statements())))
        for ticket in tickets:
            clocks = (await client.get(f"/v1/tickets/{ticket['id']}/clocks")).json()["items"]
            assert [each["target_seconds"] for each in clocks if each["metric"] == "first_response"] == [60]
    # Many rows leave by COPY.
    assert costs[2] <= costs[1] + 1, costs

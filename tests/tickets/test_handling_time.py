"""How long the staff worked on a message: given, or measured from the assignment to the answer."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Person
from tests.support.verification import good, pointers

Body = dict[str, Any]
Open = Callable[..., Awaitable[Body]]
People = Callable[..., Awaitable[Person]]


async def _say(http: httpx.AsyncClient, ticket: Body, **message: Any) -> Body:
    return dict(good(await http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "So.", **message})))


async def _assigned(client: httpx.AsyncClient, sql: asyncpg.Connection, ticket: Body, agent: Person, ago: int) -> None:
    good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"assignee_id": str(agent.id)}))
    await sql.execute(
        "UPDATE tickets SET assigned_at = assigned_at - $2 * interval '1 second' WHERE id = $1", ticket["id"], ago
    )


async def _total(http: httpx.AsyncClient, ticket: Body) -> float | None:
    total: float | None = good(await http.get(f"/v1/tickets/{ticket['id']}"))["handling_seconds"]
    return total


async def test_what_is_given_is_kept_and_added_up(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    assert await _total(client, ticket) == 0
    given = [await _say(client, ticket, handling_seconds=seconds) for seconds in (60, 0.5)]
    given.append(await _say(client, ticket, handling_seconds=30, visibility="internal"))
    assert [message["handling_seconds"] for message in given] == [60, 0.5, 30]
    listed = good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]
    assert [message["handling_seconds"] for message in listed] == [None, 60, 0.5, 30]
    assert await _total(client, ticket) == 90.5


async def test_the_assignees_first_answer_takes_the_time_since_they_got_the_ticket(
    client: httpx.AsyncClient, sql: asyncpg.Connection, person: People, open_ticket: Open
) -> None:
    agent, other = await person("agent"), await person("agent")
    ticket = await open_ticket()
    await _assigned(client, sql, ticket, agent, 100)
    for http, message in (
        (other.http, {}),
        (agent.http, {"visibility": "internal"}),
        (client, {"author": {"kind": "customer"}}),
        (client, {"author": {"kind": "bot"}}),
    ):
        assert (await _say(http, ticket, **message))["handling_seconds"] is None
    measured = (await _say(agent.http, ticket))["handling_seconds"]
    assert measured >= 100
    assert (await _say(agent.http, ticket))["handling_seconds"] is None
    assert await _total(client, ticket) == measured
    await _assigned(client, sql, ticket, other, 50)
    assert (await _say(other.http, ticket))["handling_seconds"] >= 50


async def test_what_is_given_counts_instead_of_what_was_measured(
    client: httpx.AsyncClient, sql: asyncpg.Connection, person: People, open_ticket: Open
) -> None:
    agent = await person("agent")
    ticket = await open_ticket(assignee_id=str(agent.id))
    await _assigned(client, sql, ticket, agent, 100)
    assert (await _say(agent.http, ticket, handling_seconds=7))["handling_seconds"] == 7
    assert (await _say(agent.http, ticket))["handling_seconds"] is None


async def test_who_takes_a_ticket_by_answering_it_is_not_measured(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent = await person("agent")
    ticket = await open_ticket()
    taken = await _say(agent.http, ticket, assignee_id=str(agent.id))
    assert [taken["handling_seconds"], (await _say(agent.http, ticket))["handling_seconds"]] == [None, None]


async def test_what_is_opened_for_an_agent_is_measured_from_there(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent = await person("agent")
    ticket = await open_ticket(assignee_id=str(agent.id))
    assert (await _say(agent.http, ticket))["handling_seconds"] > 0


async def test_customers_neither_say_nor_see_it(client: httpx.AsyncClient, person: People, open_ticket: Open) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    said = await _say(client, ticket, handling_seconds=60)
    path = f"/v1/tickets/{ticket['id']}"
    refused = await customer.http.post(f"{path}/messages", json={"body": "Hm.", "handling_seconds": 1})
    assert refused.status_code == 403
    assert await _total(customer.http, ticket) is None
    seen = good(await customer.http.get(path, params={"include": "messages"}))
    assert [message["handling_seconds"] for message in seen["messages"]] == [None, None]
    version = seen["version"]
    await _say(client, ticket, handling_seconds=60, visibility="internal")
    assert good(await customer.http.get(path))["version"] == version
    assert said["handling_seconds"] == 60


@pytest.mark.parametrize(
    "message",
    [
        {"handling_seconds": -1},
        {"handling_seconds": 604_801},
        {"handling_seconds": "60"},
        {"handling_seconds": 1, "author": {"kind": "customer"}},
    ],
)
async def test_what_cannot_be_is_refused(client: httpx.AsyncClient, open_ticket: Open, message: Body) -> None:
    ticket = await open_ticket()
    refused = await client.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "So.", **message})
    assert (refused.status_code, pointers(refused)) == (422, ["/handling_seconds"])
    assert await _total(client, ticket) == 0


async def test_the_report_adds_up_what_messages_of_the_span_say(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent, other = await person("agent"), await person("agent")
    product = "handled"
    one, two, spam = [await open_ticket(product=product, channel=channel) for channel in ("web", "email", "web")]
    first = await _say(agent.http, one, handling_seconds=10)
    await _say(agent.http, two, handling_seconds=20)
    await _say(other.http, two, handling_seconds=60)
    await _say(agent.http, spam, handling_seconds=1000)
    good(await client.post(f"/v1/tickets/{spam['id']}/spam", json={}))
    url = "/v1/reports/handling-times"

    async def report(**asked: str) -> list[Body]:
        return list(good(await client.get(url, params={"product": product, **asked}))["items"])

    [whole] = await report()
    figures = ("tickets", "messages", "handling_seconds", "mean_handling_seconds")
    assert [whole[name] for name in figures] == [2, 3, 90, 30]
    by_agent = {item["group"]["agent"]: item["handling_seconds"] for item in await report(group_by="agent")}
    assert by_agent == {str(agent.id): 30, str(other.id): 60}
    by_channel = {item["group"]["channel"]: item["tickets"] for item in await report(group_by="channel")}
    assert by_channel == {"web": 1, "email": 1}
    assert [item["handling_seconds"] for item in await report(agent=str(other.id))] == [60]
    [before] = await report(to=first["created_at"])
    assert [before[name] for name in figures] == [0, 0, 0, None]
    csv = await client.get(url, params={"product": product, "group_by": "agent"}, headers={"Accept": "text/csv"})
    head, *lines = csv.text.splitlines()
    assert head.split(",")[-4:] == list(figures)
    assert sorted(float(line.split(",")[-2]) for line in lines) == [30, 60]

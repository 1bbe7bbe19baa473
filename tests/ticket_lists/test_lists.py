from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.auth.matrix import Whose
from tests.support.desk import Body, Desk, as_body, unique
from tests.support.openapi import Open
from tests.support.verification import good, write_targets
from tests.support.world import World

_STATUSES = ["new", "open", "pending", "on_hold", "resolved", "closed"]
_PRIORITIES = ["low", "normal", "high", "urgent", "normal", "low"]
_TYPES = ["question", "incident", "problem", "task", "complaint", "return"]
_CHANNELS = ["web", "email", "phone", "chat", "social", "in_person"]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Six tickets of one customer, oldest first, of which no two are alike; whoever asks for them by the customer's id
    sees no others."""

    desk: Desk
    customer_id: str
    tickets: list[Body]
    team_ids: list[str]
    agent_ids: list[str]

    async def found(self, **query: Any) -> list[int]:
        """Which of the six come back, by their place."""
        params = {"customer_id": self.customer_id, "sort": "created_at", **query}
        answer = as_body(await self.desk.agent.get("/v1/tickets", params=params))
        return self.places(answer["items"])

    def places(self, items: list[Body]) -> list[int]:
        ids = [ticket["id"] for ticket in self.tickets]
        return [ids.index(item["id"]) for item in items]


@pytest.fixture(scope="module")
async def shelf(desk: Desk, world: World) -> Shelf:
    customer_id = await world.add_customer()
    team_ids = [(await world.made("/v1/teams", {"key": unique(), "name": "Team"}))["id"] for _ in range(2)]
    agent_ids = [await world.add_agent() for _ in range(2)]
    tickets = []
    for n in range(6):
        ticket = await desk.open(
            customer={"id": customer_id},
            priority=_PRIORITIES[n],
            type=_TYPES[n],
            channel=_CHANNELS[n],
            product=["card", "loan", None][n % 3],
            tags=[["red", "blue"], ["blue"], []][n % 3],
            team_id=team_ids[n] if n < 2 else None,
            assignee_id=agent_ids[n] if n < 2 else None,
        )
        tickets.append(ticket)
    # Changed in the order 1 2 3 4 5, so that 0 is the least recent one.
    for ticket, status in zip(tickets[1:], _STATUSES[1:], strict=True):
        assert (await desk.change(desk.admin, ticket, status=status)).is_success
    return Shelf(desk, customer_id, [await desk.read(ticket) for ticket in tickets], team_ids, agent_ids)


@pytest.mark.parametrize(
    ("name", "value", "places"),
    [
        *[("status", status, [n]) for n, status in enumerate(_STATUSES)],
        ("status", "new,closed", [0, 5]),
        ("status", ",".join(_STATUSES), [0, 1, 2, 3, 4, 5]),
        ("priority", "low", [0, 5]),
        ("priority", "high,urgent", [2, 3]),
        *[("type", type_, [n]) for n, type_ in enumerate(_TYPES)],
        ("type", "task,return", [3, 5]),
        *[("channel", channel, [n]) for n, channel in enumerate(_CHANNELS)],
        ("channel", "api", []),
        ("product", "card", [0, 3]),
        ("product", "card,loan", [0, 1, 3, 4]),
        ("product", "Card", []),
        ("tag", "red", [0, 3]),
        ("tag", "blue", [0, 1, 3, 4]),
        ("tag", "red,nothing", [0, 3]),
        ("tag", "nothing", []),
    ],
)
async def test_a_filter_finds_any_of_its_values(shelf: Shelf, name: str, value: str, places: list[int]) -> None:
    assert await shelf.found(**{name: value}) == places


async def test_a_repeated_filter_is_the_same_as_commas(shelf: Shelf) -> None:
    assert await shelf.found(status=["new", "closed"]) == await shelf.found(status="new,closed") == [0, 5]


async def test_filters_by_people_and_teams(shelf: Shelf) -> None:
    (first_team, second_team), (first, second) = shelf.team_ids, shelf.agent_ids
    assert await shelf.found(team_id=first_team) == [0]
    assert await shelf.found(team_id=f"{first_team},{second_team}") == [0, 1]
    assert await shelf.found(assignee_id=second) == [1]
    assert await shelf.found(assignee_id=f"{first},{second}") == [0, 1]
    assert await shelf.found(team_id=first_team, assignee_id=second) == []


async def test_several_filters_hold_together(shelf: Shelf) -> None:
    assert await shelf.found(tag="blue", product="card", priority="low") == [0]
    assert await shelf.found(status="new", priority="urgent") == []


async def test_filters_by_instant_leave_the_instant_itself_out(shelf: Shelf) -> None:
    created = [ticket["created_at"] for ticket in shelf.tickets]
    assert await shelf.found(created_after=created[2]) == [3, 4, 5]
    assert await shelf.found(created_before=created[2]) == [0, 1]
    assert await shelf.found(created_after=created[1], created_before=created[4]) == [2, 3]
    assert await shelf.found(updated_after=shelf.tickets[3]["updated_at"]) == [4, 5]


@pytest.mark.parametrize(
    ("sort", "places"),
    [
        ("created_at", [0, 1, 2, 3, 4, 5]),
        ("-created_at", [5, 4, 3, 2, 1, 0]),
        ("updated_at", [0, 1, 2, 3, 4, 5]),
        ("-updated_at", [5, 4, 3, 2, 1, 0]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 4, 6])
async def test_pages_in_every_order_hold_each_ticket_once(
    shelf: Shelf, sort: str, places: list[int], limit: int
) -> None:
    params = {"customer_id": shelf.customer_id, "sort": sort, "limit": str(limit)}
    page = await shelf.desk.agent.get("/v1/tickets", params=params)
    found = shelf.places(page.json()["items"])
    while page.json()["next_cursor"]:
        page = await shelf.desk.agent.get(page.links["next"]["url"])
        assert 0 < len(page.json()["items"]) <= limit
        found += shelf.places(page.json()["items"])
    assert found == places


async def test_a_change_moves_a_ticket_to_the_top_of_the_most_recent(desk: Desk, world: World) -> None:
    customer = {"id": await world.add_customer()}
    first, second = [await desk.open(customer=customer) for _ in range(2)]
    query = {"customer_id": customer["id"], "sort": "-updated_at"}
    assert [t["id"] for t in await _items(desk.agent, **query)] == [second["id"], first["id"]]
    await desk.say(desk.agent, first)
    assert [t["id"] for t in await _items(desk.agent, **query)] == [first["id"], second["id"]]


async def test_without_a_word_of_order_the_newest_come_first(shelf: Shelf) -> None:
    found = await _items(shelf.desk.agent, customer_id=shelf.customer_id)
    assert shelf.places(found) == [5, 4, 3, 2, 1, 0]


async def test_an_item_is_the_ticket_as_it_is_read_alone(shelf: Shelf) -> None:
    found = await _items(shelf.desk.agent, customer_id=shelf.customer_id, sort="created_at")
    beside = dict.fromkeys(("clocks", "messages", "customer", "assignee", "team", "last_message"))
    assert [{**item, **beside} for item in found] == shelf.tickets


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"}, {"status": ""}, {"priority": "low,asap"}, {"customer_id": "me"}, {"sort": "subject"},
        {"created_after": "yesterday"}, {"created_after": "2026-01-01T00:00:00"}, {"limit": "0"}, {"limit": "201"},
        {"statuss": "open"}, {"cursor": "made up"}, {"status": ",".join(["new"] * 51)},
    ],
    ids=str,
)  # fmt: skip
async def test_a_query_that_means_nothing_is_refused(desk: Desk, query: dict[str, str]) -> None:
    answer = await desk.agent.get("/v1/tickets", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"].split("/")[1]) == (422, "query")


async def test_a_cursor_serves_its_own_list_and_order_only(shelf: Shelf) -> None:
    params = {"customer_id": shelf.customer_id, "limit": "1"}
    cursor = (await shelf.desk.agent.get("/v1/tickets", params=params)).json()["next_cursor"]
    for path, sort in [("/v1/tickets", "created_at"), ("/v1/customers", None)]:
        query = {"cursor": cursor, **({"sort": sort} if sort else {})}
        assert (await shelf.desk.agent.get(path, params=query)).status_code == 422


async def test_a_customer_sees_their_own_and_nobody_elses(desk: Desk, world: World) -> None:
    own = await world.add_ticket(Whose.own)
    theirs = await world.add_ticket(Whose.others)
    found = await _items(desk.customer, limit=200)
    assert own["id"] in {ticket["id"] for ticket in found}
    assert {ticket["customer_id"] for ticket in found} == {desk.customer_id}
    for query in ({"customer_id": world.stranger}, {"created_after": own["created_at"]}):
        assert await _items(desk.customer, **query) == []
    both = await _items(desk.customer, customer_id=f"{world.stranger},{desk.customer_id}", limit=200)
    assert both == found
    assert theirs["id"] not in {ticket["id"] for ticket in found}


async def _items(who: httpx.AsyncClient, **query: Any) -> list[Body]:
    items: list[Body] = as_body(await who.get("/v1/tickets", params=query))["items"]
    return items


async def test_a_deadline_that_a_pause_holds_up_is_none_until_it_goes_on(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await write_targets(client, {"metric": "resolution", "seconds": 60, "pause_on": ["pending"]})
    waiting = await open_ticket()
    await write_targets(client, {"metric": "resolution", "seconds": 3600}, key="later", position=0)
    first, last = await open_ticket(), await open_ticket()

    async def queue() -> list[str]:
        return [item["id"] for item in good(await client.get("/v1/tickets?sort=due_at"))["items"]]

    expected = [first["id"], last["id"]]
    assert await queue() == [waiting["id"], *expected]
    paused = good(await client.patch(f"/v1/tickets/{waiting['id']}", json={"status": "pending"}))
    assert paused["due_at"] is None
    assert await queue() == [*expected, waiting["id"]]
    assert good(await client.patch(f"/v1/tickets/{waiting['id']}", json={"status": "open"}))["due_at"] is not None
    assert await queue() == [waiting["id"], *expected]

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.desk import Body, Desk, as_body, pointer, unique
from tests.support.events import actor_of
from tests.support.world import World

NOBODY = str(UUID(int=7))


async def _open(who: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await who.post("/v1/tickets", json={"subject": "Help", **body})


async def _customer_of(desk: Desk, ticket: Body) -> Body:
    return as_body(await desk.admin.get(f"/v1/customers/{ticket['customer_id']}"))


async def test_a_ticket_opens_new_with_what_was_said_of_it_and_plain_words_for_the_rest(desk: Desk) -> None:
    answer = await _open(desk.agent, customer=desk.them)
    assert answer.status_code == 201
    ticket = answer.json()
    assert answer.headers["location"] == f"/v1/tickets/{ticket['id']}"
    assert answer.headers["etag"] == '"1"'
    expected = {
        "subject": "Help", "status": "new", "priority": "normal", "type": "question", "channel": "api", "tags": [],
        "custom_fields": {}, "customer_id": desk.customer_id, "assignee_id": None, "team_id": None, "product": None,
        "external_id": None, "resolved_at": None, "closed_at": None, "version": 1, "updated_at": ticket["created_at"],
    }  # fmt: skip
    assert {name: ticket[name] for name in expected} == expected
    assert await desk.read(ticket) == {
        **dict.fromkeys(("clocks", "messages", "customer", "assignee", "team", "last_message")),
        **ticket,
    }


async def test_everything_that_is_said_of_a_ticket_is_kept(desk: Desk, world: World) -> None:
    team = await world.made("/v1/teams", {"key": unique(), "name": "Cards"})
    await desk.define("number", "order", "sum")
    await desk.define("boolean", "paid")
    await desk.define("text", "note")
    said = {
        "subject": "Charged twice", "priority": "urgent", "type": "complaint", "channel": "phone", "product": "card",
        "tags": ["vip", "refund"], "custom_fields": {"order": 7, "paid": True, "note": "x", "sum": 1.5},
        "external_id": unique(), "assignee_id": desk.agent_id, "team_id": team["id"],
    }  # fmt: skip
    ticket = await desk.open(**said)
    assert {name: (await desk.read(ticket))[name] for name in said} == said


async def test_the_description_is_the_customers_first_public_message(desk: Desk) -> None:
    answer = await _open(desk.agent, customer=desk.them, description="It broke.")
    [message] = await desk.messages(answer.json())
    assert message["author"] == {"kind": "customer", "id": desk.customer_id}
    assert (message["visibility"], message["created_at"]) == ("public", answer.json()["created_at"])


async def test_who_opened_it_and_when_is_on_record(desk: Desk) -> None:
    ticket = (await _open(desk.agent, customer=desk.them)).json()
    [event] = await desk.events(ticket)
    assert (event["type"], event["time"]) == ("ticket.created", ticket["created_at"])
    assert actor_of(event) == {"kind": "agent", "id": desk.agent_id}


async def test_a_known_customer_is_found_by_id_external_id_or_email(desk: Desk) -> None:
    word = unique()
    for known, ref in [
        ({"external_id": word}, {"external_id": word, "name": "Another name"}),
        ({"email": f"Maija@{word}.org"}, {"email": f"maija@{word.upper()}.ORG"}),
        ({"name": "Known by id"}, None),
    ]:
        customer = as_body(await desk.admin.post("/v1/customers", json=known))
        ticket = await desk.open(customer=ref or {"id": customer["id"]})
        assert ticket["customer_id"] == customer["id"]
        assert await _customer_of(desk, ticket) == customer


async def test_an_external_id_goes_before_an_email(desk: Desk) -> None:
    email = f"{unique()}@example.org"
    by_email = as_body(await desk.admin.post("/v1/customers", json={"email": email}))
    ticket = await desk.open(customer={"external_id": unique(), "email": email})
    assert ticket["customer_id"] != by_email["id"]


async def test_an_unknown_customer_is_made_of_what_is_given(desk: Desk) -> None:
    word = unique()
    for ref in (
        {"external_id": word, "email": f"a@{word}.org", "name": "Maija"},
        {"email": f"b@{word}.org"},
        {"name": "Maija"},
    ):
        made = await _customer_of(desk, await desk.open(customer=ref))
        assert {name: made[name] for name in ref} == ref
        assert made["version"] == 1


async def test_a_name_alone_is_somebody_new_each_time(desk: Desk) -> None:
    first, second = [await desk.open(customer={"name": "Maija"}) for _ in range(2)]
    assert first["customer_id"] != second["customer_id"]


@pytest.mark.parametrize("by", ["external_id", "email"])
async def test_many_at_once_for_one_unknown_customer_make_one(desk: Desk, by: str) -> None:
    word = unique()
    ref = {by: word if by == "external_id" else f"{word}@example.org"}
    tickets = await asyncio.gather(*(desk.open(customer=ref) for _ in range(10)))
    assert len({ticket["customer_id"] for ticket in tickets}) == 1
    assert len({ticket["id"] for ticket in tickets}) == len({ticket["number"] for ticket in tickets}) == 10
    found = as_body(await desk.admin.get("/v1/customers", params=ref))["items"]
    assert [customer["id"] for customer in found] == [tickets[0]["customer_id"]]


@pytest.mark.parametrize("ref", [None, {}, {"id": None, "name": None}])
async def test_staff_say_whose_ticket_it_is(desk: Desk, ref: Body | None) -> None:
    assert pointer(await _open(desk.agent, customer=ref)) == "/customer"


@pytest.mark.parametrize("named", [False, True])
async def test_a_customer_opens_for_themselves(desk: Desk, named: bool) -> None:
    answer = await _open(desk.customer, description="It broke.", **({"customer": desk.them} if named else {}))
    assert answer.json()["customer_id"] == desk.customer_id
    [created, said] = await desk.events(answer.json())
    assert actor_of(created) == actor_of(said) == {"kind": "customer", "id": desk.customer_id}


async def test_a_customer_opens_for_nobody_else(desk: Desk, world: World) -> None:
    for ref in ({"id": world.stranger}, {"id": NOBODY}, {"external_id": unique()}, {"name": "Me"}, {}):
        assert (await _open(desk.customer, customer=ref)).status_code == 403


async def test_numbers_count_up(desk: Desk) -> None:
    numbers = [(await desk.open())["number"] for _ in range(3)]
    assert numbers[0] < numbers[1] < numbers[2]
    found = as_body(await desk.agent.get(f"/v1/tickets/by-number/{numbers[1]}"))
    assert found["number"] == numbers[1]


async def test_what_a_ticket_refers_to_must_be_there_and_the_refusal_points_at_it(desk: Desk, world: World) -> None:
    gone = await world.made("/v1/agents", {"name": "Gone", "active": False})
    for body, at in [
        ({"assignee_id": NOBODY}, "/assignee_id"),
        ({"assignee_id": gone["id"]}, "/assignee_id"),
        ({"team_id": NOBODY}, "/team_id"),
        ({"customer": {"id": NOBODY}}, "/customer/id"),
        ({"customer": {"email": "nonsense"}}, "/customer/email"),
        ({"customer": {"phone": "1"}}, "/customer/phone"),
        ({"subject": "  "}, "/subject"),
        ({"priority": "asap"}, "/priority"),
        ({"status": "open"}, "/status"),
        ({"custom_fields": {"nested": {"no": 1}}}, "/custom_fields/nested"),
    ]:
        answer = await _open(desk.admin, **{"customer": desk.them, **body})
        assert pointer(answer).startswith(at), answer.text


async def test_a_refused_opening_makes_no_customer(desk: Desk) -> None:
    external_id = unique()
    assert pointer(await _open(desk.admin, customer={"external_id": external_id}, team_id=NOBODY)) == "/team_id"
    assert as_body(await desk.admin.get("/v1/customers", params={"external_id": external_id}))["items"] == []


async def test_an_external_id_is_given_once(desk: Desk) -> None:
    external_id = unique()
    await desk.open(external_id=external_id)
    answer = await _open(desk.admin, customer=desk.them, external_id=external_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert external_id not in answer.text
    assert (await desk.open(external_id=None))["external_id"] is None


async def test_many_at_once_with_one_external_id_open_one(desk: Desk) -> None:
    body = {"customer": desk.them, "external_id": unique()}
    answers = await asyncio.gather(*(_open(desk.admin, **body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_tags_are_kept_once_each_in_their_order(desk: Desk) -> None:
    assert (await desk.open(tags=["b", "a", "b", "a"]))["tags"] == ["b", "a"]


async def test_a_custom_field_that_is_null_is_none(desk: Desk) -> None:
    await desk.define("number", "b")
    await desk.define("boolean", "c")
    await desk.define("text", "d")
    assert (await desk.open(custom_fields={"a": None, "b": 0, "c": False, "d": ""}))["custom_fields"] == {
        "b": 0, "c": False, "d": "",
    }  # fmt: skip


async def test_a_service_opens_as_a_machine(desk: Desk) -> None:
    ticket = (await _open(desk.service, customer=desk.them)).json()
    [event] = await desk.events(ticket)
    assert event["actorkind"] == "bot"

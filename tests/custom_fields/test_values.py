from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.support.custom_fields import define
from tests.support.desk import Body, as_body, pointer

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
PLACES = {"customer": "/v1/customers", "organization": "/v1/organizations"}
FITS: dict[str, list[Any]] = {
    "text": ["", "words", "2026-12-24"],
    "number": [0, -1, 1.5],
    "boolean": [True, False],
    "date": ["2026-12-24", "2024-02-29", "0001-01-01"],
    "choice": ["S", "M"],
}
DOES_NOT_FIT: dict[str, list[Any]] = {
    "text": [1, True, 1.5],
    "number": ["1", True, False],
    "boolean": [0, 1, "true"],
    "date": [
        "2026-02-29", "2026-W01-1", "20261224", "2026-12-24T00:00:00Z", "2026-1-1", "٢٠٢٦-12-24", "", 1, True,
        "2026-12-24\n1",
    ],
    "choice": ["s", "L", "", 1, True],
}  # fmt: skip


async def _define(client: httpx.AsyncClient, key: str, type_: str = "text", **more: Any) -> str:
    """The path of the definition."""
    field = {"subject": "ticket", "key": key, "name": key, "type": type_, **more}
    if type_ == "choice":
        field.setdefault("choices", ["S", "M"])
    answer = await client.post("/v1/custom-fields", json=field)
    assert answer.status_code == 201, answer.text
    return f"/v1/custom-fields/{answer.json()['id']}"


async def _opening(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/tickets", json={"subject": "Help", "customer": {"external_id": "c"}, **body})


async def _change(client: httpx.AsyncClient, thing: Body, **patch: Any) -> httpx.Response:
    return await client.patch(f"/v1/tickets/{thing['id']}", json=patch)


async def _fields(client: httpx.AsyncClient, ticket: Body) -> Body:
    found: Body = as_body(await client.get(f"/v1/tickets/{ticket['id']}"))["custom_fields"]
    return found


@pytest.mark.parametrize("type_", FITS)
async def test_a_value_has_the_type_of_its_field(client: httpx.AsyncClient, open_ticket: Open, type_: str) -> None:
    await _define(client, "f", type_)
    for value in FITS[type_]:
        ticket = await open_ticket(custom_fields={"f": value})
        found = await _fields(client, ticket)
        assert (found, type(found["f"])) == ({"f": value}, type(value))
    for value in DOES_NOT_FIT[type_]:
        for answer in (
            await _opening(client, custom_fields={"f": value}),
            await _change(client, ticket, custom_fields={"f": value}, subject="Other"),
        ):
            assert pointer(answer) == "/custom_fields/f", value
            assert answer.json()["errors"][0]["code"] == "wrong_type"
    after = as_body(await client.get(f"/v1/tickets/{ticket['id']}"))
    assert (after["custom_fields"], after["subject"]) == (ticket["custom_fields"], ticket["subject"])


@pytest.mark.parametrize(("subject", "path"), PLACES.items())
@pytest.mark.parametrize("type_", FITS)
async def test_an_attribute_that_is_defined_has_its_type(
    client: httpx.AsyncClient, subject: str, path: str, type_: str
) -> None:
    await _define(client, "f", type_, subject=subject)
    upsert = f"{path}/by-external-id/x"
    for value in FITS[type_]:
        made = as_body(await client.post(path, json={"name": "N", "attributes": {"f": value}}))
        assert made["attributes"] == {"f": value}
        assert as_body(await client.put(upsert, json={"name": "N", "attributes": {"f": value}}))["attributes"] == {
            "f": value
        }
    for value in DOES_NOT_FIT[type_]:
        for answer in (
            await client.post(path, json={"name": "N", "attributes": {"f": value}}),
            await client.put(upsert, json={"name": "N", "attributes": {"f": value}}),
            await client.patch(f"{path}/{made['id']}", json={"attributes": {"f": value}}),
        ):
            assert pointer(answer) == "/attributes/f", value
    assert as_body(await client.get(f"{path}/{made['id']}")) == made


@pytest.mark.parametrize(("subject", "path"), PLACES.items())
async def test_attributes_may_have_any_other_name(client: httpx.AsyncClient, subject: str, path: str) -> None:
    """Those of other subjects' fields, too, and of archived ones."""
    await _define(client, "size", "number")
    await _define(client, "f", "number", subject=subject)
    await client.delete(await _define(client, "old", "number", subject=subject))
    given = {"F": "x", "size": "x", "plan": True, "old": "x"}
    assert as_body(await client.post(path, json={"name": "N", "attributes": given}))["attributes"] == given


async def test_a_ticket_has_the_fields_that_are_defined_and_no_others(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await _define(client, "size", "number")
    await _define(client, "plan", subject="customer")
    ticket = await open_ticket(custom_fields={"size": 1})
    for name in ("Size", "plan", "colour"):
        for answer in (
            await _opening(client, custom_fields={"size": 1, name: 1}),
            await _change(client, ticket, custom_fields={"size": 2, name: 1}),
        ):
            assert pointer(answer) == f"/custom_fields/{name}"
            assert answer.json()["errors"][0]["code"] == "unknown_field"
    assert await _fields(client, ticket) == {"size": 1}
    assert as_body(await _change(client, ticket, custom_fields={"colour": None}))["custom_fields"] == {"size": 1}


async def test_each_wrong_field_is_told(client: httpx.AsyncClient) -> None:
    await _define(client, "size", "choice")
    await _define(client, "day", "date", required=True)
    answer = await _opening(client, custom_fields={"size": "L", "colour": "red"})
    found = {error["pointer"]: error for error in answer.json()["errors"]}
    codes = {at: error["code"] for at, error in found.items()}
    assert codes == {
        "/custom_fields/size": "wrong_type", "/custom_fields/colour": "unknown_field", "/custom_fields/day": "required",
    }  # fmt: skip
    assert found["/custom_fields/size"]["detail"] == "one of S, M"


async def test_a_required_field_is_asked_for_on_opening(client: httpx.AsyncClient) -> None:
    await _define(client, "order", required=True)
    for given in ({}, {"order": None}, {"order": ""}, {"order": " "}):
        assert pointer(await _opening(client, custom_fields=given)) == "/custom_fields/order"
    assert as_body(await client.get("/v1/tickets"))["items"] == []
    assert (await _opening(client, custom_fields={"order": "7"})).status_code == 201


@pytest.mark.parametrize(("type_", "value"), [("number", 0), ("boolean", False)])
async def test_no_and_nothing_are_answers_to_what_is_required(
    client: httpx.AsyncClient, type_: str, value: object
) -> None:
    await _define(client, "f", type_, required=True)
    assert (await _opening(client, custom_fields={"f": value})).status_code == 201


async def test_a_customer_is_asked_for_required_fields_as_well(client: httpx.AsyncClient, person: Make) -> None:
    """For those that they may fill in."""
    await _define(client, "order", required=True, visible_to_customers=True, writable_by_customers=True)
    await _define(client, "risk", required=True)
    customer = (await person("customer")).http
    assert pointer(await customer.post("/v1/tickets", json={"subject": "Help"})) == "/custom_fields/order"
    said = {"subject": "Help", "custom_fields": {"order": "7"}}
    assert (await customer.post("/v1/tickets", json=said)).status_code == 201


async def test_what_became_required_later_is_asked_for_when_fields_or_type_change(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await _define(client, "note")
    ticket = await open_ticket()
    await _define(client, "order", required=True)
    assert (await _change(client, ticket, subject="Other", priority="high", status="open")).status_code == 200
    patches: list[Body] = [{"custom_fields": {"note": "x"}}, {"custom_fields": {}}, {"type": "task"}]
    for patch in patches:
        assert pointer(await _change(client, ticket, **patch)) == "/custom_fields/order"
    assert (await _change(client, ticket, type="task", custom_fields={"order": "7"})).status_code == 200
    assert pointer(await _change(client, ticket, custom_fields={"order": None})) == "/custom_fields/order"
    assert await _fields(client, ticket) == {"order": "7"}


async def test_a_field_is_for_tickets_of_its_types(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await _define(client, "cause", ticket_types=["incident", "problem"], required=True)
    answer = await _opening(client, custom_fields={"cause": "x"})
    assert (pointer(answer), answer.json()["errors"][0]["code"]) == ("/custom_fields/cause", "not_for_type")
    assert pointer(await _opening(client, type="incident")) == "/custom_fields/cause"
    ticket = await open_ticket()
    assert pointer(await _change(client, ticket, type="problem")) == "/custom_fields/cause"
    assert pointer(await _change(client, ticket, type="task", custom_fields={"cause": "x"})) == "/custom_fields/cause"
    after = as_body(await _change(client, ticket, type="problem", custom_fields={"cause": "x"}))
    assert (after["type"], after["custom_fields"]) == ("problem", {"cause": "x"})
    # It stays where the type goes, and is nothing new there.
    for patch in ({"type": "task"}, {"custom_fields": {"cause": "x"}}):
        assert as_body(await _change(client, ticket, **patch))["custom_fields"] == {"cause": "x"}
    assert pointer(await _change(client, ticket, custom_fields={"cause": "y"})) == "/custom_fields/cause"


async def test_values_of_an_archived_field_stay_and_no_new_ones_come(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    path = await _define(client, "old", required=True)
    await _define(client, "size", "number")
    ticket = await open_ticket(custom_fields={"old": "x"})
    await client.delete(path)
    assert await _fields(client, ticket) == {"old": "x"}
    for patch in ({"size": 1}, {"old": "x", "size": 2}):
        after = as_body(await _change(client, ticket, custom_fields=patch))
        assert after["custom_fields"] == {"old": "x", "size": patch["size"]}
    assert pointer(await _change(client, ticket, custom_fields={"old": "y"})) == "/custom_fields/old"
    assert pointer(await _opening(client, custom_fields={"old": "x"})) == "/custom_fields/old"
    assert as_body(await _change(client, ticket, custom_fields={"old": None}))["custom_fields"] == {"size": 2}
    assert pointer(await _change(client, ticket, custom_fields={"old": "x"})) == "/custom_fields/old"


async def test_a_key_that_is_defined_again_with_another_type_leaves_what_is_there(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    path = await _define(client, "f", "number")
    ticket = await open_ticket(custom_fields={"f": 1})
    await client.delete(path)
    await _define(client, "f", "boolean")
    assert as_body(await _change(client, ticket, custom_fields={"f": 1}, subject="Other"))["custom_fields"] == {"f": 1}
    assert pointer(await _change(client, ticket, custom_fields={"f": 2})) == "/custom_fields/f"
    after = as_body(await _change(client, ticket, custom_fields={"f": True}))
    assert after["custom_fields"]["f"] is (await _fields(client, ticket))["f"] is True
    assert pointer(await _change(client, ticket, custom_fields={"f": 1})) == "/custom_fields/f"


async def test_an_attribute_goes_from_1_to_true(client: httpx.AsyncClient) -> None:
    customer = as_body(await client.post("/v1/customers", json={"attributes": {"vip": 1}}))
    after = as_body(await client.patch(f"/v1/customers/{customer['id']}", json={"attributes": {"vip": True}}))
    assert (after["attributes"]["vip"], after["version"]) == (True, 2)
    assert after["attributes"]["vip"] is True


async def test_a_choice_that_is_taken_away_stays_where_it_was_made(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    path = await _define(client, "size", "choice")
    ticket = await open_ticket(custom_fields={"size": "S"})
    await client.patch(path, json={"choices": ["M", "L"]})
    assert (await _change(client, ticket, custom_fields={"size": "S"})).status_code == 200
    assert await _fields(client, ticket) == {"size": "S"}
    assert pointer(await _opening(client, custom_fields={"size": "S"})) == "/custom_fields/size"
    assert as_body(await _change(client, ticket, custom_fields={"size": "L"}))["custom_fields"] == {"size": "L"}
    assert pointer(await _change(client, ticket, custom_fields={"size": "S"})) == "/custom_fields/size"


@pytest.mark.parametrize(("subject", "path"), PLACES.items())
async def test_a_required_attribute_is_asked_for_whenever_attributes_are_written(
    client: httpx.AsyncClient, subject: str, path: str
) -> None:
    older = as_body(await client.post(path, json={"name": "N", "external_id": "older"}))
    await _define(client, "plan", subject=subject, required=True)
    itself, upsert = f"{path}/{older['id']}", f"{path}/by-external-id/older"
    for answer in (
        await client.post(path, json={"name": "N"}),
        await client.put(upsert, json={"name": "N"}),
        await client.put(f"{path}/by-external-id/newer", json={"name": "N", "attributes": {"plan": None}}),
        await client.patch(itself, json={"attributes": {"x": 1}}),
    ):
        assert pointer(answer) == "/attributes/plan"
    assert len(as_body(await client.get(path))["items"]) == 1
    assert as_body(await client.get(itself)) == older
    assert (await client.patch(itself, json={"name": "M"})).status_code == 200
    assert (await client.patch(itself, json={"attributes": {"plan": "pro"}})).status_code == 200
    assert pointer(await client.patch(itself, json={"attributes": {"plan": None}})) == "/attributes/plan"
    assert pointer(await client.put(upsert, json={"name": "N", "attributes": {}})) == "/attributes/plan"
    assert (await client.put(upsert, json={"name": "N", "attributes": {"plan": "free"}})).status_code == 200


async def test_who_is_made_by_opening_a_ticket_is_not_asked_for_attributes(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await define(client, "text", "plan", subject="customer", required=True)
    ticket = await open_ticket(customer={"external_id": "new"})
    assert as_body(await client.get(f"/v1/customers/{ticket['customer_id']}"))["attributes"] == {}


async def test_an_import_keeps_what_history_says(client: httpx.AsyncClient) -> None:
    await _define(client, "size", "choice", required=True)
    given = {"size": "XXL", "unknown": 1}
    old = {"external_id": "i-1", "subject": "Old", "created_at": "2020-01-01T00:00:00Z", "custom_fields": given}
    imported = as_body(
        await client.post("/v1/imports/tickets", json={"tickets": [{**old, "customer": {"external_id": "c"}}]})
    )
    assert imported["created"] == 1
    ticket = {"id": imported["items"][0]["ticket_id"]}
    assert await _fields(client, ticket) == given
    assert as_body(await _change(client, ticket, type="task"))["custom_fields"] == given


async def test_a_follow_up_takes_over_what_is_there(client: httpx.AsyncClient, person: Make, open_ticket: Open) -> None:
    path = await _define(client, "old")
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)}, custom_fields={"old": "x"})
    await _change(client, ticket, status="closed")
    await client.delete(path)
    await _define(client, "order", required=True)
    said = await customer.http.post(f"/v1/tickets/{ticket['id']}/messages", json={"body": "Again."})
    assert said.status_code == 201
    assert said.json()["ticket_id"] != ticket["id"]
    assert await _fields(client, {"id": said.json()["ticket_id"]}) == {"old": "x"}

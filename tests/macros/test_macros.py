"""Prepared answers and changes: what fills them, what they do, and what they do not do for who may not."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import Person
from tests.support.verification import good, pointers

Body = dict[str, Any]
Open = Callable[..., Awaitable[Body]]
People = Callable[..., Awaitable[Person]]
NOBODY = UUID(int=7)


async def _made(client: httpx.AsyncClient, **macro: Any) -> Body:
    return dict(good(await client.post("/v1/macros", json={"name": "Apology", **macro})))


async def _apply(http: httpx.AsyncClient, macro: Body, ticket: Body, **more: Any) -> httpx.Response:
    return await http.post(f"/v1/tickets/{ticket['id']}/macros/{macro['id']}/apply", **more)


async def _messages(client: httpx.AsyncClient, ticket: Body) -> list[str]:
    answer = good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))
    return [message["body"] for message in answer["items"]]


async def test_a_macro_is_kept_as_given_changed_and_removed(client: httpx.AsyncClient) -> None:
    changes: Body = {
        "status": "pending",
        "assignee_id": "me",
        "team_id": None,
        "add_tags": ["late"],
        "custom_fields": {},
    }
    made = await _made(client, body="Sorry.", visibility="internal", changes=changes)
    path = f"/v1/macros/{made['id']}"
    assert (made["body"], made["visibility"], made["changes"]) == ("Sorry.", "internal", changes)
    assert good(await client.get(path)) == made
    await _made(client, name="Aardvark", body="First by name.")
    names = [macro["name"] for macro in good(await client.get("/v1/macros"))["items"]]
    assert names.index("Aardvark") < names.index("Apology")
    changed = good(await client.patch(path, json={"changes": {"priority": "low"}}))
    assert (changed["changes"], changed["body"], changed["version"]) == ({"priority": "low"}, "Sorry.", 2)
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_it_answers_and_changes_as_the_agent_would(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent = await person("agent")
    ticket = await open_ticket(customer={"external_id": "m-1", "name": "Ada"}, tags=["new", "cold"], subject="Broken")
    macro = await _made(
        client,
        body="Dear {{customer.name}}, on {{ ticket.subject }} ({{ticket.number}}): {{agent.name}}.",
        changes={
            "status": "pending", "priority": "high", "assignee_id": "me", "add_tags": ["late", "NEW"],
            "remove_tags": ["Cold"],
        },
    )  # fmt: skip
    applied = good(await _apply(agent.http, macro, ticket))
    body = f"Dear Ada, on Broken ({ticket['number']}): A agent."
    assert (applied["body"], await _messages(client, ticket)) == (body, ["Please help.", body])
    after = good(await client.get(f"/v1/tickets/{ticket['id']}"))
    assert applied["ticket"] == {name: after[name] for name in applied["ticket"]}
    assert (after["status"], after["priority"], after["tags"]) == ("pending", "high", ["new", "late"])
    assert after["assignee_id"] == str(agent.id)
    clocks = good(await client.get(f"/v1/tickets/{ticket['id']}/clocks"))["items"]
    assert [clock["state"] for clock in clocks if clock["metric"] == "first_response"] == ["met"]


async def test_a_note_stops_no_clock_and_changes_alone_say_nothing(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    good(await _apply(client, await _made(client, body="Checked.", visibility="internal"), ticket))
    applied = good(await _apply(client, await _made(client, changes={"priority": "low"}), ticket))
    assert (applied["body"], applied["message_id"], applied["ticket"]["priority"]) == (None, None, "low")
    assert await _messages(client, ticket) == ["Please help.", "Checked."]
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["waiting_since"] is not None


async def test_attributes_and_custom_fields_fill_places_and_what_fills_one_is_no_place(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    customer = {"name": "{{ticket.number}}", "attributes": {"plan": "pro", "paid": True}}
    customer_id = good(await client.post("/v1/customers", json=customer))["id"]
    ticket = await open_ticket(customer={"id": customer_id})
    text = "{{customer.name}} {{customer.attributes.plan}} {{customer.attributes.paid}} [{{ticket.custom_fields.x}}]"
    applied = good(await _apply(client, await _made(client, body=text), ticket))
    assert applied["body"] == "{{ticket.number}} pro yes []"


async def test_a_preview_tells_what_would_be_and_does_nothing(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket(tags=["a"])
    macro = await _made(client, body="Sorry.", changes={"status": "resolved", "add_tags": ["b"]})
    path = f"/v1/tickets/{ticket['id']}"
    before = good(await client.get(path))
    told = good(await _apply(client, macro, ticket, params={"preview": "true"}))
    assert (told["body"], told["message_id"]) == ("Sorry.", None)
    assert (told["ticket"]["status"], told["ticket"]["tags"]) == ("resolved", ["a", "b"])
    many = await client.post(
        f"/v1/macros/{macro['id']}/apply", json={"ticket_ids": [ticket["id"]]}, params={"preview": "true"}
    )
    assert good(many)["items"][0]["applied"]["ticket"]["tags"] == ["a", "b"]
    assert (good(await client.get(path)), await _messages(client, ticket)) == (before, ["Please help."])
    done = good(await _apply(client, macro, ticket))
    assert done["message_id"] is not None
    ours = ("updated_at", "resolved_at")
    assert {**told["ticket"], **{name: done["ticket"][name] for name in ours}} == done["ticket"]


@pytest.mark.parametrize(
    ("macro", "pointer"),
    [
        ({"body": "Dear {{customer.nam}}"}, "/body"),
        ({"body": "{{customer.attributes}}"}, "/body"),
        ({"body": "{{password}}"}, "/body"),
        ({}, "/body"),
        ({"changes": {}}, "/body"),
        ({"changes": {"status": "solved"}}, "/changes/status"),
        ({"changes": {"asignee_id": None}}, "/changes/asignee_id"),
    ],
)
async def test_what_could_never_be_done_is_refused_where_it_is_written(
    client: httpx.AsyncClient, macro: Body, pointer: str
) -> None:
    refused = await client.post("/v1/macros", json={"name": "M", **macro})
    assert (refused.status_code, pointers(refused)) == (422, [pointer])
    made = await _made(client, body="Hello.")
    changed = await client.patch(f"/v1/macros/{made['id']}", json={"body": None, **macro})
    assert (changed.status_code, pointers(changed)) == (422, [pointer])
    assert good(await client.get(f"/v1/macros/{made['id']}")) == made


async def test_all_of_it_is_done_or_nothing(client: httpx.AsyncClient, open_ticket: Open) -> None:
    nameless = await open_ticket(customer={"external_id": "m-2"})
    macro = await _made(client, body="{{customer.name}}", changes={"priority": "urgent"})
    refused = await _apply(client, macro, nameless)
    assert (refused.status_code, refused.json()["code"]) == (409, "macro_does_not_fit")
    preview = await _apply(client, macro, nameless, params={"preview": "true"})
    assert preview.json()["code"] == "macro_does_not_fit"
    team = good(await client.post("/v1/teams", json={"key": "gone", "name": "Gone"}))
    unknown = await _made(client, body="Hello.", changes={"priority": "urgent", "team_id": team["id"]})
    assert (await client.delete(f"/v1/teams/{team['id']}")).is_success
    assert (await _apply(client, unknown, nameless)).status_code == 422
    wrong = await _made(client, body="Hello.", changes={"priority": "urgent", "status": "new"})
    good(await client.patch(f"/v1/tickets/{nameless['id']}", json={"status": "open"}))
    assert (await _apply(client, wrong, nameless)).json()["code"] == "transition_not_allowed"
    after = good(await client.get(f"/v1/tickets/{nameless['id']}"))
    assert (after["priority"], await _messages(client, nameless)) == ("normal", ["Please help."])


async def test_of_many_tickets_those_that_refuse_it_are_left_alone(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    fine, closed, nameless = [
        await open_ticket(customer={"external_id": f"m-{name}", "name": name}) for name in ("Ada", "Bo", "Cy")
    ]
    good(await client.patch(f"/v1/tickets/{closed['id']}", json={"status": "closed"}))
    good(await client.patch(f"/v1/customers/{nameless['customer_id']}", json={"name": None}))
    macro = await _made(client, body="{{customer.name}}", changes={"priority": "high"})
    ids = [closed["id"], str(NOBODY), fine["id"], nameless["id"]]
    items = good(await client.post(f"/v1/macros/{macro['id']}/apply", json={"ticket_ids": ids}))["items"]
    assert [item["ticket_id"] for item in items] == ids
    assert [item["status"] for item in items] == [409, 404, 200, 409]
    assert [(item["problem"] or {}).get("code") for item in items] == [
        "ticket_closed", "not_found", None, "macro_does_not_fit",
    ]  # fmt: skip
    assert items[2]["applied"]["body"] == "Ada"
    for ticket, said, priority in ((fine, ["Please help.", "Ada"], "high"), (nameless, ["Please help."], "normal")):
        after = good(await client.get(f"/v1/tickets/{ticket['id']}"))
        assert (await _messages(client, ticket), after["priority"]) == (said, priority)
    twice = await client.post(f"/v1/macros/{macro['id']}/apply", json={"ticket_ids": [fine["id"]] * 2})
    assert (twice.status_code, pointers(twice)) == (422, ["/ticket_ids/1"])


async def test_a_macro_for_another_version_of_the_ticket_is_refused(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    macro = await _made(client, body="Sorry.")
    etag = (await client.get(f"/v1/tickets/{ticket['id']}")).headers["etag"]
    good(await client.patch(f"/v1/tickets/{ticket['id']}", json={"priority": "low"}))
    assert (await _apply(client, macro, ticket, headers={"If-Match": etag})).status_code == 412
    assert await _messages(client, ticket) == ["Please help."]
    etag = (await client.get(f"/v1/tickets/{ticket['id']}")).headers["etag"]
    good(await _apply(client, macro, ticket, headers={"If-Match": etag}))


async def test_no_macro_does_what_its_caller_may_not(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    agent, other, customer = await person("agent"), await person("agent"), await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)})
    macro = await _made(client, body="Yours.", changes={"assignee_id": str(other.id)})
    assert (await _apply(agent.http, macro, ticket)).status_code == 403
    assert (await _apply(customer.http, macro, ticket)).status_code == 403
    mine = await _made(client, changes={"assignee_id": "me"})
    nobody = await _apply(client, mine, ticket)
    assert (nobody.status_code, pointers(nobody)) == (422, ["/changes/assignee_id"])
    assert good(await _apply(agent.http, mine, ticket))["ticket"]["assignee_id"] == str(agent.id)


async def test_a_repeat_says_nothing_twice(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket, macro = await open_ticket(), await _made(client, body="Sorry.")
    headers = {"Idempotency-Key": "apology-1"}
    first, second = [await _apply(client, macro, ticket, headers=headers) for _ in range(2)]
    assert (first.content, second.headers["idempotency-replayed"]) == (second.content, "true")
    assert await _messages(client, ticket) == ["Please help.", "Sorry."]

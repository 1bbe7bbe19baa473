"""What staff upload waits for its message, and until then the customer neither sees nor hears of it."""

import httpx
import pytest

from tests.support.desk import Body, Desk, as_body
from tests.support.events import actor_of


async def _uploaded(who: httpx.AsyncClient, ticket: Body, **query: str) -> Body:
    answer = await who.post(f"/v1/tickets/{ticket['id']}/attachments", params=query, content=b"Hello.")
    assert answer.status_code == 201, answer.text
    return as_body(answer)


async def _told(who: httpx.AsyncClient, ticket: Body) -> list[tuple[str, str]]:
    """What the audit and the feed alike tell them of attachments."""
    path = f"/v1/tickets/{ticket['id']}/events?limit=200"
    audit = [(each["type"], each["subject"]) for each in as_body(await who.get(path))["items"]]
    feed = as_body(await who.get(f"/v1/events?ticket_id={ticket['id']}&limit=200"))["items"]
    assert audit == [(each["type"], each["subject"]) for each in feed]
    return [(type_, id_) for type_, id_ in audit if type_.startswith("attachment.")]


async def _sees(who: httpx.AsyncClient, ticket: Body, attachment: Body) -> bool:
    path = f"/v1/tickets/{ticket['id']}/attachments"
    listed = attachment["id"] in [each["id"] for each in as_body(await who.get(path))["items"]]
    got = {(await who.get(f"{path}/{attachment['id']}{more}")).status_code for more in ("", "/content")}
    assert got == ({200} if listed else {404})
    return listed


@pytest.mark.parametrize("role", ["agent", "lead", "admin", "service"])
async def test_a_file_for_a_note_is_never_the_customers(desk: Desk, role: str) -> None:
    ticket, staff = await desk.open(), getattr(desk, role)
    made = await _uploaded(staff, ticket)
    assert made["visibility"] == "internal"
    for _ in range(2):
        assert not await _sees(desk.customer, ticket, made)
        assert await _told(desk.customer, ticket) == []
        assert made["id"] not in (await desk.customer.get(f"/v1/tickets/{ticket['id']}/events")).text
        await desk.say(staff, ticket, visibility="internal", attachment_ids=[made["id"]])
    assert await _told(desk.admin, ticket) == [("attachment.added", made["id"])]


async def test_a_file_for_an_answer_is_the_customers_with_the_answer_and_they_hear_of_it_then(desk: Desk) -> None:
    ticket = await desk.open()
    first, second = await _uploaded(desk.agent, ticket), await _uploaded(desk.agent, ticket, visibility="internal")
    assert await _told(desk.customer, ticket) == []
    said = as_body(await desk.say(desk.agent, ticket, attachment_ids=[second["id"], first["id"]]))
    published = [("attachment.published", each["id"]) for each in (first, second)]
    assert await _told(desk.customer, ticket) == published
    added = [("attachment.added", each["id"]) for each in (first, second)]
    assert await _told(desk.admin, ticket) == added + published
    for made in (first, second):
        assert await _sees(desk.customer, ticket, made)
        now = as_body(await desk.customer.get(f"/v1/tickets/{ticket['id']}/attachments/{made['id']}"))
        assert now == {**made, "visibility": "public", "message_id": said["id"]}
    [one, _] = await desk.events(ticket, "attachment.published")
    assert one["data"] == {"size_bytes": 6, "content_type": "text/plain", "visibility": "public"}
    assert actor_of(one) == {"kind": "agent", "id": desk.agent_id}


async def test_what_is_said_to_be_public_is_so_at_once_and_told_once(desk: Desk) -> None:
    ticket = await desk.open()
    made = [await _uploaded(desk.agent, ticket, visibility="public"), await _uploaded(desk.customer, ticket)]
    for each in made:
        assert each["visibility"] == "public"
        assert await _sees(desk.customer, ticket, each)
    await desk.say(desk.agent, ticket, attachment_ids=[each["id"] for each in made])
    assert await _told(desk.customer, ticket) == [("attachment.added", each["id"]) for each in made]


async def test_what_no_message_took_is_deleted_unheard(desk: Desk) -> None:
    ticket = await desk.open()
    made = await _uploaded(desk.agent, ticket)
    await desk.agent.delete(f"/v1/tickets/{ticket['id']}/attachments/{made['id']}")
    assert not await _sees(desk.customer, ticket, made)
    assert await _told(desk.customer, ticket) == []

"""Attachments: who may upload, see, take along and delete them, and what is left of one."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.web.route import RAW_BODIES
from tests.conftest import ADMIN_KEY
from tests.sending import sent_by
from tests.support.desk import Body, Desk, as_body, pointer, unique
from tests.support.expect import problem
from tests.support.openapi import NOBODY, Open
from tests.support.sla import Sql
from tests.support.world import World
from tests.web import raw

LIMIT = 10 * 2**20


def _path(ticket: Body, *more: str) -> str:
    return "/".join([f"/v1/tickets/{ticket['id']}/attachments", *more])


async def _upload(who: httpx.AsyncClient, ticket: Body, content: bytes = b"Hello.", **query: str) -> httpx.Response:
    return await who.post(_path(ticket), params={"name": "a.txt", **query}, content=content)


async def _uploaded(who: httpx.AsyncClient, ticket: Body, content: bytes = b"Hello.", **query: str) -> Body:
    return as_body(await _upload(who, ticket, content, **query))


async def _content(who: httpx.AsyncClient, ticket: Body, attachment: Body) -> httpx.Response:
    return await who.get(_path(ticket, attachment["id"], "content"))


async def _ids(who: httpx.AsyncClient, ticket: Body) -> list[str]:
    return [item["id"] for item in as_body(await who.get(_path(ticket)))["items"]]


async def test_what_was_uploaded_is_downloaded_again(desk: Desk) -> None:
    ticket, content = await desk.open(), bytes(range(256)) * 300
    answer = await desk.agent.post(
        _path(ticket),
        params={"name": "dir/päivä.bin", "visibility": "public"},
        content=content,
        headers={"Content-Type": "text/html"},
    )
    made = as_body(answer)
    assert (answer.status_code, answer.headers["location"]) == (201, _path(ticket, made["id"]))
    assert made == {
        "id": made["id"], "ticket_id": ticket["id"], "message_id": None, "name": "päivä.bin",
        "content_type": "application/octet-stream", "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "visibility": "public",
        "author": {"kind": "agent", "id": desk.agent_id}, "created_at": made["created_at"], "deleted_at": None,
        "from_ticket_id": None,
    }  # fmt: skip
    assert as_body(await desk.agent.get(_path(ticket, made["id"]))) == made
    assert as_body(await desk.agent.get(_path(ticket)))["items"] == [made]
    assert (await _content(desk.customer, ticket, made)).content == content


async def test_no_browser_shows_or_runs_it(desk: Desk) -> None:
    ticket = await desk.open()
    for content, kind in (
        (b"<html><script>1</script>", "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
    ):
        made = await _uploaded(desk.agent, ticket, content, name='x"é.svg')
        answer = await _content(desk.agent, ticket, made)
        assert (answer.content, answer.headers["content-type"]) == (content, kind)
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert (
            answer.headers["content-disposition"] == "attachment; filename=\"x__.svg\"; filename*=UTF-8''x_%C3%A9.svg"
        )


async def test_who_has_the_content_is_not_sent_it_again(desk: Desk) -> None:
    ticket = await desk.open()
    made = await _uploaded(desk.agent, ticket)
    tag = (await _content(desk.agent, ticket, made)).headers["etag"]
    assert tag == f'"{hashlib.sha256(b"Hello.").hexdigest()}"'
    path = _path(ticket, made["id"], "content")
    known = await desk.agent.get(path, headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert (await desk.agent.get(path, headers={"If-None-Match": '"other"'})).content == b"Hello."
    await desk.lead.delete(_path(ticket, made["id"]))
    problem(await desk.agent.get(path, headers={"If-None-Match": tag}), 404, "not_found")


async def test_ten_mebibytes_are_taken_and_one_byte_more_is_not(app: FastAPI, open_ticket: Open) -> None:
    ticket = await open_ticket()

    async def send(*chunks: bytes, declared: int | None = None) -> httpx.Response:
        headers = [] if declared is None else [(b"content-length", str(declared).encode())]
        return await raw.send(app, "POST", _path(ticket), key=ADMIN_KEY, headers=headers, chunks=chunks)

    half = bytes(LIMIT // 2)
    assert as_body(await send(half, half))["size_bytes"] == LIMIT
    problem(await send(half, half, b"x"), 413, "body_too_large")
    problem(await send(half, half, b"x", declared=10), 413, "body_too_large")
    # A declared length is believed before anything is read.
    problem(await send(b"x", declared=LIMIT + 1), 413, "body_too_large")
    broken = await raw.send(app, "POST", _path(ticket), key=ADMIN_KEY, chunks=[b"x"], break_off=True)
    problem(broken, 400, "malformed_body")
    problem(await raw.send(app, "POST", _path(ticket), key=ADMIN_KEY, headers=[(b"content-encoding", b"gzip")]), 415)


async def test_a_repeated_upload_is_one_and_other_bytes_are_another_request(desk: Desk) -> None:
    ticket, headers = await desk.open(), {"Idempotency-Key": unique()}

    async def send(content: bytes) -> httpx.Response:
        return await desk.agent.post(_path(ticket), content=content, headers=headers)

    first, again = await send(b"one"), await send(b"one")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    problem(await send(b"two"), 422, "idempotency_key_reused")
    assert await _ids(desk.agent, ticket) == [first.json()["id"]]


async def test_a_wrong_query_is_refused(desk: Desk) -> None:
    ticket = await desk.open()
    assert pointer(await _upload(desk.agent, ticket, visibility="secret")) == "/query/visibility"
    assert pointer(await _upload(desk.agent, ticket, name="x" * 1001)) == "/query/name"
    assert pointer(await _upload(desk.agent, ticket, size="1")) == "/query/size"
    assert await _ids(desk.agent, ticket) == []


async def test_a_closed_ticket_takes_no_uploads(desk: Desk) -> None:
    problem(await _upload(desk.agent, await desk.in_status("closed")), 409, "ticket_closed")
    assert (await _upload(desk.customer, await desk.in_status("resolved"))).status_code == 201


async def test_a_customer_finds_no_internal_one_and_nothing_of_others(desk: Desk, world: World) -> None:
    ticket = await desk.open()
    public = await _uploaded(desk.agent, ticket, visibility="public")
    internal = await _uploaded(desk.agent, ticket, visibility="internal")
    assert await _ids(desk.customer, ticket) == [public["id"]]
    assert await _ids(desk.agent, ticket) == [public["id"], internal["id"]]
    stranger = await world.made("/v1/tickets", {"subject": "x", "customer": {"id": world.stranger}})
    theirs = await _uploaded(desk.admin, stranger)
    told = set()
    for where, id_ in ((ticket, internal["id"]), (ticket, NOBODY), (ticket, theirs["id"])):
        for method, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            answer = await desk.customer.request(method, _path(where, id_) + tail)
            told.add(answer.text.replace(id_, "").replace(tail, ""))
            problem(answer, 404, "not_found")
    assert len(told) == 1
    for answer in (await desk.customer.get(_path(stranger)), await _upload(desk.customer, stranger)):
        problem(answer, 404, "not_found")
    problem(await _upload(desk.customer, ticket, visibility="internal"), 403, "forbidden")


async def test_a_message_takes_attachments_along_and_they_are_as_visible_as_it_is(desk: Desk) -> None:
    ticket = await desk.open()
    public, note = [await _uploaded(desk.agent, ticket, visibility=word) for word in ("public", "internal")]
    seen = {"public": note, "internal": public}
    for visibility, attachment in seen.items():
        said = as_body(await desk.say(desk.agent, ticket, visibility=visibility, attachment_ids=[attachment["id"]]))
        now = as_body(await desk.agent.get(_path(ticket, attachment["id"])))
        assert now == {**attachment, "message_id": said["id"], "visibility": visibility}
        [event] = [e for e in await desk.events(ticket, "message.created") if e["subject"] == said["id"]]
        assert event["data"]["attachment_ids"] == [attachment["id"]]
    assert await _ids(desk.customer, ticket) == [note["id"]]


async def test_what_a_message_cannot_take_is_pointed_at_and_the_message_is_not_written(desk: Desk) -> None:
    ticket, other = await desk.open(), await desk.open()
    fine, taken = await _uploaded(desk.agent, ticket), await _uploaded(desk.agent, ticket)
    gone, elsewhere = await _uploaded(desk.agent, ticket), await _uploaded(desk.agent, other)
    await desk.say(desk.agent, ticket, attachment_ids=[taken["id"]])
    await desk.lead.delete(_path(ticket, gone["id"]))
    before = await desk.messages(ticket)
    for wrong in (taken["id"], gone["id"], elsewhere["id"], NOBODY):
        answer = await desk.say(desk.agent, ticket, attachment_ids=[fine["id"], wrong])
        assert pointer(answer) == "/attachment_ids/1"
    assert pointer(await desk.say(desk.agent, ticket, attachment_ids=[fine["id"]] * 21)) == "/attachment_ids"
    assert await desk.messages(ticket) == before
    assert as_body(await desk.agent.get(_path(ticket, fine["id"])))["message_id"] is None
    assert (await desk.say(desk.agent, ticket, attachment_ids=[fine["id"]] * 2)).status_code == 201


async def test_a_customer_sends_what_they_uploaded_and_staff_whatever_there_is(desk: Desk) -> None:
    ticket = await desk.open()
    own, theirs = await _uploaded(desk.customer, ticket), await _uploaded(desk.agent, ticket)
    note = await _uploaded(desk.agent, ticket, visibility="internal")
    answers = [await desk.say(desk.customer, ticket, attachment_ids=[id_["id"]]) for id_ in (theirs, note)]
    assert {pointer(answer) for answer in answers} == {"/attachment_ids/0"}
    assert answers[0].content == answers[1].content
    assert (await desk.say(desk.customer, ticket, attachment_ids=[own["id"]])).status_code == 201
    more = await _uploaded(desk.customer, ticket)
    assert (await desk.say(desk.service, ticket, attachment_ids=[more["id"], theirs["id"]])).status_code == 201


async def test_of_two_messages_at_once_one_gets_the_attachment(desk: Desk) -> None:
    for _ in range(5):
        ticket = await desk.open()
        made = await _uploaded(desk.agent, ticket)
        answers = await asyncio.gather(
            # Notes, which leave the ticket's row alone.
            *(
                desk.say(who, ticket, visibility="internal", attachment_ids=[made["id"]])
                for who in (desk.agent, desk.lead, desk.admin)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201, 422, 422]


async def test_a_message_that_opens_a_follow_up_takes_none_along(desk: Desk) -> None:
    ticket = await desk.open()
    made = await _uploaded(desk.customer, ticket)
    await desk.change(desk.admin, ticket, status="closed")
    problem(await desk.say(desk.customer, ticket, attachment_ids=[made["id"]]), 409, "ticket_closed")


async def test_the_author_or_a_lead_deletes_it_and_its_place_stays(desk: Desk, sql_of_world: Sql) -> None:
    ticket = await desk.open()
    agents = await _uploaded(desk.agent, ticket, visibility="public")
    customers = await _uploaded(desk.customer, ticket)
    internal = await _uploaded(desk.lead, ticket, visibility="internal")
    for who, attachment in ((desk.agent, customers), (desk.agent, internal), (desk.customer, agents)):
        problem(await who.delete(_path(ticket, attachment["id"])), 403, "forbidden")
    for who, attachment in ((desk.agent, agents), (desk.customer, customers), (desk.lead, internal)):
        path = _path(ticket, attachment["id"])
        assert (await who.delete(path)).status_code == 204
        left = as_body(await desk.admin.get(path))
        assert left == {**attachment, "name": "", "deleted_at": left["deleted_at"]}
        assert left["deleted_at"]
        problem(await desk.admin.get(f"{path}/content"), 404, "not_found")
        problem(await desk.lead.delete(path), 409, "attachment_deleted")
    assert await _ids(desk.admin, ticket) == [agents["id"], customers["id"], internal["id"]]
    assert await _stored(sql_of_world, agents, customers, internal) == 0


async def test_a_deleted_message_leaves_no_content_and_no_name(desk: Desk, sql_of_world: Sql) -> None:
    ticket = await desk.open()
    taken = [await _uploaded(desk.agent, ticket, name=f"{n}.txt") for n in range(3)]
    other = await _uploaded(desk.agent, ticket)
    said = as_body(await desk.say(desk.agent, ticket, attachment_ids=[each["id"] for each in taken]))
    await desk.agent.delete(_path(ticket, taken[0]["id"]))
    assert (await desk.agent.delete(f"/v1/tickets/{ticket['id']}/messages/{said['id']}")).status_code == 204
    left = as_body(await desk.agent.get(_path(ticket)))["items"]
    assert [each["name"] for each in left] == ["", "", "", "a.txt"]
    assert await _stored(sql_of_world, *taken) == 0
    assert await _stored(sql_of_world, other) == 1
    told = await desk.events(ticket, "attachment.deleted")
    assert sorted(event["subject"] for event in told) == sorted(each["id"] for each in taken)


async def test_the_log_tells_size_and_type_to_whom_they_concern_and_the_name_to_nobody(desk: Desk) -> None:
    ticket = await desk.open()
    for visibility in ("public", "internal"):
        made = await _uploaded(desk.agent, ticket, name="secret-name.txt", visibility=visibility)
        await desk.agent.delete(_path(ticket, made["id"]))
    data: Body = {"size_bytes": 6, "content_type": "text/plain"}
    told = [(e["type"], e["data"], e.get("actorid")) for e in await desk.events(ticket)][1:]
    assert told == [
        (f"attachment.{verb}", {**data, "visibility": visibility}, desk.agent_id)
        for visibility in ("public", "internal")
        for verb in ("added", "deleted")
    ]
    theirs = as_body(await desk.customer.get(f"/v1/tickets/{ticket['id']}/events"))["items"]
    assert [e["data"].get("visibility") for e in theirs if e["type"].startswith("attachment")] == ["public"] * 2
    assert "secret-name" not in str(theirs) + str(await desk.events(ticket))


async def test_metadata_is_read_without_contents(desk: Desk, world: World) -> None:
    ticket = await desk.open()
    made = await _uploaded(desk.agent, ticket)
    said = as_body(await desk.say(desk.agent, ticket, attachment_ids=[made["id"]]))
    path = _path(ticket, made["id"])
    with sent_by(world.app.state.db) as sent:
        as_body(await desk.agent.get(_path(ticket)))
        as_body(await desk.agent.get(path))
        await desk.agent.get(f"{path}/content", headers={"If-None-Match": f'"{made["sha256"]}"'})
        await desk.agent.delete(f"/v1/tickets/{ticket['id']}/messages/{said['id']}")
    assert len(sent) > 8
    assert [text for text, _ in sent if "attachment_contents" in text and "DELETE" not in text] == []


@pytest.mark.parametrize("alone", [False, True], ids=["of many", "of one caller"])
async def test_only_a_few_uploads_are_in_memory_at_once(desk: Desk, world: World, alone: bool) -> None:
    ticket, reading, go = await desk.open(), set(), asyncio.Event()
    most = 1 if alone else RAW_BODIES
    kinds = ["agent"] * 3 if alone else ["admin", "lead", "agent", "customer", "service+"]
    callers = [await world.caller(kind, "tickets:write") for kind in kinds]

    async def slow(number: int) -> AsyncIterator[bytes]:
        reading.add(number)
        await go.wait()
        yield b"Hello."

    async with asyncio.timeout(60):
        uploads = [asyncio.create_task(caller.post(_path(ticket), content=slow(n))) for n, caller in enumerate(callers)]
        while len(reading) < most:
            await desk.read(ticket)
        for _ in range(5):
            # What else there is to do goes on meanwhile.
            await desk.read(ticket)
        assert len(reading) == most
        go.set()
        assert {answer.status_code for answer in await asyncio.gather(*uploads)} == {201}
    assert len(reading) == len(uploads)


async def _stored(sql: Sql, *attachments: Body) -> int:
    ids = [each["id"] for each in attachments]
    count: int = await sql.fetchval(
        "SELECT count(*) FROM attachment_contents WHERE attachment_id = ANY($1::uuid[])", ids
    )
    return count


@pytest.fixture
def sql_of_world(world: World) -> Sql:
    return world.sql

"""What is private is marked with words that occur nowhere else. Then a customer asks for everything there is."""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.db import Database
from app.events.catalogue import event_id
from app.webhooks.sending import sender
from tests.auth.asking import Operation, operations
from tests.auth.crawl import Answers, Body, read, read_everything, told, write_everything
from tests.auth.staging import NOTE, STAFF, THEIRS, USED_KEY, Stage
from tests.conftest import ADMIN_KEY as ADMIN
from tests.conftest import Person, settled
from tests.faults.harness import ADMIN_KEY, directory, service
from tests.support.search import index
from tests.support.streams import feed_of, listening, serving
from tests.support.webhook_receiver import receiver
from tests.support.world import unique
from tests.webhooks.conftest import deliver

_END_OF_LOG = re.compile(
    r'next[-_]position"?: ?"?[\w.]+|(?m:^id: [\w.]+$)'
    r'|(?:(?<=event: hello\n)|(?<=event: position\n))data: {"position":"[\w.]+"(?:,"time":"[\w.:-]+")?}'
)

_INSTANT_OF_OUTLOOK = re.compile(r'(?<="at":")[^"]+(?=","language":)')


@pytest.fixture
async def stage(client: httpx.AsyncClient, person: Callable[..., Awaitable[Person]], sql: Any, db: Database) -> Stage:
    made = Stage(client, sql)
    await made.build(person)
    await index(db)
    return made


@pytest.fixture
def contract(app: FastAPI) -> list[Operation]:
    return list(operations(app.openapi()))


def _queries(stage: Stage) -> list[Body]:
    theirs = stage.theirs["customer_id"]
    return [
        {},
        {"limit": "1"},
        {"include": "clocks,messages,customer"},
        {"include": "clocks,last_message,customer"},
        {"customer_id": theirs},
        {"customer_id": f"{theirs},{stage.customer.id}", "limit": "1"},
        {"tag": THEIRS, "sort": "updated_at"},
        {"product": THEIRS},
        {"external_id": THEIRS},
        {"email": f"{THEIRS}@example.org"},
        {"visibility": "internal"},
        {"internal": "true"},
        {"q": NOTE, "count": "estimate"},
        {"q": "canary", "sort": "relevance"},
        {"active": "false"},
    ]


def _bodies(stage: Stage) -> list[Body]:
    return [
        {},
        {"body": "Hello?"},
        {"body": "Hello?", "visibility": "internal"},
        {"body": "Hello?", "status": "resolved"},
        {"status": "resolved"},
        {"subject": "Again"},
        {"text": "Hello again"},
        {"subject": "Again", "external_id": THEIRS},
        {"subject": "Again", "customer": {"external_id": THEIRS}},
        {"assignee_id": str(stage.agent.id)},
        {"name": "k", "role": "admin"},
        {"status": "closed"},
        {"tickets": [{"id": stage.theirs["id"], "status": "resolved"}, {"id": stage.own["id"], "subject": "No"}]},
        {"into": stage.theirs["id"]},
        {"ticket_id": stage.theirs["id"], "customer_id": stage.theirs["customer_id"]},
    ]


def _leaks(stage: Stage, answers: Answers) -> list[str]:
    return [
        f"{id_} {answer.request.method} {answer.request.url}: {word}"
        for id_, asked in answers.items()
        for answer in asked
        for word in stage.private
        if word in told(answer)
    ]


async def test_nothing_private_reaches_a_customer_who_reads_everything(stage: Stage, contract: list[Operation]) -> None:
    answers = await read_everything(stage.customer.http, contract, stage.values, _queries(stage))
    assert _leaks(stage, answers) == []


async def test_nothing_private_reaches_a_customer_who_writes_everywhere(
    stage: Stage, contract: list[Operation]
) -> None:
    answers = await write_everything(stage.customer.http, contract, stage.values, _bodies(stage), f"{USED_KEY}3")
    assert _leaks(stage, answers) == []
    assert {answer.status_code for answer in answers["create_message"]} >= {201, 403, 404, 422}


async def test_the_same_reading_shows_all_of_it_to_the_administrator(stage: Stage, contract: list[Operation]) -> None:
    """Or the tests above would pass by asking nothing."""
    answers = await read_everything(stage.admin, contract, stage.values, _queries(stage))
    seen = "".join(told(answer) for asked in answers.values() for answer in asked)
    assert {word for word in stage.private if word not in seen} == set()


async def test_no_log_line_holds_a_note_a_text_or_a_name(stage: Stage, contract: list[Operation]) -> None:
    with capture_logs() as lines:
        await stage.write_notes(stage.own)
        await read_everything(stage.customer.http, contract, stage.values, _queries(stage))
        await write_everything(stage.customer.http, contract, stage.values, _bodies(stage), f"{USED_KEY}3")
        await write_everything(stage.admin, contract, [stage.theirs["id"]], _wrong(), f"{USED_KEY}4")
    assert len(lines) > 100
    assert [line for line in lines if any(word in repr(line) for word in (NOTE, THEIRS, STAFF))] == []


async def test_no_refusal_says_back_what_was_sent(stage: Stage, contract: list[Operation]) -> None:
    answers = await write_everything(stage.admin, contract, [stage.theirs["id"]], _wrong(), f"{USED_KEY}4")
    refusals = [answer for asked in answers.values() for answer in asked if answer.is_error]
    assert {answer.status_code for answer in refusals} >= {404, 409, 422}
    assert [told(answer) for answer in refusals if any(word in told(answer) for word in (NOTE, THEIRS))] == []


@pytest.mark.fault
async def test_nothing_private_is_in_what_a_service_writes_out() -> None:
    """As a process of its own: whatever it, its libraries and its database say on its standard error."""
    with directory() as place:
        with service(place / "data") as (url, _pid):
            for key in (ADMIN_KEY, f"nty_{THEIRS}", THEIRS):
                await _work(url, key)
        written = (place / "service.log").read_text()
    assert "request" in written
    assert [word for word in (NOTE, THEIRS, STAFF, ADMIN_KEY) if word in written] == []


async def _work(url: str, key: str) -> None:
    """Ways to say a private word to a service: in a body that is taken, refused or broken, a query, a header."""
    headers = {"Authorization": f"Bearer {key}", "User-Agent": STAFF, "Idempotency-Key": NOTE, "Cookie": f"a={NOTE}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as http:
        await http.post("/v1/agents", json={"name": STAFF, "email": f"{STAFF}@example.org"})
        whole = {"subject": THEIRS, "description": THEIRS, "customer": {"external_id": THEIRS, "name": THEIRS}}
        opened = await http.post("/v1/tickets", json=whole, headers={"Idempotency-Key": THEIRS})
        path = f"/v1/tickets/{opened.json().get('id', 'x')}"
        for body in ({"body": NOTE, "visibility": "internal"}, {"body": NOTE, "visibility": NOTE}, [NOTE]):
            await http.post(f"{path}/messages", json=body, headers={"Idempotency-Key": unique()})
        await http.post(f"{path}/messages", content=f'{{"body": "{NOTE}'.encode())
        await http.patch(path, json={"external_id": f"{NOTE}\x00"}, headers={"If-Match": f'"{NOTE}"'})
        await http.get("/v1/tickets", params={"q": NOTE, "email": THEIRS, "cursor": NOTE})
        await http.get("/v1/agents", params={"external_id": STAFF})
        await http.get(f"/{THEIRS}/{NOTE}")


def _wrong() -> list[Body]:
    """Refused by a schema, by a rule and by a constraint of the database."""
    return [
        {"body": NOTE, "visibility": NOTE},
        {"body": NOTE, "author": {"kind": NOTE}},
        {"body": NOTE, "assignee_id": NOTE},
        {"subject": NOTE, "status": NOTE, "customer": {"email": NOTE}},
        {"subject": NOTE, "external_id": THEIRS, "customer": {"external_id": THEIRS}},
        {"external_id": THEIRS, "name": NOTE},
        {"key": STAFF, "name": NOTE},
        {"name": NOTE, "role": NOTE, "scopes": [NOTE], "agent_id": NOTE},
    ]


async def test_no_suggestion_shows_a_customer_what_is_not_for_them(stage: Stage) -> None:
    body = {"subject": "Hello again"}
    theirs = await stage.customer.http.post("/v1/tickets?suggest=true", json=body)
    assert (theirs.status_code, theirs.json()["suggestions"]) == (201, [])
    # Who opens it for them is shown what is for them.
    own = {**body, "customer": {"id": str(stage.customer.id)}}
    assert (await stage.admin.post("/v1/tickets?suggest=true", json=own)).json()["suggestions"] == []
    found = (await stage.admin.post("/v1/articles/suggest", json={"text": "Hello again"})).json()["items"]
    assert [item["key"] for item in found] == ["members"]


async def test_a_note_leaves_everything_that_a_customer_sees_as_it_was(
    stage: Stage, contract: list[Operation], db: Database
) -> None:
    """No count, no ETag, no instant tells that staff talk among themselves."""

    async def seen() -> list[str]:
        still = [operation for operation in contract if operation.id not in {"list_ticket_clocks", "get_metrics"}]
        queries: list[Body] = [{}, {"limit": "1"}, {"include": "messages,customer"}, {"include": "last_message"}]
        queries += [{"q": "canary", "count": "estimate"}, {"q": "said or canary", "sort": "relevance"}]
        answers = await read_everything(stage.customer.http, still, stage.own_ids, queries)
        # Where the whole log ends is moved by whatever anybody does anywhere, and the instant of an outlook moves on.
        texts = [told(answer) for asked in answers.values() for answer in asked]
        return [_INSTANT_OF_OUTLOOK.sub("", _END_OF_LOG.sub("", text)) for text in texts]

    before = await seen()
    await stage.write_notes(stage.own)
    await index(db)
    assert await seen() == before


async def test_pages_of_one_message_end_where_the_public_ones_end(stage: Stage) -> None:
    answers = await read(stage.customer.http, f"/v1/tickets/{stage.own['id']}/messages", {"limit": "1"})
    pages = [answer.json() for answer in answers if answer.request.method == "GET"]
    assert [page["items"][0]["body"] for page in pages] == ["Said aloud.", "Said back."]
    assert pages[-1]["next_cursor"] is None


async def test_a_customers_audit_has_no_internal_event(stage: Stage) -> None:
    ticket = f"/v1/tickets/{stage.own['id']}"
    await stage.agent.http.patch(ticket, json={"priority": "high", "tags": ["fraud?"], "status": "pending"})
    rows = await stage.sql.fetch("SELECT id, recorded_at FROM events WHERE internal")
    internal = {event_id(row["id"], row["recorded_at"]) for row in rows}
    theirs = (await stage.customer.http.get(f"{ticket}/events?limit=200")).json()["items"]
    whole = (await stage.agent.http.get(f"{ticket}/events?limit=200")).json()["items"]
    assert internal & {event["id"] for event in whole}
    assert [event["id"] for event in whole if event["id"] not in internal] == [event["id"] for event in theirs]
    types = {"ticket.created", "message.created", "ticket.status_changed", "promise.made"}
    assert {event["type"] for event in theirs} == types


async def test_feed_and_stream_tell_a_customer_of_nothing_but_what_they_see(stage: Stage, app: FastAPI) -> None:
    """What was, page by page and as it streams, and what comes while they listen, however they ask."""
    theirs = stage.theirs["id"]
    await settled(app.state.settings.database_url)
    async with (
        serving(app) as port,
        listening(port, "?after=1.0.0", stage.customer.key) as past,
        listening(port, key=stage.customer.key) as coming,
        listening(port, f"?ticket_id={theirs}&after=1.0.0", stage.customer.key) as asked,
        listening(port, "?after=1.0.0", ADMIN) as whole,
    ):
        before = len(await feed_of(stage.customer.http))
        for ticket in (stage.theirs, stage.joined, stage.own):
            await stage.write_notes(ticket)
            await stage.say(stage.agent.http, ticket, THEIRS)
        feed = await feed_of(stage.customer.http)
        await whole.read(len(await feed_of(stage.admin)))
        assert await past.read(len(feed)) == feed
        assert await coming.read(2) == feed[before:]
        assert len(feed) == before + 2
        with suppress(TimeoutError):
            await asked.read(1, seconds=0.5)
        assert asked.events == await feed_of(stage.customer.http, f"&ticket_id={theirs}") == []
    lines = await stage.customer.http.get("/v1/events", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == feed
    assert {event["ticketid"] for event in feed} == {stage.own["id"], stage.joined["id"]}
    notes = set(await stage.ids("SELECT id FROM messages WHERE visibility = 'internal'"))
    assert [word for word in stage.private | notes if word in json.dumps(feed)] == []
    # They are there to be told of.
    assert notes <= {event["subject"] for event in whole.events}


async def test_a_delivery_of_a_webhook_holds_nothing_private_but_ids(stage: Stage, app: FastAPI, db: Database) -> None:
    """What leaves over a real socket, of all that staff write on both tickets, read as the bytes that they are."""
    settings = app.state.settings = app.state.settings.model_copy(update={"webhook_private_targets": True})
    async with receiver() as there, sender(db, settings) as sending:
        hook = {"url": there.url, "types": ["*"]}
        assert (await stage.admin.post("/v1/webhooks", json=hook)).status_code == 201
        for ticket in (stage.own, stage.theirs):
            await stage.write_notes(ticket)
            await stage.say(stage.agent.http, ticket, THEIRS)
            await stage.agent.http.post(f"/v1/tickets/{ticket['id']}/attachments?name={NOTE}", content=NOTE)
        await stage.admin.patch(f"/v1/customers/{stage.theirs['customer_id']}", json={"name": f"{THEIRS} {NOTE}"})
        await deliver(db, sending)
    told = {got.event["type"] for got in there.received}
    assert told >= {"message.created", "attachment.added", "customer.updated"}
    whole = b"".join(repr(got.headers).encode() + got.path.encode() + got.body for got in there.received)
    assert [word for word in (NOTE, THEIRS, STAFF, ADMIN) if word.encode() in whole] == []


async def test_nothing_of_one_customer_crosses_a_merge_to_another(
    stage: Stage, contract: list[Operation], person: Callable[..., Awaitable[Person]]
) -> None:
    """Neither by a merge of their tickets nor by one that was made while they were taken for one."""
    own, admin = f"/v1/tickets/{stage.own['id']}", stage.admin
    theirs = await person("customer", customer_id=stage.theirs["customer_id"])
    paths = [own, f"/v1/tickets/{stage.theirs['id']}"]
    for source, into in ((paths[0], stage.theirs), (paths[1], stage.own)):
        assert (await admin.post(f"{source}/merge", json={"into": into["id"]})).status_code == 422
    customer = f"/v1/customers/{theirs.id}"
    assert (await admin.post(f"{customer}/merge", json={"into": str(stage.customer.id)})).is_success
    assert (await admin.post(f"{paths[1]}/merge", json={"into": stage.own["id"]})).is_success
    assert (await admin.post(f"{customer}/unmerge")).is_success
    said = await stage.say(theirs.http, stage.theirs, THEIRS)
    for who in (theirs.http, stage.agent.http):
        assert (await who.post(f"{paths[1]}/handoff")).status_code == 409
    stage.private |= {said["id"], said["ticket_id"]}
    values = [*stage.values, said["id"], said["ticket_id"]]
    answers = await read_everything(stage.customer.http, contract, values, _queries(stage))
    assert _leaks(stage, answers) == []
    theirs_own = {stage.own["id"], str(stage.customer.id)}
    answers = await read_everything(theirs.http, contract, [stage.own["id"], *stage.own_ids, paths[1][12:]], [{}])
    assert [word for word in theirs_own for asked in answers.values() for a in asked if word in told(a)] == []


async def test_a_customers_list_holds_what_they_see_whatever_they_filter_by(stage: Stage) -> None:
    theirs = stage.theirs["customer_id"]
    joined, asker = stage.joined["id"], stage.joined["customer_id"]
    for query, expected in [
        ("", [joined, stage.own["id"]]),
        (f"customer_id={asker}", [joined]),
        (f"customer_id={stage.customer.id}", [stage.own["id"]]),
        (f"customer_id={theirs}", []),
        (f"customer_id={theirs},{stage.customer.id}", [stage.own["id"]]),
        (f"customer_id={theirs}&customer_id={stage.customer.id}", [stage.own["id"]]),
        ("created_after=1970-01-02T00:00:00Z&sort=created_at", [stage.own["id"], joined]),
    ]:
        found = (await stage.customer.http.get(f"/v1/tickets?{query}")).json()["items"]
        assert [ticket["id"] for ticket in found] == expected, query
    by_tag = await stage.customer.http.get(f"/v1/tickets?tag={THEIRS}")
    assert (by_tag.status_code, by_tag.json()["code"]) == (403, "forbidden")


async def test_somebody_elses_cursor_leads_a_customer_nowhere(stage: Stage) -> None:
    first = (await stage.admin.get("/v1/tickets?limit=1")).json()
    assert [ticket["id"] for ticket in first["items"]] == [stage.theirs["id"]]
    found = await stage.customer.http.get("/v1/tickets", params={"cursor": first["next_cursor"]})
    assert (found.status_code, found.json()["errors"][0]["code"]) == (422, "bad_cursor")


async def test_an_idempotency_key_of_somebody_else_replays_nothing(stage: Stage) -> None:
    path, body = f"/v1/tickets/{stage.own['id']}/messages", {"body": NOTE}
    headers = {"Idempotency-Key": "shared"}
    first = await stage.agent.http.post(path, json=body, headers=headers)
    second = await stage.customer.http.post(path, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in second.headers
    assert second.json()["author"]["kind"] == "customer"

"""Attacks on what somebody may see, over HTTP, one of each kind: a key of one scope that asks for what is of another
one, a stream that outlives its key, a webhook that tells what its maker may not read, marks of hidden acts, fields of
the staff, acts that need a lead, and bytes that are no text. What is private is marked with words of its own."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from tests.auth.asking import Operation, operations
from tests.auth.crawl import Answers, read_everything, told
from tests.conftest import Person, openapi
from tests.support.search import index
from tests.support.segments import settled
from tests.support.sla import Sql
from tests.support.streams import listening, serving
from tests.support.verification import Body, good

Make = Callable[..., Awaitable[Person]]
Figure = Callable[[str, int], None]
NOUNS = ("agents", "customers", "goals", "keys", "segments", "sla", "tickets", "webhooks")
WORD = {noun: f"canary-{noun}-" for noun in NOUNS}
RISK = {"subject": "ticket", "key": "risk", "name": "r", "type": "text"}
NAMED = "Names {{customer.name}}"
EMAIL = "canary-customers-@example.org"


class Room:
    """One of each thing; whatever is written of it holds the word of its noun and no other."""

    def __init__(self, admin: httpx.AsyncClient, person: Make) -> None:
        self.admin = admin
        self._person = person
        self.ids: dict[str, str] = {}

    @property
    def ticket(self) -> str:
        return f"/v1/tickets/{self.ids['ticket']}"

    async def build(self) -> None:
        await self._make("agent", "/v1/agents", name=WORD["agents"], email=f"{WORD['agents']}@example.org")
        await self._make("team", "/v1/teams", key="t", name=WORD["agents"])
        named = {"name": WORD["customers"], "attributes": {"plan": "pro", "word": WORD["customers"]}}
        await self._make("organization", "/v1/organizations", **named, shared=True)
        here = {"organization_id": self.ids["organization"]}
        await self._make("customer", "/v1/customers", **named, email=EMAIL, **here)
        await self._make("guest", "/v1/customers", **named)
        everybody = {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}
        rule = {"not": {"field": "customer.region", "op": "eq", "value": "nowhere"}}
        await self._make("segment", "/v1/segments", key="s", name=WORD["segments"], rule=rule)
        hours = {"mon": [["09:00", "17:00"]]}
        await self._make("calendar", "/v1/business-calendars", name=WORD["sla"], timezone="UTC", hours=hours)
        targets = [{"metric": "first_response", "seconds": 60}]
        conditions = {"all": [everybody]}
        await self._make(
            "policy", "/v1/sla-policies", position=1, key="p", name=WORD["sla"], conditions=conditions, targets=targets
        )
        window = {"rolling_seconds": 60}
        await self._make("goal", "/v1/service-goals", key="g", name=WORD["goals"], target_seconds=90, window=window)
        await self._make(
            "api_key", "/v1/api-keys", name=WORD["keys"], role="customer", customer_id=self.ids["customer"]
        )
        await self._make("webhook", "/v1/webhooks", url=f"https://{WORD['webhooks']}.example.org/in", types=["*"])
        await self._open()

    async def _open(self) -> None:
        word = WORD["tickets"]
        about = {
            "subject": word, "description": word, "tags": [word], "product": word, "assignee_id": self.ids["agent"],
            "team_id": self.ids["team"], "customer": {"id": self.ids["customer"]},
        }  # fmt: skip
        await self._make("ticket", "/v1/tickets", **about)
        await self._make("participant", f"{self.ticket}/participants", customer_id=self.ids["guest"])
        for more in ({}, {"visibility": "internal"}):
            await self._make("message", f"{self.ticket}/messages", body=word, handling_seconds=1, **more)
        await self._make("promise", f"{self.ticket}/promises", text=word, due_at="2036-01-01T00:00:00Z")
        exception = {"ticket_id": self.ids["ticket"], "effect": "extend", "seconds": 60, "reason": WORD["sla"]}
        await self._make("exception", "/v1/sla-exceptions", **exception)
        override = {"customer_id": self.ids["customer"], "effect": "include", "reason": WORD["segments"]}
        await self._make("override", f"/v1/segments/{self.ids['segment']}/overrides", **override)
        for name, body in (("macro", word), ("naming", f"{word} {NAMED}")):
            await self._make(name, "/v1/macros", name=f"{word} {name}", body=body)
        await self._make("view", "/v1/views", name=word, filter={"tag": [word]}, shared=True)
        online = {"state": "online", "capacity": 9, "skills": [WORD["agents"]]}
        good(await self.admin.put(f"/v1/agents/{self.ids['agent']}/availability", json=online))

    async def _make(self, name: str, path: str, /, **body: Any) -> None:
        answer = await self.admin.post(path, json=body)
        assert answer.status_code == 201, answer.text
        self.ids[name] = str(answer.json().get("id", ""))

    async def key(self, *scopes: str) -> httpx.AsyncClient:
        return (await self._person("service", scopes=list(scopes))).http


@pytest.fixture
async def room(client: httpx.AsyncClient, person: Make, db: Database) -> Room:
    made = Room(client, person)
    await made.build()
    await settled(db)
    await index(db)
    return made


def _queries(room: Room) -> list[Body]:
    groups = "segment,team,agent,assignee,policy,customer,organization"
    return [
        {}, {"limit": "1"}, {"include": "clocks,messages,customer"}, {"include": "clocks,last_message,customer"},
        {"include": "assignee,team"}, {"include": "customer"}, {"q": "canary", "sort": "relevance"},
        {"metric": "first_response"}, {"metric": "first_response", "group_by": groups}, {"group_by": groups},
        *({"group_by": group} for group in groups.split(",")),
    ]  # fmt: skip


def _foreign(answers: Iterable[httpx.Response], nouns: set[str]) -> set[str]:
    whole = "".join(told(answer) for answer in answers)
    return {noun for noun, word in WORD.items() if word in whole and noun not in nouns}


def _told(answers: Answers, nouns: set[str]) -> dict[str, set[str]]:
    return {id_: found for id_, asked in answers.items() if (found := _foreign(asked, nouns))}


def _asked_with(app: FastAPI, scopes: set[str]) -> list[Operation]:
    """The stream never ends: what it tells is the feed's."""
    return [each for each in operations(app.openapi()) if {*each.scopes} <= scopes and each.id != "stream_events"]


@pytest.mark.parametrize("noun", [*NOUNS, "reports"])
async def test_a_key_that_reads_one_noun_is_told_nothing_of_another(
    room: Room, app: FastAPI, noun: str, figure: Figure
) -> None:
    """Every operation that it may ask for, with every value and every way of asking: reports by who they are about,
    tickets with whose they are."""
    scopes = {f"{noun}:read"}
    answers = await read_everything(
        await room.key(*scopes), _asked_with(app, scopes), [*room.ids.values(), EMAIL], _queries(room)
    )
    assert _told(answers, {noun}) == {}
    figure("answers to keys of one scope", sum(map(len, answers.values())))
    if noun in WORD:  # or the test would look at nothing
        assert _foreign((answer for asked in answers.values() for answer in asked), set()) == {noun}


async def test_whoever_may_read_both_is_told_the_names(room: Room) -> None:
    """Or the test above would pass by telling them nobody."""
    path = "/v1/reports/response-times?metric=first_response&group_by=team,assignee,policy,customer,organization"
    for scopes, nouns in (
        ([], set()),
        (["customers:read"], {"customers"}),
        (["agents:read"], {"agents"}),
        (["sla:read"], {"sla"}),
    ):
        answer = await (await room.key("reports:read", *scopes)).get(path)
        assert answer.json()["items"]
        assert _foreign([answer], set()) == nouns
        table = await (await room.key("reports:read", *scopes)).get(path, headers={"Accept": "text/csv"})
        assert _foreign([table], set()) == nouns


async def test_what_is_written_with_one_scope_says_nothing_of_another(room: Room, figure: Figure) -> None:
    """By macros, previews, claims, bulk changes, participants, mail, hints, exports and erasure."""
    ticket, ids = room.ticket, room.ids
    many, low = {"ticket_ids": [ids["ticket"]]}, {"id": ids["ticket"], "priority": "low"}
    key = {"name": "x", "role": "customer", "customer_id": ids["guest"]}
    mail = {
        "content": b"From: x@example.org\r\nSubject: Hello\r\n\r\nHi.",
        "headers": {"Content-Type": "message/rfc822"},
    }
    attacks: list[tuple[str, str, str, dict[str, Any]]] = [
        ("tickets:write", "POST", f"{ticket}/macros/{ids['naming']}/apply?preview=true", {}),
        ("tickets:write", "POST", f"{ticket}/macros/{ids['naming']}/apply", {}),
        ("tickets:write", "POST", f"/v1/macros/{ids['naming']}/apply?preview=true", {"json": many}),
        ("tickets:write", "POST", f"/v1/macros/{ids['naming']}/apply", {"json": many}),
        ("tickets:write", "PATCH", f"{ticket}?include=customer", {"json": {"priority": "high"}}),
        ("tickets:write", "POST", "/v1/tickets/bulk", {"json": {"tickets": [low]}}),
        ("tickets:write", "POST", "/v1/tickets", {"json": {"subject": "x", "customer": {"email": EMAIL}}}),
        ("tickets:write", "POST", f"{ticket}/participants", {"json": {"customer_id": ids["guest"]}}),
        ("tickets:write", "PUT", f"{ticket}/being-answered", {}),
        ("tickets:write", "POST", f"{ticket}/handoff", {}),
        ("tickets:write", "POST", "/v1/tickets/claim", {"json": {"agent_id": ids["agent"]}}),
        ("tickets:write agents:read", "POST", "/v1/tickets/claim", {"json": {"agent_id": ids["agent"]}}),
        ("tickets:write agents:read", "POST", f"{ticket}/release", {}),
        ("tickets:write agents:read", "PUT", f"/v1/agents/{ids['agent']}/availability", {"json": {"state": "online"}}),
        ("agents:write", "PUT", f"/v1/agents/{ids['agent']}/availability", {"json": {"state": "online"}}),
        ("imports:write", "POST", "/v1/inbound/email", mail),
        ("tickets:read", "POST", "/v1/articles/suggest", {"json": {"text": "canary"}}),
        ("tickets:read", "POST", f"{ticket}/explain", {}),
        ("tickets:read", "GET", f"{ticket}/explain", {}),
        ("sla:read", "GET", f"{ticket}/explain", {}),
        ("segments:read", "POST", "/v1/segments/preview", {"json": {"rule": {"all": []}}}),
        ("segments:write", "PATCH", f"/v1/segments/{ids['segment']}", {"json": {"position": 1}}),
        ("sla:read", "POST", "/v1/sla-policies/explain", {"json": {"ticket_id": ids["ticket"]}}),
        ("customers:read", "GET", f"/v1/customers/{ids['customer']}/export", {}),
        ("customers:write", "POST", f"/v1/customers/{ids['guest']}/merge", {"json": {"into": ids["customer"]}}),
        ("customers:write", "POST", f"/v1/customers/{ids['guest']}/erase", {}),
        ("keys:write", "POST", "/v1/api-keys", {"json": key}),
    ]  # fmt: skip
    refused = 0
    for scopes, method, path, more in attacks:
        answer = await (await room.key(*scopes.split())).request(method, path, **more)
        assert answer.status_code < 500, (method, path)
        foreign = _foreign([answer], {scope.partition(":")[0] for scope in scopes.split()})
        assert foreign == set(), (scopes, method, path, answer.text)
        refused += answer.status_code in (401, 403, 404)
    figure("writes with one scope", len(attacks))
    assert refused >= 10
    # Nothing was said in anybody's name either.
    said = good(await room.admin.get(f"{ticket}/messages?limit=200"))["items"]
    assert [each["body"] for each in said if WORD["customers"] in each["body"]] == []


async def test_a_macro_names_the_customer_to_who_may_read_them(room: Room) -> None:
    path = f"{room.ticket}/macros/{room.ids['naming']}/apply?preview=true"
    answer = await (await room.key("tickets:write", "customers:read")).post(path)
    assert WORD["customers"] in good(answer)["body"]
    plain = f"{room.ticket}/macros/{room.ids['macro']}/apply?preview=true"
    assert (await (await room.key("tickets:write")).post(plain)).status_code == 200


async def test_a_stream_ends_with_its_key_also_while_it_catches_up(
    room: Room, app: FastAPI, person: Make, sql: Sql, figure: Figure
) -> None:
    reader = await person("service", scopes=["events:read"])
    await sql.execute(
        "INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)"
        " SELECT 'ticket.erased', now(), 'system', gen_random_uuid(), '{}' FROM generate_series(1, 20000)"
    )
    async with serving(app) as port, listening(port, "?after=1.0.0", reader.key) as stream:
        await stream.read(10)
        await sql.execute("UPDATE api_keys SET revoked_at = clock_timestamp() WHERE name = 'service'")
        await stream.read(seconds=10)
        assert stream.ended
        assert len(stream.events) < 10_000
    figure("streams ended with their keys", 1)


async def test_a_webhook_is_told_nothing_that_who_changes_it_may_not_read(room: Room, figure: Figure) -> None:
    hook = f"/v1/webhooks/{room.ids['webhook']}"
    elsewhere = {"url": "https://elsewhere.example.org/in"}
    alone = await room.key("webhooks:write")
    reads = await room.key("webhooks:write", "events:read")
    keys = good(await room.admin.post("/v1/webhooks", json={**elsewhere, "types": ["api_key.created"]}))
    attacks = [
        await alone.post("/v1/webhooks", json={**elsewhere, "types": ["*"]}),
        await alone.patch(hook, json=elsewhere),
        await alone.patch(hook, json={"active": True}),
        await alone.post(f"{hook}/rotate-secret"),
        await reads.post("/v1/webhooks", json={**elsewhere, "types": ["api_key.created"]}),
        await reads.patch(hook, json={"types": ["api_key.created"]}),
        await reads.patch(f"/v1/webhooks/{keys['id']}", json=elsewhere),
        await reads.patch(f"/v1/webhooks/{keys['id']}", json={"types": ["api_key.created", "ticket.created"]}),
        await reads.post(f"/v1/webhooks/{keys['id']}/rotate-secret"),
    ]
    assert [answer.status_code for answer in attacks] == [403] * len(attacks)
    assert (await reads.patch(hook, json=elsewhere)).status_code == 200
    figure("webhooks refused", len(attacks))


@pytest.mark.parametrize("how", ["asker", "participant", "colleague"])
async def test_hidden_acts_leave_no_mark_for_whoever_reads_the_ticket(
    room: Room, person: Make, how: str, figure: Figure
) -> None:
    """No version, ETag, instant, id, order or page of theirs is moved by what is not theirs to see."""
    who = await person("customer", customer_id=room.ids["customer" if how == "asker" else "guest"])
    if how == "colleague":
        await room.admin.delete(f"{room.ticket}/participants/{room.ids['guest']}")
        good(
            await room.admin.patch(
                f"/v1/customers/{room.ids['guest']}", json={"organization_id": room.ids["organization"]}
            )
        )
    paths = [
        room.ticket, "/v1/tickets?sort=-updated_at", f"{room.ticket}/events", f"{room.ticket}/messages", "/v1/events",
        f"{room.ticket}/participants", f"{room.ticket}/attachments", f"{room.ticket}/promises",
    ]  # fmt: skip

    async def seen() -> list[str]:
        answers = [await who.http.get(path) for path in paths]
        assert {answer.status_code for answer in answers} == {200}
        return [told(answer).split('"next_position"')[0].split("next-position")[0] for answer in answers]

    before = await seen()
    exception = {"effect": "extend", "seconds": 60, "reason": "x"}
    acts = [
        ("POST", "/v1/sla-exceptions", {**exception, "ticket_id": room.ids["ticket"]}),
        ("POST", "/v1/sla-exceptions", {**exception, "scope": "customer", "customer_id": room.ids["customer"]}),
        ("PATCH", f"/v1/segments/{room.ids['segment']}", {"judged": False}),
        ("POST", "/v1/custom-fields", RISK),
        ("PATCH", room.ticket, {"tags": ["fraud?"], "custom_fields": {"risk": "high"}}),
        ("POST", f"{room.ticket}/messages", {"body": "Careful.", "visibility": "internal"}),
        ("PUT", f"{room.ticket}/followers/{room.ids['agent']}", None),
        ("PUT", f"{room.ticket}/being-answered", None),
        ("PUT", f"/v1/agents/{room.ids['agent']}/availability", {"state": "away"}),
        ("POST", f"{room.ticket}/attachments?name=f&visibility=internal", {"a": 1}),
    ]
    for method, path, body in acts:
        answer = await room.admin.request(method, path, json=body)
        assert answer.is_success, (path, answer.text)
    assert await seen() == before
    figure("hidden acts without a mark", len(acts))


async def test_a_customer_neither_reads_nor_sets_what_is_the_staffs(room: Room, person: Make, figure: Figure) -> None:
    who = await person("customer", customer_id=room.ids["customer"])
    good(await room.admin.post("/v1/custom-fields", json=RISK))
    good(await room.admin.patch(room.ticket, json={"custom_fields": {"risk": "canary-risk"}, "tags": ["canary-risk"]}))
    answers = await read_everything(
        who.http, list(operations(openapi())), list(room.ids.values()), [{}, {"include": "customer"}]
    )
    assert [id_ for id_, asked in answers.items() if any("canary-risk" in told(each) for each in asked)] == []
    changes: list[Body] = [
        {"custom_fields": {"risk": "none"}}, {"tags": []}, {"priority": "urgent"}, {"assignee_id": None},
        {"team_id": None}, {"external_id": "x"}, {"status": "on_hold"},
    ]  # fmt: skip
    refused = [(await who.http.patch(room.ticket, json=change)).status_code for change in changes]
    refused += [
        (await who.http.post("/v1/tickets", json={"subject": "x", **change})).status_code for change in changes[:3]
    ]
    assert refused == [403] * len(refused)
    figure("fields of the staff refused", len(refused))


async def test_what_needs_a_lead_is_refused_to_agents_and_customers(room: Room, person: Make, figure: Figure) -> None:
    agent, lead = await person("agent"), await person("lead")
    customer = await person("customer", customer_id=room.ids["customer"])
    draft = good(await room.admin.post("/v1/articles", json=_article(active=False)))
    merge = f"/v1/customers/{room.ids['guest']}/merge"
    attacks = [
        ("POST", merge, {"into": room.ids["customer"]}),
        ("POST", f"/v1/customers/{room.ids['guest']}/unmerge", None),
        ("POST", f"/v1/customers/{room.ids['guest']}/erase", None),
        ("GET", f"/v1/customers/{room.ids['guest']}/export", None),
        ("POST", "/v1/articles", _article()),
        ("PATCH", f"/v1/articles/{draft['id']}", {"active": True}),
        ("POST", "/v1/macros", {"name": "x", "body": "x"}),
    ]
    for who in (agent, customer):
        for method, path, body in attacks:
            assert (await who.http.request(method, path, json=body)).status_code == 403, (method, path)
    good(await lead.http.patch(f"/v1/articles/{draft['id']}", json={"active": True}))
    good(await lead.http.post(merge, json={"into": room.ids["customer"]}))
    figure("acts of leads refused", 2 * len(attacks))


@pytest.mark.parametrize(
    "path", ["/v1/tickets?q=%ff%fe", "/v1/customers?email=%c3", "/v1/tickets?%ff=1", "/v1/me?a=%80"]
)
async def test_bytes_that_are_no_text_are_refused(room: Room, path: str, figure: Figure) -> None:
    assert (await room.admin.get(path)).status_code == 400
    figure("queries that are no text refused", 1)


def _article(**more: Any) -> Body:
    return {"key": f"a{len(more)}", "title": "x", "body": "x", "language": "en", **more}

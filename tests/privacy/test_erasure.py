"""A customer is erased: a word is planted wherever text can enter, and looked for in the whole database afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import httpx
import pytest

from app.db import Database
from app.privacy.erasure import ERASED
from tests.conftest import Person
from tests.support.personal_data import dump, held, occurs, places_of
from tests.support.search import index
from tests.support.sla import Sql, reply, sweep_dry
from tests.support.verification import Body, assert_verified, good, soon

Make = Callable[..., Awaitable[Person]]
CANARY = "qzcanaryx"


class Stage:
    """A customer with all that can be known of them, each text with a word of its own."""

    def __init__(self, admin: httpx.AsyncClient, sql: Sql) -> None:
        self.admin = admin
        self.sql = sql
        self.words: dict[str, str] = {}
        self._numbers = count()

    def word(self, place: str) -> str:
        self.words[place] = f"{CANARY}{next(self._numbers)}x"
        return self.words[place]

    async def post(self, path: str, body: Body, **headers: str) -> Body:
        return good(await self.admin.post(path, json=body, headers=headers))

    async def build(self) -> None:
        await self._customers()
        for type_ in ("text", "number"):
            await self.post("/v1/custom-fields", {"subject": "ticket", "key": f"f_{type_}", "name": "F", "type": type_})
        customer = {"id": self.customer["id"]}
        opening = {
            "subject": self.word("subject"), "description": self.word("description"), "customer": customer,
            "custom_fields": {"f_text": self.word("custom field"), "f_number": 1},
            "external_id": self.word("ticket external id"), "tags": ["kept"], "product": "kept",
        }  # fmt: skip
        self.ticket = await self.post("/v1/tickets", opening, **{"Idempotency-Key": "opening"})
        self.opening = opening
        self.path = f"/v1/tickets/{self.ticket['id']}"
        await self._change()
        await self._say()
        await self._promise()
        await self._attach()
        await self._import()

    async def _customers(self) -> None:
        organization = await self.post("/v1/organizations", {"name": "Their firm"})
        self.known = {
            "external_id": self.word("customer external id"), "name": self.word("name"),
            "email": f"{self.word('email')}@example.org", "region": "XQ", "language": "zu",
            "organization_id": organization["id"], "attributes": {"a": self.word("attribute")},
        }  # fmt: skip
        self.customer = await self.post("/v1/customers", self.known, **{"Idempotency-Key": "customer"})
        changed = {"name": self.word("changed name"), "attributes": {"b": self.word("changed attribute")}}
        good(await self.admin.patch(f"/v1/customers/{self.customer['id']}", json=changed))
        self.source = await self.post(
            "/v1/customers", {"name": self.word("merged name"), "external_id": self.word("merged external id")}
        )
        opened = {"subject": self.word("merged subject"), "customer": {"id": self.source["id"]}}
        self.merged_ticket = await self.post("/v1/tickets", opened)
        await self.post(f"/v1/customers/{self.source['id']}/merge", {"into": self.customer["id"]})
        key = {"name": self.word("key name"), "role": "customer", "customer_id": self.customer["id"]}
        self.key = await self.post("/v1/api-keys", key)

    async def _change(self) -> None:
        for patch in (
            {"subject": self.word("changed subject")},
            {"custom_fields": {"f_text": self.word("changed custom field")}},
            {"external_id": self.word("changed external id")},
        ):
            good(await self.admin.patch(self.path, json=patch))

    async def _say(self) -> None:
        said = [
            await self.post(
                f"{self.path}/messages",
                {"body": self.word(f"{kind} {visibility}"), "author": {"kind": kind}, "visibility": visibility},
                **{"Idempotency-Key": f"{kind}-{visibility}"},
            )
            for kind, visibility in (
                ("customer", "public"), ("agent", "public"), ("agent", "internal"), ("bot", "public"),
            )
        ]  # fmt: skip
        edited, deleted = said[1], said[3]
        good(await self.admin.patch(f"{self.path}/messages/{edited['id']}", json={"body": self.word("edited")}))
        assert (await self.admin.delete(f"{self.path}/messages/{deleted['id']}")).status_code == 204
        self.deleted = deleted
        other = await self.post("/v1/tickets", {"subject": "Another's", "customer": {"external_id": "other"}})
        self.other_path = f"/v1/tickets/{other['id']}"
        author = {"kind": "customer", "id": self.customer["id"]}
        elsewhere = {"body": self.word("on another's ticket"), "author": author}
        self.elsewhere = await self.post(f"{self.other_path}/messages", elsewhere, **{"Idempotency-Key": "elsewhere"})

    async def _promise(self) -> None:
        made = [
            await self.post(f"{self.path}/promises", {"text": self.word(f"promise {n}"), "due_at": soon(3600)})
            for n in range(2)
        ]
        reason = {"reason": self.word("withdrawn reason")}
        await self.post(f"{self.path}/promises/{made[0]['id']}/withdraw", reason)
        excepted = {"ticket_id": self.ticket["id"], "effect": "extend", "seconds": 60}
        await self.post("/v1/sla-exceptions", {**excepted, "reason": self.word("exception reason")})

    async def _attach(self) -> None:
        for n in range(2):
            file = await self.admin.post(
                f"{self.path}/attachments",
                params={"name": f"{self.word(f'file name {n}')}.txt"},
                content=self.word(f"file content {n}").encode(),
            )
            self.file = good(file)
            if n == 0:
                gone = await self.admin.delete(f"{self.path}/attachments/{self.file['id']}")
                assert gone.status_code == 204

    async def _import(self) -> None:
        said = {"at": "2020-01-01T00:00:00Z", "kind": "message", "author": "customer", "visibility": "public"}
        old = {
            "external_id": self.word("imported external id"), "subject": self.word("imported subject"),
            "customer": {"external_id": self.known["external_id"]}, "created_at": "2020-01-01T00:00:00Z",
            "timeline": [{**said, "body": self.word("imported message")}],
        }  # fmt: skip
        done = await self.post("/v1/imports/tickets", {"tickets": [old]}, **{"Idempotency-Key": "import"})
        self.imported_id = done["items"][0]["ticket_id"]

    async def erase(self) -> Body:
        return good(await self.admin.post(f"/v1/customers/{self.customer['id']}/erase"))

    async def found(self) -> dict[str, list[str]]:
        """Which words are where."""
        tables = await places_of(self.sql, *self.words.values())
        return {place: tables[word] for place, word in self.words.items()}


@pytest.fixture
async def stage(client: httpx.AsyncClient, sql: Sql) -> Stage:
    made = Stage(client, sql)
    await made.build()
    return made


async def test_nothing_that_was_known_or_said_is_anywhere_in_the_database(stage: Stage, db: Database) -> None:
    await index(db)
    before = await stage.found()
    # What is gone before it is looked for proves nothing.
    gone = {"file name 0", "file content 0"}
    assert {place for place, tables in before.items() if not tables} == gone
    planted = {table for tables in before.values() for table in tables}
    assert planted >= {
        "customers", "tickets", "messages", "message_versions", "promises", "sla_exceptions", "attachments",
        "attachment_contents", "events", "idempotency_records", "api_keys", "ticket_search",
    }  # fmt: skip
    await stage.erase()
    await index(db)
    assert {place: tables for place, tables in (await stage.found()).items() if tables} == {}
    assert not await occurs(stage.sql, CANARY)


async def test_the_customer_and_who_was_merged_into_them_are_nobody(stage: Stage) -> None:
    answer = await stage.admin.post(f"/v1/customers/{stage.customer['id']}/erase")
    customer = good(answer)
    assert answer.headers["etag"] == f'"{customer["version"]}"'
    for each in (customer, good(await stage.admin.get(f"/v1/customers/{stage.source['id']}"))):
        names = ("external_id", "name", "email", "region", "language", "organization_id")
        assert ({each[name] for name in names}, each["attributes"]) == ({None}, {})
        assert each["erased_at"] is not None
    for id_ in (stage.customer["id"], stage.source["id"]):
        told = await stage.sql.fetch("SELECT data FROM events WHERE subject_id = $1 AND type = 'customer.erased'", id_)
        assert [row["data"] for row in told] == ["{}"]


async def test_of_tickets_and_messages_the_places_stay(stage: Stage) -> None:
    messages = f"{stage.path}/messages?limit=200"
    before = good(await stage.admin.get(messages))["items"]
    await stage.erase()
    ticket = good(await stage.admin.get(stage.path))
    expected: Body = {"subject": ERASED, "custom_fields": {}, "external_id": None, "tags": ["kept"], "product": "kept"}
    assert {name: ticket[name] for name in expected} == expected
    after = good(await stage.admin.get(messages))["items"]
    blank = {"body": ERASED, "version": 0}
    for was, now in zip(before, after, strict=True):
        deleted = was["id"] == stage.deleted["id"]
        assert {**now, "version": 0} == {**was, **blank, **({"body": ""} if deleted else {})}
        assert now["version"] == was["version"] + (not deleted)
    for path, name in (("promises", "text"), ("attachments", "name")):
        items = good(await stage.admin.get(f"{stage.path}/{path}"))["items"]
        assert {item[name] for item in items} == {ERASED if path == "promises" else ""}
    elsewhere = good(await stage.admin.get(f"{stage.other_path}/messages"))["items"]
    assert [message["body"] for message in elsewhere] == [ERASED]
    assert good(await stage.admin.get(stage.other_path))["subject"] == "Another's"
    content = await stage.admin.get(f"{stage.path}/attachments/{stage.file['id']}/content")
    assert content.status_code == 404


async def test_each_ticket_is_told_to_be_erased_once(stage: Stage) -> None:
    await stage.erase()
    told = await stage.sql.fetch("SELECT ticket_id::text, internal, data FROM events WHERE type = 'ticket.erased'")
    other = stage.elsewhere["ticket_id"]
    assert sorted(row["ticket_id"] for row in told) == sorted(
        [stage.ticket["id"], stage.merged_ticket["id"], stage.imported_id, other]
    )
    assert {(row["internal"], row["data"]) for row in told} == {(True, "{}")}


async def test_figures_clocks_and_the_log_s_own_sums_are_as_before(
    stage: Stage, client: httpx.AsyncClient, db: Database
) -> None:
    await reply(client, stage.ticket)
    await sweep_dry(db)
    await assert_verified(db)
    [goal] = good(await client.get("/v1/service-goals"))["items"]
    moving = {"now", "at", "elapsed_seconds", "remaining_seconds", "paused_seconds"}

    async def figures() -> list[Any]:
        report = {"metric": "first_response", "group_by": "priority,channel,product,region"}
        status = good(await client.get(f"/v1/service-goals/{goal['id']}/status"))
        clocks = good(await client.get(f"{stage.path}/clocks"))["items"]
        counts = [f"SELECT count(*) FROM {table}" for table in ("tickets", "messages", "sla_clocks", "promises")]
        return [
            [
                # Who still waits waits on.
                {name: value for name, value in item.items() if name not in {"mean_floor", "mean_wall"}}
                for item in good(await client.get("/v1/reports/response-times", params=report))["items"]
            ],
            {name: status[name] for name in ("answered", "waiting") if name in status},
            [{name: value for name, value in clock.items() if name not in moving} for clock in clocks],
            [tuple(row) for row in await stage.sql.fetch("SELECT * FROM sla_clocks ORDER BY id")],
            [await stage.sql.fetchval(query) for query in counts],
        ]

    before = await figures()
    await stage.erase()
    await sweep_dry(db)
    assert await figures() == before
    await assert_verified(db)


async def test_erasing_again_changes_nothing(stage: Stage) -> None:
    first = await stage.erase()
    before = await dump(stage.sql)
    assert await stage.erase() == first
    assert await dump(stage.sql) == before


async def test_what_came_after_an_erasure_is_erased_by_the_next_one(stage: Stage) -> None:
    await stage.erase()
    await stage.post(f"{stage.path}/messages", {"body": CANARY, "visibility": "internal"})
    good(await stage.admin.patch(f"/v1/customers/{stage.customer['id']}", json={"name": CANARY}))
    await stage.erase()
    assert not await occurs(stage.sql, CANARY)


async def test_a_repeat_of_what_was_asked_before_does_nothing_and_says_why(stage: Stage) -> None:
    await stage.erase()
    before = await dump(stage.sql)
    for path, key, body in (
        ("/v1/tickets", "opening", stage.opening),
        ("/v1/customers", "customer", stage.known),
        (
            f"{stage.other_path}/messages",
            "elsewhere",
            {
                "body": stage.words["on another's ticket"],
                "author": {"kind": "customer", "id": stage.customer["id"]},
            },
        ),
    ):
        answer = await stage.admin.post(path, json=body, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (410, "answer_erased")
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["content-type"] == "application/problem+json"
    other = await stage.admin.post("/v1/tickets", json={"subject": "x"}, headers={"Idempotency-Key": "opening"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await dump(stage.sql) == before


async def test_answers_about_others_are_kept(stage: Stage) -> None:
    body = {"subject": "Not theirs", "customer": {"external_id": "other"}}
    first = await stage.admin.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k"})
    await stage.erase()
    again = await stage.admin.post("/v1/tickets", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.content) == (201, first.content)


async def test_fields_called_id_are_no_reason_to_fail(client: httpx.AsyncClient) -> None:
    for key, value in enumerate(("not one", "0" * 36, None, 1)):
        body = {"attributes": {"id": value, "customer_id": value}}
        assert (await client.post("/v1/customers", json=body, headers={"Idempotency-Key": f"k{key}"})).is_success


async def test_their_keys_are_dead_and_the_log_says_so(stage: Stage) -> None:
    await stage.erase()
    answer = await stage.admin.get("/v1/tickets", headers={"Authorization": f"Bearer {stage.key['key']}"})
    assert answer.status_code == 401
    told = await stage.sql.fetch("SELECT type FROM events WHERE subject_id = $1 ORDER BY id", stage.key["id"])
    assert [row["type"] for row in told] == ["api_key.created", "api_key.revoked"]


async def test_who_writes_again_is_somebody_new(stage: Stage) -> None:
    await stage.erase()
    for ref in ({"external_id": stage.known["external_id"]}, {"email": stage.known["email"]}):
        ticket = await stage.post("/v1/tickets", {"subject": "Again", "customer": ref})
        assert ticket["customer_id"] not in (stage.customer["id"], stage.source["id"])


async def test_others_keep_everything(stage: Stage) -> None:
    them = {"external_id": "kept", "name": f"{CANARY}kept", "email": "kept@example.org"}
    ticket = await stage.post("/v1/tickets", {"subject": f"{CANARY}kept", "description": "d", "customer": them})
    good(await stage.admin.patch(f"/v1/tickets/{ticket['id']}", json={"subject": f"{CANARY}kept 2"}))
    text = [row for rows in (await dump(stage.sql)).values() for row in rows if f"{CANARY}kept" in row]
    await stage.erase()
    assert [row for rows in (await dump(stage.sql)).values() for row in rows if f"{CANARY}kept" in row] == text


async def test_leads_and_above_erase(client: httpx.AsyncClient, person: Make) -> None:
    for role, extra, status in (
        ("agent", {}, 403), ("lead", {}, 200), ("service", {"scopes": ["customers:write", "tickets:write"]}, 200),
        ("service", {"scopes": ["customers:write", "customers:read"]}, 403),
    ):  # fmt: skip
        customer = good(await client.post("/v1/customers", json={"name": "M."}))
        who = await person(role, **extra)
        assert (await who.http.post(f"/v1/customers/{customer['id']}/erase")).status_code == status
        after = good(await client.get(f"/v1/customers/{customer['id']}"))
        assert after["name"] == ("M." if status == 403 else None)


async def test_who_was_merged_is_erased_with_whom_they_were_merged_into(stage: Stage) -> None:
    answer = await stage.admin.post(f"/v1/customers/{stage.source['id']}/erase")
    assert (answer.status_code, answer.json()["code"]) == (409, "customer_merged")
    assert stage.customer["id"] in answer.json()["detail"]
    nowhere = await stage.admin.post(f"/v1/customers/{stage.ticket['id']}/erase")
    assert nowhere.status_code == 404


async def test_a_reminder_is_still_found_after_an_erasure(client: httpx.AsyncClient, db: Database) -> None:
    body = {
        "subject": "Your renewal", "customer": {"external_id": "c"}, "opened_by": "agent", "asks_confirmation": True,
        "remind_at": soon(3600),
    }  # fmt: skip
    ticket = good(await client.post("/v1/tickets", json=body))
    good(await client.post(f"/v1/customers/{ticket['customer_id']}/erase"))
    good(await client.post(f"/v1/tickets/{ticket['id']}/confirm"))
    [promise] = good(await client.get(f"/v1/tickets/{ticket['id']}/promises"))["items"]
    assert promise["state"] == "withdrawn"
    await assert_verified(db)


async def test_what_is_written_while_they_are_erased_is_erased_or_new(stage: Stage) -> None:
    """Edits, messages, promises and changes at once with the erasure: no text from before is left."""

    async def edit() -> httpx.Response:
        message = good(await stage.admin.get(f"{stage.path}/messages"))["items"][0]
        return await stage.admin.patch(f"{stage.path}/messages/{message['id']}", json={"body": "New."})

    async def change() -> httpx.Response:
        return await stage.admin.patch(stage.path, json={"subject": "New."})

    async def rename() -> httpx.Response:
        return await stage.admin.patch(f"/v1/customers/{stage.customer['id']}", json={"name": "New."})

    erasing = stage.admin.post(f"/v1/customers/{stage.customer['id']}/erase")
    answers = await asyncio.gather(edit(), change(), rename(), erasing, rename(), change(), edit())
    assert [answer.status_code for answer in answers] == [200] * 7
    assert not await occurs(stage.sql, CANARY)


async def test_a_ticket_for_somebody_who_was_erased_meanwhile_names_them_no_more(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    customer = good(await client.post("/v1/customers", json={"external_id": "a", "name": CANARY}))
    good(await client.post("/v1/greetings", json={"channel": "web", "body": "Hello, {{customer_name}}."}))
    body = {"subject": "x", "channel": "web", "customer": {"external_id": "a"}}
    async with held(sql, customer["id"]) as awaited:
        opening = asyncio.create_task(client.post("/v1/tickets", json=body))
        await awaited()
        gone = "UPDATE customers SET name = NULL, external_id = NULL, erased_at = clock_timestamp() WHERE id = $1"
        await sql.execute(gone, customer["id"])
    assert good(await opening)["customer_id"] != customer["id"]
    assert await sql.fetchval("SELECT count(*) FROM messages WHERE body LIKE $1", f"%{CANARY}%") == 0

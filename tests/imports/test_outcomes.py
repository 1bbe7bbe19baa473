import asyncio
from collections import Counter
from typing import Any

import httpx
import orjson
import pytest

from app.db import Database
from tests.support.imports import URL, at, item, message, send, status
from tests.support.sla import Sql
from tests.verification.test_verify import differences

NDJSON = {"Content-Type": "application/x-ndjson"}


async def _count(sql: Sql, table: str) -> int:
    count: int = await sql.fetchval(f"SELECT count(*) FROM {table}")
    return count


async def test_outcomes_come_in_the_order_in_which_the_tickets_were_sent(client: httpx.AsyncClient) -> None:
    await send(client, item("known"))
    answer = await send(
        client, item("a"), item("known"), {"external_id": "bad"}, item("b"), "not a ticket", item("a"), item("c")
    )
    outcomes = [(found["external_id"], found["outcome"]) for found in answer["items"]]
    assert outcomes == [
        ("a", "created"), ("known", "duplicate"), ("bad", "rejected"), ("b", "created"), (None, "rejected"),
        ("a", "duplicate"), ("c", "created"),
    ]  # fmt: skip
    assert (answer["created"], answer["duplicate"], answer["rejected"]) == (3, 2, 2)
    assert answer["items"][5]["ticket_id"] == answer["items"][0]["ticket_id"]
    assert [found["problem"] is None for found in answer["items"]] == [True, True, False, True, False, True, True]


async def test_an_empty_batch_is_nothing(client: httpx.AsyncClient) -> None:
    assert await send(client) == {"created": 0, "duplicate": 0, "rejected": 0, "items": []}


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"created_at": "2099-01-01T00:00:00Z"}, "/created_at"),
        ({"created_at": "2013-03-21T09:30:00"}, "/created_at"),
        ({"created_at": "1969-12-31T23:59:59Z"}, "/created_at"),
        ({"created_at": 1363858200}, "/created_at"),
        ({"priority": "asap"}, "/priority"),
        ({"status": "reopened"}, "/status"),
        ({"channel": "fax"}, "/channel"),
        ({"opened_by": "bot"}, "/opened_by"),
        ({"customer": {}}, "/customer/external_id"),
        ({"customer": {"external_id": "c", "mail": "x"}}, "/customer/mail"),
        ({"subject": " "}, "/subject"),
        ({"external_id": ""}, "/external_id"),
        ({"colour": "red"}, "/colour"),
        ({"tags": "x"}, "/tags"),
        ({"timeline": [message(29)]}, "/timeline/0/at"),
        ({"timeline": [message(40), message(39)]}, "/timeline/1/at"),
        ({"timeline": [message(40), {**message(41), "at": "2099-01-01T00:00:00Z"}]}, "/timeline/1/at"),
        ({"timeline": [message(40), message(41, "robot")]}, "/timeline/1/author"),
        ({"timeline": [message(40, visibility="secret")]}, "/timeline/0/visibility"),
        ({"timeline": [message(40, body="")]}, "/timeline/0/body"),
        ({"timeline": [{"at": at(40), "kind": "message", "author": "agent"}]}, "/timeline/0/body"),
        ({"timeline": [status(40, "gone")]}, "/timeline/0/status"),
        ({"timeline": [{"at": at(40), "kind": "priority", "priority": "asap"}]}, "/timeline/0/priority"),
        ({"timeline": [{"at": at(40), "kind": "assignee", "assignee": {"id": 1}}]}, "/timeline/0/assignee/external_id"),
        ({"timeline": [{"at": at(40), "kind": "tags", "tags": [""]}]}, "/timeline/0/tags/0"),
        ({"timeline": [{"at": at(40), "kind": "escalated"}]}, "/timeline/0/kind"),
        ({"timeline": [{"at": at(40)}]}, "/timeline/0/kind"),
    ],
)
async def test_a_wrong_ticket_is_rejected_alone_and_told_which_part_is_wrong(
    client: httpx.AsyncClient, wrong: dict[str, Any], pointer: str
) -> None:
    answer = await send(client, item("before"), item("wrong") | wrong, item("after"))
    assert [found["outcome"] for found in answer["items"]] == ["created", "rejected", "created"]
    problem = answer["items"][1]["problem"]
    assert (problem["status"], problem["type"]) == (422, f"/problems/{problem['code']}")
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert pointer in problem["detail"]


@pytest.mark.parametrize("thing", [None, 1, "text", [], {}, [item("x")], {"external_id": 7}])
async def test_what_is_no_ticket_at_all_is_rejected(client: httpx.AsyncClient, thing: object) -> None:
    [found] = (await send(client, thing))["items"]
    assert (found["outcome"], found["external_id"], found["ticket_id"]) == ("rejected", None, None)


async def test_a_rejected_ticket_leaves_nothing_behind(client: httpx.AsyncClient, sql: Sql) -> None:
    tables = ["tickets", "messages", "customers", "agents", "sla_clocks", "events"]
    before = [await _count(sql, table) for table in tables]
    wrong = item(
        "x",
        {"at": at(31), "kind": "assignee", "assignee": {"external_id": "a-9"}},
        message(40),
        message(39),
        customer={"external_id": "somebody new"},
    )
    await send(client, wrong)
    assert [await _count(sql, table) for table in tables] == before


async def test_a_duplicate_is_untouched_and_named(client: httpx.AsyncClient, sql: Sql) -> None:
    first = (await send(client, item("x", message(40))))["items"][0]
    events, messages = await _count(sql, "events"), await _count(sql, "messages")
    before = (await client.get(f"/v1/tickets/{first['ticket_id']}?include=clocks")).json()
    [again] = (await send(client, item("x", message(50), subject="Changed", customer={"external_id": "other"})))[
        "items"
    ]
    assert (again["outcome"], again["ticket_id"], again["problem"]) == ("duplicate", first["ticket_id"], None)
    after = (await client.get(f"/v1/tickets/{first['ticket_id']}?include=clocks")).json()
    # Its resolution clock runs on: what was measured up to now is measured up to another now.
    for clock in (*before["clocks"], *after["clocks"]):
        del clock["elapsed_seconds"]
    assert after == before
    assert (await _count(sql, "events"), await _count(sql, "messages")) == (events, messages)
    assert await sql.fetchval("SELECT count(*) FROM customers WHERE external_id = 'other'") == 0


async def test_a_ticket_opened_here_with_that_external_id_is_a_duplicate_too(
    client: httpx.AsyncClient, open_ticket: Any
) -> None:
    ticket = await open_ticket(external_id="x")
    [found] = (await send(client, item("x")))["items"]
    assert (found["outcome"], found["ticket_id"]) == ("duplicate", ticket["id"])


async def test_lines_of_json_are_the_same_as_a_list(client: httpx.AsyncClient) -> None:
    lines = [orjson.dumps(thing) for thing in (item("a", message(31)), item("b"), {"external_id": "bad"})]
    raw = b"\n".join(lines[:2]) + b"\r\n\n" + lines[2] + b"\n"
    answer = await client.post(URL, content=raw, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    assert [found["outcome"] for found in answer.json()["items"]] == ["created", "created", "rejected"]
    again = await send(client, item("a"), item("b"))
    assert again["duplicate"] == 2


async def test_more_than_a_thousand_are_refused_and_a_thousand_are_not(client: httpx.AsyncClient, sql: Sql) -> None:
    many = [item(str(n)) for n in range(1001)]
    refused = await client.post(URL, json={"tickets": many})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/tickets"]
    raw = b"\n".join(orjson.dumps(thing) for thing in many)
    assert (await client.post(URL, content=raw, headers=NDJSON)).status_code == 422
    assert await _count(sql, "tickets") == 0
    assert (await send(client, *many[:1000]))["created"] == 1000


@pytest.mark.parametrize("content_type", ["application/json", "application/jsonl", "application/x-ndjson"])
async def test_a_body_over_sixteen_mebibytes_is_too_large(client: httpx.AsyncClient, content_type: str) -> None:
    limit = 16 * 1024 * 1024
    line = orjson.dumps(item("x") if content_type != "application/json" else {"tickets": [item("x")]})
    headers = {"Content-Type": content_type}
    over = await client.post(URL, content=line + b" " * (limit - len(line) + 1), headers=headers)
    assert (over.status_code, over.json()["code"]) == (413, "body_too_large")
    exactly = await client.post(URL, content=line + b" " * (limit - len(line)), headers=headers)
    assert (exactly.status_code, exactly.json()["created"]) == (200, 1)


async def test_a_line_that_is_not_json_is_rejected_alone_and_told_why(client: httpx.AsyncClient, sql: Sql) -> None:
    broken = [b"{broken", b'{"external_id": "x", "external_id": "x"}', b'"\xff"', b'"\\u0000"', b"[" * 100 + b"]" * 100]
    lines = [orjson.dumps(item("a")), *broken, orjson.dumps(item("b"))]
    answer = await client.post(URL, content=b"\n".join(lines), headers=NDJSON)
    assert answer.status_code == 200, answer.text
    [first, *rejected, last] = answer.json()["items"]
    assert (first["outcome"], last["outcome"]) == ("created", "created")
    assert [(found["outcome"], found["problem"]["code"]) for found in rejected] == [("rejected", "malformed_body")] * 5
    said = [found["problem"]["detail"] for found in rejected]
    for word, detail in zip(("line 1, column 2", "same key twice", "UTF-8", "NUL", "nested deeper"), said, strict=True):
        assert word in detail
    assert await _count(sql, "tickets") == 2


async def test_two_imports_of_one_batch_at_once_make_each_ticket_once(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    def batch() -> list[dict[str, Any]]:
        return [
            item(
                str(n), {"at": at(31), "kind": "assignee", "assignee": {"external_id": f"a-{n % 3}"}}, message(32),
                customer={"external_id": f"c-{n % 7}"},
            )
            for n in range(60)
        ]  # fmt: skip

    answers = await asyncio.gather(*(send(client, *batch()) for _ in range(3)))
    outcomes = Counter(found["outcome"] for answer in answers for found in answer["items"])
    assert outcomes == {"created": 60, "duplicate": 120}
    assert {
        len({found["ticket_id"] for found in same}) for same in zip(*(a["items"] for a in answers), strict=True)
    } == {1}
    counts = [await _count(sql, table) for table in ("tickets", "messages", "sla_clocks", "customers", "agents")]
    assert counts == [60, 60, 120, 7, 3]
    assert await differences(db) == []


async def test_batches_that_overlap_in_opposite_order_make_each_ticket_once(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    some = [item(str(n), customer={"external_id": f"c-{n}"}) for n in range(40)]
    answers = await asyncio.gather(send(client, *some), send(client, *reversed(some)))
    assert sum(answer["created"] for answer in answers) == 40
    assert await _count(sql, "tickets") == 40
    assert await differences(db) == []


async def test_a_broken_off_import_is_simply_run_again(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    batches = [[item(f"{batch}-{n}", message(31)) for n in range(10)] for batch in range(4)]
    for batch in batches[:2]:
        await send(client, *batch)
    counts = Counter[str]()
    for batch in batches:
        answer = await send(client, *batch)
        counts.update({name: answer[name] for name in ("created", "duplicate", "rejected")})
    assert counts == {"created": 20, "duplicate": 20, "rejected": 0}
    assert await _count(sql, "tickets") == 40
    assert await differences(db) == []

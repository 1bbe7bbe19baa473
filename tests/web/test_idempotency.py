"""A repeated request gets the first answer again, byte for byte, and has no second effect."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db import Database
from app.main import create_app
from app.settings import Settings
from app.web import idempotency
from tests.conftest import ADMIN_KEY, Person, client_for
from tests.support.expect import problem
from tests.support.openapi import Open, operations, things

Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
TICKET = {"subject": "Charged twice", "description": "Help", "customer": {"external_id": "c-1"}}


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def _count(sql: Sql, table: str) -> int:
    count: int = await sql.fetchval(f"SELECT count(*) FROM {table}")
    return count


async def _settled(client: httpx.AsyncClient, key: str) -> httpx.Response:
    """As a client asks that was told to repeat: after Retry-After, with the same key."""
    for _ in range(20):
        answer = await client.post("/v1/tickets", json=TICKET, headers=_keyed(key))
        if answer.status_code not in (409, 429, 503):
            return answer
        told = problem(answer)
        assert told["code"] in ("idempotency_in_flight", "overloaded", "too_many_at_once"), told
        assert int(answer.headers["retry-after"]) >= 1
        await asyncio.sleep(int(answer.headers["retry-after"]))
    raise AssertionError("it was never settled")


# A slow machine, or few connections for all, tells some of them to come again.
@pytest.mark.parametrize("scarce", [{}, {"pool_size": 2, "pool_timeout_seconds": 0.2}], ids=["many", "few connections"])
async def test_a_hundred_retries_at_once_make_one_ticket_and_get_one_answer(
    settings: Settings, sql: Sql, scarce: dict[str, float]
) -> None:
    app = create_app(settings.model_copy(update=scarce))
    async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as client:
        done = await asyncio.gather(*(_settled(client, "once") for _ in range(100)))
    assert {answer.status_code for answer in done} == {201}
    assert len({answer.content for answer in done}) == 1
    assert (
        len({(answer.headers["location"], answer.headers["etag"], answer.headers["content-type"]) for answer in done})
        == 1
    )
    assert Counter(answer.headers.get("idempotency-replayed") for answer in done) == {None: 1, "true": 99}
    for table, rows in (
        ("tickets", 1),
        ("customers", 1),
        ("messages", 1),
        ("sla_clocks", 2),  # of the first response and of the resolution
        ("idempotency_records", 1),
    ):
        assert await _count(sql, table) == rows, table
    assert await sql.fetchval("SELECT count(*) FROM events WHERE type = 'ticket.created'") == 1


SHOWN_ONCE = {"create_api_key", "create_webhook", "rotate_webhook_secret", "create_stream_ticket"}


async def test_every_post_can_be_repeated(app: FastAPI, client: httpx.AsyncClient, open_ticket: Open) -> None:
    for operation in operations(app):
        if operation.method == "POST":
            # What one operation does, such as closing a ticket, would stand in the next one's way.
            ids = await things(client, open_ticket)
            sent = operation.content(ids)
            sent["headers"] = {**sent.get("headers", {}), **_keyed(secrets.token_hex(8))}
            first = await client.post(operation.url(ids), **sent)
            again = await client.post(operation.url(ids), **sent)
            # Without a worker nothing is delivered that could be sent again, and nothing offered at overload.
            assert first.is_success or operation.id in ("redeliver_webhook_delivery", "choose_at_overload"), first.text
            assert "idempotency-replayed" not in first.headers
            assert again.headers["idempotency-replayed"] == "true", operation.id
            if operation.id in SHOWN_ONCE:
                continue  # below
            assert (again.status_code, again.content) == (first.status_code, first.content)
            for name in ("content-type", "location", "etag"):
                assert again.headers.get(name) == first.headers.get(name)


async def test_a_repeat_makes_no_second_key_and_the_first_is_kept_nowhere(client: httpx.AsyncClient, sql: Any) -> None:
    body, headers = {"name": "once", "role": "admin"}, _keyed("k")
    made = await client.post("/v1/api-keys", json=body, headers=headers)
    assert made.status_code == 201
    for _ in range(2):
        again = problem(await client.post("/v1/api-keys", json=body, headers=headers), 409, "shown_once")
        assert again
    assert await sql.fetchval("SELECT count(*) FROM api_keys WHERE name = 'once'") == 1
    secret = made.json()["key"].encode()
    assert all(secret not in row["body"] for row in await sql.fetch("SELECT body FROM idempotency_records"))


async def test_another_request_with_the_same_key_is_refused(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    first = await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))
    assert first.status_code == 201
    messages = f"/v1/tickets/{ticket['id']}/messages"
    for path, body in (
        ("/v1/tickets", {**TICKET, "subject": "Another"}),
        ("/v1/tickets?suggest=true", TICKET),
        ("/v1/customers", {"name": "N"}),
        (messages, {"body": "x"}),
    ):
        problem(await client.post(path, json=body, headers=_keyed("k")), 422, "idempotency_key_reused")
    assert (await client.get(messages)).json()["items"][1:] == []
    again = await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))
    assert again.content == first.content


async def test_the_same_body_for_another_path_is_another_request(client: httpx.AsyncClient, open_ticket: Open) -> None:
    one, two = await open_ticket(), await open_ticket()
    body = {"body": "Hello"}
    made = await client.post(f"/v1/tickets/{one['id']}/messages", json=body, headers=_keyed("k"))
    assert made.status_code == 201
    other = await client.post(f"/v1/tickets/{two['id']}/messages", json=body, headers=_keyed("k"))
    problem(other, 422, "idempotency_key_reused")


async def test_each_caller_has_keys_of_their_own(client: httpx.AsyncClient, person: Make, sql: Sql) -> None:
    agent, customer = await person("agent"), await person("customer")
    answers = [await who.post("/v1/tickets", json=TICKET, headers=_keyed("k")) for who in (client, agent.http)]
    answers.append(await customer.http.post("/v1/tickets", json={"subject": "x"}, headers=_keyed("k")))
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert not any("idempotency-replayed" in answer.headers for answer in answers)


async def test_a_refusal_is_repeated_too(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    await client.patch(path, json={"status": "closed"})
    first = await client.post(f"{path}/messages", json={"body": "x"}, headers=_keyed("closed"))
    problem(first, 409, "ticket_closed")
    again = await client.post(f"{path}/messages", json={"body": "x"}, headers=_keyed("closed"))
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_conflict_that_the_database_found_is_repeated_after_its_cause_has_gone(
    client: httpx.AsyncClient,
) -> None:
    team = (await client.post("/v1/teams", json={"key": "billing", "name": "B"})).json()
    body = {"key": "Billing", "name": "Other"}
    first = await client.post("/v1/teams", json=body, headers=_keyed("k"))
    problem(first, 409, "conflict")
    await client.delete(f"/v1/teams/{team['id']}")
    again = await client.post("/v1/teams", json=body, headers=_keyed("k"))
    assert (again.status_code, again.content) == (409, first.content)
    assert (await client.post("/v1/teams", json=body, headers=_keyed("k2"))).status_code == 201


async def test_a_refusal_at_once_by_many_is_one_answer(client: httpx.AsyncClient, sql: Sql) -> None:
    body = {**TICKET, "team_id": "01900000-0000-7000-8000-000000000000"}
    answers = await asyncio.gather(*(client.post("/v1/tickets", json=body, headers=_keyed("k")) for _ in range(30)))
    refused = [answer for answer in answers if answer.status_code == 422]
    assert len(refused) >= 15
    assert len({answer.content for answer in refused}) == 1
    assert {answer.status_code for answer in answers} <= {409, 422}
    assert await _count(sql, "tickets") == 0


async def test_a_failure_of_ours_is_not_kept(client: httpx.AsyncClient, sql: Sql) -> None:
    await sql.execute("ALTER TABLE tickets RENAME TO tickets_away")
    failed = await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))
    problem(failed, 500, "internal_error")
    assert await _count(sql, "idempotency_records") == 0
    await sql.execute("ALTER TABLE tickets_away RENAME TO tickets")
    made = await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))
    assert made.status_code == 201
    assert "idempotency-replayed" not in made.headers


async def test_a_key_is_new_again_after_a_day_and_not_before(client: httpx.AsyncClient, sql: Sql) -> None:
    first = await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))
    await sql.execute("UPDATE idempotency_records SET created_at = created_at - interval '23 hours 59 minutes'")
    assert (await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))).content == first.content
    await sql.execute("UPDATE idempotency_records SET created_at = created_at - interval '1 minute'")
    other = {**TICKET, "subject": "Another day"}
    retries = (client.post("/v1/tickets", json=other, headers=_keyed("k")) for _ in range(20))
    made = [answer for answer in await asyncio.gather(*retries) if answer.status_code == 201]
    assert {answer.json()["id"] for answer in made} & {first.json()["id"]} == set()
    assert len({answer.content for answer in made}) == 1
    assert await _count(sql, "tickets") == 2
    assert await _count(sql, "idempotency_records") == 1


async def test_records_past_their_day_are_swept_away(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    for n in range(3):
        await client.post("/v1/tickets", json=TICKET, headers=_keyed(f"k{n}"))
    await sql.execute("UPDATE idempotency_records SET created_at = created_at - interval '25 hours' WHERE key <> 'k2'")
    assert await db.run(idempotency.clean) == 2
    assert await db.run(idempotency.clean) == 0
    assert await sql.fetchval("SELECT key FROM idempotency_records") == "k2"


async def test_while_the_first_one_runs_its_repeats_hold_no_connection(
    client: httpx.AsyncClient, open_ticket: Open, person: Make, sql: Sql
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    lock = sql.transaction()
    await lock.start()
    await sql.execute("SELECT FROM tickets WHERE number = $1 FOR UPDATE", ticket["number"])
    message = {"body": "Hello"}
    first = asyncio.create_task(client.post(f"{path}/messages", json=message, headers=_keyed("k")))
    while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.01)
    # More repeats than the pool has connections; each of them gives up after about a second.
    repeats = [
        asyncio.create_task(client.post(f"{path}/messages", json=message, headers=_keyed("k"))) for _ in range(64)
    ]
    # Neither does another caller wait who happens to use the same key.
    agent = await person("agent")
    assert (await agent.http.post("/v1/tickets", json=TICKET, headers=_keyed("k"))).status_code == 201
    for _ in range(20):
        assert (await client.get(path)).status_code == 200
        assert not any(repeat.done() and repeat.result().status_code >= 500 for repeat in repeats)
    assert not first.done()
    for late in await asyncio.gather(*repeats):
        problem(late, 409, "idempotency_in_flight")
        assert int(late.headers["retry-after"]) >= 1
    await lock.rollback()
    made = await first
    assert made.status_code == 201
    again = await client.post(f"{path}/messages", json=message, headers=_keyed("k"))
    assert again.content == made.content


async def test_a_key_is_visible_ascii(client: httpx.AsyncClient) -> None:
    for key in (b"", b" ", b"a b", b"x" * 256, b"\x7f", b"\xc3\xa9"):
        answer = await client.post("/v1/tickets", json=TICKET, headers=[(b"Idempotency-Key", key)])
        found = problem(answer, 422, "invalid")
        assert found["errors"][0]["pointer"] == "/header/Idempotency-Key"
    for good in ("x", "x" * 255, "!~", "01900000-0000-7000-8000-000000000000"):
        assert (await client.post("/v1/tickets", json=TICKET, headers=_keyed(good))).status_code == 201


async def test_what_the_body_reader_refuses_takes_no_key(client: httpx.AsyncClient, sql: Sql) -> None:
    bad = await client.post("/v1/tickets", content=b"{", headers={**_keyed("k"), "Content-Type": "application/json"})
    problem(bad, 400, "malformed_body")
    assert await _count(sql, "idempotency_records") == 0
    assert (await client.post("/v1/tickets", json=TICKET, headers=_keyed("k"))).status_code == 201


@pytest.mark.parametrize("text", ['é"\\\n\t</x>\u2028' * 200, "  " + "y" * 2_000 + "\n", "e\u0301" * 1_000])
async def test_what_a_request_brought_is_stored_once_and_its_repeat_gets_it_whole(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql, text: str
) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}/messages"
    body = {"body": text}
    first = await client.post(path, json=body, headers=_keyed("long"))
    assert first.status_code == 201
    again = await client.post(path, json=body, headers=_keyed("long"))
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert await sql.fetchval("SELECT length(body) FROM idempotency_records WHERE key = 'long'") < 1_000
    other = await client.post(path, json={**body, "body": text + "!"}, headers=_keyed("long"))
    problem(other, 422, "idempotency_key_reused")

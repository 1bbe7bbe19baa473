"""What a customer may store in a day and on one ticket, whoever sends it for them; staff always get to answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from app.settings import Settings
from app.tickets import quotas
from tests.conftest import Person, roomy
from tests.support.expect import problem

Make = Callable[..., Awaitable[Person]]
Body = dict[str, Any]
TICKET, DAY = 4_000, 10_000


@pytest.fixture
def settings(database_url: str, tmp_path: Any) -> Settings:
    return roomy(database_url, tmp_path).model_copy(update={"ticket_bytes": TICKET, "customer_day_bytes": DAY})


@pytest.fixture
async def customer(person: Make) -> Person:
    return await person("customer")


async def _opened(who: httpx.AsyncClient, size: int = 0, **more: Any) -> httpx.Response:
    return await who.post(
        "/v1/tickets", json={"subject": "x", **({"description": "é" * (size // 2)} if size else {}), **more}
    )


async def _ticket(who: httpx.AsyncClient, size: int = 0, **more: Any) -> str:
    answer = await _opened(who, size, **more)
    assert answer.status_code == 201, answer.text
    return f"/v1/tickets/{answer.json()['id']}"


async def _say(who: httpx.AsyncClient, path: str, size: int, **more: Any) -> httpx.Response:
    return await who.post(f"{path}/messages", json={"body": "x" * size}, **more)


async def _upload(who: httpx.AsyncClient, path: str, size: int) -> httpx.Response:
    return await who.post(f"{path}/attachments", content=b"x" * size)


async def test_text_and_files_of_a_ticket_end_at_its_quota_which_says_what_is_left(customer: Person) -> None:
    path = await _ticket(customer.http, 1_000)
    assert (await _say(customer.http, path, 1_000)).status_code == 201
    assert (await _upload(customer.http, path, 1_500)).status_code == 201
    for answer in (await _say(customer.http, path, 501), await _upload(customer.http, path, 501)):
        assert problem(answer, 413, "ticket_quota")["detail"] == "500 of 4000 bytes are left on this ticket"
    assert (await _say(customer.http, path, 500)).status_code == 201
    assert (await customer.http.get(f"{path}/messages")).json()["items"][-1]["body"] == "x" * 500


async def test_a_refusal_stores_and_tells_nothing(customer: Person, sql: Any) -> None:
    path = await _ticket(customer.http, 1_000)
    tables = ("messages", "events", "tickets", "attachments", "sla_clocks")

    async def seen() -> list[Any]:
        return [await sql.fetch(f"SELECT * FROM {table} ORDER BY id") for table in tables]

    before = await seen()
    for answer in (await _say(customer.http, path, 5_000), await _upload(customer.http, path, 5_000)):
        problem(answer, 413, "ticket_quota")
    assert await seen() == before


async def test_a_customers_day_ends_at_its_quota_on_all_tickets_together(
    customer: Person, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await _ticket(customer.http, 3_000)
    refused = await _opened(customer.http, 2_000)
    told = problem(refused, 429, "customer_quota")
    assert told["detail"].startswith("1000 of 10000 bytes are left to this customer until ")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    # Whoever brings it for them.
    for_them = {"customer": {"id": str(customer.id)}}
    problem(await _opened(client, 2_000, **for_them), 429, "customer_quota")
    await _ticket(customer.http, 1_000)


async def test_the_next_day_begins_at_nothing_and_days_past_are_forgotten(
    customer: Person, sql: Any, db: Database
) -> None:
    for _ in range(3):
        await _ticket(customer.http, 3_200)
    await sql.execute("UPDATE customer_bytes SET day = day - 2")
    await _ticket(customer.http, 3_200)
    async with db.transaction() as tx:
        assert await quotas.clean(tx) == 1
    assert [row["bytes"] for row in await sql.fetch("SELECT bytes FROM customer_bytes")] == [3_200]


async def test_staff_answer_on_a_full_ticket_and_it_stays_full_for_its_customer(
    customer: Person, client: httpx.AsyncClient
) -> None:
    path = await _ticket(customer.http, 4_000)
    assert (await _say(client, path, 3_000)).status_code == 201
    detail = problem(await _say(customer.http, path, 1), 413, "ticket_quota")["detail"]
    assert detail == "0 of 4000 bytes are left on this ticket"


async def test_a_deleted_file_gives_its_room_back(customer: Person) -> None:
    path = await _ticket(customer.http)
    made = (await _upload(customer.http, path, 4_000)).json()
    problem(await _say(customer.http, path, 1), 413, "ticket_quota")
    assert (await customer.http.delete(f"{path}/attachments/{made['id']}")).status_code == 204
    assert (await _say(customer.http, path, 4_000)).status_code == 201


async def test_an_edit_counts_because_what_was_said_before_is_kept(client: httpx.AsyncClient, customer: Person) -> None:
    path = await _ticket(customer.http)
    said = (await _say(client, path, 2_000)).json()
    edited = await client.patch(f"{path}/messages/{said['id']}", json={"body": "y" * 1_900})
    assert edited.status_code == 200
    problem(await _say(customer.http, path, 101), 413, "ticket_quota")
    assert (await _say(customer.http, path, 100)).status_code == 201


async def test_of_many_at_once_no_more_are_stored_than_fit(customer: Person, sql: Any) -> None:
    path = await _ticket(customer.http)
    answers = await asyncio.gather(*(_say(customer.http, path, 500) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 8 + [413] * 4
    assert await sql.fetchval("SELECT sum(octet_length(body)) FROM messages") == TICKET


async def test_an_email_counts_with_its_files_as_its_senders(client: httpx.AsyncClient, sql: Any) -> None:
    mail = b"From: a@b.test\r\nMessage-ID: <%d@b.test>\r\nSubject: x\r\n\r\n" + b"x" * 1_500 + b"\r\n"
    headers = {"Content-Type": "message/rfc822"}

    async def take(number: int) -> httpx.Response:
        return await client.post("/v1/inbound/email", content=mail % number, headers=headers)

    # Its text, and all of it as a file.
    for number in range(3):
        assert (await take(number)).json()["outcome"] == "ticket"
    problem(await take(3), 429, "customer_quota")
    assert await sql.fetchval("SELECT count(*) FROM tickets") == 3


async def test_what_is_refused_for_today_is_asked_again_with_its_key(customer: Person, sql: Any) -> None:
    path, key = await _ticket(customer.http), {"Idempotency-Key": "k"}
    await sql.execute("INSERT INTO customer_bytes VALUES ($1, current_date, 9999, 10000)", customer.id)
    await sql.execute("UPDATE customer_bytes SET day = (now() AT TIME ZONE 'UTC')::date")
    problem(await _say(customer.http, path, 100, headers=key), 429, "customer_quota")
    await sql.execute("UPDATE customer_bytes SET day = day - 1")
    assert (await _say(customer.http, path, 100, headers=key)).status_code == 201

"""The index of the search: made by workers from the log, whatever is written and whoever breaks off."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest

from app.db import Database
from app.tickets import search_index
from tests.support.desk import Body
from tests.support.search import Searching, Sql, index, word

_HOSTILE = [
    "x" * 100_000,
    " ".join(f"{n:x}w{n}" for n in range(11_000))[:100_000],
    " ".join(chr(0x4E00 + n % 20_000) + chr(0x4E00 + n // 7) for n in range(33_000))[:100_000],
    " ".join(chr(0x20000 + n) for n in range(40_000)),
    " ".join(chr(0x0430 + n % 30) + chr(0x0430 + n // 30 % 30) + chr(0x0430 + n // 900) for n in range(25_000)),
    "-".join(f"a{n}b" for n in range(14_000))[:100_000],
    # More than a tsvector holds, hence shortened until it fits.
    " ".join(f"{chr(0x20000 + n)}{chr(0x20001 + n)}-{chr(0x20002 + n)}{chr(0x20003 + n)}" for n in range(16_000)),
    "\N{PILE OF POO}" * 50_000,
    "\u202e\u0627\u0644\u0633\u0644\u0627\u0645 " * 9_000,
    "\u0301" * 100_000,
    "a" + "\u0301" * 99_000,
    "ﷺ" * 100_000,
    "http://" + "a.b/" * 24_000,
    "1e9.-+" * 16_000,
    "<a href='" * 11_000,
    "\x01\x02\ufffe\uffff\U0010ffff " * 10_000,
]


@pytest.mark.parametrize("place", range(len(_HOSTILE)))
async def test_a_hostile_text_is_indexed_and_stops_nothing(searching: Searching, place: int) -> None:
    own = word()
    customer = await searching.world.made("/v1/customers", {"name": "N", "language": "ru" if place % 2 else "en"})
    ticket = await searching.desk.open(subject=own, customer={"id": customer["id"]}, description=_HOSTILE[place])
    for visibility in ("public", "internal", "internal"):
        text = _HOSTILE[place] if visibility == "public" else _HOSTILE[place][::-1]
        said = await searching.desk.say(searching.desk.agent, ticket, body=text, visibility=visibility)
        assert said.is_success, said.text
    after = await searching.desk.open(subject=own)
    assert set(await searching.found(own)) == {ticket["id"], after["id"]}


async def test_a_ticket_that_cannot_be_indexed_keeps_no_other_from_being_found(
    client: httpx.AsyncClient, open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    poisonous = (await open_ticket(subject="poison"))["id"]
    await sql.execute(f"ALTER TABLE ticket_search ADD CONSTRAINT poison CHECK (ticket_id <> '{poisonous}')")
    others = [(await open_ticket(subject="wholesome"))["id"] for _ in range(3)]
    await index(db)
    assert {row["id"] for row in (await client.get("/v1/tickets?q=wholesome")).json()["items"]} == set(others)
    assert (await client.get("/v1/tickets?q=poison")).json()["items"] == []
    await sql.execute("ALTER TABLE ticket_search DROP CONSTRAINT poison")
    await client.patch(f"/v1/tickets/{poisonous}", json={"priority": "high"})
    await index(db)
    assert [row["id"] for row in (await client.get("/v1/tickets?q=poison")).json()["items"]] == [poisonous]


_MANY = """
INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, tags, custom_fields, created_at,
    updated_at)
SELECT gen_random_uuid(), 'S', 'new', 'low', 'task', 'web', $1, '{}', '{}', now(), now()
FROM generate_series(1, $2::int)
RETURNING id"""


async def test_a_customer_of_very_many_tickets_is_worked_off_in_batches(
    client: httpx.AsyncClient, open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    customer = (await client.post("/v1/customers", json={"name": "before"})).json()
    made = await sql.fetch(_MANY, UUID(customer["id"]), 2_050)
    tickets = {str(row["id"]) for row in made}
    other = (await client.post("/v1/customers", json={"name": "other"})).json()
    single = (await open_ticket(customer={"id": other["id"]}))["id"]
    await index(db)
    await client.patch(f"/v1/customers/{customer['id']}", json={"name": "whilom"})
    await client.patch(f"/v1/customers/{other['id']}", json={"name": "whilom"})
    last = (await open_ticket(subject="whilom"))["id"]
    assert [await search_index.run_once(db) for _ in range(2)] == [True, True]
    await index(db)
    found: set[str] = set()
    path = "/v1/tickets?q=whilom&limit=200"
    while path:
        answer = await client.get(path)
        found |= {row["id"] for row in answer.json()["items"]}
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert found == tickets | {single, last}
    assert await sql.fetchval("SELECT within FROM event_readers WHERE name = 'search'") is None


async def test_an_event_that_commits_late_is_not_skipped(
    client: httpx.AsyncClient, open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    await open_ticket(subject="early")
    await index(db)
    slow = await open_ticket(subject="before")
    await index(db)
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("UPDATE tickets SET subject = 'belated' WHERE id = $1", UUID(slow["id"]))
    await sql.execute(
        "INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)"
        " VALUES ('ticket.updated', now(), 'system', $1, $1, '{}')", UUID(slow["id"])
    )  # fmt: skip
    await open_ticket(subject="quick")
    while await search_index.run_once(db):
        pass
    assert (await client.get("/v1/tickets?q=quick")).json()["items"] == []  # it waits for the one before it
    await transaction.commit()
    await index(db)
    for q in ("belated", "quick"):
        assert len((await client.get("/v1/tickets", params={"q": q})).json()["items"]) == 1, q


async def test_an_index_restored_elsewhere_begins_anew(
    client: httpx.AsyncClient, open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    await open_ticket(subject="restored")
    await index(db)
    await sql.execute("UPDATE event_readers SET xid = '18000000000000000000' WHERE name = 'search'")
    await open_ticket(subject="afterwards")
    await search_index.run_once(db)
    await index(db)
    assert len((await client.get("/v1/tickets?q=afterwards")).json()["items"]) == 1


async def test_of_two_workers_each_batch_is_one_workers(
    open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    await open_ticket(subject="contended")
    await index(db)
    await open_ticket(subject="contended")
    async with sql.transaction():
        await sql.execute("SELECT FROM event_readers WHERE name = 'search' FOR UPDATE")
        assert await search_index.run_once(db) is False
    await index(db)
    assert await sql.fetchval("SELECT count(*) FROM ticket_search WHERE all_words @@ 'contended'") == 2


async def test_what_was_read_by_an_older_release_is_read_anew(
    client: httpx.AsyncClient, open_ticket: Callable[..., Awaitable[Body]], db: Database, sql: Sql
) -> None:
    """In batches, while the log is followed; articles as well."""
    customer = (await client.post("/v1/customers", json={"name": "N"})).json()
    await sql.fetch(_MANY, UUID(customer["id"]), 1_050)
    await open_ticket(subject="INC-4711", customer={"id": customer["id"]})
    await client.post("/v1/articles", json={"key": "a", "title": "INC-4712", "body": "B", "language": "en"})
    await index(db)
    await sql.execute("UPDATE ticket_search SET all_words = 'old', public_words = 'old'")
    await sql.execute("UPDATE article_words SET words = 'old'")
    await sql.execute(
        "INSERT INTO event_readers (name, xid, event_id, within)"
        " VALUES ('search rebuild', '0', 0, '00000000-0000-0000-0000-000000000000')"
    )
    assert [await search_index.run_once(db) for _ in range(3)] == [True, False, False]
    assert len((await client.get("/v1/tickets?q=4711")).json()["items"]) == 1
    assert len((await client.get("/v1/articles?q=4712")).json()["items"]) == 1
    assert await sql.fetchval("SELECT count(*) FROM ticket_search WHERE all_words @@ 's'") == 1_050
    assert await sql.fetchval("SELECT count(*) FROM event_readers WHERE name = 'search rebuild'") == 0

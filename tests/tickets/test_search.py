"""Full-text search: what a ticket says is found, by whoever may read it, in whatever form it was written."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.db import Database
from app.tickets import search_index
from tests.auth.world import World
from tests.tickets.desk import Body, Desk, as_body, pointer
from tests.tickets.indexing import index

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Searching:
    """A desk that is searched. Each test works with words of its own."""

    def __init__(self, desk: Desk, world: World) -> None:
        self.desk = desk
        self.world = world
        self.db: Database = world.app.state.db

    async def found(self, q: str, who: httpx.AsyncClient | None = None, **query: Any) -> list[str]:
        await index(self.db)
        answer = as_body(await (who or self.desk.agent).get("/v1/tickets", params={"q": q, **query}))
        return [ticket["id"] for ticket in answer["items"]]

    async def finds(self, q: str, ticket: Body, who: httpx.AsyncClient | None = None) -> bool:
        return ticket["id"] in await self.found(q, who, limit=200)


@pytest.fixture(scope="module")
def searching(desk: Desk, world: World) -> Searching:
    return Searching(desk, world)


def word() -> str:
    """Letters only, and not the beginning of another."""
    return "q" + "".join(chr(ord("a") + byte % 26) for byte in secrets.token_bytes(12))


async def test_every_text_of_a_ticket_is_found(searching: Searching) -> None:
    words = [word() for _ in range(9)]
    subject, external, tag, product, name, mail, theirs, said, noted = words
    ticket = await searching.desk.open(
        subject=f"About {subject}", external_id=external, tags=[tag], product=product, description=f"It is {said}.",
        customer={"external_id": theirs, "name": f"Ann {name}", "email": f"ann@{mail}.example.com"},
    )  # fmt: skip
    await searching.desk.say(searching.desk.agent, ticket, body=noted, visibility="internal")
    for one in [*words, f"#{ticket['number']}", str(ticket["number"]), f"ann@{mail}.example.com", f"{subject} {noted}"]:
        assert await searching.finds(one, ticket), one
    assert not await searching.finds(f"{subject} {word()}", ticket)


async def test_what_changes_is_found_by_what_it_is_now(searching: Searching) -> None:
    old, new, said, edited = (word() for _ in range(4))
    customer = await searching.world.made("/v1/customers", {"name": old})
    ticket = await searching.desk.open(customer={"id": customer["id"]}, subject=old)
    message = (await searching.desk.say(searching.desk.agent, ticket, body=said)).json()
    assert await searching.finds(f"{old} {said}", ticket)
    await searching.desk.change(searching.desk.agent, ticket, subject=new)
    path = f"/v1/tickets/{ticket['id']}/messages/{message['id']}"
    await searching.desk.agent.patch(path, json={"body": edited})
    assert await searching.finds(f"{new} {old} {edited}", ticket)  # the customer has the old name
    assert not await searching.finds(said, ticket)
    await searching.desk.admin.patch(f"/v1/customers/{customer['id']}", json={"name": new})
    assert not await searching.finds(old, ticket)
    await searching.desk.agent.delete(path)
    assert not await searching.finds(edited, ticket)


@pytest.mark.parametrize(
    ("written", "searched"),
    [
        ("STRASSE{}", "straße{}"), ("Straße{}", "strasse{}"), ("Ärger{}", "arger{}"), ("arger{}", "ÄRGER{}"),
        ("café{}", "cafe\u0301{}"), ("ｗｉｄｅ{}", "wide{}"), ("Øl{}", "ol{}"), ("Łódź{}", "lodz{}"),
        ("İstanbul{}", "istanbul{}"), ("sıcak{}", "sicak{}"), ("œuvre{}", "oeuvre{}"), ("ΣΊΣΥΦΟΣ{}", "σισυφος{}"),
        ("ﬁne{}", "fine{}"), ("Ёлка{}", "елка{}"), ("either/{}", "{}"), ("x@{}.example.org", "x@{}.example.org"),
    ],
)  # fmt: skip
async def test_words_are_found_whatever_their_form(searching: Searching, written: str, searched: str) -> None:
    own = word()
    ticket = await searching.desk.open(subject=written.format(own))
    assert await searching.finds(searched.format(own), ticket)


@pytest.mark.parametrize(
    ("language", "written", "searched", "same"),
    [
        ("en", "The cards were charged", "card charge", True),
        ("en-GB", "The cards were charged", "charging cards", True),
        ("fi", "Laskut puuttuvat", "lasku", True),
        ("de", "Die Rechnungen fehlen", "Rechnung", True),
        ("nb", "Kortene mangler", "kort", True),
        ("nn", "Kortene manglar", "kort", True),
        ("sv", "Fakturorna saknas", "faktura", True),
        ("xx", "The cards were charged", "charging cards", False),
        (None, "The cards were charged", "charging cards", False),
    ],
)
async def test_a_known_language_is_found_by_its_stems(
    searching: Searching, language: str | None, written: str, searched: str, same: bool
) -> None:
    own = word()
    customer = await searching.world.made(
        "/v1/customers", {"name": "N", **({"language": language} if language else {})}
    )
    ticket = await searching.desk.open(customer={"id": customer["id"]}, subject=written, description=own)
    assert await searching.finds(f"{own} {searched}", ticket) is same


async def test_the_last_word_is_a_beginning_unless_it_is_finished(searching: Searching) -> None:
    own = word()
    english = await searching.world.made("/v1/customers", {"name": "N", "language": "en"})
    await searching.desk.open(customer={"id": english["id"]})
    ticket = await searching.desk.open(subject=f"{own} refunded")
    for q, expected in [
        (f"{own} refun", True), (f"{own} refunded", True), (own[:9], True), (f"refun {own}", False),
        (f'{own} "refun"', False), (f'{own} "refun', False), (f"{own} refun.", False), (f"{own} -refun", True),
        (f"{own} -refunded", False), (f"{own} -\"refunded\"", False), (f"-refun {own}", True),
            (f'"{own} refunded"', True),
        (f'"refunded {own}"', False), (f"{own} -{own[:9]}", True),
            (f"{own[:9]} -other", False), (f"nothing or {own}", True),
    ]:  # fmt: skip
        assert await searching.finds(q, ticket) is expected, q


async def test_a_phrase_is_its_words_as_they_are_and_in_their_order(searching: Searching) -> None:
    """In a language, too, whose stemmer drops some of them."""
    own, other = word(), word()
    german = await searching.world.made("/v1/customers", {"name": "N", "language": "de"})
    ticket = await searching.desk.open(
        customer={"id": german["id"]}, subject=own, description="Der Drucker ist kaputt, die Rechnungen fehlen."
    )
    for q, expected in [
        ('"ist kaputt"', True), ('"kaputt ist"', False), ('"IST KAPUTT', True), ('"ist"', True), ('"der ist"', False),
        ('"Rechnungen"', True), ('Rechnung "ist kaputt"', True), ('"ist kaputt" Rechn', True),
        ('Rechnung "kaputt ist"', False), ('-"kaputt ist"', True), ('-"ist kaputt"', False), ("ist", True),
        (f'"kaputt ist" or {own} Rechnung', True), (f'{other} or {own} "ist kaputt"', True),
        (f'{other} or "kaputt ist"', False), (f'{other} "ist kaputt" or "kaputt ist"', False),
    ]:  # fmt: skip
        assert await searching.finds(f"{own} {q}" if " or " not in q else q, ticket) is expected, q


@pytest.mark.parametrize(
    "q",
    [
        "'", "''", "a & | b", "!", "!!a", "a:*", "a:*b", "(", ")(", "<->", "a <-> b", "\\", "\\'",
        "'; drop table tickets",
        "%a%b%c%", "a'b", "a''b'", "':*", "a:ABCD", '"', '""', '"a', "-", "--", "- a", "-a", "or", "or or", "a or",
        "\N{PILE OF POO}", "\u0301", "\u202e", "\ufffe", "ﷺ" * 200, "x" * 200, "ς", "1e999",
        "-1", "#", "a/b/c", "http://a.example/b?c=d", "a@b", "<b>a</b>", "&amp;", "*", "a*", "'a' | 'b'",
    ],
)  # fmt: skip
async def test_a_hostile_query_is_taken_literally(searching: Searching, q: str) -> None:
    for who in (searching.desk.agent, searching.desk.customer):
        for sort in ("-created_at", "relevance", "priority"):
            query = {"q": q, "sort": sort, "count": "estimate"}
            assert (await who.get("/v1/tickets", params=query)).status_code == 200, q


async def test_a_query_without_a_word_finds_nothing(searching: Searching) -> None:
    await searching.desk.open()
    for q in (".", "  ", '""', "-", "!?", "\N{COMBINING ACUTE ACCENT}"):
        for sort in ("-created_at", "relevance"):
            page = as_body(
                await searching.desk.agent.get("/v1/tickets", params={"q": q, "sort": sort, "count": "estimate"})
            )
            assert (page["items"], page["next_cursor"], page["estimated_count"]) == ([], None, 0)


async def test_a_query_has_a_length_and_relevance_a_query(searching: Searching) -> None:
    for query in ({"q": ""}, {"q": "x" * 201}, {"sort": "relevance"}):
        answer = await searching.desk.agent.get("/v1/tickets", params=query)
        assert pointer(answer) in ("/query/q", "/query/sort"), query


async def test_a_customer_finds_what_was_said_to_them_and_nothing_else(searching: Searching, world: World) -> None:
    own, noted, theirs = word(), word(), word()
    ticket = await searching.desk.open(subject=own)
    other = await searching.desk.open(subject=f"{own} {theirs}", customer={"id": world.stranger})
    await searching.desk.say(searching.desk.agent, ticket, body=noted, visibility="internal")
    customer = searching.desk.customer
    assert await searching.found(own, customer) == [ticket["id"]]
    assert set(await searching.found(own)) == {ticket["id"], other["id"]}
    for sort in ("created_at", "-updated_at", "priority", "relevance"):
        assert await searching.found(own, customer, sort=sort) == [ticket["id"]]
        for q in (noted, theirs, f"{own} {noted}", f"{own} {theirs}", noted[:8]):
            assert await searching.found(q, customer, sort=sort) == []
            assert await searching.found(q, sort=sort) != []
        # Nor is it told by what excluding it leaves out.
        assert await searching.found(f"{own} -{noted}", customer, sort=sort) == [ticket["id"]]
    for q, count in ((own, 1), (noted, 0), (theirs, 0)):
        page = as_body(await customer.get("/v1/tickets", params={"q": q, "count": "estimate"}))
        assert page["estimated_count"] == count


async def test_notes_neither_rank_nor_crowd_out_anything_for_a_customer(searching: Searching) -> None:
    own = word()
    first = await searching.desk.open(subject="Often", description=f"{own} {own} {own}")
    second = await searching.desk.open(subject="Once", description=f"It is {own} after some other words.")
    before = await searching.found(own, searching.desk.customer, sort="relevance")
    assert before == [first["id"], second["id"]]
    for _ in range(3):
        text = f"{own} " * 20_000
        assert (
            await searching.desk.say(searching.desk.agent, second, body=text[:100_000], visibility="internal")
        ).is_success
    assert await searching.found(own, searching.desk.customer, sort="relevance") == before


async def test_relevance_puts_the_subject_before_the_text_and_pages_without_gaps(searching: Searching) -> None:
    own = word()
    tickets = [
        await searching.desk.open(subject=own if n % 3 == 0 else "Help", description=f"{'so ' * (n % 5)}{own}")
        for n in range(12)
    ]
    whole = await searching.found(own, sort="relevance")
    assert set(whole) == {ticket["id"] for ticket in tickets}
    assert {tickets[n]["id"] for n in (0, 3, 6, 9)} == set(whole[:4])
    page = await searching.desk.agent.get("/v1/tickets", params={"q": own, "sort": "relevance", "limit": 5})
    found = [ticket["id"] for ticket in page.json()["items"]]
    while page.json()["next_cursor"]:
        page = await searching.desk.agent.get(page.links["next"]["url"])
        found += [ticket["id"] for ticket in page.json()["items"]]
    assert found == whole


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
    assert [await search_index.turn(db) for _ in range(2)] == [True, True]
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
    while await search_index.turn(db):
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
    await search_index.turn(db)
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
        assert await search_index.turn(db) is False
    await index(db)
    assert await sql.fetchval("SELECT count(*) FROM ticket_search WHERE all_words @@ 'contended'") == 2

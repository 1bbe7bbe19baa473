"""Pages: signed cursors, and every row exactly once while others write."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.web.paging import Signer
from tests.conftest import Person
from tests.support.expect import problem
from tests.support.openapi import Open, things

Make = Callable[..., Awaitable[Person]]
Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SORTS = ("created_at", "-created_at", "updated_at", "-updated_at")
VALUES = st.lists(
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001
    | st.uuids()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=3,
)


@given(VALUES, st.text(max_size=20))
def test_a_cursor_reads_back_what_was_signed(values: list[object], about: str) -> None:
    signer = Signer(b"k" * 32)
    cursor = signer.sign(about, values)
    assert signer.read(about, cursor) == values
    assert cursor.isascii()
    assert not set("+/=") & set(cursor)


@given(VALUES, st.data())
def test_no_cursor_survives_a_change(values: list[object], data: st.DataObject) -> None:
    signer = Signer(b"k" * 32)
    cursor = signer.sign("tickets created_at", values)
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    for about, bad in (
        ("tickets created_at", changed),
        ("tickets created_at", cursor[:-2]),
        ("tickets created_at", cursor + "AAAA"),
        ("tickets -created_at", cursor),
        ("messages created_at", cursor),
    ):
        with pytest.raises(Invalid):
            signer.read(about, bad)
    with pytest.raises(Invalid):
        Signer(b"j" * 32).read("tickets created_at", cursor)


@pytest.mark.parametrize("cursor", ["", "x", "\N{SNOWMAN}", "====", "a b", "\0", "A" * 999, "e30", "null"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        Signer(b"k" * 32).read("tickets created_at", cursor)


async def _pages(client: httpx.AsyncClient, first: str) -> list[list[dict[str, Any]]]:
    """All pages from `first` on, by `next_cursor` and by `Link`, which must say the same."""
    pages, path = [], first
    while path:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append(page["items"])
        path = answer.links["next"]["url"] if "next" in answer.links else ""
        assert bool(path) == bool(page["next_cursor"])
        if path:
            assert dict(httpx.URL(path).params) == {**dict(httpx.URL(first).params), "cursor": page["next_cursor"]}
    return pages


async def _moved_to(sql: Sql, open_ticket: Open, count: int) -> list[str]:
    """Tickets of which many share one instant."""
    ids = [(await open_ticket())["id"] for _ in range(count)]
    day = datetime(2026, 1, 1, tzinfo=UTC)
    for n, id_ in enumerate(ids):
        instant = day + timedelta(microseconds=n // 5)
        await sql.execute("UPDATE tickets SET created_at = $2, updated_at = $2 WHERE id = $1", UUID(id_), instant)
    return ids


async def test_pages_end_to_end_hold_every_row_once_in_order(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql
) -> None:
    ids = await _moved_to(sql, open_ticket, 23)
    whole = {sort: (await client.get(f"/v1/tickets?limit=200&sort={sort}")).json()["items"] for sort in SORTS}
    for sort, items in whole.items():
        assert {item["id"] for item in items} == set(ids)
        key = sort.removeprefix("-")
        keys = [(datetime.fromisoformat(item[key]), item["id"]) for item in items]
        assert keys == sorted(keys, reverse=sort.startswith("-"))
        for limit in (1, 3, 22, 23, 24):
            pages = await _pages(client, f"/v1/tickets?sort={sort}&limit={limit}")
            assert [item for page in pages for item in page] == items
            assert all(len(page) == limit for page in pages[:-1])


@pytest.mark.parametrize("sort", SORTS)
async def test_rows_that_are_there_throughout_appear_once_while_others_write(
    client: httpx.AsyncClient, open_ticket: Open, sql: Sql, sort: str
) -> None:
    still = await _moved_to(sql, open_ticket, 20)
    restless = [(await open_ticket())["id"] for _ in range(3)]
    stop = asyncio.Event()

    async def write() -> None:
        turn = 0
        while not stop.is_set():
            await open_ticket()
            await client.patch(f"/v1/tickets/{restless[turn % 3]}", json={"subject": f"turn {turn}"})
            turn += 1

    writers = [asyncio.create_task(write()) for _ in range(3)]
    try:
        for _ in range(3):
            seen = []
            path = f"/v1/tickets?limit=3&sort={sort}&created_before=2030-01-01T00:00:00Z"
            for _page in range(60):
                answer = await client.get(path)
                seen += [item["id"] for item in answer.json()["items"]]
                if "next" not in answer.links or set(still) <= set(seen):
                    break
                path = answer.links["next"]["url"]
            assert sorted(id_ for id_ in seen if id_ in still) == sorted(still)
            if "created_at" in sort:
                assert len(seen) == len(set(seen))
    finally:
        stop.set()
        await asyncio.gather(*writers)


async def test_a_cursor_stays_good_when_its_row_has_gone(client: httpx.AsyncClient) -> None:
    ids = [(await client.post("/v1/teams", json={"key": f"t{n}", "name": "T"})).json()["id"] for n in range(6)]
    first = await client.get("/v1/teams?limit=3")
    assert (await client.delete(f"/v1/teams/{ids[2]}")).status_code == 204
    second = await client.get(first.links["next"]["url"])
    assert [item["id"] for item in second.json()["items"]] == ids[3:]


async def test_every_list_pages(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for _ in range(3):
        ids = await things(client, open_ticket)
    ticket = f"/v1/tickets/{ids['ticket_id']}"
    policy = f"/v1/sla-policies/{ids['policy_id']}"
    for n in range(3):
        await client.post(f"{ticket}/messages", json={"body": f"{n}"})
        await client.patch(policy, json={"name": f"P{n}"})
    for path in (
        "/v1/tickets",
        f"{ticket}/messages",
        f"{ticket}/events",
        "/v1/customers",
        "/v1/agents",
        "/v1/teams",
        "/v1/api-keys",
        "/v1/webhooks",
        "/v1/service-goals",
        "/v1/sla-policies",
        f"{policy}/versions",
        "/v1/sla-clocks",
    ):
        whole = (await client.get(f"{path}?limit=200")).json()
        assert whole["next_cursor"] is None
        assert len(whole["items"]) >= 3, path
        pages = await _pages(client, f"{path}?limit=2")
        found = [item for page in pages for item in page]
        if path == "/v1/sla-clocks":  # a running clock's figures change by themselves
            assert [item["id"] for item in found] == [item["id"] for item in whole["items"]]
        else:
            assert found == whole["items"], path


async def test_a_cursor_of_another_list_or_order_or_a_changed_one_is_refused(
    client: httpx.AsyncClient, open_ticket: Open, person: Make
) -> None:
    for _ in range(3):
        await open_ticket()
    cursor = (await client.get("/v1/tickets?limit=1&sort=created_at")).json()["next_cursor"]
    middle = len(cursor) // 2
    flipped = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
    for path, bad in (
        ("/v1/tickets?sort=-created_at", cursor),
        ("/v1/tickets?sort=updated_at", cursor),
        ("/v1/tickets", cursor),
        ("/v1/tickets?sort=created_at&status=new", cursor),
        ("/v1/customers", cursor),
        ("/v1/sla-clocks", cursor),
        ("/v1/tickets?sort=created_at", flipped),
        ("/v1/tickets?sort=created_at", cursor[:-1]),
        ("/v1/tickets?sort=created_at", cursor + cursor),
        ("/v1/tickets?sort=created_at", "x"),
    ):
        answer = await client.get(path, params={**dict(httpx.URL(path).params), "cursor": bad})
        found = problem(answer, 422, "invalid")
        assert found["errors"][0]["pointer"] == "/query/cursor"
    customer = await person("customer")
    # A customer's list is another list.
    problem(await customer.http.get("/v1/tickets", params={"sort": "created_at", "cursor": cursor}), 422, "invalid")


async def test_a_cursor_of_one_tickets_messages_is_foreign_to_anothers(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    first, second = [f"/v1/tickets/{(await open_ticket())['id']}/messages" for _ in range(2)]
    await client.post(first, json={"body": "x"})
    cursor = (await client.get(first, params={"limit": 1})).json()["next_cursor"]
    assert (await client.get(first, params={"limit": 1, "cursor": cursor})).status_code == 200
    problem(await client.get(second, params={"limit": 1, "cursor": cursor}), 422, "invalid")


async def test_filters_stay_on_the_next_page(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for n in range(6):
        await open_ticket(tags=["odd & even=1", "x,y"] if n % 2 else ["z"], product="caf\u00e9 +1")
    pages = await _pages(client, "/v1/tickets?limit=1&tag=odd+%26+even%3D1&product=caf%C3%A9+%2B1&sort=created_at")
    assert [len(page) for page in pages] == [1, 1, 1]
    repeated = await _pages(client, "/v1/tickets?limit=4&tag=z,odd+%26+even%3D1")
    assert [len(page) for page in repeated] == [4, 2]


async def test_a_filter_given_twice_stays_so_on_the_next_page(client: httpx.AsyncClient, open_ticket: Open) -> None:
    for tag in ("a", "b", "c"):
        await open_ticket(tags=[tag])
    first = await client.get("/v1/tickets?limit=1&tag=a&tag=b")
    second = await client.get(first.links["next"]["url"])
    assert [item["tags"] for page in (first, second) for item in page.json()["items"]] == [["b"], ["a"]]
    assert "next" not in second.links

"""A page ends where its bytes reach two megabytes, whatever was written; and everything is on some page, once."""

import asyncio
from typing import Any

import httpx

from app.web.paging import MOST_PAGE_BYTES
from tests.conftest import settled
from tests.support.openapi import Open

LONG = "ä" * 90_000
WIDE = {f"f{n}": "x" * 2_000 for n in range(100)}


async def _walk(client: httpx.AsyncClient, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages, cursor = [], None
    while True:
        asked = query | ({"cursor": cursor} if cursor else {})
        answer = await client.get(path, params={"limit": 200, **asked})
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["items"])
        biggest = max((len(httpx.Response(200, json=item).content) for item in pages[-1]), default=0)
        assert len(answer.content) < MOST_PAGE_BYTES + 2 * biggest + 100_000
        cursor = answer.json()["next_cursor"]
        assert ("link" in answer.headers) == (cursor is not None)
        if cursor is None:
            return pages


async def test_a_page_of_long_messages_ends_early_and_the_next_goes_on(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}/messages"
    made = await asyncio.gather(*(client.post(path, json={"body": f"{n} {LONG}"}) for n in range(30)))
    pages = await _walk(client, path)
    assert [len(page) for page in pages[:2]] == [13, 12]
    ids = [item["id"] for page in pages for item in page]
    assert sorted(ids[1:]) == sorted(answer.json()["id"] for answer in made)
    assert len(set(ids)) == 31
    within = (await client.get(f"/v1/tickets/{ticket['id']}", params={"include": "messages"})).json()
    # The newest, as many as reach the bytes of a page, in the order of the list.
    assert [message["id"] for message in within["messages"]] == ids[-12:]


async def test_a_page_of_wide_customers_ends_early(client: httpx.AsyncClient) -> None:
    for n in range(24):
        body = {"name": f"C {n}", "external_id": f"c{n}", "attributes": WIDE, "region": "eu"}
        assert (await client.post("/v1/customers", json=body)).status_code == 201
    pages = await _walk(client, "/v1/customers")
    assert len(pages) == 3
    assert sorted(item["external_id"] for page in pages for item in page) == sorted(f"c{n}" for n in range(24))


async def test_a_page_of_wide_tickets_ends_early_however_they_are_found(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    fields = [{"subject": "ticket", "key": key, "name": key, "type": "text"} for key in WIDE]
    await asyncio.gather(*(client.post("/v1/custom-fields", json=field) for field in fields))
    opened = [(await open_ticket(custom_fields=WIDE, product="p", tags=["a"]))["id"] for _ in range(14)]
    for query in ({}, {"sort": "created_at"}, {"product": "p"}, {"tag": "a", "type": "question"}, {"sort": "priority"}):
        pages = await _walk(client, "/v1/tickets", **query)
        assert len(pages) >= 2, query
        assert sorted(item["id"] for page in pages for item in page) == sorted(opened), query


async def test_a_page_of_the_feed_ends_early_and_nothing_is_missed(
    client: httpx.AsyncClient, sql: Any, database_url: str
) -> None:
    """What the log holds is read whole, also where it does not leave the service."""
    customer = (await client.post("/v1/customers", json={"name": "C"})).json()["id"]
    for n in range(24):
        attributes = {name: f"{n}{value[:1_990]}" for name, value in WIDE.items()}
        assert (await client.patch(f"/v1/customers/{customer}", json={"attributes": attributes})).status_code == 200
    await settled(database_url)
    written = [str(row["id"]) for row in await sql.fetch("SELECT id FROM events ORDER BY xid, id")]
    for order in ("asc", "desc"):
        ids, after, pages = [], "", 0
        while True:
            answer = (await client.get(f"/v1/events?limit=5000&order={order}{after}")).json()
            ids += [event["id"] for event in answer["items"]]
            after, pages = f"&after={answer['next_position']}", pages + 1
            if not answer["has_more"]:
                break
        assert len(ids) == len(set(ids)) == len(written)
        assert pages >= 4


async def test_many_tickets_changed_at_once_are_answered_with_as_many_as_a_page_holds(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    """All of them are changed: of what has no room is said so, and no more."""
    fields = [{"subject": "ticket", "key": key, "name": key, "type": "text"} for key in WIDE]
    await asyncio.gather(*(client.post("/v1/custom-fields", json=field) for field in fields))
    ids = [(await open_ticket(custom_fields=WIDE))["id"] for _ in range(15)]
    patches = [{"id": id_, "priority": "high"} for id_ in ids]
    macro = await client.post("/v1/macros", json={"name": "m", "changes": {"priority": "low"}})
    for path, body, name, priority in (
        ("/v1/tickets/bulk", {"tickets": patches}, "ticket", "high"),
        (f"/v1/macros/{macro.json()['id']}/apply", {"ticket_ids": ids}, "applied", "low"),
    ):
        answer = await client.post(path, json=body)
        assert len(answer.content) < MOST_PAGE_BYTES + 300_000
        assert [item["ticket_id"] for item in answer.json()["items"]] == ids
        assert {item["status"] for item in answer.json()["items"]} == {200}
        assert 5 < sum(item[name] is not None for item in answer.json()["items"]) < 15
        assert {(await client.get(f"/v1/tickets/{id_}")).json()["priority"] for id_ in ids} == {priority}


async def test_what_is_wrong_with_an_import_is_told_in_fewer_bytes_than_it_has(client: httpx.AsyncClient) -> None:
    wrong: list[dict[str, Any]] = [{"timeline": [{}] * 10_000} for _ in range(15)]
    answer = await client.post("/v1/imports/tickets", json={"tickets": [*wrong, {"external_id": "x" * 100_000}]})
    assert answer.status_code == 200, answer.text[:300]
    assert answer.json()["rejected"] == 16
    assert len(answer.content) < 100_000
    assert "(and 100" in answer.json()["items"][0]["problem"]["detail"]


async def test_a_ticket_of_very_many_clocks_shows_the_newest(
    client: httpx.AsyncClient, open_ticket: Open, sql: Any
) -> None:
    ticket = await open_ticket()
    path = f"/v1/tickets/{ticket['id']}"
    first = len((await client.get(f"{path}/clocks")).json()["items"])
    await sql.execute(
        "INSERT INTO sla_clocks SELECT (jsonb_populate_record(c, jsonb_build_object("
        " 'id', gen_random_uuid(), 'cycle', n, 'started_at', c.started_at + n * interval '1 second'))).*"
        " FROM sla_clocks c, generate_series(2, 2000) AS n"
    )
    items = (await client.get(f"{path}/clocks")).json()["items"]
    assert [item["cycle"] for item in items] == sorted(item["cycle"] for item in items)
    assert (len(items), items[-1]["cycle"]) == (200, 2000)
    assert first < 5
    for name, most in (("clocks", 500_000), ("explain", MOST_PAGE_BYTES)):
        assert len((await client.get(f"{path}/{name}")).content) < most


async def test_a_page_of_tickets_ends_early_where_a_wide_customer_comes_along_with_each(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    made = await client.post("/v1/customers", json={"name": "C", "attributes": WIDE})
    opened = [(await open_ticket(customer={"id": made.json()["id"]}))["id"] for _ in range(24)]
    assert len(await _walk(client, "/v1/tickets")) == 1
    pages = await _walk(client, "/v1/tickets", include="customer")
    assert len(pages) == 3
    assert sorted(item["id"] for page in pages for item in page) == sorted(opened)

"""Articles: who writes and who reads them, and how they are found."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.conftest import Person
from tests.support.articles import PARCEL, include, segment, suggested, write
from tests.support.verification import good, pointers

Make = Callable[..., Awaitable[Person]]


async def _keys(http: httpx.AsyncClient, **query: str) -> list[str]:
    return [item["key"] for item in good(await http.get("/v1/articles", params=query))["items"]]


async def test_an_article_is_found_as_soon_as_it_is_written_and_no_more_once_it_says_something_else(
    client: httpx.AsyncClient,
) -> None:
    article = await write(client)
    for q in ("parcel", "PARCELS", "shipping", "lin", "follow link"):
        assert await _keys(client, q=q) == ["parcel"], q
    for q in ("elephant", "parcel elephant", "-parcel", "...", "'; drop"):
        assert await _keys(client, q=q) == [], q
    changed = await client.patch(f"/v1/articles/{article['id']}", json={"title": "Lost luggage", "body": "Ask."})
    assert changed.headers["etag"] != ""
    assert (await _keys(client, q="parcel"), await _keys(client, q="luggage")) == ([], ["parcel"])


async def test_accents_and_case_do_not_matter_and_each_language_has_its_stems(client: httpx.AsyncClient) -> None:
    await write(client, key="retour", title="Renvoyer un article abîmé", body="Écrivez-nous.", language="fr", tags=[])
    await write(client, key="zwrot", title="Jak zwrócić towar", body="Napisz do nas.", language="pl", tags=[])
    assert await _keys(client, q="ABIME") == ["retour"]
    assert await _keys(client, q="renvoyé") == ["retour"]
    assert [item["key"] for item in await suggested(client, "zwrocic TOWAR", language="pl")] == ["zwrot"]


async def test_lists_are_filtered_by_language_tag_and_activity(client: httpx.AsyncClient) -> None:
    await write(client)
    await write(client, language="en-GB", active=False, tags=["post"])
    await write(client, language="fi", key="paketti")
    assert await _keys(client, language="en") == ["parcel", "parcel"]
    assert await _keys(client, language="EN-gb") == ["parcel"]
    assert await _keys(client, language="fi,sv") == ["paketti"]
    assert await _keys(client, tag="shipping", active="true") == ["parcel", "paketti"]
    pages = good(await client.get("/v1/articles?limit=2"))
    rest = good(await client.get("/v1/articles", params={"limit": 2, "cursor": pages["next_cursor"]}))
    assert (len(pages["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)


async def test_a_key_is_there_once_in_a_language_until_its_article_is_archived(client: httpx.AsyncClient) -> None:
    article = await write(client)
    assert (await client.post("/v1/articles", json={**PARCEL, "key": "ＰＡＲＣＥＬ"})).status_code == 409
    await write(client, language="fi")
    path = f"/v1/articles/{article['id']}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 204
    assert (await client.patch(path, json={"title": "New"})).status_code == 409
    assert good(await client.get(path))["archived_at"] is not None
    assert await suggested(client, "parcel", language="en") == []
    await write(client)
    assert await _keys(client) == ["parcel", "parcel"]


async def test_a_customer_reads_what_is_active_and_for_them_and_no_word_about_segments(
    client: httpx.AsyncClient, person: Make
) -> None:
    customer = await person("customer")
    theirs, others = await segment(client), await segment(client, "others")
    await include(client, theirs, customer.id)
    shown = await write(client, key="shown", segment_ids=[theirs["id"], others["id"]])
    hidden = [
        await write(client, key="inactive", active=False),
        await write(client, key="others", segment_ids=[others["id"]]),
        await write(client, key="archived"),
    ]
    await client.delete(f"/v1/articles/{hidden[2]['id']}")
    assert await _keys(customer.http) == await _keys(customer.http, q="parcel") == ["shown"]
    assert await _keys(customer.http, active="false") == []
    assert [item["key"] for item in await suggested(customer.http, "my parcel")] == ["shown"]
    assert good(await customer.http.get(f"/v1/articles/{shown['id']}"))["segment_ids"] == []
    nowhere = await customer.http.get("/v1/articles/00000000-0000-7000-8000-000000000000")
    for article in hidden:
        answer = await customer.http.get(f"/v1/articles/{article['id']}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == nowhere.json()["detail"]
    assert (await customer.http.post("/v1/articles", json=PARCEL)).status_code == 403
    # Staff are shown all of them.
    assert len(await suggested(client, "parcel", limit=20)) == 2


async def test_a_segment_that_is_not_there_is_refused(client: httpx.AsyncClient) -> None:
    made = await segment(client)
    bad = {**PARCEL, "segment_ids": [made["id"], "00000000-0000-7000-8000-000000000000"]}
    assert pointers(await client.post("/v1/articles", json=bad)) == ["/segment_ids/1"]
    article = await write(client)
    patch = {"segment_ids": bad["segment_ids"][1:]}
    assert pointers(await client.patch(f"/v1/articles/{article['id']}", json=patch)) == ["/segment_ids/0"]


@pytest.mark.parametrize(
    "text", ["...", "'; drop table articles; --", "a & | b", "%a%b%", "\\' \\\\", "the of and", "or"]
)
async def test_whatever_is_asked_harms_nothing(client: httpx.AsyncClient, text: str) -> None:
    await write(client)
    assert [item["score"] for item in await suggested(client, text)] == []

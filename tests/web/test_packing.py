"""Answers as gzip: where it is asked for and worth it, byte for byte the same within."""

import gzip
from typing import Any

import httpx
import pytest

from tests.support.openapi import Open

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


async def _raw(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Headers, bytes]:
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("size", [100, 9_000], ids=["small", "large"])
async def test_a_list_is_packed_where_asked_and_says_so(
    client: httpx.AsyncClient, open_ticket: Open, size: int
) -> None:
    for _ in range(6):
        await open_ticket(subject="x" * 90, description="y" * size)
    path = "/v1/tickets?include=last_message"
    headers, packed = await _raw(client, path, **GZIP)
    plain_headers, plain = await _raw(client, path, **PLAIN)
    assert (headers["content-encoding"], int(headers["content-length"])) == ("gzip", len(packed))
    assert "content-encoding" not in plain_headers
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2
    for each in (headers, plain_headers):
        assert "accept-encoding" in each["vary"].lower()


async def test_what_has_a_tag_or_is_small_or_not_asked_for_so_is_sent_as_it_is(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    tags = [f"{n} {'x' * 40}" for n in range(20)]
    ticket = await open_ticket(subject="x" * 200, description="y" * 5_000, tags=tags)
    tagged = f"/v1/tickets/{ticket['id']}"
    headers, sent = await _raw(client, tagged, **GZIP)
    assert headers["etag"] == '"1"'
    assert len(sent) > 1_400
    assert "content-encoding" not in headers
    again = await client.get(tagged, headers={**GZIP, "If-None-Match": headers["etag"]})
    assert again.status_code == 304
    messages = f"/v1/tickets/{ticket['id']}/messages"
    for asked in ("", "br", "gzip;q=0", "gzip; q=0.0, br"):
        assert "content-encoding" not in (await _raw(client, messages, **{"Accept-Encoding": asked}))[0], asked
    assert "content-encoding" not in (await _raw(client, "/v1/agents", **GZIP))[0]


async def test_a_repeat_is_packed_as_it_asks_and_is_the_first_answer(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ticket = await open_ticket()
    body: dict[str, Any] = {"body": "z" * 5_000}
    key = {"Idempotency-Key": "k"}
    path = f"/v1/tickets/{ticket['id']}/messages"
    first = await client.post(path, json=body, headers={**key, **GZIP})
    again = await client.post(path, json=body, headers={**key, **PLAIN})
    assert (first.status_code, first.content) == (again.status_code, again.content)


async def test_what_lies_packed_is_sent_plain_to_who_refuses_gzip(client: httpx.AsyncClient) -> None:
    for path in ("/openapi.json", "/console"):
        assert (await _raw(client, path, **GZIP))[0]["content-encoding"] == "gzip", path
        assert "content-encoding" not in (await _raw(client, path, **{"Accept-Encoding": "gzip;q=0"}))[0], path

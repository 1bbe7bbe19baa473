"""Names that must be unique are so by case, by width and by Unicode form."""

import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.schemas import fold
from tests.support.expect import problem

TARGET = {"metric": "first_response", "seconds": 90}
KINDS: dict[str, dict[str, Any]] = {
    "/v1/teams": {"name": "T"},
    "/v1/sla-policies": {"name": "P", "position": 5000, "targets": [TARGET]},
    "/v1/service-goals": {"name": "G", "target_seconds": 90, "window": {"rolling_seconds": 60}},
}
# One name, written differently: case, full width, ligature, composed or not, mathematical letters, spaces around.
SAME = (
    "caf\u00e9 stra\u00dfe file",
    "CAF\u00c9 STRASSE FILE",
    "cafe\u0301 strasse \ufb01le",
    "\uff23\uff41\uff46\u00e9 Stra\u1e9ee file",
    " Caf\u00e9 Stra\u00dfe File ",
    "\U0001d402af\u00e9 Stra\u00dfe \U0001d405ile",
)


def test_the_ways_to_write_one_name_fold_to_one() -> None:
    assert len({fold(name) for name in SAME}) == 1
    assert fold("\u03c3") == fold("\u03c2") == fold("\u03a3")


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once_and_case_never_matters(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(name.casefold()) == fold(name)


# A segment's key never changes, so that it cannot be changed to one that is taken either.
FIXED: dict[str, dict[str, Any]] = {"/v1/segments": {"name": "S", "rule": {"all": []}}}


@pytest.mark.parametrize("path", [*KINDS, *FIXED])
async def test_of_fifty_at_once_with_one_name_one_is_made(client: httpx.AsyncClient, path: str) -> None:
    names, body = itertools.islice(itertools.cycle(SAME), 50), (KINDS | FIXED)[path]
    answers = await asyncio.gather(*(client.post(path, json={**body, "key": name}) for name in names))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "conflict")
    stored = [item["key"] for item in (await client.get(path)).json()["items"]]
    assert sum(fold(name) == fold(SAME[0]) for name in stored) == 1


@pytest.mark.parametrize("path", KINDS)
async def test_a_change_cannot_take_a_name_that_is_taken(client: httpx.AsyncClient, path: str) -> None:
    await client.post(path, json={**KINDS[path], "key": "billing"})
    other = (await client.post(path, json={**KINDS[path], "key": "other"})).json()
    problem(await client.patch(f"{path}/{other['id']}", json={"key": "\uff22ILLING"}), 409, "conflict")
    renamed = await client.patch(f"{path}/{other['id']}", json={"key": "OTHER"})
    assert renamed.json()["key"] == "OTHER"


@pytest.mark.parametrize("path", KINDS)
async def test_names_that_cannot_be_seen_are_refused(client: httpx.AsyncClient, path: str) -> None:
    for name in (
        "",
        " ",
        "\u00a0",
        "a\u200bb",
        "\u202eabc",
        "a\nb",
        "a\x7f",
        "\ufeff",
        "\u2066a",
        "a\u2028b",
        "x" * 65,
    ):
        problem(await client.post(path, json={**KINDS[path], "key": name}), 422, "invalid")


async def test_of_fifty_customers_at_once_with_one_address_one_is_made(client: httpx.AsyncClient) -> None:
    ways = itertools.cycle(("a.person@example.test", "A.Person@Example.TEST", "\uff21.person@example.test"))
    answers = await asyncio.gather(*(client.post("/v1/customers", json={"email": next(ways)}) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}


async def test_tickets_of_one_unknown_customer_at_once_make_one_customer(client: httpx.AsyncClient) -> None:
    ways = itertools.cycle(("a.person@example.test", "A.Person@Example.TEST"))
    opening = ({"subject": "x", "customer": {"email": next(ways)}} for _ in range(50))
    answers = await asyncio.gather(*(client.post("/v1/tickets", json=body) for body in opening))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["customer_id"] for answer in answers}) == 1


async def test_the_longest_name_that_unfolds_most_is_stored_or_refused(client: httpx.AsyncClient) -> None:
    for name in ("\ufdfa" * 64, "".join(map(chr, range(0x3300, 0x3340)))):
        assert (await client.post("/v1/teams", json={"key": name, "name": "T"})).status_code == 201
    for address in ("".join(map(chr, range(0x3300, 0x33F8))) + "@b", "\ufdfa" * 250 + "@b"):
        answer = await client.post("/v1/customers", json={"email": address})
        assert answer.status_code in (201, 422), answer.text

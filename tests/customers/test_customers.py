import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.world import Body, World, unique

_FULL = {
    "name": "Maija",
    "email": "Maija@example.org",
    "region": "FI",
    "language": "fi-FI",
    "attributes": {"plan": "pro"},
}
_NULLABLE = ("external_id", "name", "email", "region", "language", "organization_id", "merged_into", "erased_at")


async def _change(world: World, customer: Body, **patch: Any) -> httpx.Response:
    return await world.admin.patch(f"/v1/customers/{customer['id']}", json=patch)


async def _found(world: World, **query: str) -> list[str]:
    return [item["id"] for item in (await world.admin.get("/v1/customers", params=query)).json()["items"]]


async def test_a_customer_is_kept_as_given_and_read_again(world: World) -> None:
    given = {**_FULL, "email": f"{unique()}@example.org", "external_id": unique()}
    answer = await world.admin.post("/v1/customers", json=given)
    assert answer.status_code == 201
    customer = answer.json()
    assert {name: customer[name] for name in given} == given
    assert (answer.headers["location"], answer.headers["etag"]) == (f"/v1/customers/{customer['id']}", '"1"')
    read = await world.admin.get(answer.headers["location"])
    assert (read.json(), read.headers["etag"]) == (customer, '"1"')
    assert [type_ for type_, _ in await world.logged(customer)] == ["customer.created"]


async def test_nothing_needs_to_be_known_of_a_customer(world: World) -> None:
    customer = await world.made("/v1/customers", {})
    assert {customer[name] for name in _NULLABLE} == {None}
    assert customer["attributes"] == {}


async def test_a_customer_who_is_not_there_is_a_404(world: World) -> None:
    path = f"/v1/customers/{world.agent}"
    assert (await world.admin.get(path)).status_code == 404
    assert (await world.admin.patch(path, json={})).status_code == 404


async def test_a_patch_changes_what_it_names_and_says_so_in_the_log(world: World) -> None:
    customer = await world.made("/v1/customers", {**_FULL, "email": f"{unique()}@example.org"})
    answer = await _change(world, customer, name="Maija M.", region=None)
    after = answer.json()
    assert after == {
        **customer, "name": "Maija M.", "region": None, "version": 2, "updated_at": after["updated_at"],
    }  # fmt: skip
    changes = {"name": {"before": "Maija", "after": "Maija M."}, "region": {"before": "FI", "after": None}}
    assert (await world.logged(customer))[1:] == [("customer.updated", {"changes": changes})]


@pytest.mark.parametrize("patch", [{}, {"name": "Maija"}, {"attributes": {"plan": "pro", "never": None}}], ids=str)
async def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(world: World, patch: Body) -> None:
    customer = await world.made("/v1/customers", {"name": "Maija", "attributes": {"plan": "pro"}})
    answer = await _change(world, customer, **patch)
    assert (answer.json(), answer.headers["etag"]) == (customer, '"1"')
    assert len(await world.logged(customer)) == 1


async def test_if_match_guards_a_change(world: World) -> None:
    customer = await world.made("/v1/customers", {})
    path = f"/v1/customers/{customer['id']}"
    statuses = [
        (await world.admin.patch(path, json={"name": "Maija"}, headers={"If-Match": tag})).status_code
        for tag in ('"1"', '"1"', '"2"')
    ]
    assert statuses == [200, 412, 200]


async def test_attributes_are_merged_and_null_takes_one_away(world: World) -> None:
    customer = await world.made("/v1/customers", {"attributes": {"a": 1, "b": "x", "none": None}})
    assert customer["attributes"] == {"a": 1, "b": "x"}
    after = (await _change(world, customer, attributes={"b": None, "c": True})).json()
    assert after["attributes"] == {"a": 1, "c": True}


async def test_patches_add_up_to_no_more_attributes_than_one_body_may_hold(world: World) -> None:
    customer = await world.made("/v1/customers", {"attributes": {f"a{n}": n for n in range(100)}})
    answer = await _change(world, customer, attributes={"b": 1})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/attributes")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "nonsense"}, "/email"), ({"name": ""}, "/name"), ({"region": "a b"}, "/region"),
        ({"language": "1"}, "/language"), ({"attributes": {"a b": 1}}, "/attributes"), ({"colour": 1}, "/colour"),
        ({"attributes": {"a": [1]}}, "/attributes/a"), ({"attributes": None}, "/attributes"),
        ({"external_id": ""}, "/external_id"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_pointed_at(world: World, body: Body, pointer: str) -> None:
    customer = await world.made("/v1/customers", {})
    for answer in (await world.admin.post("/v1/customers", json=body), await _change(world, customer, **body)):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"].startswith(pointer)


async def test_an_external_id_is_one_customers(world: World) -> None:
    first, second = [await world.made("/v1/customers", {"external_id": unique()}) for _ in range(2)]
    taken = {"external_id": first["external_id"]}
    for answer in (await world.admin.post("/v1/customers", json=taken), await _change(world, second, **taken)):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert first["external_id"] not in answer.text


async def test_an_email_is_one_customers_among_those_without_an_external_id(world: World) -> None:
    word = unique()
    first = await world.made("/v1/customers", {"email": f"{word}@Example.org"})
    # Whatever its case or width.
    for same in (f"{word}@example.org", f"{word.upper()}@EXAMPLE.ORG", f"{word}@ｅｘａｍｐｌｅ.org"):
        assert (await world.admin.post("/v1/customers", json={"email": same})).status_code == 409
    household = [
        await world.made("/v1/customers", {"email": f"{word}@example.org", "external_id": unique()}) for _ in range(2)
    ]
    assert await _found(world, email=f"{word}@EXAMPLE.org") == [who["id"] for who in (first, *household)]


async def test_losing_the_external_id_does_not_make_two_of_one_address(world: World) -> None:
    email = f"{unique()}@example.org"
    await world.made("/v1/customers", {"email": email})
    second = await world.made("/v1/customers", {"email": email, "external_id": unique()})
    assert (await _change(world, second, external_id=None)).status_code == 409
    assert (await _change(world, second, external_id=None, email=None)).status_code == 200


async def test_a_changed_email_is_found_by_its_new_self_only(world: World) -> None:
    old, new = f"{unique()}@example.org", f"{unique()}@example.org"
    customer = await world.made("/v1/customers", {"email": old})
    await _change(world, customer, email=new.upper())
    assert (await _found(world, email=old), await _found(world, email=new)) == ([], [customer["id"]])
    again = await world.made("/v1/customers", {"email": old})
    assert again["id"] != customer["id"]


async def test_an_upsert_makes_then_replaces(world: World) -> None:
    external_id = unique()
    path = f"/v1/customers/by-external-id/{external_id}"
    made = await world.admin.put(path, json=_FULL)
    assert (made.status_code, made.headers["location"]) == (201, f"/v1/customers/{made.json()['id']}")
    assert {name: made.json()[name] for name in _FULL} == _FULL
    replaced = await world.admin.put(path, json={"name": "M.", "attributes": {"tier": 1, "no": None}})
    assert replaced.status_code == 200
    expected = {
        "id": made.json()["id"], "external_id": external_id, "name": "M.", "email": None, "region": None,
        "language": None, "attributes": {"tier": 1}, "version": 2,
    }  # fmt: skip
    assert {name: replaced.json()[name] for name in expected} == expected
    assert [type_ for type_, _ in await world.logged(made.json())] == ["customer.created", "customer.updated"]


async def test_the_same_upsert_again_changes_nothing(world: World) -> None:
    path = f"/v1/customers/by-external-id/{unique()}"
    first, second = [await world.admin.put(path, json=_FULL) for _ in range(2)]
    assert (second.status_code, second.json(), second.headers["etag"]) == (200, first.json(), '"1"')


async def test_fifty_upserts_at_once_make_one_customer(world: World) -> None:
    external_id = unique()
    path = f"/v1/customers/by-external-id/{external_id}"
    answers = await asyncio.gather(*(world.admin.put(path, json={"name": f"Name {n}"}) for n in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    [id_] = await _found(world, external_id=external_id)
    versions = sorted(answer.json()["version"] for answer in answers)
    assert versions == list(range(1, 51))
    assert (await world.admin.get(f"/v1/customers/{id_}")).json()["version"] == 50


async def test_an_external_id_is_taken_from_the_path_as_it_is(world: World) -> None:
    for tail, external_id in (("a%20b", "a b"), ("%C3%A9", "é"), ("a.b~c", "a.b~c"), ("%27%3B%20drop", "'; drop")):
        answer = await world.admin.put(f"/v1/customers/by-external-id/{tail}{unique()}", json={})
        assert answer.status_code == 201
        assert answer.json()["external_id"].startswith(external_id)


async def test_as_many_customers_as_a_page_holds_are_read_by_their_ids(world: World) -> None:
    made = [(await world.made("/v1/customers", {}))["id"] for _ in range(3)]
    asked = ",".join([*made[:2], *(str(uuid4()) for _ in range(198))])
    found = (await world.admin.get("/v1/customers", params={"ids": asked, "limit": 200})).json()["items"]
    assert [customer["id"] for customer in found] == made[:2]


async def test_customers_are_listed_in_the_order_they_were_added(world: World) -> None:
    made = [(await world.made("/v1/customers", {}))["id"] for _ in range(3)]
    everybody: list[str] = []
    page = await world.admin.get("/v1/customers", params={"limit": "2"})
    everybody += [item["id"] for item in page.json()["items"]]
    while page.json()["next_cursor"]:
        page = await world.admin.get(page.links["next"]["url"])
        everybody += [item["id"] for item in page.json()["items"]]
    assert len(everybody) == len(set(everybody))
    assert [id_ for id_ in everybody if id_ in made] == made

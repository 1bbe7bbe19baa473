import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.support.desk import pointer
from tests.support.world import Body, World, unique

URL = "/v1/organizations"
NOBODY = "00000000-0000-7000-8000-000000000000"
_FULL = {
    "name": "Acme", "email": "desk@acme.example", "region": "FI", "language": "fi-FI", "attributes": {"plan": "pro"},
    "shared": True,
}  # fmt: skip


async def _change(world: World, organization: Body, **patch: Any) -> httpx.Response:
    return await world.admin.patch(f"{URL}/{organization['id']}", json=patch)


async def _remove(world: World, organization: Body, **headers: str) -> int:
    return (await world.admin.delete(f"{URL}/{organization['id']}", headers=headers)).status_code


async def _members(world: World, organization: Body) -> list[str]:
    found = await world.admin.get("/v1/customers", params={"organization_id": organization["id"]})
    return [item["id"] for item in found.json()["items"]]


async def test_an_organization_is_kept_as_given_and_read_again(world: World) -> None:
    given = {**_FULL, "external_id": unique()}
    answer = await world.admin.post(URL, json=given)
    assert answer.status_code == 201
    organization = answer.json()
    assert {name: organization[name] for name in given} == given
    assert (answer.headers["location"], answer.headers["etag"]) == (f"{URL}/{organization['id']}", '"1"')
    read = await world.admin.get(answer.headers["location"])
    assert (read.json(), read.headers["etag"]) == (organization, '"1"')
    assert await world.logged(organization) == [("organization.created", {"after": given})]


async def test_a_patch_changes_what_it_names_and_says_so_in_the_log(world: World) -> None:
    organization = await world.made(URL, _FULL)
    after = (await _change(world, organization, name="Acme Oy", region=None, attributes={"plan": None, "b": 1})).json()
    assert after == {
        **organization, "name": "Acme Oy", "region": None, "attributes": {"b": 1}, "version": 2,
        "updated_at": after["updated_at"],
    }  # fmt: skip
    changes = {
        "name": {"before": "Acme", "after": "Acme Oy"},
        "region": {"before": "FI", "after": None},
        "attributes": {"before": {"plan": "pro"}, "after": {"b": 1}},
    }
    assert (await world.logged(organization))[1:] == [("organization.updated", {"changes": changes})]
    assert (await _change(world, organization, **_FULL)).json()["version"] == 3


async def test_what_changes_nothing_makes_no_version_and_no_event(world: World) -> None:
    organization = await world.made(URL, _FULL)
    for patch in ({}, {"name": "Acme"}, {"attributes": {"plan": "pro", "never": None}}):
        answer = await _change(world, organization, **patch)
        assert (answer.json(), answer.headers["etag"]) == (organization, '"1"')
    assert len(await world.logged(organization)) == 1


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"name": None}, "/name"), ({"name": " "}, "/name"), ({"email": "nonsense"}, "/email"),
        ({"region": "a b"}, "/region"), ({"language": "1"}, "/language"), ({"attributes": {"a": [1]}}, "/attributes/a"),
        ({"attributes": None}, "/attributes"), ({"external_id": ""}, "/external_id"), ({"colour": 1}, "/colour"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_pointed_at(world: World, body: Body, at: str) -> None:
    organization = await world.made(URL, _FULL)
    for answer in (await world.admin.post(URL, json={"name": "N", **body}), await _change(world, organization, **body)):
        assert pointer(answer).startswith(at)
    assert (await world.admin.get(f"{URL}/{organization['id']}")).json() == organization


async def test_an_organization_has_a_name(world: World) -> None:
    assert pointer(await world.admin.post(URL, json={})) == "/name"
    assert pointer(await world.admin.put(f"{URL}/by-external-id/{unique()}", json={})) == "/name"


async def test_an_external_id_is_one_organizations_and_finds_it(world: World) -> None:
    first, second = [await world.made(URL, {"name": "N", "external_id": unique()}) for _ in range(2)]
    taken = {"external_id": first["external_id"]}
    for answer in (await world.admin.post(URL, json={"name": "N", **taken}), await _change(world, second, **taken)):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    found = (await world.admin.get(URL, params=taken)).json()["items"]
    assert found == [first]
    # A customer may have the same one.
    await world.made("/v1/customers", taken)


async def test_organizations_are_listed_in_the_order_they_were_added(world: World) -> None:
    made = [(await world.made(URL, {"name": "N"}))["id"] for _ in range(3)]
    page = await world.admin.get(URL, params={"limit": "2"})
    seen = [item["id"] for item in page.json()["items"]]
    while page.json()["next_cursor"]:
        page = await world.admin.get(page.links["next"]["url"])
        seen += [item["id"] for item in page.json()["items"]]
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in made] == made


async def test_an_upsert_makes_then_replaces_then_changes_nothing(world: World) -> None:
    external_id = unique()
    path = f"{URL}/by-external-id/{external_id}"
    made = await world.admin.put(path, json=_FULL)
    assert (made.status_code, made.headers["location"]) == (201, f"{URL}/{made.json()['id']}")
    replaced, again = [await world.admin.put(path, json={"name": "A.", "attributes": {"t": 1}}) for _ in range(2)]
    assert (replaced.status_code, again.status_code, again.json()) == (200, 200, replaced.json())
    expected = {
        "id": made.json()["id"], "external_id": external_id, "name": "A.", "email": None, "region": None,
        "language": None, "attributes": {"t": 1}, "version": 2,
    }  # fmt: skip
    assert {name: again.json()[name] for name in expected} == expected
    types = [type_ for type_, _ in await world.logged(made.json())]
    assert types == ["organization.created", "organization.updated"]


async def test_fifty_upserts_at_once_make_one_organization(world: World) -> None:
    external_id = unique()
    path = f"{URL}/by-external-id/{external_id}"
    answers = await asyncio.gather(*(world.admin.put(path, json={"name": f"Name {n}"}) for n in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 49, 201: 1}
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 51))
    [found] = (await world.admin.get(URL, params={"external_id": external_id})).json()["items"]
    assert {answer.json()["id"] for answer in answers} == {found["id"]}


async def test_upserts_beside_removals_always_find_or_make_it(world: World) -> None:
    external_id = unique()

    async def upsert() -> int:
        return (await world.admin.put(f"{URL}/by-external-id/{external_id}", json={"name": unique()})).status_code

    async def remove() -> int:
        found = (await world.admin.get(URL, params={"external_id": external_id})).json()["items"]
        return await _remove(world, found[0]) if found else 404

    statuses = await asyncio.gather(*(upsert() if n % 2 else remove() for n in range(60)))
    assert set(statuses[1::2]) <= {200, 201}
    assert set(statuses[0::2]) <= {204, 404}


async def test_a_customer_belongs_to_an_organization(world: World) -> None:
    first, second = [await world.made(URL, {"name": "N"}) for _ in range(2)]
    customer = await world.made("/v1/customers", {"organization_id": first["id"]})
    assert customer["organization_id"] == first["id"]
    assert (await _members(world, first), await _members(world, second)) == ([customer["id"]], [])
    path = f"/v1/customers/{customer['id']}"
    for to in (second["id"], None, first["id"]):
        assert (await world.admin.patch(path, json={"organization_id": to})).json()["organization_id"] == to
    (_, data), *_ = (await world.logged(customer))[1:]
    assert data == {"changes": {"organization_id": {"before": first["id"], "after": second["id"]}}}
    upsert = f"/v1/customers/by-external-id/{unique()}"
    for body, expected in (({"organization_id": first["id"]}, first["id"]), ({}, None)):
        assert (await world.admin.put(upsert, json=body)).json()["organization_id"] == expected


async def test_the_organization_of_a_customer_must_be_there(world: World) -> None:
    customer = await world.made("/v1/customers", {})
    external_id = unique()
    for nowhere in (NOBODY, customer["id"]):
        body = {"organization_id": nowhere}
        for answer in (
            await world.admin.post("/v1/customers", json=body),
            await world.admin.patch(f"/v1/customers/{customer['id']}", json=body),
            await world.admin.put(f"/v1/customers/by-external-id/{external_id}", json=body),
        ):
            assert pointer(answer) == "/organization_id"
    assert (await world.admin.get(f"/v1/customers/{customer['id']}")).json() == customer
    assert (await world.admin.get("/v1/customers", params={"external_id": external_id})).json()["items"] == []


async def test_an_organization_is_removed_when_nobody_belongs_to_it(world: World) -> None:
    organization = await world.made(URL, _FULL)
    customer = await world.made("/v1/customers", {"organization_id": organization["id"]})
    assert await _remove(world, organization) == 409
    await world.admin.patch(f"/v1/customers/{customer['id']}", json={"organization_id": None})
    assert await _remove(world, organization, **{"If-Match": '"7"'}) == 412
    assert await _remove(world, organization, **{"If-Match": '"1"'}) == 204
    assert (await world.admin.get(f"{URL}/{organization['id']}")).status_code == 404
    assert await _remove(world, organization) == 404
    before = {**_FULL, "external_id": None}
    assert (await world.logged(organization))[1:] == [("organization.deleted", {"before": before})]


async def test_an_organization_with_tickets_stays(world: World) -> None:
    organization = await world.made(URL, _FULL)
    customer = await world.made("/v1/customers", {"organization_id": organization["id"]})
    ticket = await world.made("/v1/tickets", {"subject": "Help", "customer": {"id": customer["id"]}})
    assert ticket["organization_id"] == organization["id"]
    await world.admin.patch(f"/v1/customers/{customer['id']}", json={"organization_id": None})
    answer = await world.admin.delete(f"{URL}/{organization['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await world.admin.get(f"{URL}/{organization['id']}")).json() == organization


async def test_an_organization_that_is_not_there_is_a_404(world: World) -> None:
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert (await world.admin.request(method, f"{URL}/{NOBODY}", json=body)).status_code == 404

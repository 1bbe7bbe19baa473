"""Two customers who turned out to be one, and the way back."""

import asyncio
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.conftest import Person
from tests.support.personal_data import held, statements_to
from tests.support.search import index
from tests.support.sla import Sql
from tests.support.verification import assert_verified, good, pointers
from tests.support.world import Body, World, unique

NOWHERE = "01900000-0000-7000-8000-000000000000"


async def _customer(world: World, **body: Any) -> Body:
    return await world.made("/v1/customers", {"external_id": unique(), **body})


async def _open(world: World, customer: Body, **body: Any) -> Body:
    return await world.made("/v1/tickets", {"subject": "Help", "customer": {"id": customer["id"]}, **body})


async def _merge(world: World, source: Body, into: Body) -> httpx.Response:
    return await world.admin.post(f"/v1/customers/{source['id']}/merge", json={"into": into["id"]})


async def _unmerge(world: World, source: Body) -> httpx.Response:
    return await world.admin.post(f"/v1/customers/{source['id']}/unmerge")


async def _read(world: World, customer: Body) -> Body:
    return good(await world.admin.get(f"/v1/customers/{customer['id']}"))


async def _tickets(world: World, customer: Body) -> list[str]:
    """The ids of a customer's tickets."""
    found = good(await world.admin.get("/v1/tickets", params={"customer_id": customer["id"], "limit": 200}))["items"]
    return sorted(ticket["id"] for ticket in found)


async def _events(world: World, ticket: Body, type_: str) -> list[Body]:
    found = good(await world.admin.get(f"/v1/tickets/{ticket['id']}/events", params={"limit": 200}))["items"]
    return [event for event in found if event["type"] == type_]


async def _key(world: World, customer: Body) -> Body:
    return await world.made("/v1/api-keys", {"name": "k", "role": "customer", "customer_id": customer["id"]})


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_tickets_go_to_the_target_with_a_version_and_an_event_each(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    moved, own = [await _open(world, source) for _ in range(3)], await _open(world, target)
    answer = await _merge(world, source, target)
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, target, '"1"')
    assert await _tickets(world, source) == []
    assert await _tickets(world, target) == sorted([own["id"], *(ticket["id"] for ticket in moved)])
    for ticket in moved:
        after = good(await world.admin.get(f"/v1/tickets/{ticket['id']}"))
        assert (after["customer_id"], after["version"]) == (target["id"], ticket["version"] + 1)
        assert after["updated_at"] > ticket["updated_at"]
        [event] = await _events(world, ticket, "ticket.updated")
        told = [event["data"][when]["customer_id"] for when in ("before", "after")]
        assert (event["data"]["changed"], told) == (["customer_id"], [source["id"], target["id"]])
    assert await _events(world, own, "ticket.updated") == []
    assert (await world.admin.get(f"/v1/tickets/{own['id']}")).headers["etag"] == '"1"'


async def test_the_source_stays_and_points_at_the_target_and_both_have_it_in_their_log(world: World) -> None:
    source, target = await _customer(world, name="M."), await _customer(world)
    await _open(world, source)
    await _merge(world, source, target)
    after = await _read(world, source)
    assert after == {
        **source, "merged_into": target["id"], "version": 2, "updated_at": after["updated_at"],
    }  # fmt: skip
    told = ("customer.merged", {"source_id": source["id"], "target_id": target["id"], "tickets": 1, "keys": 0})
    for customer in (source, target):
        assert (await world.logged(customer))[-1] == told


async def test_what_names_the_source_is_about_the_target_from_then_on(world: World) -> None:
    source = await _customer(world)
    mailed = await world.made("/v1/customers", {"email": f"{unique()}@example.org"})
    target = await _customer(world, name="Before")
    for each in (source, mailed):
        assert (await _merge(world, each, target)).is_success
    refs: list[Body] = [
        {"id": source["id"]}, {"external_id": source["external_id"]}, {"email": mailed["email"].upper()},
    ]  # fmt: skip
    opened = [await world.made("/v1/tickets", {"subject": "Again", "customer": ref}) for ref in refs]
    assert {ticket["customer_id"] for ticket in opened} == {target["id"]}
    old = {"external_id": unique(), "subject": "Old", "created_at": "2020-01-01T00:00:00Z", "timeline": []}
    imported = {"tickets": [{**old, "customer": {"external_id": source["external_id"]}}]}
    [item] = good(await world.admin.post("/v1/imports/tickets", json=imported))["items"]
    assert item["ticket_id"] in await _tickets(world, target)
    put = await world.admin.put(f"/v1/customers/by-external-id/{source['external_id']}", json={"name": "After"})
    assert (put.status_code, put.json()["id"], put.json()["name"]) == (200, target["id"], "After")
    assert put.json()["external_id"] == target["external_id"]
    assert (await _read(world, source))["name"] is None
    key = await _key(world, source)
    assert key["customer_id"] == target["id"]


async def test_an_upsert_through_a_merged_customer_is_guarded_by_the_targets_version(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    await _merge(world, source, target)
    path = f"/v1/customers/by-external-id/{source['external_id']}"
    statuses = [
        (await world.admin.put(path, json={"name": name}, headers={"If-Match": tag})).status_code
        for name, tag in (("A", '"2"'), ("A", '"1"'), ("B", '"2"'))
    ]
    assert statuses == [412, 200, 200]


async def test_keys_go_along_and_see_what_the_target_sees(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    made = await _key(world, source)
    ticket = await _open(world, target)
    await _merge(world, source, target)
    [key] = [k for k in good(await world.admin.get("/v1/api-keys?limit=200"))["items"] if k["id"] == made["id"]]
    assert key["customer_id"] == target["id"]
    told = {"changes": {"customer_id": {"before": source["id"], "after": target["id"]}}}
    assert (await world.logged(made))[-1] == ("api_key.updated", told)
    # First used after the merge, so that no process remembers whose it was.
    answer = await world.admin.get(f"/v1/tickets/{ticket['id']}", headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 200


async def test_a_customer_does_not_learn_whom_they_were_merged_with(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    ticket = await _open(world, source)
    await _merge(world, source, target)
    key = await _key(world, target)
    headers = {"Authorization": f"Bearer {key['key']}"}
    told = (await world.admin.get(f"/v1/tickets/{ticket['id']}/events", headers=headers)).text
    assert "ticket.created" in told
    assert source["id"] not in told


@pytest.mark.parametrize("gone", ["source", "target"])
async def test_who_is_merged_or_erased_is_merged_no_more(world: World, gone: str) -> None:
    live, other = await _customer(world), await _customer(world)
    for make, code in ((lambda c: _merge(world, c, other), "customer_merged"), (_eraser(world), "customer_erased")):
        them = await _customer(world)
        assert (await make(them)).is_success
        before = await _read(world, them), await _read(world, live)
        pair = (them, live) if gone == "source" else (live, them)
        assert _refusal(await _merge(world, *pair)) == (409, code)
        assert (await _read(world, them), await _read(world, live)) == before


def _eraser(world: World) -> Any:
    return lambda customer: world.admin.post(f"/v1/customers/{customer['id']}/erase")


async def test_a_customer_is_not_merged_into_themselves_nor_with_nobody(world: World) -> None:
    customer, nobody = await _customer(world), {"id": NOWHERE}
    assert _refusal(await _merge(world, customer, customer)) == (409, "same_customer")
    assert (await _merge(world, nobody, customer)).status_code == 404
    assert pointers(await _merge(world, customer, nobody)) == ["/into"]
    for body, pointer in (({}, "/into"), ({"into": "x"}, "/into"), ({"into": NOWHERE, "x": 1}, "/x")):
        assert pointers(await world.admin.post(f"/v1/customers/{customer['id']}/merge", json=body)) == [pointer]
    assert len(await world.logged(customer)) == 1


async def test_merging_the_target_onward_carries_everybody_along(world: World) -> None:
    first, second, third = [await _customer(world) for _ in range(3)]
    ticket = await _open(world, first)
    await _merge(world, first, second)
    await _merge(world, second, third)
    assert [(await _read(world, each))["merged_into"] for each in (first, second)] == [third["id"]] * 2
    assert await _tickets(world, third) == [ticket["id"]]
    again = await world.made("/v1/tickets", {"subject": "x", "customer": {"external_id": first["external_id"]}})
    assert again["customer_id"] == third["id"]
    told = {"changes": {"merged_into": {"before": second["id"], "after": third["id"]}}}
    assert (await world.logged(first))[-1] == ("customer.updated", told)


async def test_undone_what_moved_then_is_back_and_what_came_since_stays(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    key = await _key(world, source)
    moved, own = await _open(world, source), await _open(world, target)
    await _merge(world, source, target)
    since = await world.made("/v1/tickets", {"subject": "x", "customer": {"external_id": source["external_id"]}})
    answer = await _unmerge(world, source)
    assert (answer.status_code, answer.json()["merged_into"], answer.json()["id"]) == (200, None, source["id"])
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert await _tickets(world, source) == [moved["id"]]
    assert await _tickets(world, target) == sorted([own["id"], since["id"]])
    [_, back] = await _events(world, moved, "ticket.updated")
    assert [back["data"][when]["customer_id"] for when in ("before", "after")] == [target["id"], source["id"]]
    told = {"changes": {"customer_id": {"before": target["id"], "after": source["id"]}}}
    assert (await world.logged(key))[-1] == ("api_key.updated", told)
    for customer in (source, target):
        told = {"source_id": source["id"], "target_id": target["id"]}
        assert (await world.logged(customer))[-1] == ("customer.unmerged", told)
    assert _refusal(await _unmerge(world, source)) == (409, "customer_not_merged")
    # And once more, as if it had never been.
    assert (await _merge(world, source, target)).is_success
    assert (await _unmerge(world, source)).is_success
    assert await _tickets(world, source) == [moved["id"]]


async def test_only_who_was_merged_comes_back(world: World) -> None:
    source, target = await _customer(world), await _customer(world)
    await _merge(world, source, target)
    assert _refusal(await _unmerge(world, target)) == (409, "customer_not_merged")
    assert (await _unmerge(world, {"id": NOWHERE})).status_code == 404
    assert (await _eraser(world)(target)).is_success
    assert _refusal(await _unmerge(world, source)) == (409, "customer_erased")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["from the bottom", "from the top"])
async def test_a_chain_is_undone_in_either_order(world: World, order: tuple[int, int]) -> None:
    customers = [await _customer(world) for _ in range(3)]
    tickets = [await _open(world, customer) for customer in customers]
    await _merge(world, customers[0], customers[1])
    await _merge(world, customers[1], customers[2])
    for n in order:
        assert (await _unmerge(world, customers[n])).is_success
        if order == (1, 0) and n == 1:
            assert (await _read(world, customers[0]))["merged_into"] == customers[1]["id"]
            assert len(await _tickets(world, customers[1])) == 2
    assert [await _tickets(world, customer) for customer in customers] == [[ticket["id"]] for ticket in tickets]
    assert {(await _read(world, customer))["merged_into"] for customer in customers} == {None}


async def test_two_merged_into_each_other_at_once_end_in_one_of_the_two(world: World) -> None:
    for _ in range(5):
        pair = [await _customer(world) for _ in range(2)]
        tickets = sorted([(await _open(world, customer))["id"] for customer in pair for _ in range(3)])
        answers = await asyncio.gather(_merge(world, *pair), _merge(world, *reversed(pair)))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        pointed = [(await _read(world, customer))["merged_into"] for customer in pair]
        assert sorted(map(bool, pointed)) == [False, True]
        kept = pair[pointed.index(None)]
        assert await _tickets(world, kept) == tickets


async def test_a_chain_made_at_once_loses_no_ticket_and_ends_with_one_who_is_there(world: World) -> None:
    for _ in range(5):
        customers = [await _customer(world) for _ in range(4)]
        tickets = [(await _open(world, customer))["id"] for customer in customers]
        await asyncio.gather(*(_merge(world, customers[n], customers[n + 1]) for n in range(3)))
        live = {c["id"] for c in [await _read(world, customer) for customer in customers] if not c["merged_into"]}
        holders = [good(await world.admin.get(f"/v1/tickets/{id_}"))["customer_id"] for id_ in tickets]
        assert set(holders) <= live
        pointed = [(await _read(world, customer))["merged_into"] for customer in customers]
        assert {into for into in pointed if into} <= live


async def test_tickets_opened_while_their_customer_is_merged_end_at_the_target(world: World) -> None:
    for _ in range(5):
        source, target = await _customer(world), await _customer(world)
        ref = {"external_id": source["external_id"]}
        opening = [world.admin.post("/v1/tickets", json={"subject": "x", "customer": ref}) for _ in range(8)]
        merged, *opened = await asyncio.gather(_merge(world, source, target), *opening)
        assert [answer.status_code for answer in (merged, *opened)] == [200, *[201] * 8]
        assert await _tickets(world, source) == []
        assert await _tickets(world, target) == sorted(answer.json()["id"] for answer in opened)


async def test_a_ticket_for_somebody_who_was_merged_meanwhile_is_opened_for_the_target(
    client: httpx.AsyncClient, sql: Sql
) -> None:
    source, target = [good(await client.post("/v1/customers", json={"external_id": word})) for word in "ab"]
    body = {"subject": "x", "customer": {"external_id": "a"}}
    async with held(sql, source["id"]) as awaited:
        opening = asyncio.create_task(client.post("/v1/tickets", json=body))
        await awaited()
        await sql.execute("UPDATE customers SET merged_into = $1 WHERE id = $2", target["id"], source["id"])
    assert good(await opening)["customer_id"] == target["id"]
    assert await sql.fetchval("SELECT count(*) FROM tickets") == 1


async def test_a_merge_costs_the_same_number_of_statements_however_many_tickets_there_are(
    client: httpx.AsyncClient, db: Database, sql: Sql
) -> None:
    costs = []
    for word, number in (("first", 2), ("few", 2), ("many", 200)):
        pair = [good(await client.post("/v1/customers", json={"external_id": f"{word}{n}"})) for n in range(2)]
        ticket = {
            "subject": "s",
            "created_at": "2020-01-01T00:00:00Z",
            "timeline": [],
            "customer": {"external_id": f"{word}0"},
        }
        tickets = [{**ticket, "external_id": f"{word}-{n}"} for n in range(number)]
        good(await client.post("/v1/imports/tickets", json={"tickets": tickets}))
        with statements_to(db) as sent:
            good(await client.post(f"/v1/customers/{pair[0]['id']}/merge", json={"into": pair[1]["id"]}))
        assert await sql.fetchval("SELECT count(*) FROM tickets WHERE customer_id = $1", pair[1]["id"]) == number
        costs.append(len(sent))
    assert 0 < costs[1] == costs[2] < 20
    await assert_verified(db)


async def test_customers_do_not_merge_customers(client: httpx.AsyncClient, person: Any) -> None:
    customer: Person = await person("customer")
    other = good(await client.post("/v1/customers", json={}))
    for verb, body in (("merge", {"into": other["id"]}), ("unmerge", None), ("erase", None)):
        assert (await customer.http.post(f"/v1/customers/{customer.id}/{verb}", json=body)).status_code == 403


async def test_what_the_target_lacks_is_taken_of_the_source_and_goes_back(world: World) -> None:
    organization = await world.made("/v1/organizations", {"name": "Acme"})
    mail = f"{unique()}@old.example"
    known = {"name": "Maija", "region": "FI", "language": "fi", "organization_id": organization["id"]}
    about = {"attributes": {"plan": "pro", "size": 3}}
    source = await world.made("/v1/customers", {"email": mail, **known, **about})
    target = await world.made("/v1/customers", {"name": "M. Virtanen", "attributes": {"size": 5}})
    segment = {"key": unique(), "name": "s", "rule": {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}}
    segment_id = (await world.made("/v1/segments", segment))["id"]
    after = good(await _merge(world, source, target))
    assert {name: after[name] for name in ("email", *known)} == {**known, "email": mail, "name": "M. Virtanen"}
    assert after["attributes"] == {"size": 5, "plan": "pro"}
    assert after["version"] == target["version"] + 1
    held = good(await world.admin.get(f"/v1/customers/{target['id']}/segments"))["items"]
    assert segment_id in [each["segment_id"] for each in held]
    by_mail = await world.made("/v1/tickets", {"subject": "Again", "customer": {"email": mail}})
    assert by_mail["customer_id"] == target["id"]
    # What was changed since is the target's own.
    good(await world.admin.patch(f"/v1/customers/{target['id']}", json={"region": "SE"}))
    back = good(await _unmerge(world, source))
    assert {**back, "version": 1, "updated_at": source["updated_at"]} == source
    left = await _read(world, target)
    assert (left["email"], left["language"], left["organization_id"], left["region"]) == (None, None, None, "SE")
    assert (left["name"], left["attributes"]) == ("M. Virtanen", {"size": 5})
    reopened = await world.made("/v1/tickets", {"subject": "Again", "customer": {"email": mail}})
    assert reopened["customer_id"] == source["id"]


async def test_what_was_taken_twice_goes_back_from_both(world: World) -> None:
    first = await _customer(world, region="FI", language="fi")
    second, third = await _customer(world), await _customer(world, language="sv")
    for source, into in ((first, second), (second, third)):
        good(await _merge(world, source, into))
    assert (await _read(world, third))["region"] == "FI"
    good(await _unmerge(world, first))
    for customer, language in ((second, None), (third, "sv")):
        now = await _read(world, customer)
        assert (now["region"], now["language"]) == (None, language)


async def test_an_address_that_somebody_else_is_known_by_is_not_taken(world: World) -> None:
    mail = f"{unique()}@shared.example"
    known = await world.made("/v1/customers", {"email": mail})
    source, target = await _customer(world, email=mail, region="FI"), await world.made("/v1/customers", {"name": "T."})
    after = good(await _merge(world, source, target))
    assert (after["email"], after["region"]) == (None, "FI")
    ticket = await world.made("/v1/tickets", {"subject": "x", "customer": {"email": mail}})
    assert ticket["customer_id"] == known["id"]


async def test_the_old_address_finds_the_person(world: World) -> None:
    old, new = f"{unique()}@old.example", f"{unique()}@new.example"
    source, target = await _customer(world, email=old), await _customer(world, email=new)
    ticket = await _open(world, target)
    good(await _merge(world, source, target))
    await index(world.app.state.db)
    for words in (old, source["external_id"], new):
        found = good(await world.admin.get("/v1/tickets", params={"q": words}))["items"]
        assert [each["id"] for each in found] == [ticket["id"]], words
    found = good(await world.admin.get("/v1/customers", params={"email": old}))["items"]
    assert target["id"] in [each["id"] for each in found]


@pytest.mark.parametrize("written", ["mailto:a@x.example", "<a@x.example>", " A@x.example ", "MAILTO:<a@x.example>"])
async def test_an_address_is_read_as_it_comes_out_of_a_link_or_a_header(world: World, written: str) -> None:
    customer = await _customer(world, email=written)
    assert customer["email"].lower() == "a@x.example"
    found = good(await world.admin.get("/v1/customers", params={"email": written}))["items"]
    assert customer["id"] in [each["id"] for each in found]


@pytest.mark.parametrize("written", ["a@x..example", "a@.x", "a@x.", "a@b@c", "a,b@x.example", "<a@x", "a b@x.example"])
async def test_what_is_no_address_is_refused(world: World, written: str) -> None:
    body = {"external_id": unique(), "email": written}
    assert pointers(await world.admin.post("/v1/customers", json=body)) == ["/email"]

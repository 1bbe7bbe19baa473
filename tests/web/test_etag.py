"""ETags, If-Match and If-None-Match."""

import asyncio
from collections import Counter

import httpx
import pytest

from app.web.etag import PreconditionFailed, require, unchanged
from tests.support.custom_fields import define
from tests.support.expect import problem
from tests.support.openapi import Open, things


@pytest.mark.parametrize("given", [None, "*", '"7"', '"1", "7"', ' "7" ', '"x","7"', 'W/"7"', '"7-gzip"', 'W/"7;br"'])
def test_the_current_version_matches_whatever_a_proxy_made_of_it(given: str | None) -> None:
    require(given, 7)


@pytest.mark.parametrize("given", ["7", '"07"', '"70"', '"1"', "", '"', '""', 'w/"7"', "**", '"7" "8"'])
def test_nothing_else_does(given: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        require(given, 7)
    assert ("within double quotes" in refused.value.detail) is ('"' not in given)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ('"7"', True),
        ('W/"7"', True),
        ("*", True),
        ('"1", W/"7"', True),
        ('"8"', False),
        ("7", False),
        ("", False),
        (None, False),
    ],
)
def test_a_read_compares_weakly(given: str | None, same: bool) -> None:
    assert unchanged(given, '"7"') is same
    assert not unchanged("*", None)


async def _settled(
    client: httpx.AsyncClient, path: str, patch: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    """Whom a slow machine told to come again does: nothing has happened."""
    while (answer := await client.patch(path, json=patch, headers=headers)).status_code in (429, 503):
        problem(answer)
        await asyncio.sleep(int(answer.headers["retry-after"]))
    return answer


async def test_of_fifty_changes_to_one_version_one_is_made(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    for path, field in (
        (f"/v1/tickets/{ids['ticket_id']}", "subject"),
        (f"/v1/customers/{ids['customer_id']}", "name"),
        (f"/v1/organizations/{ids['organization_id']}", "name"),
        (f"/v1/custom-fields/{ids['field_id']}", "name"),
        (f"/v1/agents/{ids['agent_id']}", "name"),
        (f"/v1/teams/{ids['team_id']}", "name"),
        (f"/v1/service-goals/{ids['goal_id']}", "name"),
        (f"/v1/sla-policies/{ids['policy_id']}", "name"),
    ):
        version = {"If-Match": (await client.get(path)).headers["etag"]}
        changes = (_settled(client, path, {field: f"take {n}"}, version) for n in range(50))
        answers = await asyncio.gather(*changes)
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 49}, path
        [won] = [answer for answer in answers if answer.status_code == 200]
        for lost in answers:
            if lost is not won:
                problem(lost, 412, "precondition_failed")
        now = await client.get(path)
        assert now.json()[field] == won.json()[field]
        assert now.headers["etag"] == won.headers["etag"] != version["If-Match"]


async def test_changes_without_a_precondition_all_happen(client: httpx.AsyncClient, open_ticket: Open) -> None:
    await define(client, "number", *(f"f{n}" for n in range(20)))
    path = f"/v1/tickets/{(await open_ticket())['id']}"
    answers = await asyncio.gather(*(client.patch(path, json={"custom_fields": {f"f{n}": n}}) for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await client.get(path)).json()["custom_fields"] == {f"f{n}": n for n in range(20)}


async def test_every_single_thing_has_a_strong_tag_and_is_not_sent_twice(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    ids = await things(client, open_ticket)
    for path in (
        f"/v1/tickets/{ids['ticket_id']}",
        f"/v1/tickets/by-number/{ids['number']}",
        f"/v1/customers/{ids['customer_id']}",
        f"/v1/organizations/{ids['organization_id']}",
        f"/v1/custom-fields/{ids['field_id']}",
        f"/v1/agents/{ids['agent_id']}",
        f"/v1/teams/{ids['team_id']}",
        f"/v1/service-goals/{ids['goal_id']}",
        f"/v1/sla-policies/{ids['policy_id']}",
    ):
        tag = (await client.get(path)).headers["etag"]
        assert tag.startswith('"')
        for known in (tag, f"W/{tag}", "*", f'"other", {tag}'):
            answer = await client.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b""), (path, known)
            assert answer.headers["etag"] == tag
            assert answer.headers.get_list("cache-control") == ["private, no-cache"]
            assert "x-request-id" in answer.headers
        head = await client.head(path, headers={"If-None-Match": tag})
        assert head.status_code == 304
        assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_only_what_was_read_with_a_tag_may_be_kept(client: httpx.AsyncClient, open_ticket: Open) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}"
    for answer in (await client.get(path), await client.head(path)):
        assert answer.headers.get_list("cache-control") == ["private, no-cache"]
    tag = {"If-Match": answer.headers["etag"]}
    for answer in (
        await client.get(f"{path}?include=clocks"),
        await client.get(f"{path}/messages"),
        await client.patch(path, json={"tags": ["a"]}, headers=tag),
        await client.patch(path, json={"tags": ["b"]}, headers=tag),
        await client.post("/v1/webhooks", json={"url": "https://hooks.example.com/in", "types": ["*"]}),
    ):
        assert answer.headers.get_list("cache-control") == ["private, no-store"], answer.request.url


async def test_whatever_changes_the_answer_changes_its_tag(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    await define(client, "number", "n")
    ticket, agent = f"/v1/tickets/{ids['ticket_id']}", f"/v1/agents/{ids['agent_id']}"
    customer, goal = f"/v1/customers/{ids['customer_id']}", f"/v1/service-goals/{ids['goal_id']}"
    organization, field = f"/v1/organizations/{ids['organization_id']}", f"/v1/custom-fields/{ids['field_id']}"

    async def changed_by(path: str, change: httpx.Response) -> None:
        assert change.is_success, change.text
        now = await client.get(path)
        assert now.headers["etag"] != before.headers["etag"], (path, change.request.content)
        assert now.json() != before.json()

    for path, patch in (
        (ticket, {"tags": ["a"]}),
        (ticket, {"custom_fields": {"n": 1}}),
        (ticket, {"status": "pending"}),
        (agent, {"team_ids": [ids["team_id"]]}),
        (agent, {"active": False}),
        (customer, {"attributes": {"plan": "pro"}}),
        (customer, {"email": "a@b.test"}),
        (customer, {"organization_id": ids["organization_id"]}),
        (organization, {"attributes": {"plan": "pro"}}),
        (field, {"required": True}),
        (goal, {"filter": {"priority": "high"}}),
        (goal, {"window": {"rolling_seconds": 61}}),
    ):
        before = await client.get(path)
        await changed_by(path, await client.patch(path, json=patch))
    before = await client.get(ticket)
    await changed_by(ticket, await client.post(f"{ticket}/messages", json={"body": "x", "status": "resolved"}))
    before = await client.get(customer)
    await changed_by(
        customer, await client.put(f"/v1/customers/by-external-id/{ids['external_id']}", json={"name": "N"})
    )
    before = await client.get(agent)
    await changed_by(agent, await client.patch(agent, json={"active": True}))
    before = await client.get(agent)
    await changed_by(agent, await client.delete(agent))


async def test_archiving_changes_the_tag(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    for path in (f"/v1/sla-policies/{ids['policy_id']}", f"/v1/custom-fields/{ids['field_id']}"):
        before = await client.get(path)
        assert (await client.delete(path)).status_code == 204
        now = await client.get(path)
        assert now.json() != before.json()
        assert now.headers["etag"] != before.headers["etag"]
        again = {"If-Match": now.headers["etag"]}
        assert (await client.delete(path, headers=again)).status_code == 204


async def test_what_changes_nothing_keeps_its_tag(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    for path in (
        f"/v1/tickets/{ids['ticket_id']}",
        f"/v1/customers/{ids['customer_id']}",
        f"/v1/organizations/{ids['organization_id']}",
        f"/v1/custom-fields/{ids['field_id']}",
        f"/v1/teams/{ids['team_id']}",
    ):
        before = await client.get(path)
        again = await client.patch(path, json={})
        assert again.status_code == 200
        assert again.headers["etag"] == before.headers["etag"]
        assert (await client.get(path)).json() == before.json()


async def test_a_ticket_with_what_changes_by_itself_has_no_tag(client: httpx.AsyncClient, open_ticket: Open) -> None:
    path = f"/v1/tickets/{(await open_ticket())['id']}?include=clocks"
    answer = await client.get(path, headers={"If-None-Match": "*"})
    assert answer.status_code == 200
    assert "etag" not in answer.headers


async def test_what_is_removed_or_replaced_has_to_match_too(client: httpx.AsyncClient, open_ticket: Open) -> None:
    ids = await things(client, open_ticket)
    stale = {"If-Match": '"77"'}
    for path in (
        f"/v1/organizations/{ids['organization_id']}",
        f"/v1/custom-fields/{ids['field_id']}",
        f"/v1/teams/{ids['team_id']}",
        f"/v1/agents/{ids['agent_id']}",
        f"/v1/service-goals/{ids['goal_id']}",
        f"/v1/sla-policies/{ids['policy_id']}",
    ):
        before = await client.get(path)
        problem(await client.delete(path, headers=stale), 412, "precondition_failed")
        assert (await client.get(path)).content == before.content
    for url in ("/v1/customers/by-external-id/match-me", "/v1/organizations/by-external-id/match-me"):
        problem(await client.put(url, json={"name": "N"}, headers=stale), 412, "precondition_failed")
        made = await client.put(url, json={"name": "N"})
        assert made.status_code == 201
        problem(await client.put(url, json={"name": "M"}, headers=stale), 412, "precondition_failed")
        match = {"If-Match": made.headers["etag"]}
        assert (await client.put(url, json={"name": "M"}, headers=match)).status_code == 200

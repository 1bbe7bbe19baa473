from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.custom_fields import define
from tests.support.sla import Sql, let_pass, patch, reply, sweep_dry, the_clock, told, write_policy

Open = Callable[..., Awaitable[dict[str, Any]]]
URL = "/v1/sla-policies"


def target(seconds: int, **more: Any) -> dict[str, Any]:
    return {"metric": "first_response", "seconds": seconds, **more}


def condition(field: str, value: object, op: str = "eq") -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


async def _change(client: httpx.AsyncClient, policy: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await client.patch(f"{URL}/{policy['id']}", json=values)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def test_writing_a_policy_makes_its_next_version_and_keeps_the_others(client: httpx.AsyncClient) -> None:
    first = await write_policy(client, 60)
    second = await _change(client, first, targets=[target(30)])
    third = await _change(client, first, name="Faster")
    assert [policy["version"] for policy in (first, second, third)] == [1, 2, 3]
    assert third["targets"] == second["targets"]
    versions = (await client.get(f"{URL}/{first['id']}/versions")).json()["items"]
    assert versions == [third, second, first]
    assert (await client.get(f"{URL}/{first['id']}")).json() == third


async def test_a_patch_that_changes_nothing_makes_no_version(client: httpx.AsyncClient) -> None:
    policy = await write_policy(client, 60)
    same = await _change(client, policy, name=policy["name"], targets=policy["targets"])
    assert same == policy


async def test_a_patch_of_one_half_of_the_conditions_keeps_the_other(client: httpx.AsyncClient) -> None:
    """RFC 7396 merges objects; lists are replaced whole."""
    phone, mail = condition("ticket.channel", "phone"), condition("ticket.channel", "email")
    policy = await write_policy(client, 60, conditions={"all": [phone]})
    changed = await _change(client, policy, conditions={"any": [mail]})
    assert changed["conditions"] == {"all": [phone], "any": [mail]}
    assert (await _change(client, policy, conditions={"all": []}))["conditions"] == {"all": [], "any": [mail]}


async def test_a_version_that_was_read_before_a_change_is_refused(client: httpx.AsyncClient) -> None:
    policy = await write_policy(client, 60)
    await _change(client, policy, name="Newer")
    stale = await client.patch(f"{URL}/{policy['id']}", json={"name": "Mine"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    fresh = await client.patch(f"{URL}/{policy['id']}", json={"name": "Mine"}, headers={"If-Match": '"2"'})
    assert fresh.json()["version"] == 3


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"conditions": {"all": [condition("ticket.nonsense", 1)]}}, "/conditions/all/0/field"),
        ({"conditions": {"any": [condition("ticket.priority", "asap")]}}, "/conditions/any/0/value"),
        ({"conditions": {"any": [{"not": condition("ticket.tags", "x", "lt")}]}}, "/conditions/any/0/not/op"),
        ({"conditions": {"all": [{"field": "ticket.type", "op": "eq"}]}}, "/conditions/all/0/value"),
        ({"conditions": {"none": []}}, "/conditions/none"),
        ({"targets": []}, "/targets"),
        ({"targets": [target(0)]}, "/targets/0/seconds"),
        ({"targets": [target(60, priority="asap")]}, "/targets/0/priority"),
        ({"targets": [target(60), target(90)]}, "/targets/1"),
        ({"targets": [target(60, warn_at_percent=[80, 50])]}, "/targets/0/warn_at_percent"),
        ({"targets": [target(60, warn_at_percent=[50, 50])]}, "/targets/0/warn_at_percent"),
        ({"targets": [target(60, warn_at_percent=[100])]}, "/targets/0/warn_at_percent/0"),
        ({"targets": [target(60, hours="business")]}, "/targets/0/hours"),
        ({"position": -1}, "/position"),
    ],
)
async def test_a_wrong_part_is_named_by_its_pointer_and_nothing_is_stored(
    client: httpx.AsyncClient, wrong: dict[str, Any], pointer: str
) -> None:
    policy = await write_policy(client, 60)
    body = {"key": "other", "name": "Other", "targets": [target(60)], **wrong}
    for answer in (await client.post(URL, json=body), await client.patch(f"{URL}/{policy['id']}", json=wrong)):
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await client.get(f"{URL}/{policy['id']}")).json() == policy
    keys = [item["key"] for item in (await client.get(URL)).json()["items"]]
    assert keys == ["own", "first-answer"]


async def test_keys_of_policies_are_unique_whatever_their_case(client: httpx.AsyncClient) -> None:
    await write_policy(client, 60, key="vip")
    again = await client.post(URL, json={"key": " ＶＩＰ".strip(), "name": "Again", "targets": [target(60)]})
    assert again.status_code == 409


async def test_case_25_overlapping_policies_are_tried_by_position_and_ties_by_age(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    late = await write_policy(client, 30, key="late", position=50)
    older = await write_policy(client, 20, key="older", position=5)
    await write_policy(client, 10, key="newer", position=5)
    narrow = await write_policy(
        client, 5, key="narrow", position=1, conditions={"all": [condition("ticket.channel", "phone")]}
    )
    listed = [item["key"] for item in (await client.get(URL)).json()["items"]]
    assert listed == ["narrow", "older", "newer", "late", "first-answer"]
    assert (await the_clock(client, await open_ticket()))["policy_id"] == older["id"]
    assert (await the_clock(client, await open_ticket(channel="phone")))["policy_id"] == narrow["id"]
    await _change(client, late, position=0)
    assert (await the_clock(client, await open_ticket(channel="phone")))["policy_id"] == late["id"]


async def test_a_running_clock_keeps_its_version_until_something_re_matches_it(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    policy = await write_policy(client, 60)
    ticket = await open_ticket()
    before = await the_clock(client, ticket)
    await _change(client, policy, targets=[target(30)])
    await patch(client, ticket, status="pending")
    kept = await the_clock(client, ticket)
    assert (kept["policy_version"], kept["due_at"]) == (1, before["due_at"])
    newer = await the_clock(client, await open_ticket())
    assert (newer["policy_version"], newer["target_seconds"]) == (2, 30)


@pytest.mark.parametrize(
    "change",
    [
        {"priority": "high"}, {"type": "incident"}, {"channel": "chat"}, {"tags": ["vip"]}, {"product": "pro"},
        {"subject": "Another"}, {"custom_fields": {"plan": "gold"}}, {"team_id": None},
    ],
    ids=str,
)  # fmt: skip
async def test_a_change_of_what_conditions_read_re_matches_with_the_newest_version(
    client: httpx.AsyncClient, open_ticket: Open, change: dict[str, Any]
) -> None:
    policy = await write_policy(client, 60)
    await define(client, "text", "plan")
    team = (await client.post("/v1/teams", json={"key": "t", "name": "T"})).json()
    ticket = await open_ticket(team_id=team["id"])
    before = await the_clock(client, ticket)
    await _change(client, policy, targets=[target(30)])
    await patch(client, ticket, **change)
    after = await the_clock(client, ticket)
    assert (after["policy_version"], after["target_seconds"]) == (2, 30)
    assert (after["original_due_at"], after["started_at"]) == (before["due_at"], before["started_at"])


async def test_a_priority_takes_its_own_target_and_another_policy_where_that_fits(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    await write_policy(client, {"high": 60, "low": 600}, key="by-priority", position=5)
    urgent = await write_policy(
        client, 15, key="urgent", position=1, conditions={"all": [condition("ticket.priority", "urgent")]}
    )
    ticket = await open_ticket(priority="low")
    assert (await the_clock(client, ticket))["target_seconds"] == 600
    await patch(client, ticket, priority="high")
    assert (await the_clock(client, ticket))["target_seconds"] == 60
    await patch(client, ticket, priority="urgent")
    assert (await the_clock(client, ticket))["policy_id"] == urgent["id"]
    await patch(client, ticket, priority="normal")
    bare = await the_clock(client, ticket)
    assert (bare["policy_id"], bare["target_seconds"], bare["due_at"], bare["state"]) == (None, None, None, "running")
    assert bare["original_due_at"] is not None


@pytest.mark.parametrize("word", ["resolved", "closed"])
async def test_a_request_that_re_matches_and_ends_a_clock_does_both(
    client: httpx.AsyncClient, db: Database, sql: Sql, open_ticket: Open, word: str
) -> None:
    await write_policy(client, {"high": 60, "low": 3600})
    calmed, hurried = await open_ticket(priority="high"), await open_ticket(priority="low")
    await let_pass(sql, 100)
    await patch(client, calmed, priority="low", status=word)
    await patch(client, hurried, priority="high", status=word)
    await sweep_dry(db)
    judged = [await the_clock(client, ticket) for ticket in (calmed, hurried)]
    assert [(clock["target_seconds"], clock["state"]) for clock in judged] == [(3600, "cancelled"), (60, "breached")]
    # The deadline that passed under the old target is a fact, though nobody had noticed it yet.
    assert (await told(sql, calmed), await told(sql, hurried)) == ([("breached", 60, 0)], [("breached", 60, 0)])


async def test_case_24_archiving_leaves_history_and_versions_intact(
    client: httpx.AsyncClient, sql: Sql, open_ticket: Open
) -> None:
    policy = await write_policy(client, 60)
    ticket = await open_ticket()
    await reply(client, ticket)
    judged = await the_clock(client, ticket)
    events = await sql.fetchval("SELECT count(*) FROM events WHERE ticket_id IS NOT NULL")
    for _ in range(2):
        assert (await client.delete(f"{URL}/{policy['id']}")).status_code == 204
    assert await the_clock(client, ticket) == judged
    assert await sql.fetchval("SELECT count(*) FROM events WHERE ticket_id IS NOT NULL") == events
    read = await client.get(f"{URL}/{policy['id']}")
    archived = read.json()
    assert archived["archived_at"] is not None
    # Repeatable, for who has seen that it is archived as well.
    assert read.headers["etag"] == '"1-archived"'
    for tag, status in (('"1"', 412), ('"1-archived"', 204)):
        assert (await client.delete(f"{URL}/{policy['id']}", headers={"If-Match": tag})).status_code == status
    assert (await client.get(f"{URL}/{policy['id']}/versions")).json()["items"] == [archived]
    assert [item["key"] for item in (await client.get(URL)).json()["items"]] == ["first-answer"]
    stock = await the_clock(client, await open_ticket())
    assert stock["target_seconds"] == 90


async def test_a_re_match_after_archiving_finds_the_next_policy_or_none(
    client: httpx.AsyncClient, open_ticket: Open
) -> None:
    policy = await write_policy(client, 60)
    ticket = await open_ticket()
    await client.delete(f"{URL}/{policy['id']}")
    await patch(client, ticket, tags=["a"])
    assert (await the_clock(client, ticket))["target_seconds"] == 90
    [stock] = (await client.get(URL)).json()["items"]
    await client.delete(f"{URL}/{stock['id']}")
    await patch(client, ticket, tags=["b"])
    bare = await the_clock(client, ticket)
    assert (bare["policy_id"], bare["target_seconds"], bare["due_at"]) == (None, None, None)


async def test_case_29_a_bot_counts_only_where_the_policy_says_so(client: httpx.AsyncClient, open_ticket: Open) -> None:
    bot = {"author": {"kind": "bot"}}
    plain = await open_ticket()
    await reply(client, plain, **bot)
    assert (await the_clock(client, plain))["state"] == "running"
    answer = await reply(client, plain)
    handed_over = await the_clock(client, plain)
    assert (handed_over["started_at"], handed_over["stopped_at"]) == (plain["created_at"], answer["created_at"])
    await write_policy(client, 60, bot_counts=True)
    counting = await open_ticket()
    first = await reply(client, counting, **bot)
    assert (await the_clock(client, counting))["stopped_at"] == first["created_at"]


async def test_an_archived_policy_takes_no_more_versions(client: httpx.AsyncClient) -> None:
    [policy] = (await client.get("/v1/sla-policies")).json()["items"]
    path = f"/v1/sla-policies/{policy['id']}"
    await client.delete(path)
    answer = await client.patch(path, json={"name": "Again"})
    assert (answer.status_code, answer.json()["code"]) == (409, "policy_archived")

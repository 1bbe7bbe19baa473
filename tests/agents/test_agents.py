from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.world import Body, World, unique

NOBODY = str(UUID(int=7))


async def _team(world: World) -> str:
    return str((await world.made("/v1/teams", {"key": unique(), "name": "Team"}))["id"])


async def _change(world: World, agent: Body, **patch: Any) -> httpx.Response:
    return await world.admin.patch(f"/v1/agents/{agent['id']}", json=patch)


async def _read(world: World, agent: Body) -> Body:
    read: Body = (await world.admin.get(f"/v1/agents/{agent['id']}")).json()
    return read


async def test_an_agent_is_kept_as_given_and_read_again(world: World) -> None:
    teams = sorted([await _team(world), await _team(world)])
    given = {"name": "Ann", "email": "ann@example.org", "external_id": unique(), "team_ids": teams, "active": True}
    answer = await world.admin.post("/v1/agents", json=given)
    assert answer.status_code == 201
    agent = answer.json()
    assert agent == {**agent, **given}
    assert (answer.headers["location"], answer.headers["etag"]) == (f"/v1/agents/{agent['id']}", '"1"')
    assert await _read(world, agent) == agent
    assert [type_ for type_, _ in await world.logged(agent)] == ["agent.created", "agent.teams_changed"]


async def test_a_name_is_all_an_agent_needs(world: World) -> None:
    agent = await world.made("/v1/agents", {"name": "Ann"})
    assert (agent["active"], agent["team_ids"], agent["email"], agent["external_id"]) == (True, [], None, None)


async def test_a_patch_changes_what_it_names_and_says_so_in_the_log(world: World) -> None:
    agent = await world.made("/v1/agents", {"name": "Ann", "email": "ann@example.org"})
    after = (await _change(world, agent, name="Anne", email=None)).json()
    assert after == {**agent, "name": "Anne", "email": None, "version": 2, "updated_at": after["updated_at"]}
    changes = {"name": {"before": "Ann", "after": "Anne"}, "email": {"before": "ann@example.org", "after": None}}
    assert (await world.logged(agent))[1:] == [("agent.updated", {"changes": changes})]


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(world: World) -> None:
    team = await _team(world)
    agent = await world.made("/v1/agents", {"name": "Ann", "team_ids": [team]})
    events = await world.logged(agent)
    for patch in ({}, {"name": "Ann"}, {"team_ids": [team]}, {"team_ids": [team, team]}, {"active": True}):
        answer = await _change(world, agent, **patch)
        assert (answer.json(), answer.headers["etag"]) == (agent, '"1"')
    assert await world.logged(agent) == events


async def test_team_ids_replace_all_memberships_and_make_a_new_version(world: World) -> None:
    first, second, third = [await _team(world) for _ in range(3)]
    agent = await world.made("/v1/agents", {"name": "Ann", "team_ids": [first, second]})
    answer = await _change(world, agent, team_ids=[second, third])
    assert sorted(answer.json()["team_ids"]) == sorted([second, third])
    assert answer.headers["etag"] == '"2"'
    assert (await world.logged(agent))[-1] == ("agent.teams_changed", {"left": [first], "joined": [third]})
    stale = await world.admin.get(f"/v1/agents/{agent['id']}", headers={"If-None-Match": '"1"'})
    assert (stale.status_code, stale.headers["etag"]) == (200, '"2"')
    both = await _change(world, agent, team_ids=[], name="Anne")
    assert (both.json()["team_ids"], both.headers["etag"]) == ([], '"3"')


async def test_if_match_guards_a_change_of_teams(world: World) -> None:
    team = await _team(world)
    agent = await world.made("/v1/agents", {"name": "Ann"})
    path, headers = f"/v1/agents/{agent['id']}", {"If-Match": '"1"'}
    assert (await world.admin.patch(path, json={"team_ids": [team]}, headers=headers)).status_code == 200
    assert (await world.admin.patch(path, json={"team_ids": []}, headers=headers)).status_code == 412
    assert (await _read(world, agent))["team_ids"] == [team]


async def test_an_unknown_team_is_pointed_at_and_nothing_is_changed(world: World) -> None:
    team = await _team(world)
    agent = await world.made("/v1/agents", {"name": "Ann"})
    refused = {"name": "Anne", "team_ids": [team, NOBODY]}
    for answer in (await world.admin.post("/v1/agents", json=refused), await _change(world, agent, **refused)):
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/team_ids/1")
    assert await _read(world, agent) == agent


async def test_an_external_id_is_one_agents(world: World) -> None:
    first, second = [await world.made("/v1/agents", {"name": "Ann", "external_id": unique()}) for _ in range(2)]
    taken = {"external_id": first["external_id"]}
    assert (await world.admin.post("/v1/agents", json={"name": "Ann", **taken})).status_code == 409
    assert (await _change(world, second, **taken)).status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"name": None}, "/name"), ({"team_ids": None}, "/team_ids"), ({"active": "yes"}, "/active"), ({"x": 1}, "/x")],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_and_pointed_at(world: World, body: Body, pointer: str) -> None:
    agent = await world.made("/v1/agents", {"name": "Ann"})
    answer = await _change(world, agent, **body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"][: len(pointer)]) == (422, pointer)


async def test_an_agent_who_leaves_is_inactive_and_what_they_did_stays(world: World) -> None:
    agent = await world.made("/v1/agents", {"name": "Ann"})
    ticket = await world.made(
        "/v1/tickets", {"subject": "Help", "customer": {"id": world.customer}, "assignee_id": agent["id"]}
    )
    for _ in range(2):
        assert (await world.admin.delete(f"/v1/agents/{agent['id']}")).status_code == 204
    after = await _read(world, agent)
    assert (after["active"], after["version"]) == (False, 2)
    assert [type_ for type_, _ in await world.logged(agent)] == ["agent.created", "agent.updated"]
    assert (await world.admin.get(f"/v1/tickets/{ticket['id']}")).json()["assignee_id"] == agent["id"]
    listed = (await world.admin.get("/v1/agents", params={"limit": "200"})).json()["items"]
    assert agent["id"] in {item["id"] for item in listed}


async def test_an_agent_who_is_not_there_is_a_404(world: World) -> None:
    path = f"/v1/agents/{NOBODY}"
    answers = [await world.admin.get(path), await world.admin.patch(path, json={}), await world.admin.delete(path)]
    assert [answer.status_code for answer in answers] == [404] * 3

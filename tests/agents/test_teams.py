import asyncio
from uuid import UUID

import pytest

from tests.support.world import Body, World, unique

NOBODY = str(UUID(int=7))


async def test_a_team_is_made_read_changed_and_removed(world: World) -> None:
    answer = await world.admin.post("/v1/teams", json={"key": unique(), "name": "Cards"})
    team, path = answer.json(), answer.headers["location"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert (await world.admin.get(path)).json() == team
    changed = await world.admin.patch(path, json={"name": "Loans"}, headers={"If-Match": '"1"'})
    assert changed.json() == {**team, "name": "Loans", "version": 2, "updated_at": changed.json()["updated_at"]}
    assert (await world.admin.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await world.admin.patch(path, json={"name": "Loans"})).headers["etag"] == '"2"'
    assert (await world.admin.delete(path)).status_code == 204
    for gone in (await world.admin.get(path), await world.admin.delete(path), await world.admin.patch(path, json={})):
        assert gone.status_code == 404


async def test_teams_are_listed_in_the_order_they_were_added(world: World) -> None:
    made = [(await world.made("/v1/teams", {"key": unique(), "name": "Team"}))["id"] for _ in range(3)]
    listed = (await world.admin.get("/v1/teams", params={"limit": "200"})).json()["items"]
    assert [team["id"] for team in listed if team["id"] in made] == made


@pytest.mark.parametrize("other", ["Straße-{}", "STRASSE-{}", "strasse-{}", "ｓｔｒａｓｓｅ-{}", " strasse-{} "])
async def test_a_key_is_one_teams_whatever_its_case_width_or_form(world: World, other: str) -> None:
    word = unique()
    await world.made("/v1/teams", {"key": f"strasse-{word}", "name": "Team"})
    answer = await world.admin.post("/v1/teams", json={"key": other.format(word), "name": "Team"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_changed_key_frees_the_old_one_and_holds_the_new_one(world: World) -> None:
    old, new = unique(), unique()
    team = await world.made("/v1/teams", {"key": old, "name": "Team"})
    assert (await world.admin.patch(f"/v1/teams/{team['id']}", json={"key": new})).status_code == 200
    assert (await world.admin.post("/v1/teams", json={"key": new.upper(), "name": "Team"})).status_code == 409
    await world.made("/v1/teams", {"key": old.upper(), "name": "Team"})


async def test_fifty_teams_of_one_key_at_once_are_one(world: World) -> None:
    word = unique()
    keys = [f"é{word}", f"É{word}", f"e\u0301{word}", f"é{word}".upper(), f"ｅ\u0301{word}"] * 10
    answers = await asyncio.gather(*(world.admin.post("/v1/teams", json={"key": key, "name": "Team"}) for key in keys))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49


@pytest.mark.parametrize("user", ["agent", "ticket"])
async def test_a_team_is_not_removed_while_it_is_used(world: World, user: str) -> None:
    team = await world.made("/v1/teams", {"key": unique(), "name": "Team"})
    path = f"/v1/teams/{team['id']}"
    without: Body
    if user == "agent":
        used_by = await world.made("/v1/agents", {"name": "Ann", "team_ids": [team["id"]]})
        user_path, without = f"/v1/agents/{used_by['id']}", {"team_ids": []}
    else:
        opening = {"subject": "Help", "customer": {"id": world.customer}, "team_id": team["id"]}
        used_by = await world.made("/v1/tickets", opening)
        user_path, without = f"/v1/tickets/{used_by['id']}", {"team_id": None}
    refused = await world.admin.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await world.admin.get(path)).json() == team
    assert (await world.admin.patch(user_path, json=without)).status_code == 200
    assert (await world.admin.delete(path)).status_code == 204


@pytest.mark.parametrize(
    "body", [{}, {"key": "k"}, {"name": "n"}, {"key": "", "name": "n"}, {"key": "a\nb", "name": "n"}]
)
async def test_a_team_has_a_key_and_a_name(world: World, body: dict[str, str]) -> None:
    assert (await world.admin.post("/v1/teams", json=body)).status_code == 422

"""Saved views: whose they are, who shares them, and that they list what they say."""

from typing import Any

import httpx
import pytest

from tests.conftest import settled
from tests.support.desk import Body, Desk, as_body, pointer, unique
from tests.support.world import World


async def _saved(who: httpx.AsyncClient, **body: Any) -> Body:
    answer = await who.post("/v1/views", json={"name": "View", **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/views/{answer.json()['id']}"
    return as_body(answer)


async def _listed(who: httpx.AsyncClient) -> set[str]:
    return {view["id"] for view in as_body(await who.get("/v1/views", params={"limit": 200}))["items"]}


async def _seen(who: httpx.AsyncClient, view: Body) -> bool:
    """By reading it, by its tickets and in the list, which say the same."""
    path = f"/v1/views/{view['id']}"
    statuses = {(await who.get(path)).status_code, (await who.get(f"{path}/tickets")).status_code}
    assert statuses in ({200}, {404})
    assert (view["id"] in await _listed(who)) is (statuses == {200})
    return statuses == {200}


def _given(view: Body) -> Body:
    return {name: value for name, value in view["filter"].items() if value is not None}


async def test_a_personal_view_is_seen_by_its_agent_alone(desk: Desk) -> None:
    view = await _saved(desk.agent)
    assert (view["agent_id"], view["shared"], _given(view), view["sort"]) == (desk.agent_id, False, {}, "-created_at")
    assert await _seen(desk.agent, view)
    for other in (desk.lead, desk.admin):
        assert not await _seen(other, view)
        assert (await other.patch(f"/v1/views/{view['id']}", json={"name": "x"})).status_code == 404
        assert (await other.delete(f"/v1/views/{view['id']}")).status_code == 404
    assert await _seen(desk.agent, view)


async def test_a_shared_view_is_seen_by_all_staff_and_changed_by_who_may_share(desk: Desk) -> None:
    assert (await desk.agent.post("/v1/views", json={"name": "x", "shared": True})).status_code == 403
    view = await _saved(desk.lead, shared=True)
    for who in (desk.agent, desk.lead, desk.admin):
        assert await _seen(who, view)
    path = f"/v1/views/{view['id']}"
    assert (await desk.agent.patch(path, json={"name": "x"})).status_code == 403
    assert (await desk.agent.delete(path)).status_code == 403
    assert as_body(await desk.admin.patch(path, json={"name": "Ours"}))["name"] == "Ours"
    own = await _saved(desk.agent)
    assert (await desk.agent.patch(f"/v1/views/{own['id']}", json={"shared": True})).status_code == 403
    assert as_body(await desk.lead.patch(path, json={"shared": False}))["agent_id"] == desk.lead_id
    assert not await _seen(desk.agent, view)


async def test_customers_have_no_views(desk: Desk) -> None:
    view = await _saved(desk.lead, shared=True)
    path = f"/v1/views/{view['id']}"
    for answer in (
        await desk.customer.get("/v1/views"), await desk.customer.post("/v1/views", json={"name": "x"}),
        await desk.customer.get(path), await desk.customer.get(f"{path}/tickets"),
        await desk.customer.patch(path, json={"name": "x"}), await desk.customer.delete(path),
    ):  # fmt: skip
        assert answer.status_code == 403


async def test_a_view_lists_what_the_list_does_with_its_filter_and_order(desk: Desk, world: World) -> None:
    customer = {"id": await world.add_customer()}
    tag = unique()
    for n in range(7):
        await desk.open(customer=customer, tags=[tag] if n % 3 else [], priority=["low", "urgent", "high"][n % 3])
    query = {"tag": f"{tag},{unique()}", "priority": "urgent,high", "sort": "priority"}
    filters = {"tag": query["tag"].split(","), "priority": ["urgent", "high"], "needs_human": False}
    view = await _saved(desk.agent, filter=filters, sort="priority")
    expected = [t["id"] for t in as_body(await desk.agent.get("/v1/tickets", params=query))["items"]]
    assert len(expected) == 4
    # What may have changed since a walk began is shown once more.
    await settled(world.app.state.settings.database_url)
    page = await desk.agent.get(f"/v1/views/{view['id']}/tickets", params={"limit": 3})
    found = [t["id"] for t in page.json()["items"]]
    page = await desk.agent.get(page.links["next"]["url"])
    assert found + [t["id"] for t in page.json()["items"]] == expected
    assert page.json()["next_cursor"] is None


async def test_a_cursor_ends_with_a_change_of_the_view(desk: Desk) -> None:
    for _ in range(2):
        await desk.open()
    view = await _saved(desk.agent)
    path = f"/v1/views/{view['id']}"
    page = await desk.agent.get(f"{path}/tickets", params={"limit": 1})
    assert (await desk.agent.patch(path, json={"filter": {"status": "new"}})).status_code == 200
    assert pointer(await desk.agent.get(page.links["next"]["url"])) == "/query/cursor"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"filter": {"status": ["done"]}}, "/filter/status/0"),
        ({"filter": {"assignee_id": "you"}}, "/filter/assignee_id/0"),
        ({"filter": {"limit": 5}}, "/filter/limit"),
        ({"filter": {"created_after": "yesterday"}}, "/filter/created_after"),
        ({"filter": {"q": "x" * 201}}, "/filter/q"),
        ({"filter": {"sla": ["late"]}}, "/filter/sla/0"),
        ({"filter": ["new"]}, "/filter"),
        ({"filter": None}, "/filter"),
        ({"sort": "subject"}, "/sort"),
        ({"sort": "relevance"}, "/sort"),
        ({"shared": "yes"}, "/shared"),
        ({"agent_id": "01900000-0000-7000-8000-000000000000"}, "/agent_id"),
    ],
    ids=str,
)
async def test_a_filter_that_the_list_would_refuse_is_not_saved(desk: Desk, body: Body, where: str) -> None:
    before = await _listed(desk.agent)
    assert pointer(await desk.agent.post("/v1/views", json={"name": "x", **body})) == where
    assert await _listed(desk.agent) == before
    view = await _saved(desk.agent)
    assert pointer(await desk.agent.patch(f"/v1/views/{view['id']}", json=body)) == where
    assert as_body(await desk.agent.get(f"/v1/views/{view['id']}")) == view


async def test_a_patch_merges_the_filter_and_leaves_the_rest(desk: Desk) -> None:
    view = await _saved(desk.agent, filter={"status": "new,open", "q": "card", "needs_human": False})
    path = f"/v1/views/{view['id']}"
    changed = as_body(await desk.agent.patch(path, json={"filter": {"q": None, "tag": ["x"]}, "sort": "due_at"}))
    assert _given(changed) == {"status": ["new", "open"], "tag": ["x"], "needs_human": False}
    assert (changed["sort"], changed["name"], changed["version"]) == ("due_at", "View", 2)
    # What sorts by relevance keeps what it searches for.
    relevant = await _saved(desk.agent, filter={"q": "card"}, sort="relevance")
    answer = await desk.agent.patch(f"/v1/views/{relevant['id']}", json={"filter": {"q": None}})
    assert pointer(answer) == "/sort"


async def test_a_view_changes_only_in_the_version_that_is_meant(desk: Desk) -> None:
    made = await desk.agent.post("/v1/views", json={"name": "x"})
    path, tag = f"/v1/views/{made.json()['id']}", made.headers["ETag"]
    assert (await desk.agent.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert (await desk.agent.patch(path, json={"name": "y"}, headers={"If-Match": tag})).status_code == 200
    assert (await desk.agent.patch(path, json={"name": "z"}, headers={"If-Match": tag})).status_code == 412
    assert (await desk.agent.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await desk.agent.delete(path)).status_code == 204
    assert (await desk.agent.get(path)).status_code == 404


async def test_what_is_done_to_a_view_is_logged(desk: Desk, world: World) -> None:
    view = await _saved(desk.agent, filter={"status": ["new"]})
    await desk.agent.patch(f"/v1/views/{view['id']}", json={"filter": {"status": ["open"]}})
    await desk.agent.delete(f"/v1/views/{view['id']}")
    (created, after), (updated, data), (deleted, before) = await world.logged(view)
    assert (created, updated, deleted) == ("view.created", "view.updated", "view.deleted")
    assert after["after"]["filter"] == {"status": ["new"]}
    assert data["changes"] == {"filter": {"before": {"status": ["new"]}, "after": {"status": ["open"]}}}
    assert before["before"]["filter"] == {"status": ["open"]}

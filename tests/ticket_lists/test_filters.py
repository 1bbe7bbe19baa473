"""Whatever can be stored can be asked for, in every way that people write a question."""

import asyncio
import secrets
import unicodedata
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ticket_lists.filters import json_path
from app.web.query import Empty, _values, as_literal
from tests.support.custom_fields import define
from tests.support.desk import Desk, as_body, pointer
from tests.support.world import World

_TEXTS = st.text(
    st.one_of(
        st.sampled_from(" ,\"'/.\\%+&;=#?*[]none"), st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"])
    ),
    min_size=1,
    max_size=30,
).filter(lambda text: 0 < len(unicodedata.normalize("NFC", text).strip()) <= 60)


@given(st.lists(st.text(), min_size=1))
def test_what_was_written_for_a_query_reads_as_it_was(values: list[str]) -> None:
    assert [str(value) for value in _values(",".join(map(as_literal, values)))] == values


@pytest.mark.parametrize("text", ['"open', '"a"b', 'a,"b'])
def test_a_quote_that_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="double quotes"):
        _values(text)


async def _listed(desk: Desk, **query: Any) -> set[str]:
    return {item["id"] for item in as_body(await desk.agent.get("/v1/tickets", params=query))["items"]}


async def test_any_text_that_was_stored_can_be_asked_for(desk: Desk) -> None:
    """As a tag, a product, an external id and a custom field."""
    await define(desk.admin, "text", "asked")
    found: list[str] = []

    @settings(max_examples=25, database=None, suppress_health_check=list(HealthCheck))
    @given(_TEXTS)
    def collect(text: str) -> None:
        found.append(text)

    collect()

    async def check(text: str) -> None:
        own = secrets.token_hex(4)
        ticket = await desk.open(tags=[text], product=text, external_id=f"{text}{own}", custom_fields={"asked": text})
        asked = {
            "tag": as_literal(text), "product": as_literal(text), "external_id": as_literal(f"{text}{own}"),
            "custom_fields.asked": as_literal(ticket["custom_fields"]["asked"]),
        }  # fmt: skip
        for name, value in asked.items():
            assert ticket["id"] in await _listed(desk, **{name: value, "limit": 200}), (name, text)

    for text in ["none", "me", "a, b", '14" laptop', " x ", "é", "e\u0301", "1.50", "true", *found]:
        await check(text)


async def test_any_key_of_a_field_and_any_text_of_a_view_can_be_asked_for(desk: Desk) -> None:
    """A view holds what it was given, and lists by it."""
    found: list[tuple[str, str]] = []

    @settings(max_examples=12, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(r"[A-Za-z0-9_]{1,40}", fullmatch=True), _TEXTS)
    def collect(key: str, text: str) -> None:
        found.append((key, text))

    collect()

    async def check(key: str, text: str) -> None:
        key = f"{key}_{secrets.token_hex(4)}"
        await define(desk.admin, "text", key)
        ticket = await desk.open(tags=[text], product=text, custom_fields={key: text})
        stored = ticket["custom_fields"][key]
        assert await _listed(desk, **{f"custom_fields.{key}": as_literal(stored)}) == {ticket["id"]}, (key, text)
        of_views = {"custom_fields": {key: as_literal(stored)}, "product": as_literal(text), "tag": as_literal(text)}
        for name, value in of_views.items():
            wanted = {name: value, "custom_fields": of_views["custom_fields"]}
            view = as_body(await desk.agent.post("/v1/views", json={"name": text, "filter": wanted}))
            again = as_body(await desk.agent.get(f"/v1/views/{view['id']}"))
            assert again["filter"] == view["filter"], (key, text)
            listed = as_body(await desk.agent.get(f"/v1/views/{view['id']}/tickets"))["items"]
            assert {item["id"] for item in listed} == {ticket["id"]}, (name, key, text)

    for key, text in [("none", "none"), ("me", "me"), ("0", "a, b"), ("_", '14" laptop'), ("K", " x "), *found]:
        await check(key, text)


async def test_none_and_me_are_words_unless_they_are_quoted(desk: Desk, world: World) -> None:
    customer = {"id": await world.add_customer()}
    team = (await world.made("/v1/teams", {"key": uuid4().hex, "name": "T"}))["id"]
    plain = await desk.open(customer=customer)
    named = await desk.open(customer=customer, product="none", tags=["none"], team_id=team)
    mine = await desk.open(customer=customer, product="p", assignee_id=desk.agent_id)

    async def found(**query: Any) -> set[str]:
        return await _listed(desk, customer_id=customer["id"], **query)

    ids = {plain["id"], named["id"], mine["id"]}
    assert await found(product="none") == {plain["id"]}
    assert await found(product='"none"') == {named["id"]}
    assert await found(product="none,p") == {plain["id"], mine["id"]}
    assert await found(product=["none", '"none"', "p"]) == ids
    assert await found(tag="none") == {plain["id"], mine["id"]}
    assert await found(tag='"none",none') == ids
    assert await found(team_id="none") == {plain["id"], mine["id"]}
    assert await found(team_id=f"{team},none") == ids
    assert await found(assignee_id="me") == {mine["id"]}
    assert await found(assignee_id="none", product="none,p") == {plain["id"]}
    assert await found(assignee_id="me,none") == ids
    assert await found(ids=f"{plain['id']},{mine['id']}", assignee_id="me") == {mine["id"]}
    assert pointer(await desk.admin.get("/v1/tickets", params={"assignee_id": "me"})) == "/query/assignee_id"
    assert pointer(await desk.agent.get("/v1/tickets", params={"status": "none"})) == "/query/status/0"


async def test_many_ids_are_asked_for_at_once(desk: Desk) -> None:
    tickets = [(await desk.open())["id"] for _ in range(3)]
    asked = ",".join([*tickets, *(str(uuid4()) for _ in range(197))])
    assert await _listed(desk, ids=asked) == set(tickets)
    assert pointer(await desk.agent.get("/v1/tickets", params={"ids": f"{asked},{uuid4()}"})) == "/query/ids"


async def test_custom_fields_are_asked_for_by_their_keys(desk: Desk) -> None:
    for kind in ("text", "number", "boolean"):
        await define(desk.admin, kind, f"f_{kind}")
    own = secrets.token_hex(4)
    full = await desk.open(custom_fields={"f_text": own, "f_number": 4.5, "f_boolean": True}, tags=[own])
    bare = await desk.open(custom_fields={"f_text": f"{own}2"}, tags=[own])
    for query, expected in (
        ({"custom_fields.f_text": own}, {full["id"]}),
        ({"custom_fields[f_text]": f"{own},{own}2"}, {full["id"], bare["id"]}),
        ({"custom_fields.f_number": "4.50", "custom_fields.f_text": own}, {full["id"]}),
        ({"custom_fields.f_boolean": "true", "tag": own}, {full["id"]}),
        ({"custom_fields.f_number": "none", "tag": own}, {bare["id"]}),
        ({"custom_fields.f_number": "none,4.5", "tag": own}, {full["id"], bare["id"]}),
        ({"custom_fields.f_number": "5", "tag": own}, set()),
    ):
        assert await _listed(desk, **query) == expected, query
    answer = await desk.agent.get("/v1/tickets", params={"custom_fields.f_txt": "x"})
    assert pointer(answer) == "/query/custom_fields.f_txt"
    assert "did you mean f_text?" in answer.json()["detail"]


@pytest.mark.parametrize(("stored", "asked"), [
    ("VIP", "vip"), ("vip", "VIP"), ("ÄRGER", "ärger"), ("ＶＩＰ", "vip"), ("Éclair", "e\u0301clair"),
    ("ПРИВЕТ", "привет"), ("14\" A,B", "14\" a,b"),
])  # fmt: skip
async def test_tags_and_external_ids_are_asked_for_in_any_case_and_width(
    desk: Desk, world: World, stored: str, asked: str
) -> None:
    own = secrets.token_hex(4)
    ticket = await desk.open(tags=[f"{stored}{own}"], external_id=f"{stored}{own}")
    await desk.open(tags=[f"{stored}{own}x"])
    for name in ("tag", "external_id"):
        assert await _listed(desk, **{name: as_literal(f"{asked}{own}")}) == {ticket["id"]}
        both = [as_literal(f"{asked}{own}"), secrets.token_hex(4)]
        assert await _listed(desk, **{name: ",".join(both)}) == {ticket["id"]}
    assert ticket["tags"] == [unicodedata.normalize("NFC", f"{stored}{own}")]  # as it was written
    for path in ("/v1/customers", "/v1/organizations"):
        made = await world.made(path, {"external_id": f"{stored}{own}", "name": "N"})
        listed = as_body(await desk.admin.get(path, params={"external_id": as_literal(f"{asked}{own}")}))["items"]
        assert [item["id"] for item in listed] == [made["id"]]


async def test_external_ids_that_differ_in_case_are_two(desk: Desk, world: World) -> None:
    """Other systems have such: nothing of one customer may reach the other."""
    own = secrets.token_hex(4)
    upper, lower = [await world.made("/v1/customers", {"external_id": f"{each}{own}"}) for each in ("A", "a")]
    assert upper["id"] != lower["id"]
    assert as_body(await desk.admin.get(f"/v1/customers/by-external-id/a{own}"))["id"] == lower["id"]
    listed = as_body(await desk.admin.get("/v1/customers", params={"external_id": f"A{own}"}))["items"]
    assert {item["id"] for item in listed} == {upper["id"], lower["id"]}


async def test_keys_are_asked_for_in_any_case(desk: Desk) -> None:
    await define(desk.admin, "text", own := f"Tier_{secrets.token_hex(4)}")
    ticket = await desk.open(custom_fields={own: "gold"})
    other = await desk.open(custom_fields={own: "iron"})
    assert await _listed(desk, **{f"custom_fields.{own.upper()}": "gold"}) == {ticket["id"]}
    both = {f"custom_fields.{own.upper()}": "gold", f"custom_fields.{own.lower()}": "iron"}
    assert await _listed(desk, **both) == {ticket["id"], other["id"]}
    wanted = {"custom_fields": {own.lower(): "gold"}}
    view = as_body(await desk.agent.post("/v1/views", json={"name": "Gold", "filter": wanted}))
    listed = as_body(await desk.agent.get(f"/v1/views/{view['id']}/tickets"))["items"]
    assert [item["id"] for item in listed] == [ticket["id"]]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_leaves_its_place_in_a_path(value: str) -> None:
    path = json_path({"k": [value]})
    assert path is not None
    assert path.startswith('($."k" == "')
    assert json_path({"k": [Empty.none]}) == '(!exists($."k"))'


async def test_a_view_keeps_its_words_and_its_quotes(desk: Desk) -> None:
    sent = {"assignee_id": ["me", "none"], "product": ['"none"', '"a, b"'], "status": "new,open"}
    view = as_body(await desk.agent.post("/v1/views", json={"name": "Mine", "filter": sent}))
    kept = {name: value for name, value in view["filter"].items() if value is not None}
    assert kept == {**sent, "status": ["new", "open"]}
    ticket = await desk.open(product="a, b", assignee_id=desk.agent_id)
    other = await desk.open(product="none")
    await desk.open(product="a")
    listed = as_body(await desk.agent.get(f"/v1/views/{view['id']}/tickets"))["items"]
    assert {ticket["id"], other["id"]} <= {item["id"] for item in listed}
    assert {item["product"] for item in listed} == {"a, b", "none"}


async def test_who_waits_longest_comes_first_and_who_does_not_wait_last(desk: Desk, world: World) -> None:
    customer = {"id": await world.add_customer()}
    tickets = [await desk.open(customer=customer) for _ in range(3)]
    assert [ticket["waiting_since"] for ticket in tickets] == [ticket["created_at"] for ticket in tickets]
    await desk.say(desk.agent, tickets[0], body="An answer.")
    query = {"customer_id": customer["id"], "sort": "waiting_since"}
    items = as_body(await desk.agent.get("/v1/tickets", params=query))["items"]
    assert [item["id"] for item in items] == [tickets[n]["id"] for n in (1, 2, 0)]
    assert items[2]["waiting_since"] is None
    await asyncio.sleep(0.01)
    await desk.say(desk.agent, tickets[1], body="An answer.")
    again = as_body(await desk.agent.get("/v1/tickets", params=query))["items"]
    assert again[0]["id"] == tickets[2]["id"]

"""Automations: rules with settings, each act told with its rule; and exceptions that keep them away."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from app.sla_exceptions import service as exceptions
from app.tickets import auto_close
from tests.conftest import Person
from tests.support.articles import helped_first, said, segment, set_automation, write
from tests.support.events import actor_of
from tests.support.verification import Body, assert_verified, events, good, pointers, soon

Open = Callable[..., Awaitable[Body]]
Make = Callable[..., Awaitable[Person]]
ASKED = {"subject": "My parcel", "description": "Where is my parcel?"}


async def _resolved(client: httpx.AsyncClient, open_ticket: Open, sql: Any, days: float = 8, **more: Any) -> Body:
    """A ticket that was resolved so many days ago."""
    ticket = await open_ticket(**more)
    answer = {"body": "Done.", "status": "resolved"}
    good(await client.post(f"/v1/tickets/{ticket['id']}/messages", json=answer))
    await sql.execute(
        "UPDATE tickets SET resolved_at = clock_timestamp() - $2 * interval '1 day' WHERE id = $1", ticket["id"], days
    )
    return ticket


async def _status(client: httpx.AsyncClient, ticket: Body) -> str:
    return str(good(await client.get(f"/v1/tickets/{ticket['id']}"))["status"])


async def _except(client: httpx.AsyncClient, **more: Any) -> Body:
    body = {"kind": "automation", "reason": "Prefers people.", **more}
    return good(await client.post("/v1/sla-exceptions", json=body))


async def test_there_are_four_and_only_the_one_that_changes_nothing_yet_is_on(client: httpx.AsyncClient) -> None:
    items = good(await client.get("/v1/automations"))["items"]
    assert [(item["key"], item["enabled"], item["version"]) for item in items] == [
        ("auto_acknowledge", True, 1), ("auto_close", False, 1), ("overload_offer", False, 1),
        ("self_service_first", False, 1),
    ]  # fmt: skip
    settings = [{name for name, value in item["settings"].items() if value is not None} for item in items]
    assert settings == [
        set(), {"after_days"}, {"most", "min_score", "before_seconds", "choices", "segment_choices"},
        {"most", "min_score", "introductions"},
    ]  # fmt: skip


async def test_settings_are_merged_and_those_of_another_automation_refused(client: httpx.AsyncClient) -> None:
    path = "/v1/automations/self_service_first"
    first = await client.get(path)
    changed = await set_automation(client, "self_service_first", most=1, introductions={"FI": "Hei:", "en": None})
    assert {name: value for name, value in changed["settings"].items() if value is not None} == {
        "most": 1, "min_score": 0.3, "introductions": {"fi": "Hei:"},
    }  # fmt: skip
    assert changed["version"] == 2
    stale = await client.patch(path, json={"enabled": False}, headers={"If-Match": first.headers["etag"]})
    assert stale.status_code == 412
    for body, pointer in (
        ({"settings": {"after_days": 3}}, "/settings/after_days"),
        ({"settings": {"most": 6}}, "/settings/most"),
        ({"settings": {"min_score": 1.5}}, "/settings/min_score"),
        ({"settings": {"introductions": {"fi": " "}}}, "/settings/introductions/fi"),
    ):
        assert pointers(await client.patch(path, json=body)) == [pointer], body
    assert (await client.patch("/v1/automations/auto_destroy", json={})).status_code in (404, 422)


async def test_greetings_are_one_of_them_and_name_it(client: httpx.AsyncClient, open_ticket: Open) -> None:
    good(await client.post("/v1/greetings", json={"channel": "web", "body": "Hello {{customer_name}}."}))
    greeted = await open_ticket(channel="web")
    told = (await events(client, greeted, "message.created"))[-1]
    assert (told["actorkind"], told["data"]["automation"]) == ("system", {"key": "auto_acknowledge", "version": 1})
    await set_automation(client, "auto_acknowledge", enabled=False)
    assert (await open_ticket(channel="web"))["greeted_at"] is None
    await set_automation(client, "auto_acknowledge")
    assert (await open_ticket(channel="web"))["greeted_at"] is not None


async def test_what_was_resolved_for_long_enough_is_closed_once_by_the_rule_that_stands(
    client: httpx.AsyncClient, open_ticket: Open, sql: Any, db: Database
) -> None:
    old = await _resolved(client, open_ticket, sql)
    young = await _resolved(client, open_ticket, sql, days=6.9)
    waiting = await open_ticket()
    wanted = await _resolved(client, open_ticket, sql)
    await sql.execute("UPDATE tickets SET needs_human = true WHERE id = $1", wanted["id"])
    assert not await auto_close.run_once(db)
    assert await _status(client, old) == "resolved"  # it is off
    rule = await set_automation(client, "auto_close")
    for _ in range(2):
        assert not await auto_close.run_once(db)
    states = [await _status(client, ticket) for ticket in (old, young, waiting, wanted)]
    assert states == ["closed", "resolved", "new", "resolved"]
    last = (await events(client, old, "ticket.status_changed"))[-1]
    assert actor_of(last) == {"kind": "system", "id": None}
    assert last["data"] == {
        "before": "resolved",
        "after": "closed",
        "automation": {"key": "auto_close", "version": rule["version"]},
    }
    assert good(await client.get(f"/v1/tickets/{old['id']}"))["closed_at"] is not None
    assert len(await events(client, old, "ticket.status_changed")) == 3
    await set_automation(client, "auto_close", after_days=6)
    await auto_close.run_once(db)
    assert await _status(client, young) == "closed"
    await sql.execute("UPDATE tickets SET needs_human = false WHERE id = $1", wanted["id"])
    await assert_verified(db)


@pytest.mark.parametrize("scope", ["ticket", "customer", "segment", "everything"])
async def test_an_exception_keeps_automations_from_whom_it_covers_while_it_lasts(
    client: httpx.AsyncClient, open_ticket: Open, sql: Any, db: Database, scope: str
) -> None:
    await set_automation(client, "auto_close")
    good(await client.post("/v1/greetings", json={"channel": "web", "body": "Hello."}))
    customer = good(await client.post("/v1/customers", json={"name": "C"}))
    made = await helped_first(client, customer["id"])
    await write(client)
    own: Body = {"customer": {"id": customer["id"]}, "channel": "web", **ASKED}
    ticket, other = [
        await _resolved(client, open_ticket, sql, **more) for more in (own, {**own, "customer": {"name": "Other"}})
    ]
    of = {"ticket": ticket["id"], "customer": customer["id"], "segment": made["id"]}.get(scope)
    excepted = await _except(client, scope=scope, **({f"{scope}_id": of} if of else {}))
    assert (excepted["state"], excepted["effect"], excepted["automations"]) == ("in_force", None, [])
    await auto_close.run_once(db)
    assert await _status(client, ticket) == "resolved"
    assert await _status(client, other) == ("resolved" if scope == "everything" else "closed")
    new = await open_ticket(**own)
    # Of one ticket, it is about no other.
    kinds = ["customer"] if scope != "ticket" else ["customer", "system", "system"]
    assert [kind for kind, _ in await said(client, new)] == kinds
    assert good(await client.get("/v1/sla-exceptions?kind=automation"))["items"] == [excepted]
    assert (await client.delete(f"/v1/sla-exceptions/{excepted['id']}")).status_code == 204
    await auto_close.run_once(db)
    assert await _status(client, ticket) == "closed"
    assert [kind for kind, _ in await said(client, await open_ticket(**own))] == ["customer", "system", "system"]
    await assert_verified(db)


async def test_it_names_which_begins_and_ends_by_itself_and_touches_no_clock(
    client: httpx.AsyncClient, open_ticket: Open, sql: Any, db: Database
) -> None:
    await set_automation(client, "auto_close")
    ticket = await _resolved(client, open_ticket, sql)
    its = {"scope": "ticket", "ticket_id": ticket["id"]}
    await _except(client, **its, automations=["auto_acknowledge", "self_service_first"])
    later = await _except(client, **its, starts_at=soon(3600))
    assert later["state"] == "waiting"
    now = await _except(client, **its, automations=["auto_close"], expires_at=soon(3600))
    await auto_close.run_once(db)
    assert await _status(client, ticket) == "resolved"
    before = good(await client.get(f"/v1/tickets/{ticket['id']}"))["version"]
    await sql.execute(
        "UPDATE sla_exceptions SET starts_at = starts_at - interval '1 day', expires_at = clock_timestamp(),"
        " next_at = clock_timestamp() WHERE id = $1", now["id"],
    )  # fmt: skip
    assert await exceptions.run_once(db)
    last = (await events(client, ticket))[-1]
    assert (last["type"], last["actorkind"]) == ("sla_exception.expired", "system")
    assert good(await client.get(f"/v1/tickets/{ticket['id']}"))["version"] == before
    await auto_close.run_once(db)
    assert await _status(client, ticket) == "closed"
    await assert_verified(db)


async def test_the_parts_of_the_two_kinds_do_not_mix(client: httpx.AsyncClient, person: Make) -> None:
    whole = {"kind": "automation", "scope": "everything", "reason": "R"}
    path = "/v1/sla-exceptions"
    nobody = "00000000-0000-7000-8000-000000000000"
    for body, pointer in (
        ({**whole, "effect": "exclude"}, "/effect"),
        ({**whole, "metrics": ["promise"]}, "/metrics"),
        ({**whole, "seconds": 5}, "/seconds"),
        ({**whole, "automations": ["auto_destroy"]}, "/automations/0"),
        ({**whole, "scope": "ticket", "ticket_id": nobody}, "/ticket_id"),
        ({**whole, "kind": "sla"}, "/effect"),
        ({**whole, "kind": "sla", "effect": "exclude", "automations": ["auto_close"]}, "/automations"),
        ({**whole, "expires_at": "1999-01-01T00:00:00Z"}, "/expires_at"),
    ):
        assert pointers(await client.post(path, json=body)) == [pointer], body
    agent = await person("agent")
    assert (await agent.http.post(path, json=whole)).status_code == 403


async def test_a_rule_may_put_somebody_new_under_an_exception(client: httpx.AsyncClient) -> None:
    good(await client.post("/v1/greetings", json={"channel": "web", "body": "Hello."}))
    rule = {"field": "customer.email", "op": "contains", "value": "@quiet.test"}
    made = await segment(client, rule=rule)
    await _except(client, scope="segment", segment_id=made["id"])
    greeted = []
    for email in ("a@quiet.test", "a@loud.test"):
        body = {**ASKED, "channel": "web", "customer": {"email": email}}
        greeted.append(good(await client.post("/v1/tickets", json=body))["greeted_at"] is not None)
    assert greeted == [False, True]

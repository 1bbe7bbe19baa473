"""A problem is solved, and with it the incidents that it caused: one message each, whoever comes between."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from app.tickets import incidents
from tests.conftest import Person
from tests.support.verification import good, pointers

Body = dict[str, Any]
Open = Callable[..., Awaitable[Body]]
People = Callable[..., Awaitable[Person]]
NOBODY = "00000000-0000-7000-8000-000000000007"


async def _caused(client: httpx.AsyncClient, open_ticket: Open, problem: Body, count: int) -> list[Body]:
    made = [await open_ticket(type="incident") for _ in range(count)]
    for incident in made:
        link = {"kind": "caused_by", "ticket_id": problem["id"]}
        good(await client.post(f"/v1/tickets/{incident['id']}/links", json=link))
    return sorted(made, key=lambda incident: str(incident["id"]))


async def _solve(http: httpx.AsyncClient, problem: Body, **more: Any) -> httpx.Response:
    return await http.post(f"/v1/tickets/{problem['id']}/solve-problem", json={"body": "It works again."}, **more)


async def _work(db: Database) -> None:
    while await incidents.run_once(db):
        pass


async def _said(client: httpx.AsyncClient, ticket: Body) -> tuple[list[str], str]:
    whole = good(await client.get(f"/v1/tickets/{ticket['id']}", params={"include": "messages"}))
    return [message["body"] for message in whole["messages"]], whole["status"]


async def test_each_incident_is_answered_once_and_resolved_by_who_solved_the_problem(
    client: httpx.AsyncClient, db: Database, person: People, open_ticket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "_BATCH", 2)
    agent, problem, alien = await person("agent"), await open_ticket(type="problem"), await open_ticket()
    caused = await _caused(client, open_ticket, problem, 5)
    job = await _solve(agent.http, problem)
    assert (job.status_code, job.json()["state"]) == (202, "waiting")
    path = job.headers["location"]
    assert (await _said(client, problem))[1] == "resolved"
    assert await incidents.run_once(db)
    running = good(await agent.http.get(path))
    assert (running["state"], running["incidents_total"], running["answered"]) == ("running", 5, 2)
    await _work(db)
    done = good(await agent.http.get(path))
    assert (done["state"], done["answered"], done["refused"]) == ("done", 5, 0)
    for incident in caused:
        assert await _said(client, incident) == (["Please help.", "It works again."], "resolved")
        message = good(await client.get(f"/v1/tickets/{incident['id']}/messages"))["items"][-1]
        assert (message["author"], message["visibility"]) == ({"kind": "agent", "id": str(agent.id)}, "public")
        clocks = good(await client.get(f"/v1/tickets/{incident['id']}/clocks"))["items"]
        assert {clock["state"] for clock in clocks if clock["metric"] == "first_response"} == {"met"}
    assert await _said(client, alien) == (["Please help."], "new")
    again = (await _solve(agent.http, problem)).headers["location"]
    await _work(db)
    assert good(await agent.http.get(again))["answered"] == 0
    assert (await _said(client, caused[0]))[0] == ["Please help.", "It works again."]


async def test_what_is_done_or_was_merged_is_left_alone(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    problem = await open_ticket(type="problem")
    resolved, closed, merged, late = await _caused(client, open_ticket, problem, 4)
    into = await open_ticket(customer={"id": merged["customer_id"]})
    good(await client.patch(f"/v1/tickets/{resolved['id']}", json={"status": "resolved"}))
    good(await client.patch(f"/v1/tickets/{closed['id']}", json={"status": "closed"}))
    good(await client.post(f"/v1/tickets/{merged['id']}/merge", json={"into": into["id"]}))
    path = (await _solve(client, problem)).headers["location"]
    await _work(db)
    assert [good(await client.get(path))[name] for name in ("incidents_total", "answered", "refused")] == [1, 1, 0]
    for ticket in (resolved, closed, into):
        assert (await _said(client, ticket))[0].count("It works again.") == 0
    assert (await _said(client, late))[0].count("It works again.") == 1


async def test_a_preview_names_the_incidents_and_does_nothing(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    problem = await open_ticket(type="problem")
    caused = await _caused(client, open_ticket, problem, 2)
    told = await _solve(client, problem, params={"preview": "true"})
    assert told.status_code == 200
    assert told.json()["ticket_ids"] == [incident["id"] for incident in caused]
    assert [told.json()[name] for name in ("id", "state", "incidents_total")] == [None, "counted", 2]
    await _work(db)
    assert await _said(client, problem) == (["Please help."], "new")
    assert await _said(client, caused[0]) == (["Please help."], "new")


async def test_who_may_not_and_what_is_no_problem_is_refused(
    client: httpx.AsyncClient, person: People, open_ticket: Open
) -> None:
    customer = await person("customer")
    ticket = await open_ticket(customer={"id": str(customer.id)}, type="incident")
    refused = await _solve(client, ticket)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_a_problem")
    assert (await _solve(customer.http, ticket)).status_code == 403
    assert (await _solve(client, {"id": NOBODY})).status_code == 404
    assert (await client.get(f"/v1/incident-jobs/{NOBODY}")).status_code == 404
    empty = await client.post(f"/v1/tickets/{ticket['id']}/solve-problem", json={"body": ""})
    assert (empty.status_code, pointers(empty)) == (422, ["/body"])


async def test_the_text_is_kept_no_longer_than_it_is_needed(
    client: httpx.AsyncClient, db: Database, open_ticket: Open, sql: Any
) -> None:
    problem = await open_ticket(type="problem")
    await _caused(client, open_ticket, problem, 1)
    job_id = (await _solve(client, problem)).json()["id"]
    body = "SELECT body FROM incident_jobs WHERE id = $1"
    assert await sql.fetchval(body, job_id) == "It works again."
    await _work(db)
    assert await sql.fetchval(body, job_id) is None

"""Each process remembers the policies in force. A change by any other one counts from the next request on."""

from typing import Any

import httpx
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY, client_for
from tests.support.sla import patch, the_clock, write_policy

URL = "/v1/sla-policies"


async def _open(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/v1/tickets", json={"subject": "Hello", "customer": {"external_id": "c"}})
    ticket: dict[str, Any] = answer.json()
    return ticket


async def test_a_change_by_another_process_counts_at_once(app: FastAPI, settings: Settings) -> None:
    other = create_app(settings)
    async with (
        other.router.lifespan_context(other),
        client_for(app, ADMIN_KEY) as here,
        client_for(other, ADMIN_KEY) as there,
    ):
        known = [await _open(here), await _open(there)]
        policy = await write_policy(here, 60)
        for http in (here, there):
            assert (await the_clock(http, await _open(http)))["target_seconds"] == 60
        targets = [{"metric": "first_response", "seconds": 45}]
        await there.patch(f"{URL}/{policy['id']}", json={"targets": targets})
        for http, ticket in zip((here, there), known, strict=True):
            assert (await the_clock(http, await _open(http)))["target_seconds"] == 45
            await patch(http, ticket, priority="high")
            assert (await the_clock(http, ticket))["policy_version"] == 2
        await here.delete(f"{URL}/{policy['id']}")
        for http in (here, there):
            assert (await the_clock(http, await _open(http)))["target_seconds"] == 90


async def test_a_change_that_was_rolled_back_is_not_remembered(client: httpx.AsyncClient) -> None:
    await write_policy(client, 60, key="taken")
    body = {"key": "TAKEN", "name": "Again", "position": 0, "targets": [{"metric": "first_response", "seconds": 1}]}
    assert (await client.post(URL, json=body)).status_code == 409
    assert (await the_clock(client, await _open(client)))["target_seconds"] == 60

"""Simulations, sent and worked on."""

from typing import Any

import httpx

from app.db import Database
from app.simulations.running import run_once
from tests.support.verification import Body, good

URL = "/v1/sla-simulations"
SPAN = {"from": "1990-01-01T00:00:00Z", "to": "2090-01-01T00:00:00Z"}
_POLICY = (
    "key", "name", "position", "conditions", "calendar_id", "on_reopen", "reopen_on_customer_message", "bot_counts",
    "shown_to_customers", "targets",
)  # fmt: skip


async def in_force(client: httpx.AsyncClient) -> list[Body]:
    """The policies that are, as they may be sent again."""
    found, url = [], "/v1/sla-policies?limit=200"
    while url:
        answer = await client.get(url)
        found += [{name: each[name] for name in _POLICY} for each in good(answer)["items"]]
        url = answer.links.get("next", {}).get("url", "")
    return found


async def simulated(client: httpx.AsyncClient, db: Database, **body: Any) -> Body:
    """Under what is in force, unless told otherwise; done."""
    given = {**SPAN, "policies": await in_force(client), **body}
    made = good(await client.post(URL, json=given))
    assert made["state"] == "waiting"
    while await run_once(db):
        pass
    found = good(await client.get(f"{URL}/{made['id']}"))
    assert found["state"] == "done"
    return found


async def assert_nothing_would_change(client: httpx.AsyncClient, db: Database) -> None:
    """Under what is in force, each figure is what it was."""
    found = await simulated(client, db)
    assert (found["tickets_changed"], found["tickets_unknown"]) == (0, 0)
    assert found["tickets_replayed"] > 0
    for each in (*found["metrics"], *found["segments"]):
        assert each["before"] == each["after"], each
    await removed(client, found["id"])


async def removed(client: httpx.AsyncClient, id_: str) -> None:
    answer = await client.delete(f"{URL}/{id_}")
    assert answer.status_code == 204, answer.text

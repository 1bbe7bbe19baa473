"""That a goal of fairness is missed reaches who asked to be told."""

from typing import Any

import httpx

from app.db import Database
from app.webhooks.sending import Sender
from tests.goals.test_fairness_goals import answered, make_goal
from tests.goals.test_goal_events import look
from tests.support.webhook_receiver import Receiver
from tests.webhooks.conftest import Hook, deliver


async def test_who_is_served_worse_is_told_to_a_webhook(
    client: httpx.AsyncClient, db: Database, sending: Sender, hook: Hook, there: Receiver, sql: Any
) -> None:
    goal = await make_goal(client, "region", 10)
    await hook(there.url, types=["goal.unfair"])
    await answered(client, "a", 400, 0, region="FI")
    await answered(client, "b", 0, 50, region="SE")
    assert await look(db, sql) == ["goal.unfair"]
    await deliver(db, sending)
    [got] = there.received
    told = got.event
    assert (told["type"], told["subject"], told["actorkind"]) == ("goal.unfair", goal["id"], "system")
    status = (await client.get(f"/v1/service-goals/{goal['id']}/status")).json()
    assert told["data"] == {
        "metric": "first_response", "target_seconds": 60, "by": "region", "max_gap_points": 10, "group": "SE",
        "behind": "FI", "waits": 50, "attainment": 0, "gap_points": 100, "at_least_points": status["value"],
    }  # fmt: skip
    assert await look(db, sql) == []
    await deliver(db, sending)
    assert len(there.received) == 1

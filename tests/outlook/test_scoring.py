"""Outlooks score themselves: what was said against what came, in a report and in the metrics."""

import httpx
import pytest
from prometheus_client import REGISTRY

from app.db import Database
from app.outlook import scoring
from tests.outlook.test_learning import Open, Sql, call, learn, past
from tests.support.sla import patch, reply
from tests.support.verification import Body, good

_SAID = "INSERT INTO outlook_waits SELECT gen_random_uuid(), 'normal', at, NULL, at, $1, $2, 0, 0, '{10, 20, 30}'"


async def quality(client: httpx.AsyncClient, **span: str) -> Body:
    found: Body = good(await client.get("/v1/reports/quality", params=span))["outlook"]
    return found


async def test_what_was_said_is_held_against_what_came(client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
    for seconds, answered, count in ((5, True, 6), (15, True, 2), (25, True, 1), (25, False, 1), (90, True, 1)):
        day = "2026-05-01" if seconds < 90 else "2026-05-02"
        spans = f" FROM generate_series(timestamptz '{day} 10:00Z', timestamptz '{day} 10:00Z' + {count - 1}"
        await sql.execute(f"{_SAID}{spans} * interval '1 second', interval '1 second') at", seconds, answered)
    found = await quality(client, to="2026-05-02T00:00:00Z")
    assert found["told"] == 10
    assert [each["said"] for each in found["said"]] == [0.5, 0.8, 0.95]
    # Who gave up after 25 seconds may have been answered within 30, as the one was who waited as long.
    assert [each["came"] for each in found["said"]] == pytest.approx([0.6, 0.8, 0.9])
    assert found["pinball_loss_seconds"] == pytest.approx(
        ((5 * 0.5 + 15 * 0.2 + 25 * 0.05) * 6 + (5 * 0.5 + 5 * 0.2 + 15 * 0.05) * 2 + (15 * 0.5 + 5 * 0.8 + 5 * 0.05))
        / 27
    )
    assert (await quality(client))["told"] == 11
    await scoring.publish_once(db)
    assert REGISTRY.get_sample_value("ninety_outlook_scored") == 11
    shares = [REGISTRY.get_sample_value("ninety_outlook_came", {"said": said}) for said in ("0.5", "0.8", "0.95")]
    assert shares == pytest.approx([each["came"] for each in (await quality(client))["said"]])
    loss = REGISTRY.get_sample_value("ninety_outlook_pinball_loss_seconds")
    assert loss == (await quality(client))["pinball_loss_seconds"]


async def test_tickets_are_scored_by_what_was_said_at_their_beginning(
    client: httpx.AsyncClient, db: Database, open_ticket: Open
) -> None:
    assert await quality(client) == {
        "told": 0, "said": [{"said": said, "came": None} for said in (0.5, 0.8, 0.95)], "pinball_loss_seconds": None,
    }  # fmt: skip
    await past(client, db, [call(number, 1000 * number, 20) for number in range(60)])
    # Who gives up has waited longer than who is answered.
    gone, answered, waits = [await open_ticket() for _ in range(3)]
    await learn(db)
    await reply(client, answered)
    await patch(client, gone, status="closed")
    await learn(db)
    found = await quality(client)
    # Who gave up that soon may well have been answered in time: nobody knows.
    assert (found["told"], [each["came"] for each in found["said"]]) == (2, [0.5, 0.5, 0.5])
    await reply(client, waits)
    await learn(db)
    found = await quality(client)
    assert (found["told"], [each["came"] for each in found["said"]]) == (3, [1.0, 1.0, 1.0])

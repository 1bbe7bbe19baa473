"""No figure changes by an erasure: neither at once nor by what looks at the customer's tickets later."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.support.segments import settled, settled_for_good
from tests.support.sla import Sql
from tests.support.verification import Body, assert_verified, good

Open = Callable[..., Awaitable[Body]]
FI = {"field": "customer.region", "op": "eq", "value": "FI"}


class Erased:
    """A customer in Finland, whose ticket waits under the promises of a segment, of which something is excepted."""

    def __init__(self, client: httpx.AsyncClient, db: Database, sql: Sql) -> None:
        self.client, self.db, self.sql = client, db, sql

    async def build(self, **exception: Any) -> None:
        customer = {"external_id": "c", "name": "C", "region": "FI"}
        self.customer = good(await self.client.post("/v1/customers", json=customer))["id"]
        self.segment = good(await self.client.post("/v1/segments", json={"key": "fi", "name": "F", "rule": FI}))["id"]
        await settled_for_good(self.db)
        targets = [{"metric": "first_response", "seconds": 10**6}]
        conditions = {"all": [{"field": "segment", "op": "eq", "value": "fi"}], "any": [FI]}
        policy = {"key": "fi", "name": "F", "position": 1, "targets": targets, "conditions": conditions}
        self.policy = good(await self.client.post("/v1/sla-policies", json=policy))["id"]
        if exception:
            of = {"scope": "segment", "segment_id": self.segment, "effect": "exclude", "reason": "R", **exception}
            self.exception = good(await self.client.post("/v1/sla-exceptions", json=of))["id"]
        body = {"subject": "S", "description": "Help.", "customer": {"id": self.customer}}
        self.ticket = good(await self.client.post("/v1/tickets", json=body))

    async def figures(self) -> list[Body]:
        report = await self.client.get("/v1/reports/response-times", params={"group_by": "policy,segment,region"})
        growing = ("mean_floor", "mean_wall")
        return [{name: each[name] for name in each if name not in growing} for each in good(report)["items"]]

    async def erase(self) -> None:
        good(await self.client.post(f"/v1/customers/{self.customer}/erase"))


@pytest.fixture
def erased(client: httpx.AsyncClient, db: Database, sql: Sql) -> Erased:
    return Erased(client, db, sql)


@pytest.mark.parametrize("exception", [{}, {"applies_to": "running"}, {"applies_to": "started"}])
async def test_what_looks_at_their_tickets_after_an_erasure_changes_no_figure(erased: Erased, exception: Body) -> None:
    await erased.build(**exception)
    await erased.client.patch(f"/v1/segments/{erased.segment}", json={"judged": bool(exception)})
    await settled(erased.db)
    # Whatever was queued for them is still to be done.
    good(await erased.client.patch(f"/v1/customers/{erased.customer}", json={"name": "D"}))
    override = {"customer_id": erased.customer, "effect": "include", "reason": "R"}
    good(await erased.client.post(f"/v1/segments/{erased.segment}/overrides", json=override))
    before = await erased.figures()
    assert [(each["excluded"], each["running"]) for each in before] == [(1, 0)]
    assert before[0]["group"]["policy"] == erased.policy
    await erased.erase()
    assert await erased.figures() == before
    await settled_for_good(erased.db)
    assert await erased.figures() == before
    storm = {"scope": "everything", "effect": "extend", "seconds": 60, "applies_to": "running", "reason": "Storm."}
    good(await erased.client.post("/v1/sla-exceptions", json=storm))
    await settled_for_good(erased.db)
    assert await erased.figures() == before
    assert len(await erased.sql.fetchval("SELECT exceptions FROM tickets")) > 0
    await assert_verified(erased.db)


async def test_their_clocks_are_judged_again_where_the_segment_is_or_the_exception_is_taken_back(
    erased: Erased,
) -> None:
    await erased.build(applies_to="started")
    await erased.client.patch(f"/v1/segments/{erased.segment}", json={"judged": False})
    await settled(erased.db)
    await erased.erase()
    await erased.client.delete(f"/v1/sla-exceptions/{erased.exception}")
    await settled_for_good(erased.db)
    assert [each["excluded"] for each in await erased.figures()] == [1]
    await erased.client.patch(f"/v1/segments/{erased.segment}", json={"judged": True})
    await settled_for_good(erased.db)
    assert [(each["excluded"], each["running"]) for each in await erased.figures()] == [(0, 1)]
    await assert_verified(erased.db)

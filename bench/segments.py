"""What segments cost: the same requests on a service that has none and on one that has fifty, in turns; a preview, and
a rule's change, over all the customers there are."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from bench.rounds import Spread
from bench.services import Service, sql
from bench.wrk import LoadError

SEGMENTS = 50
_SEED_SECONDS = 1_800
_JOB_SECONDS = 600
_PREVIEWS: dict[str, Any] = {
    "a tenth": {"field": "customer.attributes.plan", "op": "eq", "value": "plan 3"},
    "everybody": {"all": []},
    "hardly anybody": {"all": [
        {"field": "customer.region", "op": "eq", "value": "FI"},
        {"field": "customer.attributes.number", "op": "lt", "value": 20},
    ]},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segmented:
    """Ratios of medians to those without segments, by round; seconds of a preview; customers a second of a job."""

    update: Spread
    create: Spread
    previews: dict[str, Spread]
    job: Spread


async def compare_segments(
    without: Service, with_: Service, customers: int, rounds: int, requests: int, jobs: int
) -> Segmented:
    for service in (without, with_):
        async with service.connection() as connection:
            await connection.execute("SET statement_timeout = 0")
            await connection.execute(sql("seed_customers"), customers, timeout=_SEED_SECONDS)
            await connection.execute("VACUUM ANALYZE customers", timeout=_SEED_SECONDS)
    async with with_.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(sql("seed_segments"), SEGMENTS, timeout=_SEED_SECONDS)
        await connection.execute("VACUUM ANALYZE segment_members", timeout=_SEED_SECONDS)
    async with _client(without) as plain, _client(with_) as segmented:
        await _promise_by_segment(segmented)
        clients = (plain, segmented)
        update = await _ratio(clients, rounds, requests, _change)
        create = await _ratio(clients, rounds, requests, _open)
        previews = {name: await _preview(segmented, rule, rounds) for name, rule in _PREVIEWS.items()}
        rates = [await _rate(segmented, number, customers) for number in range(jobs)]
    return Segmented(update, create, previews, Spread.of(rates))


def _client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.base_url, headers=service.headers, timeout=60)


Ask = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


async def _ratio(clients: tuple[httpx.AsyncClient, httpx.AsyncClient], rounds: int, requests: int, ask: Ask) -> Spread:
    """How many times as long it takes with segments. Both are asked one by one, a request each in turn."""
    ratios = []
    for number in range(-1, rounds):
        took: tuple[list[float], list[float]] = [], []
        for n in range(requests):
            for client, times in list(zip(clients, took, strict=True))[:: 1 if n % 2 else -1]:
                began = time.perf_counter()
                answer = await ask(client, number * requests + n)
                times.append(time.perf_counter() - began)
                if not answer.is_success:
                    raise LoadError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:300]}")
        if number >= 0:  # the first round warms up
            ratios.append(median(took[1]) / median(took[0]))
    return Spread.of(ratios)


async def _change(client: httpx.AsyncClient, n: int) -> httpx.Response:
    """Another number for one of a thousand customers: they may join and leave."""
    path = f"/v1/customers/by-external-id/bench-{n % 1000 + 1}"
    body = {"name": f"Bench {n}", "region": "FI", "attributes": {"plan": f"plan {n % 10}", "number": n}}
    return await client.put(path, json=body)


async def _open(client: httpx.AsyncClient, n: int) -> httpx.Response:
    body = {"subject": "Where is my parcel?", "description": "It was promised for Tuesday. What shall I do?"}
    return await client.post("/v1/tickets", json={**body, "customer": {"external_id": f"bench-{n % 1000 + 1}"}})


async def _promise_by_segment(client: httpx.AsyncClient) -> None:
    """Policies that no customer of the bench meets but by their segment."""
    for number in range(5):
        condition = {"field": "segment", "op": "eq", "value": f"segment-{number + 1}"}
        target = {"metric": "first_response", "seconds": 3_600_000}
        body = {"key": f"by segment {number}", "name": "Bench", "position": 1, "targets": [target]}
        answer = await client.post("/v1/sla-policies", json={**body, "conditions": {"all": [condition]}})
        answer.raise_for_status()


async def _preview(client: httpx.AsyncClient, rule: Any, rounds: int) -> Spread:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        (await client.post("/v1/segments/preview", json={"rule": rule})).raise_for_status()
        took.append(time.perf_counter() - began)
    return Spread.of(took)


async def _rate(client: httpx.AsyncClient, number: int, customers: int) -> float:
    """Customers a second, from the change of the rule to the end of its job."""
    segment = (await client.get("/v1/segments?limit=1")).json()["items"][0]
    rule = {"field": "customer.attributes.plan", "op": "in", "value": [f"plan {number % 10}", "plan x"]}
    began = time.perf_counter()
    (await client.patch(f"/v1/segments/{segment['id']}", json={"rule": rule})).raise_for_status()
    while True:
        jobs = (await client.get("/v1/segment-jobs?limit=10")).json()["items"]
        done = [job for job in jobs if job["finished_at"] and job["customers_seen"] >= customers]
        if len(done) > number:
            return customers / (time.perf_counter() - began)
        if time.perf_counter() - began > _JOB_SECONDS:
            raise LoadError("the job does not come to an end")
        await asyncio.sleep(0.1)

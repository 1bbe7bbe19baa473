"""The four requests that are compared with the ceiling, and how a round of each is prepared."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from bench import seeding
from bench.plan import Plan
from bench.services import Service
from bench.wrk import Load, LoadError, Sent, Wrk

REQUESTS = ("get", "list", "reply", "create")
_PAGE = 50
_DISTINCT = 50_000
_WARM_UP_SECONDS = 1
# More than any service answers in the second of a warm-up; rounds go by the best rate so far, with room to spare.
_WARM_UP_REPLIES = 6_000
_TIMES_THE_BEST, _AND_A_SECOND = 2, 500


class Requests:
    """Runs one case against any service; keeps the best rate of each, to lay out enough tickets for its next round."""

    def __init__(self, case: str, plan: Plan) -> None:
        self._case = case
        self._plan = plan
        self._wrk = Wrk(plan.connections, plan.threads)
        self._best: dict[str, int] = {}

    async def warm_up(self, service: Service) -> None:
        """Ask once and look at the answer, then fill caches and pools. Raises LoadError on a wrong answer."""
        load = await self._load(service, _WARM_UP_REPLIES)
        await _probe(service, load)
        sent = await self._wrk.run(load, _WARM_UP_SECONDS)
        self._best[service.name] = int(sent.per_second)

    async def press(self, service: Service, seconds: int) -> Sent:
        """One long load for what is watched beside it; not for a reply, which would need the tickets for all of it."""
        return await self._wrk.run(await self._load(service, 0), seconds)

    async def measure(self, service: Service) -> Sent:
        if self._case != "reply":
            return await self._wrk.run(await self._load(service, 0), self._plan.seconds)
        best = self._best[service.name]
        load = await self._load(service, (_TIMES_THE_BEST * best + _AND_A_SECOND) * self._plan.seconds)
        waiting = await seeding.count_waiting(service)
        sent = await self._wrk.run(load, self._plan.seconds)
        self._best[service.name] = max(best, int(sent.per_second))
        if (stopped := waiting - await seeding.count_waiting(service)) < sent.requests:
            raise LoadError(f"{service.name} answered {sent.requests} replies and stopped {stopped} clocks")
        return sent

    async def _load(self, service: Service, replies: int) -> Load:
        tickets = f"{service.prefix}/tickets"
        load = Load(service.base_url, tickets, authorization=service.authorization)
        match self._case:
            case "create":
                return replace(load, method="POST", body=_ticket(service))
            case "list":
                return replace(load, path=f"{tickets}?status=open&limit={_PAGE}")
            case "get":
                return replace(load, path=f"{tickets}/{{id}}", ids=await self._any_ids(service))
        await seeding.top_up_waiting(service, replies)
        ids = self._ids_file(service)
        await seeding.write_waiting_ids(service, ids, replies)
        body = json.dumps({"body": "It is on its way and will be with you tomorrow.", "visibility": "public"})
        return replace(load, method="POST", path=f"{tickets}/{{id}}/messages", body=body, ids=ids, once=True)

    async def _any_ids(self, service: Service) -> Path:
        ids = self._ids_file(service)
        if not ids.exists():
            await seeding.write_any_ids(service, ids, min(_DISTINCT, await seeding.count_tickets(service)))
        return ids

    def _ids_file(self, service: Service) -> Path:
        return self._plan.output / f"{self._case}-{service.name}.ids"


def _ticket(service: Service) -> str:
    return json.dumps(
        {
            "subject": "Where is my parcel?",
            "description": "It was promised for Tuesday and has not arrived yet. What shall I do?",
            "priority": "normal",
            "channel": "web",
            "customer": {"id": str(service.customer_id)},
        }
    )


async def _probe(service: Service, load: Load) -> None:
    path = load.path
    if load.ids:
        path = path.replace("{id}", load.ids.read_text().split("\n", 1)[0])
    headers = {**service.headers, "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=service.base_url, headers=headers) as client:
        answer = await client.request(load.method, path, content=load.body)
    if not answer.is_success:
        raise LoadError(f"{service.name}: {load.method} {path} answered {answer.status_code}: {answer.text}")
    told: Any = answer.json()
    items = told.get("items", None) if "next_cursor" in told else told
    if "limit=" in path and len(items) != _PAGE:
        raise LoadError(f"{service.name}: {path} answered {len(items)} tickets, not {_PAGE}")

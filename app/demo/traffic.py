"""Customers who write, agents who answer, until somebody stops it. The desk falls behind and catches up by turns, so
that the goal is missed and kept again every few minutes; what waits at once is bounded."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.demo import story
from app.demo.setup import Cast, post

_TURN_SECONDS = 1.0
_HEARTBEAT_TURNS = 30
_CAPACITY = 10
_ARRIVALS_A_SECOND = 0.16
_MOST_WAITING = 22
_FIRST_WAITING = 7
# Of the mean, in shares of the target: above the first one the desk hurries, below the second one it takes its time.
_HURRY, _LEISURE = 1.03, 0.94
_ASK_A_PERSON_EVERY = 40
_PROMISE_EVERY = 25


@dataclass(slots=True)
class Waiting:
    id: str
    topic: story.Topic
    since: float
    patience: float


class Desk:
    """`http` is the administrator's client, for the customers; each agent has one of their own."""

    def __init__(
        self, http: httpx.AsyncClient, cast: Cast, clients: dict[str, httpx.AsyncClient], goal_id: str
    ) -> None:
        self._http = http
        self._cast = cast
        self._clients = clients
        self._goal_id = goal_id
        self._rng = random.Random(story.SEED)  # noqa: S311 - the same people each time
        self._waiting: list[Waiting] = []
        self._hurry = False
        self._turns = 0
        self._opened = 0
        self._answered = 0

    async def run(self) -> None:
        """Until cancelled. A refusal or a lost connection ends one turn, not the demonstration."""
        for name, client in self._clients.items():
            online = {"state": "online", "capacity": _CAPACITY}
            (await client.put(self._availability(name), json=online)).raise_for_status()
        for _ in range(_FIRST_WAITING):
            await self._open()
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            try:
                await self._act()
            except httpx.TransportError:
                continue

    def _availability(self, name: str) -> str:
        agent_id, _ = self._cast.agents[name]
        return f"/v1/agents/{agent_id}/availability"

    async def _act(self) -> None:
        self._turns += 1
        if self._turns % _HEARTBEAT_TURNS == 0:
            for name, client in self._clients.items():
                # Whoever said at the console that they are offline stays so.
                await self._try(client, f"{self._availability(name)}/heartbeat")
        if self._rng.random() < _ARRIVALS_A_SECOND * _TURN_SECONDS and len(self._waiting) < _MOST_WAITING:
            await self._open()
        await self._judge()
        now = asyncio.get_running_loop().time()
        for one in [each for each in self._waiting if now - each.since > each.patience]:
            await self._leave(one)
        # In a hurry the longest wait goes first; else each is answered when somebody gets to it.
        chance = 0.75 if self._hurry else 0.075
        if self._waiting and self._rng.random() < chance:
            await self._answer(self._waiting[0] if self._hurry else self._rng.choice(self._waiting))

    async def _judge(self) -> None:
        status = (await self._http.get(f"/v1/service-goals/{self._goal_id}/status")).json()
        mean, target = status.get("mean_floor"), status.get("target_seconds")
        if mean is None:
            return
        if mean > target * _HURRY:
            self._hurry = True
        elif mean < target * _LEISURE:
            self._hurry = False

    async def _open(self) -> None:
        topic = self._rng.choice(story.TOPICS)
        self._opened += 1
        # The first one after a while has the name that some form always gets.
        number = len(story.PEOPLE) if self._opened == 3 else self._rng.randrange(len(story.PEOPLE))
        ticket = await self._try(self._http, "/v1/tickets", {
            "subject": topic.subject, "description": topic.asks, "channel": self._rng.choice(story.CHANNELS),
            "priority": self._rng.choice(story.PRIORITIES), "type": topic.type, "product": topic.product,
            "customer": {"external_id": f"demo-{number}"}, "team_id": self._cast.teams[topic.team],
        })  # fmt: skip
        if ticket is None:
            return
        one = Waiting(ticket["id"], topic, asyncio.get_running_loop().time(), self._rng.uniform(150, 900))
        self._waiting.append(one)
        if self._opened % _ASK_A_PERSON_EVERY == 5:
            await self._try(self._http, f"/v1/tickets/{one.id}/handoff")

    async def _answer(self, one: Waiting) -> None:
        self._waiting.remove(one)
        self._answered += 1
        external_id = self._rng.choice([name for name, _, team in story.AGENTS if team == one.topic.team])
        agent_id, _ = self._cast.agents[external_id]
        client = self._clients[external_id]
        body: dict[str, Any] = {"body": one.topic.answer, "assignee_id": agent_id}
        body["status"] = self._rng.choice(["pending", "resolved"])
        await self._try(client, f"/v1/tickets/{one.id}/messages", body)
        if self._answered % _PROMISE_EVERY == 4:
            due_at = datetime.now(UTC) + timedelta(minutes=10)
            promise = {"text": "I will call you about it within ten minutes.", "due_at": due_at.isoformat()}
            await self._try(client, f"/v1/tickets/{one.id}/promises", promise)

    async def _leave(self, one: Waiting) -> None:
        """They have waited long enough, and ask for it once more before they are answered like the others."""
        one.patience += 1_000
        body = {"body": "Is anybody there?", "author": {"kind": "customer"}}
        await self._try(self._http, f"/v1/tickets/{one.id}/messages", body)

    async def _try(self, http: httpx.AsyncClient, path: str, body: Any = None) -> Any:
        """None where the service refuses: somebody else may have answered, merged or closed that ticket by hand."""
        try:
            return await post(http, path, body)
        except httpx.HTTPStatusError:
            return None


async def act(url: str, http: httpx.AsyncClient, cast: Cast) -> None:
    goals = (await http.get("/v1/service-goals")).json()["items"]
    goal = next(each for each in goals if each["statistic"] == "mean")
    async with AsyncExitStack() as clients:
        made = {
            name: await clients.enter_async_context(
                httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
            )
            for name, (_, key) in cast.agents.items()
        }
        await Desk(http, cast, made, goal["id"]).run()

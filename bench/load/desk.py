"""A desk under load, open loop: customers come at random instants whatever the service does, agents answer one ticket
after the other, customers who waited too long leave. Every request is timed from the instant at which it was meant to
be sent: a closed loop would wait for a slow service, and so measure none of its slowness."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

OPEN, ANSWER, LEAVE = "open a ticket", "answer", "leave"


@dataclass(frozen=True, slots=True)
class Plan:
    rate: float
    """Tickets a second, on average (a Poisson process)."""
    seconds: float
    agents: int
    handling_seconds: float
    """How long an agent takes for an answer, on average (exponential)."""
    patience_seconds: float
    """How long a customer waits for it, on average (exponential), before they leave."""
    seed: int


@dataclass(slots=True)
class Figures:
    latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each request got which answer: a status, with the problem's code, or why there was none."""

    @property
    def unanswered(self) -> int:
        """Who still waited when the time was up."""
        done = Counter[str]()
        for (what, answer), count in self.answers.items():
            done[what] += count if answer.startswith("2") else 0
        return done[OPEN] - done[ANSWER] - done[LEAVE]

    def note(self, what: str, answer: str, seconds: float) -> None:
        self.answers[what, answer] += 1
        self.latencies_ms.setdefault(what, []).append(seconds * 1000)


@dataclass(slots=True)
class Waiting:
    ticket_id: str
    settled: bool = False
    """Gone, or being answered: whoever is being answered does not leave any more."""


class Desk:
    def __init__(self, http: httpx.AsyncClient, plan: Plan) -> None:
        self.figures = Figures()
        self._http = http
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._sent: set[asyncio.Task[None]] = set()

    async def run(self) -> Figures:
        agents = [asyncio.create_task(self._agent()) for _ in range(self._plan.agents)]
        await self._arrivals()
        for agent in agents:
            agent.cancel()
        await asyncio.gather(*agents, return_exceptions=True)
        # What is under way gets its answer; who only waits to lose patience does not.
        _, patient = await asyncio.wait(self._sent, timeout=10) if self._sent else (set(), set())
        for task in patient:
            task.cancel()
        return self.figures

    async def _arrivals(self) -> None:
        now = asyncio.get_running_loop().time
        end = now() + self._plan.seconds
        due = now() + self._random.expovariate(self._plan.rate)
        while due < end:
            await asyncio.sleep(max(0.0, due - now()))
            self._start(self._customer(due))
            due += self._random.expovariate(self._plan.rate)
        await asyncio.sleep(max(0.0, end - now()))

    async def _customer(self, due: float) -> None:
        number = self._random.randrange(1_000_000)
        body = {"subject": "Charged twice", "channel": "web", "customer": {"external_id": f"load-{number}"}}
        opened = await self._send(OPEN, "POST", "/v1/tickets", body, due)
        if opened is None:
            return
        waiting = Waiting(opened)
        self._queue.put_nowait(waiting)
        self._start(self._patience(waiting))

    async def _patience(self, waiting: Waiting) -> None:
        due = asyncio.get_running_loop().time() + self._random.expovariate(1 / self._plan.patience_seconds)
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if not waiting.settled:
            waiting.settled = True
            await self._send(LEAVE, "PATCH", f"/v1/tickets/{waiting.ticket_id}", {"status": "closed"}, due)

    async def _agent(self) -> None:
        while True:
            waiting = await self._queue.get()
            if waiting.settled:
                continue
            waiting.settled = True
            due = asyncio.get_running_loop().time() + self._random.expovariate(1 / self._plan.handling_seconds)
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            path = f"/v1/tickets/{waiting.ticket_id}/messages"
            self._start(self._answer(path, due))

    async def _answer(self, path: str, due: float) -> None:
        await self._send(ANSWER, "POST", path, {"body": "The money is on its way back."}, due)

    async def _send(self, what: str, method: str, path: str, body: Mapping[str, object], due: float) -> str | None:
        """The id of what was made or changed; None where the service refused or did not answer."""
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            self.figures.note(what, type(error).__name__, asyncio.get_running_loop().time() - due)
            return None
        self.figures.note(what, _told(answer), asyncio.get_running_loop().time() - due)
        return str(answer.json()["id"]) if answer.is_success else None

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)


def _told(answer: httpx.Response) -> str:
    if answer.is_success:
        return str(answer.status_code)
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return f"{answer.status_code} {answer.json()['code'] if is_problem else ''}".strip()

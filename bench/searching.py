"""How long a search and the queue take at 10,000 and at 1,000,000 tickets, asked two at a time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import httpx

from bench import seeding
from bench.rounds import Spread
from bench.services import Service, sql
from bench.wrk import LoadError

_AT_ONCE = 2
_WITH_EACH_WORD = 20
_SEED_SECONDS = 1_800
KINDS = {
    "a selective word": "q=selective{n:06}",
    "a common word": "q=parcel",
    "the best of a common word": "q=refund&sort=relevance",
    "the queue": "status=new,open&sort=due_at",
}


@dataclass(frozen=True, slots=True)
class Searched:
    """p95 in milliseconds: the medians of the rounds with the best and the worst, by kind."""

    small: dict[str, Spread]
    large: dict[str, Spread]
    slower: dict[str, Spread]


async def seed_words(service: Service) -> int:
    """Five messages on every ticket, and the index of what they say; how many selective words there are."""
    words = max(1, await seeding.count_tickets(service) // _WITH_EACH_WORD)
    async with service.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        # An index is built faster than it grows.
        await connection.execute("DROP INDEX ix_ticket_search_all_words")
        await connection.execute(sql("seed_words"), words, timeout=_SEED_SECONDS)
        build = "CREATE INDEX ix_ticket_search_all_words ON ticket_search USING gin (all_words) WITH (fastupdate = off)"
        await connection.execute(build, timeout=_SEED_SECONDS)
    await seeding.settle(service)
    return words


async def compare_searches(small: Service, large: Service, rounds: int, requests: int) -> Searched:
    """Round by round, so that a noisy machine disturbs both."""
    words = {service.name: await seed_words(service) for service in (small, large)}
    took: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in words}
    for number in range(rounds):
        for kind in KINDS:
            for service in (small, large) if number % 2 else (large, small):
                path = partial(_path, kind, words[service.name])
                took[service.name][kind].append(await p95_ms(service, path, requests))
    ratios = {
        kind: Spread.of([b / a for a, b in zip(took[small.name][kind], took[large.name][kind], strict=True)])
        for kind in KINDS
    }
    p95s = [{kind: Spread.of(took[service.name][kind]) for kind in KINDS} for service in (small, large)]
    return Searched(p95s[0], p95s[1], ratios)


def _path(kind: str, words: int, chance: Random) -> str:
    return f"/v1/tickets?{KINDS[kind].format(n=chance.randrange(words))}"


async def p95_ms(
    service: Service, path_of: Callable[[Random], str], requests: int, *, may_be_empty: bool = False
) -> float:
    chance = Random(requests)
    took: list[float] = []
    async with httpx.AsyncClient(base_url=service.base_url, headers=service.headers, timeout=30) as client:

        async def ask() -> None:
            for _ in range(requests // _AT_ONCE):
                path = path_of(chance)
                began = time.perf_counter()
                answer = await client.get(path)
                took.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200 or not (may_be_empty or answer.json()["items"]):
                    raise LoadError(f"{service.name}: {path} answered {answer.status_code}: {answer.text[:300]}")

        await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    ranked = sorted(took)
    return ranked[-(-95 * len(ranked) // 100) - 1]

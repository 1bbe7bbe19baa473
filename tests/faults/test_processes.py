"""Several API processes under one supervisor, over real sockets: they share the port, and any of them may die."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.faults.harness import Tally, client, directory, open_tickets, service

pytestmark = pytest.mark.fault
PROCESSES = 2
KILLS = 2
CALLERS = 4
Service = tuple[str, psutil.Process]


@pytest.fixture(scope="module")
def many() -> Iterator[Service]:
    with directory() as place, service(place / "data", None, "--workers", str(PROCESSES)) as (base, pid):
        yield base, psutil.Process(pid)


def _api_processes(supervisor: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in supervisor.children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is, too
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


async def _on_each(base: str, supervisor: psutil.Process) -> dict[int, httpx.AsyncClient]:
    """A connection to each of the processes, by its pid. The kernel deals them out as it likes."""
    found: dict[int, httpx.AsyncClient] = {}
    while len(found) < PROCESSES:
        http = client(base)
        answer = await http.get("/livez")
        here = answer.extensions["network_stream"].get_extra_info("client_addr")
        [pid] = [
            process.pid
            for process in _api_processes(supervisor)
            if any(link.raddr and link.raddr == here for link in process.net_connections("tcp"))
        ]
        if pid in found:
            await http.aclose()
        else:
            found[pid] = http
    return found


async def test_each_process_has_the_same_bounds(many: Service) -> None:
    for http in (await _on_each(*many)).values():
        answer = await http.get("/livez", params={"x": "a" * 9_000})
        assert (answer.status_code, answer.json()["code"]) == (414, "url_too_long")
        await http.aclose()


async def test_a_killed_process_takes_no_acknowledged_ticket_along_and_is_replaced(many: Service) -> None:
    base, supervisor = many
    tally, stop = Tally(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(open_tickets(base, tally, stop))
        for _ in range(KILLS):
            await _kill_one(supervisor, tally)
        stop.set()
    stored = []
    async with client(base) as http:
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = (await http.get("/v1/tickets", params={"limit": "200"} | cursor)).json()
            stored += [ticket["external_id"] for ticket in page["items"]]
    assert len(stored) == len(set(stored))
    assert tally.acknowledged <= set(stored)
    assert not tally.wrong
    assert set(tally.answers) <= {201, 409, 503}
    # Nobody but who was just talking to it noticed.
    assert tally.broken <= KILLS * CALLERS


async def _kill_one(supervisor: psutil.Process, tally: Tally) -> None:
    """Kill one under load, and see another take its place, beside the one that was spared."""
    before = len(tally.acknowledged)
    while len(tally.acknowledged) < before + 20:
        await asyncio.sleep(0.01)
    victim, spared = _api_processes(supervisor)
    victim.kill()
    while len(now := _api_processes(supervisor)) < PROCESSES or victim in now:
        await asyncio.sleep(0.05)
    assert spared in now


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGKILL])
async def test_streams_are_told_and_nothing_is_left_when_the_supervisor_ends(last: signal.Signals) -> None:
    with directory() as place, service(place / "data", None, "--workers", str(PROCESSES)) as (base, pid):
        supervisor = psutil.Process(pid)
        everybody = supervisor.children(recursive=True)
        clients = await _on_each(base, supervisor)

        async def listen(http: httpx.AsyncClient, here: asyncio.Event) -> str:
            heard = ""
            async with http.stream("GET", "/v1/events/stream") as answer:
                async for piece in answer.aiter_text():
                    heard += piece
                    if "event: hello" in heard:
                        here.set()
            return heard

        opened = [asyncio.Event() for _ in clients]
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            heard = [tasks.create_task(listen(http, here)) for http, here in zip(clients.values(), opened, strict=True)]
            for here in opened:
                await here.wait()
            os.kill(pid, last)
        assert ["event: bye" in task.result() for task in heard] == [True] * PROCESSES
        for http in clients.values():
            await http.aclose()
        _, left = await asyncio.to_thread(psutil.wait_procs, everybody, 20)
        assert left == []

"""One caller's weight, over real sockets, on the service as it starts by default: a worker of its own beside it."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import Databases
from tests.faults.harness import ADMIN_KEY, client, directory, service
from tests.support.wire_server import get

CONNECTIONS = 60
SECONDS = 1.5


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    settings = {"NINETY_WORKER_PROCESS": "true"}
    with (
        databases() as database_url,
        directory() as place,
        service(place / "data", database_url, settings=settings) as (at, _),
    ):
        yield at


async def _ask_on_and_on(url: str, key: str, statuses: Counter[int], until: float) -> None:
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    request = get("/v1/tickets?limit=5", f"Authorization: Bearer {key}")
    while time.monotonic() < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        statuses[int(head[9:12])] += 1
        assert head[9:12] == b"200" or b"\r\nretry-after: " in head
    writer.close()


async def test_a_noisy_caller_gets_429_and_nobody_a_503(url: str) -> None:
    async with client(url) as http:
        key = (await http.post("/v1/api-keys", json={"name": secrets.token_hex(4), "role": "admin"})).json()["key"]
    noisy, other = Counter[int](), Counter[int]()
    until = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(_ask_on_and_on(url, ADMIN_KEY, noisy, until))
        tasks.create_task(_ask_on_and_on(url, key, other, until))
    assert noisy.keys() <= {200, 429}
    assert noisy[200] > 0
    assert other.keys() == {200}


async def test_the_worker_beside_the_api_is_seen_and_its_figures_are_told(url: str) -> None:
    async with client(url) as http, asyncio.timeout(120):
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)
        while "ninety_worker_heartbeat_seconds" not in (figures := (await http.get("/metrics")).text) or not _beats(
            figures
        ):
            await asyncio.sleep(0.2)
    assert "ninety_http_requests_total{" in figures


def _beats(figures: str) -> bool:
    return any(
        line.startswith("ninety_worker_heartbeat_seconds ") and float(line.split()[1]) > 0
        for line in figures.splitlines()
    )


async def test_figures_are_made_once_for_all_who_ask_within_a_second(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        answers = await asyncio.gather(*(http.get("/metrics") for _ in range(16)))
    assert len({answer.content for answer in answers}) <= 2

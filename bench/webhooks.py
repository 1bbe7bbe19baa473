"""How fast events reach a receiver on this machine: a backlog as fast as it goes, a steady stream, and the same stream
beside endpoints that hang and a payload that is never taken."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import orjson

from bench.rounds import Spread
from bench.services import Service
from bench.wrk import LoadError

_BACKLOG = 5_000
_STREAM, _STREAM_RATE = 1_000, 100
_ENDPOINTS, _HANGING = 20, 4
_GIVE_UP_SECONDS = 60
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_BROKEN = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
# Of a type that nothing else in the service writes meanwhile.
_TYPE = "team.updated"
_WRITE = """
INSERT INTO events (type, occurred_at, actor_kind, subject_id, data)
SELECT $1, clock_timestamp(), 'system', unnest($2::uuid[]), '{"changes": {"name": {"before": "a", "after": "b"}}}'"""


@dataclass(frozen=True, slots=True)
class HookFigures:
    rate: Spread
    lag_p99_ms: Spread
    beside_bad_p99_ms: Spread


@dataclass
class _Receiver:
    """Answers whatever comes; `lags` are from an event's record to its arrival, by the clock of this machine."""

    poison: str = ""
    port: int = 0
    lags: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)

    def take(self, path: bytes, body: bytes) -> bytes | None:
        if path.startswith(b"/hang"):
            return None
        event: dict[str, Any] = orjson.loads(body)
        if event["subject"] == self.poison:
            return _BROKEN
        now = time.time()
        self.lags.append((now - datetime.fromisoformat(event["recordedat"]).timestamp()) * 1000)
        self.arrived.append(now)
        return _OK


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, rest = self._read.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self._read = rest[length:]
            answer = self._receiver.take(head.split(b" ", 2)[1], rest[:length])
            if answer:
                self._transport.write(answer)


@asynccontextmanager
async def _receiver() -> AsyncIterator[_Receiver]:
    made = _Receiver()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(made), "127.0.0.1", 0, backlog=1000)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def delivery(service: Service, rounds: int) -> HookFigures:
    """The worker is the service's own, in the process that also answers requests."""
    rates, lags, beside = [], [], []
    for _ in range(rounds):
        rates.append(await _backlog(service))
        lags.append(await _stream(service, endpoints=1, hanging=0))
        beside.append(await _stream(service, endpoints=_ENDPOINTS, hanging=_HANGING))
    return HookFigures(Spread.of(rates), Spread.of(lags), Spread.of(beside))


async def _backlog(service: Service) -> float:
    async with _receiver() as receiver, _hooks(service, [f"http://127.0.0.1:{receiver.port}/"]):
        await _write(service, [uuid4() for _ in range(_BACKLOG)])
        await _until(lambda: len(receiver.arrived) >= _BACKLOG)
        return (_BACKLOG - 1) / (max(receiver.arrived) - min(receiver.arrived))


async def _stream(service: Service, *, endpoints: int, hanging: int) -> float:
    """The p99 in milliseconds over what the healthy ones got."""
    async with _receiver() as receiver:
        base = f"http://127.0.0.1:{receiver.port}"
        urls = [f"{base}/{'hang' if n < hanging else 'ok'}/{n}" for n in range(endpoints)]
        poison = uuid4()
        receiver.poison = str(poison) if hanging else ""
        async with _hooks(service, urls):
            healthy, rate = endpoints - hanging, _STREAM_RATE / endpoints
            count = _STREAM // endpoints
            started = time.monotonic()
            for n in range(count):
                await asyncio.sleep(max(0.0, started + n / rate - time.monotonic()))
                await _write(service, [poison if n == 0 and hanging else uuid4()])
            expected = (count - bool(hanging)) * healthy
            await _until(lambda: len(receiver.lags) >= expected)
            return sorted(receiver.lags)[-(-len(receiver.lags) * 99 // 100) - 1]


@asynccontextmanager
async def _hooks(service: Service, urls: list[str]) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=service.base_url, headers=service.headers) as http:
        made = [
            (await http.post("/v1/webhooks", json={"url": url, "types": [_TYPE]})).raise_for_status().json()
            for url in urls
        ]
        try:
            yield
        finally:
            for each in made:
                await http.delete(f"/v1/webhooks/{each['id']}")


async def _write(service: Service, subjects: list[UUID]) -> None:
    async with service.connection() as connection:
        await connection.execute(_WRITE, _TYPE, subjects)


async def _until(holds: Any) -> None:
    try:
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise LoadError("not everything arrived") from None

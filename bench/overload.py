"""P22: three times as much as the service can do. Requests leave at their appointed instants, whatever became of those
before them (an open loop: a closed one would wait with the service), over connections that are kept."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from urllib.parse import urlsplit

from bench.rounds import Spread
from bench.services import Service

_CONNECTIONS = 400
_AT_CAPACITY = 32
_TIMES = 3
_TICK_SECONDS = 0.002
_PATIENCE_SECONDS = 10


@dataclass(slots=True)
class Flood:
    """What became of a load: answers by what was asked and by status. `unsent` found all connections taken, and
    `unadvised` were refused without being told when to come again."""

    seconds: float = 0.0
    sent: int = 0
    unsent: int = 0
    unadvised: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    waits_ms: list[float] = field(default_factory=list)

    def good(self, kind: str) -> int:
        return sum(n for (asked, status), n in self.answers.items() if asked == kind and status < 300)

    def share(self, kind: str) -> float:
        return self.good(kind) / max(1, sum(n for (asked, _), n in self.answers.items() if asked == kind))

    @property
    def statuses(self) -> dict[int, int]:
        found: Counter[int] = Counter()
        for (_, status), n in self.answers.items():
            found[status] += n
        return dict(sorted(found.items()))

    @property
    def goodput(self) -> float:
        return sum(n for (_, status), n in self.answers.items() if status < 300) / self.seconds

    def wait_ms(self, share: float) -> float:
        return sorted(self.waits_ms)[int(share * (len(self.waits_ms) - 1))] if self.waits_ms else 0.0


@dataclass(frozen=True, slots=True)
class Overload:
    """Peak and what remains of it at three times its rate, round by round; then a mix of tickets and lists."""

    peak: Spread
    goodput: Spread
    kept: Spread
    p99_ms: Spread
    statuses: dict[int, int]
    unadvised: int
    mixed: Flood


class _Line(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, flood: "_Sender") -> None:
        self._sender = flood
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._kind, self._due = "", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, kind: str, request: bytes, due: float) -> None:
        assert self._transport
        self._kind, self._due = kind, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            status, self._buffer = int(head[9:12]), body[length:]
            if status >= 300 and b"\r\nretry-after: " not in head.lower():
                self._sender.flood.unadvised += 1
            self._sender.answered(self, self._kind, status, self._due)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


class _Sender:
    def __init__(self, requests: Sequence[tuple[str, bytes]]) -> None:
        self._next: Iterator[tuple[str, bytes]] = cycle(requests)
        self._free: list[_Line] = []
        self._loop = asyncio.get_running_loop()
        self._closed_loop = False
        self.lines: list[_Line] = []
        self.flood = Flood()

    async def connect(self, service: Service, lines: int) -> None:
        at = urlsplit(service.base_url)
        assert at.hostname
        assert at.port
        for _ in range(lines):
            _, line = await self._loop.create_connection(partial(_Line, self), at.hostname, at.port)
            self.lines.append(line)
        self._free = list(self.lines)

    def answered(self, line: _Line, kind: str, status: int, due: float) -> None:
        flood = self.flood
        flood.answers[kind, status] += 1
        if status < 300:
            flood.waits_ms.append((self._loop.time() - due) * 1000)
        self._free.append(line)
        if self._closed_loop:
            self._send(self._loop.time())

    def _send(self, due: float) -> None:
        kind, request = next(self._next)
        if not self._free:
            self.flood.unsent += 1
            return
        self.flood.sent += 1
        self._free.pop().ask(kind, request, due)

    async def closed(self, seconds: float) -> Flood:
        """As much as it takes: each connection asks again when it has its answer."""
        began, self._closed_loop = self._loop.time(), True
        for _ in range(len(self._free)):
            self._send(began)
        await asyncio.sleep(seconds)
        self._closed_loop = False
        self.flood.seconds = self._loop.time() - began
        return await self._settled()

    async def open(self, rate: float, seconds: float) -> Flood:
        began, number = self._loop.time(), 0
        while (due := began + number / rate) < began + seconds:
            now = self._loop.time()
            if due > now:
                await asyncio.sleep(max(due - now, _TICK_SECONDS))
                continue
            self._send(due)
            number += 1
            if number % 32 == 0:
                await asyncio.sleep(0)
        self.flood.seconds = self._loop.time() - began
        return await self._settled()

    async def _settled(self) -> Flood:
        """Everything answered. What came after the end counts, too: it was asked for before."""
        give_up = self._loop.time() + _PATIENCE_SECONDS
        while len(self._free) < len(self.lines) and self._loop.time() < give_up:
            await asyncio.sleep(0.01)
        return self.flood


async def overload(service: Service, rounds: int, seconds: int) -> Overload:
    """In each round the peak, and then three times that."""
    create = [("create", _create(service))]
    await _closed(service, create, 1)
    peaks, goods, ratios, waits = [], [], [], []
    statuses: Counter[int] = Counter()
    unadvised = 0
    for _ in range(rounds):
        peak = (await _closed(service, create, seconds)).goodput
        flood = await _open(service, create, _TIMES * peak, seconds)
        peaks.append(peak)
        goods.append(flood.goodput)
        ratios.append(flood.goodput / peak)
        waits.append(flood.wait_ms(0.99))
        statuses.update(flood.statuses)
        statuses[0] += flood.unsent
        unadvised += flood.unadvised
    mixed = await _open(service, [*create, ("list", _list(service))], _TIMES * peaks[-1], seconds)
    return Overload(
        Spread.of(peaks), Spread.of(goods), Spread.of(ratios), Spread.of(waits), dict(sorted(statuses.items())),
        unadvised + mixed.unadvised, mixed,
    )  # fmt: skip


async def _closed(service: Service, requests: Sequence[tuple[str, bytes]], seconds: float) -> Flood:
    sender = _Sender(requests)
    try:
        await sender.connect(service, _AT_CAPACITY)
        return await sender.closed(seconds)
    finally:
        for line in sender.lines:
            line.close()


async def _open(service: Service, requests: Sequence[tuple[str, bytes]], rate: float, seconds: float) -> Flood:
    sender = _Sender(requests)
    try:
        await sender.connect(service, _CONNECTIONS)
        return await sender.open(rate, seconds)
    finally:
        for line in sender.lines:
            line.close()


def _create(service: Service) -> bytes:
    ticket = {"subject": "Where is my parcel?", "customer": {"id": str(service.customer_id)}}
    return _request(service, "POST", "/tickets", json.dumps(ticket).encode())


def _list(service: Service) -> bytes:
    return _request(service, "GET", "/tickets?status=open&limit=50", b"")


def _request(service: Service, method: str, path: str, body: bytes) -> bytes:
    lines = [
        f"{method} {service.prefix}{path} HTTP/1.1",
        "Host: ninety",
        f"Authorization: {service.authorization}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body

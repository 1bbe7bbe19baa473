"""HTTP before it is a request: what a head may be, how long it may take to come, how many connections there may be.
uvicorn's protocol with bounds; what it refuses gets a problem, and the connection ends."""

from asyncio import TimerHandle, Transport
from typing import Any, cast

import orjson
from uuid_utils import uuid7
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.errors import AppError, Malformed, Overloaded
from app.settings import Settings
from app.web.frame import ALWAYS, BUSY, NOTHING
from app.web.limits import Admission
from app.web.problems import MEDIA_TYPE, as_instance

MOST_URL_BYTES = 8 * 1024
MOST_HEADERS = 100
MOST_HEAD_BYTES = 32 * 1024
# A body gets its seconds, and more where it is large, by this rate.
_LEAST_BYTES_A_SECOND = 64 * 1024
# How long a client may read nothing of its answer.
_STALLED_SECONDS = 30.0
_LOOK_SECONDS = 5.0
# Under this name the application leaves its `Admission` in the state of its lifespan.
ADMISSION = "admission"
_CLOSE = "connection: close\r\n"
_HEADERS = b"".join(b"%s: %s\r\n" % each for each in ((b"content-type", MEDIA_TYPE.encode()), *ALWAYS, NOTHING))


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


class BodyTooSlow(AppError):
    """The body did not arrive in time. Nothing was changed: send it again, in smaller parts where the line is slow."""

    status = 408
    code = "body_too_slow"
    title = "The body came too slowly"


class BadHttp(Malformed):
    """This is not HTTP/1.1 as it is written down."""

    code = "malformed_request"
    title = "The request cannot be read"


class Refused(Exception):
    """Raised out of a callback of the parser, which then stops."""


class BoundedProtocol(HttpToolsProtocol):
    """What is awaited, and since when, is noted as it happens; one timer for each connection looks at it now and then,
    so that a request costs no timer."""

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings = settings
        self._refusal: AppError = BadHttp()
        # None while no head is awaited: a request is being answered, or nothing has come since the last one.
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._stalled_since: float | None = None
        # Of the head, then of the body, as long as it is not whole.
        self._bytes = 0
        self._looking: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._settings.connections:
            self._end(Overloaded("there are too many connections"))
            return
        self._head_since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_since is None and (self.cycle is None or self.cycle.response_complete):
            self._head_since = self.loop.time()
        super().data_received(data)
        if self._head_since is not None or self._body_since is not None:
            self._bytes += len(data)
            if self._head_since is not None and self._bytes > MOST_HEAD_BYTES + MOST_URL_BYTES:
                self._end(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        self._unset_keepalive_if_required()
        self._head_since = None
        self._bytes = 0
        if len(self.url) > MOST_URL_BYTES:
            self._refusal = UrlTooLong()
            raise Refused
        if len(self.headers) > MOST_HEADERS or sum(len(n) + len(v) for n, v in self.headers) > MOST_HEAD_BYTES:
            self._refusal = HeadersTooLarge()
            raise Refused
        super().on_headers_complete()
        self._body_since = self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        admission: Admission | None = self.app_state.get(ADMISSION)
        # Those that lie in a row behind one another would call one another here, each from within the one before.
        here = not self.pipeline and not self._settings.cors_origins
        if admission and here and admission.refuses(cycle.scope):
            self._shed(cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _shed(self, cycle: RequestResponseCycle) -> None:
        """Says no without the application: at three times of what can be done, saying no is most of the work. (A web
        page could not read this; where there may be one, the frame says it.)"""
        self.transport.write(_said(BUSY, cycle.scope, close=not cycle.keep_alive))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_message_complete(self) -> None:
        self._body_since = None
        super().on_message_complete()
        if self._head_since is not None:
            # The rest of a body whose request had been answered: the connection lies idle again.
            self._head_since = None
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        self._end(self._refusal)

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def _look_later(self) -> None:
        often = min(_LOOK_SECONDS, self._settings.head_seconds, self._settings.body_seconds)
        self._looking = self.loop.call_later(often, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if _past(self._stalled_since, now, _STALLED_SECONDS):
            # What it has not read yet would keep a closed connection open.
            self.transport.abort()
        elif _past(self._head_since, now, self._settings.head_seconds):
            self.transport.close()
        elif _past(self._body_since, now, self._settings.body_seconds + self._bytes / _LEAST_BYTES_A_SECOND):
            self._end(BodyTooSlow())
        else:
            self._look_later()

    def _end(self, refusal: AppError) -> None:
        if self.transport.is_closing():
            return
        if self._may_speak():
            self.transport.write(_said(refusal))
        self.transport.close()

    def _may_speak(self) -> bool:
        """Once an answer has begun nothing else can be said; nor while an earlier one is still to come."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None:
            return True
        if self._body_since is None:
            return cycle.response_complete
        return not cycle.response_started and not self.pipeline


def _past(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds


def _said(refusal: AppError, scope: HTTPScope | None = None, *, close: bool = True) -> bytes:
    instance = as_instance(scope["path"]) if scope else "/"
    problem = {"type": f"/problems/{refusal.code}", "title": refusal.title, "status": refusal.status}
    body = orjson.dumps(problem | {"detail": refusal.detail, "instance": instance, "code": refusal.code})
    more = "".join(f"{name}: {value}\r\n" for name, value in refusal.headers.items())
    lines = f"content-length: {len(body)}\r\nx-request-id: {uuid7().hex}\r\n{more}{_CLOSE if close else ''}\r\n"
    head = STATUS_LINE[refusal.status] + _HEADERS + lines.encode()
    return head if scope and scope["method"] == "HEAD" else head + body

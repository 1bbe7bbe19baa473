"""HTTP before it is a request: what a head may be, how long it may take to come, how many connections there may be.
uvicorn's protocol with bounds; what it refuses gets a problem, and the connection ends."""

from asyncio import TimerHandle, Transport
from collections.abc import Sized
from typing import Any, ClassVar, Never, cast

import orjson
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uuid_utils import uuid7
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.errors import AppError, Malformed, Overloaded
from app.settings import Settings
from app.web.admission import Admission
from app.web.edge import ALWAYS, BUSY, FLOW, NOTHING
from app.web.outside import outside_of
from app.web.problems import MEDIA_TYPE, as_instance

MOST_URL_BYTES = 8 * 1024
MOST_HEADERS = 100
MOST_HEAD_BYTES = 32 * 1024
# Of one connection, behind the request that is being answered.
MOST_WAITING = 100
# What frames a chunk is no part of the body; so much of it is expected with each.
_CHUNK_FRAME_BYTES = 16
# A body gets its seconds, and more where it is large, by this rate.
_LEAST_BYTES_A_SECOND = 64 * 1024
_LOOK_SECONDS = 5.0
# What has been read of an answer buys its reader time, by this rate.
_LEAST_READ_A_SECOND = 4 * 1024
# Nobody is taken for one who does not read before that.
_BRIEF_SECONDS = 0.5
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


class _Flow(FlowControl):
    """Nothing more is read while requests wait behind the one that is being answered: whoever answers it asks for more,
    if only to hear that the client left, and each time another packet full of requests would come in."""

    def __init__(self, transport: Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """What is awaited, and since when, is noted as it happens; one timer for each connection looks at it now and then,
    so that a request costs no timer."""

    # How long a client may read nothing of its answer; and, of a process, how much of answers may lie unread before
    # those go that have read nothing for longest.
    stalled_seconds: ClassVar[float] = 30.0
    most_unread_bytes: ClassVar[int] = 32 * 1024 * 1024

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _parser(self)
        self._settings = settings
        # Only the frame knows what a page may read, and which path was asked for from outside.
        self._framed = bool(settings.cors_origins or outside_of(settings))
        self._refusal: AppError = BadHttp()
        # Something was refused: what comes now is not looked at, and after the last answer the connection ends.
        self._ending = False
        # None while no head is awaited: a request is being answered, or nothing has come since the last one.
        self._head_since: float | None = None
        # None while no body is awaited: before its head is whole, and once the request is.
        self._body_since: float | None = None
        # None while less of an answer lies unread than the connection may hold; and how much that was when it was seen.
        self._stalled_since: float | None = None
        self._unread = 0
        # `cycle` is the newest request, which may wait in the pipeline. This one is being answered, or was the last.
        self._running: RequestResponseCycle | None = None
        # Of the newest request, its trailers among them.
        self._fields = self._field_bytes = self._hosts = 0
        self._body_bytes = 0
        # Whatever else came with it. Of the packet in which it began nothing is counted.
        self._other_bytes = 0
        self._looking: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        if len(self.connections) > self._settings.connections:
            self._end(Overloaded("there are too many connections"))
        else:
            self._head_since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._running is not None and not self._running.response_complete:
            # uvicorn tells the newest one only, and a stream would go on for ever.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._head_since is None and (self.cycle is None or self.cycle.response_complete):
            self._head_since = self.loop.time()
        self._unset_keepalive_if_required()
        self._other_bytes += len(data)
        try:
            self._parse(data)
        except HttpParserError:
            self._end(self._refusal)
        else:
            if self._other_bytes > MOST_HEAD_BYTES + MOST_URL_BYTES:
                self._end(
                    HeadersTooLarge() if self._body_since is None else BadHttp("there is too much around the body")
                )

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                # We speak nothing else and go on as if it had not been asked for. The parser would take what follows
                # for another protocol: a new one reads the same head again.
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser = _parser(self)

    def _without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s: %s\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"".join((b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version), *lines, b"\r\n"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._fields = self._field_bytes = self._hosts = self._other_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MOST_URL_BYTES:
            self._refuse(UrlTooLong())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._field_bytes += len(name) + len(value)
        if self._fields > MOST_HEADERS or self._field_bytes > MOST_HEAD_BYTES:
            self._refuse(HeadersTooLarge())
        # A field behind the body says nothing that counts: proxies have not looked at it.
        if self._body_since is None:
            # As uvicorn does it, which is called here once for each of them.
            name = name.lower()
            if name == b"host":
                self._hosts += 1
            elif name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse(BadHttp("this is no proxy"))
            return
        if self._hosts > 1 or (not self._hosts and self.parser.get_http_version() != "1.0"):
            self._refuse(BadHttp("a request has one Host field"))
        if len(self.pipeline) >= MOST_WAITING:
            self._refuse(Overloaded("too many requests wait behind one another"))
        self._unset_keepalive_if_required()
        self._head_since = None
        self._body_bytes = 0
        super().on_headers_complete()
        self._body_since = self.loop.time()

    def _refuse(self, refusal: AppError) -> Never:
        self._refusal = refusal
        raise Refused

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        admission: Admission | None = self.app_state.get(ADMISSION)
        # Those that lie in a row behind one another would call one another here, each from within the one before. And
        # only a task waits for who asks on and on and reads nothing.
        here = not (self.pipeline or self.flow.write_paused or self._framed)
        cast("dict[str, object]", cycle.scope)[FLOW] = self.flow
        if admission and admission.draining and not self.pipeline:
            # The answer says that the connection ends with it.
            cycle.keep_alive = False
        if admission and here and admission.refuses(admission.cost_of(cycle.scope)):
            self._shed(cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _shed(self, cycle: RequestResponseCycle) -> None:
        """Says no without the application: at three times of what can be done, saying no is most of the work."""
        self.transport.write(_said(BUSY, cycle.scope, close=not cycle.keep_alive))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._other_bytes -= len(body) + _CHUNK_FRAME_BYTES
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._body_since = None
        super().on_message_complete()
        if self._head_since is not None:
            # The rest of a body whose request had been answered: the connection lies idle again.
            self._head_since = None
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        self._unread = self.transport.get_write_buffer_size()
        super().pause_writing()
        self._hang_up_on_who_reads_nothing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def _note_reading(self, now: float) -> None:
        unread, was = self.transport.get_write_buffer_size(), self._unread
        if self._stalled_since is not None and unread < was:
            self._stalled_since = min(now, self._stalled_since + (was - unread) / _LEAST_READ_A_SECOND)
        self._unread = unread

    def _hang_up_on_who_reads_nothing(self) -> None:
        """Where more lies unread than the process may hold, whoever asked for it."""
        now = self.loop.time()
        others = [each for each in self.connections if isinstance(each, BoundedProtocol)]
        stalled = [each for each in others if each._stalled_since is not None and not each.transport.is_closing()]
        for each in stalled:
            each._note_reading(now)
        unread = sum(each._unread for each in stalled)
        for each in sorted(stalled, key=lambda each: each._stalled_since or now):
            if unread <= self.most_unread_bytes or not _past(each._stalled_since, now, _BRIEF_SECONDS):
                return
            unread -= each._unread
            each.transport.abort()

    def _look_later(self) -> None:
        often = min(_LOOK_SECONDS, self._settings.head_seconds, self._settings.body_seconds)
        self._looking = self.loop.call_later(often, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        self._note_reading(now)
        if self._stalled_since is not None:
            self._hang_up_on_who_reads_nothing()
        if _past(self._stalled_since, now, self.stalled_seconds):
            # What it has not read yet would keep a closed connection open.
            self.transport.abort()
            return
        self._look_later()
        if self.transport.is_closing():
            self._stalled_since = self._stalled_since or now
        elif _past(self._head_since, now, self._settings.head_seconds):
            self.transport.close()
        elif self.flow.read_paused:
            # Nobody can send a body to who does not read it.
            self._body_since = self._body_since and now
        elif _past(self._body_since, now, self._settings.body_seconds + self._body_bytes / _LEAST_BYTES_A_SECOND):
            self._end(BodyTooSlow())

    def _end(self, refusal: AppError) -> None:
        """Says no, where that can still be said, and hangs up. What was asked before that is answered first."""
        if self._ending or self.transport.is_closing():
            return
        self._ending = True
        if self._body_since is not None and self.pipeline:
            # The newest one, which nobody has begun to answer.
            self.pipeline.popleft()
            self._body_since = None
            self.cycle = self.pipeline[0][0] if self.pipeline else cast("RequestResponseCycle", self._running)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and self._body_since is None and not cycle.response_complete:
            cycle.keep_alive = False
            return
        # Nothing else can be said once its answer has begun.
        if cycle is None or self._body_since is None or not cycle.response_started:
            self.transport.write(_said(refusal, base=self._settings.base_path))
        self.transport.close()


def _parser(protocol: BoundedProtocol) -> HttpRequestParser:
    parser = HttpRequestParser(protocol)
    # As uvicorn does: what follows a request that closes the connection must not spoil its answer.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _past(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds


def _said(refusal: AppError, scope: HTTPScope | None = None, *, close: bool = True, base: str = "") -> bytes:
    instance = as_instance(scope["path"]) if scope else f"{base}/"
    problem = {"type": f"{base}/problems/{refusal.code}", "title": refusal.title, "status": refusal.status}
    body = orjson.dumps(problem | {"detail": refusal.detail, "instance": instance, "code": refusal.code})
    more = "".join(f"{name}: {value}\r\n" for name, value in refusal.headers.items())
    lines = f"content-length: {len(body)}\r\nx-request-id: {uuid7().hex}\r\n{more}{_CLOSE if close else ''}\r\n"
    head = STATUS_LINE[refusal.status] + _HEADERS + lines.encode()
    return head if scope and scope["method"] == "HEAD" else head + body

"""The outermost layer: HEAD, the request id, headers that every answer has, the access log, metrics, and the answer to
a bug. Plain ASGI: what it costs, every request pays."""

import re
import time

import structlog
import uuid_utils
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web import metrics
from app.web.logs import REQUEST_ID
from app.web.problems import from_fault, respond

log = structlog.get_logger("ninety.access")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization"),
]


class Frame:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid_utils.uuid7().hex.encode()
        token = REQUEST_ID.set(request_id.decode())
        method = scope["method"]
        if method == "HEAD":
            scope["method"] = "GET"
        answer = _Answer(send, request_id, bodiless=method == "HEAD")
        try:
            await self._app(scope, receive, answer.send)
        except Exception as bug:
            if answer.status:
                raise
            await respond(Request(scope), from_fault(bug))(scope, receive, answer.send)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")
            seconds = time.perf_counter() - began
            metrics.answered(method, route, answer.status, seconds)
            trace = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
            trace_id = {"trace_id": trace[1].decode()} if trace else {}
            milliseconds = round(seconds * 1000, 2)
            log.info("request", method=method, route=route, status=answer.status, ms=milliseconds, **trace_id)
            REQUEST_ID.reset(token)


class _Answer:
    """`send`, with the headers added, the status remembered and, for HEAD, the body left out."""

    __slots__ = ("_bodiless", "_request_id", "_send", "status")

    def __init__(self, send: Send, request_id: bytes, *, bodiless: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._bodiless = bodiless
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *_ALWAYS, (b"x-request-id", self._request_id)]
        elif self._bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

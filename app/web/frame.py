"""The outermost layer: who is let in under load, HEAD, the request id, headers that every answer has, the access log,
metrics, and the answer to a bug. Plain ASGI: what it costs, every request pays."""

import asyncio
import re
import time

import orjson
import structlog
import uuid_utils
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Overloaded
from app.settings import Settings
from app.web import metrics
from app.web.limits import HEADERS, Admission, is_vital
from app.web.logs import REQUEST_ID
from app.web.problems import MEDIA_TYPE, as_instance, from_fault, respond

log = structlog.get_logger("ninety.access")

# A key, a ticket or a token in its place is somebody's mistake, and must not get into the log.
_REQUEST_ID = re.compile(rb"(?!nt[ys]_|eyJ)[A-Za-z0-9._-]{1,128}")
Headers = tuple[tuple[bytes, bytes], ...]
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization"),
)
_POLICY = b"content-security-policy"
NOTHING = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
BUSY = Overloaded("there is too much to do just now")


class Frame:
    def __init__(self, app: ASGIApp, settings: Settings, admission: Admission) -> None:
        self._app = app
        self._admission = admission
        hsts = f"max-age={settings.hsts_seconds}; includeSubDomains".encode()
        self._always = (*ALWAYS, *([(b"strict-transport-security", hsts)] if settings.hsts_seconds else []))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._admission.refuses(scope):
            await _shed(scope, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid_utils.uuid7().hex.encode()
        token = REQUEST_ID.set(request_id.decode())
        method = scope["method"]
        if method == "HEAD":
            # The server below goes by its own scope, and must know that no body follows.
            scope = {**scope, "method": "GET"}
        always = (*self._always, (b"x-request-id", request_id))
        answer = _Answer(scope, send, always, self._admission, bodiless=method == "HEAD")
        try:
            # What streams would never end: nobody reads on after the head.
            await self._app(scope, answer.left if method == "HEAD" else receive, answer.send)
        except Exception as bug:
            if answer.status:
                raise
            await respond(Request(scope), from_fault(bug))(scope, receive, answer.send)
        finally:
            await answer.over()
            answer.begun()
            route = getattr(scope.get("route"), "path_format", "none")
            seconds = time.perf_counter() - began
            metrics.answered(method, route, answer.status, seconds)
            trace = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
            trace_id = {"trace_id": trace[1].decode()} if trace else {}
            milliseconds = round(seconds * 1000, 2)
            log.info("request", method=method, route=route, status=answer.status, ms=milliseconds, **trace_id)
            REQUEST_ID.reset(token)


async def _shed(scope: Scope, send: Send) -> None:
    """Says no for as little as can be: most of the work that remains is that of the server below."""
    body = {"type": f"/problems/{BUSY.code}", "title": BUSY.title, "status": BUSY.status, "detail": BUSY.detail}
    raw = orjson.dumps(body | {"instance": as_instance(scope["path"]), "code": BUSY.code})
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(raw)).encode()),
        (b"retry-after", BUSY.headers["Retry-After"].encode()),
        (b"x-request-id", uuid_utils.uuid7().hex.encode()),
        *ALWAYS,
        NOTHING,
    ]
    await send({"type": "http.response.start", "status": BUSY.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else raw})


class _Answer:
    """`send`, with the headers added, the status remembered and, for HEAD, the body left out. Unless it is vital, the
    request counts as being worked on until the answer begins."""

    __slots__ = ("_admission", "_always", "_bodiless", "_counted", "_scope", "_send", "_started", "status")

    def __init__(self, scope: Scope, send: Send, always: Headers, admission: Admission, *, bodiless: bool) -> None:
        self._scope = scope
        self._send = send
        self._always = always
        self._admission = admission
        self._bodiless = bodiless
        self._counted = not is_vital(scope["method"], scope["path"])
        # Only who wants no more than the head waits for it.
        self._started = asyncio.Event() if bodiless else None
        self.status = 0
        if self._counted:
            admission.running += 1

    def begun(self) -> None:
        if self._counted:
            self._counted = False
            self._admission.running -= 1

    async def left(self) -> Message:
        """What is received from a client who wants the head only: that it left, once it has it."""
        assert self._started is not None
        await self._started.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun()
            self.status = message["status"]
            if self._started is not None:
                self._started.set()
            headers = [*message["headers"], *self._always, *self._scope.get(HEADERS, ())]
            # A page says itself what it may load; everything else loads nothing.
            if not any(name == _POLICY for name, _ in message["headers"]):
                headers.append(NOTHING)
            message["headers"] = headers
        elif self._bodiless:
            return
        await self._send(message)

    async def over(self) -> None:
        if self._bodiless and self.status:
            await self._send({"type": "http.response.body", "body": b""})

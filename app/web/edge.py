"""The outermost layer: who is let in under load, HEAD, the request id, headers that every answer has, the access log,
metrics, and the answer to a bug. Plain ASGI: what it costs, every request pays."""

import asyncio
import re
import time
from collections.abc import Mapping

import orjson
import structlog
import uuid_utils
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

from app.errors import Overloaded
from app.settings import Settings
from app.tracing import TRACE, Trace, Tracing
from app.web import metrics
from app.web.admission import Admission, Kind
from app.web.limits import CALLER, HEADERS, PLACE, Place
from app.web.logs import REQUEST_ID
from app.web.outside import BASE, Outside, outside_of
from app.web.problems import CODE, MEDIA_TYPE, as_instance, from_fault, respond

log = structlog.get_logger("ninety.access")

# A key, a ticket or a token in its place is somebody's mistake, and must not get into the log.
_REQUEST_ID = re.compile(rb"(?!nt[ys]_|eyJ)[A-Za-z0-9._-]{1,128}")
Headers = tuple[tuple[bytes, bytes], ...]
_PART = re.compile(r"\{(\w+)\}")
_ID = re.compile(r"[0-9]{1,19}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization, Accept-Encoding"),
)
# What has a tag may be kept, to be asked for again each time.
_KEPT = (b"cache-control", b"private, no-cache")
_POLICY = b"content-security-policy"
_ITS_OWN = frozenset({_POLICY, b"cache-control", b"vary"})
# Under this name the server leaves the flow of the connection in the scope.
FLOW = "ninety.flow"
NOTHING = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
BUSY = Overloaded("there is too much to do just now")


class EdgeMiddleware:
    def __init__(self, app: ASGIApp, settings: Settings, admission: Admission, tracing: Tracing | None = None) -> None:
        self._app = app
        self._admission = admission
        self._tracing = tracing
        hsts = f"max-age={settings.hsts_seconds}; includeSubDomains".encode()
        self._always = (*ALWAYS, *([(b"strict-transport-security", hsts)] if settings.hsts_seconds else []))
        self._outside = outside_of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._outside is None:
            await self._answer(scope, receive, send)
        else:
            with self._outside.around(scope) as own:
                await self._answer(own, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        cost = self._admission.cost_of(scope)
        if self._admission.refuses(cost):
            await _shed(scope, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid_utils.uuid7().hex.encode()
        token = REQUEST_ID.set(request_id.decode())
        method = scope["method"]
        trace = self._begin_trace(method, headers) if self._tracing and cost.kind is not Kind.vital else None
        if method == "HEAD":
            # The server below goes by its own scope, and must know that no body follows.
            scope = {**scope, "method": "GET"}
        always = (*self._always, (b"x-request-id", request_id))
        counted = None if cost.kind is Kind.vital else self._admission
        answer = _Answer(scope, send, always, counted, cost.kind, self._outside, bodiless=method == "HEAD")
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
            await _left(scope)
            route = getattr(scope.get("route"), "path_format", "none")
            seconds = time.perf_counter() - began
            metrics.answered(method, route, answer.status, seconds)
            trace_id = _end_trace(trace, method, route, answer.status, request_id) or _trace_id_in(headers)
            traced = {"trace_id": trace_id} if trace_id else {}
            milliseconds = round(seconds * 1000, 2)
            said = _said_of(scope)
            log.info("request", method=method, route=route, status=answer.status, ms=milliseconds, **said, **traced)
            REQUEST_ID.reset(token)

    def _begin_trace(self, method: str, headers: Mapping[bytes, bytes]) -> Trace:
        assert self._tracing
        parent = headers.get(b"traceparent", b"").decode("latin-1")
        trace = self._tracing.begin(method, parent=parent, inbound=True)
        TRACE.set(trace)
        return trace


def _end_trace(trace: Trace | None, method: str, route: str, status: int, request_id: bytes) -> str | None:
    """Its id. What a path has is not told; the line in the log with this id has it."""
    if trace is None:
        return None
    TRACE.set(None)
    told: dict[str, str | int] = {
        "http.request.method": method, "http.route": route, "http.response.status_code": status,
        "ninety.request_id": request_id.decode(),
    }  # fmt: skip
    trace.end(f"{method} {route}", told, str(status) if status >= 500 else None)
    return trace.id


def _trace_id_in(headers: Mapping[bytes, bytes]) -> str | None:
    given = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    return given[1].decode() if given else None


def _said_of(scope: Scope) -> dict[str, str]:
    """The path with its ids, who called, and the code of a refusal; no names that a path has."""
    said = {}
    if route := getattr(scope.get("route"), "path_format", None):
        ids = {name: part for name, part in scope.get("path_params", {}).items() if _ID.fullmatch(str(part))}
        said["path"] = _PART.sub(lambda found: str(ids.get(found[1], found[0])), route)
    if caller := scope.get(CALLER):
        said["caller"] = str(caller.id)
    if code := scope.get(CODE):
        said["code"] = code
    return said


async def _shed(scope: Scope, send: Send) -> None:
    """Says no for as little as can be: most of the work that remains is that of the server below."""
    base, title = BASE.get(), BUSY.title
    body = {"type": f"{base}/problems/{BUSY.code}", "title": title, "status": BUSY.status, "detail": BUSY.detail}
    raw = orjson.dumps(body | {"instance": base + as_instance(scope["path"]), "code": BUSY.code})
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


async def _left(scope: Scope) -> None:
    """Until the connection has taken all of the answer: so long it counts against its caller, whose place is then
    free."""
    place: Place | None = scope.get(PLACE)
    if place is None:
        return
    try:
        flow: FlowControl | None = scope.get(FLOW)
        if flow is not None and flow.write_paused:
            await flow.drain()
    finally:
        place.leave()


class _Answer:
    """`send`, with the headers added, the status remembered and, for HEAD, the body left out. Unless it is vital, the
    request counts as being worked on until the answer begins."""

    __slots__ = ("_always", "_bodiless", "_counted", "_kind", "_outside", "_scope", "_send", "_started", "status")

    def __init__(
        self,
        scope: Scope,
        send: Send,
        always: Headers,
        counted: Admission | None,
        kind: Kind,
        outside: Outside | None,
        *,
        bodiless: bool,
    ) -> None:
        self._scope = scope
        self._send = send
        self._always = always
        self._counted = counted
        self._kind = kind
        self._outside = outside
        self._bodiless = bodiless
        # Only who wants no more than the head waits for it.
        self._started = asyncio.Event() if bodiless else None
        self.status = 0
        if counted:
            counted.begin(kind)

    def begun(self) -> None:
        if self._counted:
            self._counted.end(self._kind)
            self._counted = None

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
            # A page says itself what it may load and how long it may be kept: said twice, the stricter one would win.
            names = {name for name, _ in message["headers"]}
            own = names & _ITS_OWN
            always = [header for header in self._always if header[0] not in own] if own else self._always
            if b"etag" in names and self._scope["method"] == "GET":
                always = [_KEPT if header[0] == b"cache-control" else header for header in always]
            headers = [*message["headers"], *always]
            if told := self._scope.get(HEADERS):
                headers += told.headers(self._scope.get(PLACE))
            if _POLICY not in own:
                headers.append(NOTHING)
            message["headers"] = self._outside.linked(headers) if self._outside else headers
        elif self._bodiless:
            return
        await self._send(message)

    async def over(self) -> None:
        if self._bodiless and self.status:
            await self._send({"type": "http.response.body", "body": b""})

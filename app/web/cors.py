"""Which web pages may call from a browser: those that are named, and never with a browser's own credentials."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import AppError
from app.web.problems import respond

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_TAKEN = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
    "X-Request-ID", "traceparent", "tracestate",
)  # fmt: skip
_SHOWN = (
    "ETag", "Location", "Link", "Next-Position", "Content-Disposition", "RateLimit", "RateLimit-Policy", "Retry-After",
    "X-Request-ID", "Idempotency-Replayed",
)  # fmt: skip


class OriginRefused(AppError):
    """Pages of this origin may not call from a browser, or not with this method or these headers. Origins are allowed
    by the setting NINETY_CORS_ORIGINS."""

    status = 400
    code = "origin_refused"
    title = "Not from this page"


class _Pages(CORSMiddleware):
    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_TAKEN,
            expose_headers=_SHOWN,
            allow_credentials=False,
            max_age=600,
        )


class Cors(_Pages):
    """Lets a page read the answer. Outermost, so that it can also read what it is refused for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "origin" not in (headers := Headers(scope=scope)):
            await self.app(scope, receive, send)
        else:
            await self.simple_response(scope, receive, send, request_headers=headers)


class Preflights(_Pages):
    """Answers whether a page may ask at all. Inside the frame: such an answer is logged and dressed like any other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                await self._preflight(Request(scope), headers)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _preflight(self, request: Request, headers: Headers) -> Response:
        answer = self.preflight_response(request_headers=headers)
        if answer.status_code >= 400:
            return respond(request, OriginRefused(headers={"Vary": "Origin"}))
        return answer

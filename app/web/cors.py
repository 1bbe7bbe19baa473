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
    "X-Request-ID", "traceparent", "tracestate", "baggage", "sentry-trace", "Cache-Control",
)  # fmt: skip
_SHOWN = (
    "ETag", "Location", "Link", "Next-Position", "Content-Disposition", "RateLimit", "RateLimit-Policy", "Retry-After",
    "X-Request-ID", "Idempotency-Replayed", "Age",
)  # fmt: skip


class OriginRefused(AppError):
    """Pages of this origin may not call from a browser, or not with this method or these headers. Origins are allowed
    by the setting NINETY_CORS_ORIGINS, and more headers by NINETY_CORS_HEADERS."""

    status = 400
    code = "origin_refused"
    title = "CORS origin not allowed"


class _Pages(CORSMiddleware):
    def __init__(self, app: ASGIApp, origins: Sequence[str], headers: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=(*_TAKEN, *headers),
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
            return respond(request, OriginRefused(self._refused(headers), headers={"Vary": "Origin"}))
        return answer

    def _refused(self, headers: Headers) -> str:
        if not self.is_allowed_origin(headers["origin"]):
            return "pages of this origin may not call: NINETY_CORS_ORIGINS names those that may"
        if headers["access-control-request-method"] not in self.allow_methods:
            return f"the method is not allowed; those allowed are {', '.join(_METHODS)}"
        asked = [name.strip() for name in headers.get("access-control-request-headers", "").split(",")]
        refused = [name[:100] for name in asked if name and name.lower() not in self.allow_headers]
        if not refused:
            return "a page of a public network may not call a private one"
        return f"not allowed of a page, unless NINETY_CORS_HEADERS names it: {', '.join(refused[:10])}"

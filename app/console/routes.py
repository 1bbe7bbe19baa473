"""The live console at /console: one page whose script calls the public API as its user, and nothing else.

The files in `static/` are made from the sources in `console/` by `make console` and are committed. They are read once,
at the start. Their address holds a digest of all of them, so that a browser may keep them for ever; the page itself is
asked for each time. The page may load from this service alone, and may run no code but these files."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from app.errors import NotFound
from app.web.outside import BASE
from app.web.packing import takes_gzip

STATIC = Path(__file__).parent / "static"
PAGE = "index.html"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"
# One for each path that stands before ours.
_KEPT_PAGES = 8


@dataclass(frozen=True)
class _File:
    """A file with what is sent for it: packed where the browser can unpack it."""

    body: bytes
    media_type: str

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.body, 9, mtime=0)

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'

    def answer(self, request: Request, headers: dict[str, str]) -> Response:
        headers = {**headers, "Vary": "Accept-Encoding", "ETag": self.etag}
        if self.etag in request.headers.get("if-none-match", "").replace("W/", ""):
            return Response(status_code=304, headers=headers)
        if takes_gzip(request):
            return Response(self.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.body, headers=headers, media_type=self.media_type)


def install(app: FastAPI) -> None:
    """Add the console's routes."""
    files = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.is_file()}
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + body for name, body in files.items())).hexdigest()[:16]
    assets = {name: _File(body, _media_type(name)) for name, body in files.items() if name != PAGE}
    assets_at = f"/console/assets/{digest}"

    @lru_cache(maxsize=_KEPT_PAGES)
    def page(base: str) -> _File:
        html = files[PAGE].replace(b"{{assets}}", (base + assets_at).encode()).replace(b"{{base}}", base.encode())
        return _File(html, "text/html; charset=utf-8")

    page_headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    async def console(request: Request) -> Response:
        return page(BASE.get()).answer(request, page_headers)

    async def asset(request: Request) -> Response:
        file = assets.get(request.path_params["name"])
        if file is None or request.path_params["digest"] != digest:
            raise NotFound("there is no such file in this release of the console: load the page again")
        return file.answer(request, {"Cache-Control": _FOR_EVER})

    async def front(_: Request) -> Response:
        return RedirectResponse("/console", 307, {"Cache-Control": "no-cache"})

    app.add_route("/", front, methods=["GET"], include_in_schema=False)
    app.add_route("/console/assets/{digest}/{name}", asset, methods=["GET"], include_in_schema=False)
    app.add_route("/console", console, methods=["GET"], include_in_schema=False)
    # Every page has the same document; its script shows what the address asks for.
    app.add_route("/console/{page:path}", console, methods=["GET"], include_in_schema=False)


def _media_type(name: str) -> str:
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed

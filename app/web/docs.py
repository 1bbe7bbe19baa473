"""/docs without the internet: Swagger UI from the files of a package, under this service's own paths. Its browser is
told to load nothing from anywhere else."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_STATIC = Path(fastapi_offline.__file__).parent / "static"


def install(app: FastAPI) -> None:
    # Addresses beside its own, whatever path stands before it.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Ninety",
        swagger_js_url="docs/static/swagger-ui-bundle.js",
        swagger_css_url="docs/static/swagger-ui.css",
        swagger_favicon_url="docs/static/favicon.png",
        swagger_ui_parameters={"docExpansion": "none", "filter": True, "persistAuthorization": True},
    ).body
    headers = {"Content-Security-Policy": _policy(bytes(page).decode()), "Cross-Origin-Opener-Policy": "same-origin"}

    async def docs(_: Request) -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    app.add_route("/docs", docs, methods=["GET"], include_in_schema=False)
    app.mount("/docs/static", _Kept(directory=_STATIC), name="docs-static")


class _Kept(StaticFiles):
    """Files with their ETag: a browser asks whether they are still the same."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _policy(page: str) -> str:
    """The page's one script is known by its hash; the styles that Swagger UI makes as it goes cannot be."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in re.findall(r"<script>(.+?)</script>", page, re.DOTALL)
    ]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(hashes)}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

"""Requests that no well-behaved client sends, handed to the application as a server would hand them over."""

from collections.abc import Sequence
from typing import Any

import httpx
from fastapi import FastAPI

from tests.conftest import hanging_up

Headers = Sequence[tuple[bytes, bytes]]


async def send(
    app: FastAPI,
    method: str,
    path: str,
    *,
    key: str | None = None,
    headers: Headers = (),
    query: bytes = b"",
    chunks: Sequence[bytes] = (b"",),
    break_off: bool = False,
) -> httpx.Response:
    """`path` is decoded already and goes in as it is. `break_off`: the client leaves before the body is whole."""
    bearer = [(b"authorization", f"Bearer {key}".encode())] if key else []
    host = [] if any(name == b"host" for name, _ in headers) else [(b"host", b"ninety.test")]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": query,
        "root_path": "",
        "headers": [*host, *bearer, *headers],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    waiting = list(chunks)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if waiting:
            chunk = waiting.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or break_off}
        return {"type": "http.disconnect"}

    async def take(message: Any) -> None:
        sent.append(dict(message))

    try:
        await hanging_up(app)(scope, receive, take)
    except Exception:
        # A bug is answered and then raised again, for the server to log.
        if not sent:
            raise
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    request = httpx.Request(method, "http://ninety.test/")
    return httpx.Response(start["status"], headers=start["headers"], content=body, request=request)

"""What a browser is told before a page of another origin calls."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.document import plain
from tests.support.expect import problem
from tests.support.openapi import METHODS

ORIGIN = "https://desk.example"


APP = create_app(
    Settings(database_url="postgresql://nowhere.test/n", cors_origins=(ORIGIN,), cors_headers=("X-Shop",), worker=False)
)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    # As it is: the usual client waits for the database before the log is read.
    transport = httpx.ASGITransport(app=APP, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninety.test") as client:
        yield client


async def _preflight(
    http: httpx.AsyncClient,
    headers: str | None,
    method: str = "POST",
    origin: str = ORIGIN,
    path: str = "/v1/tickets",
) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return await http.options(path, headers=asked)


@pytest.mark.parametrize(
    "headers",
    [
        None, "authorization,content-type,idempotency-key", "baggage, sentry-trace, traceparent",
        "cache-control,if-match", "X-Shop",
    ],
)  # fmt: skip
async def test_a_page_may_send_what_the_api_tracing_and_the_setting_name(
    http: httpx.AsyncClient, headers: str | None
) -> None:
    answer = await _preflight(http, headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_a_refused_header_is_named(http: httpx.AsyncClient) -> None:
    said = problem(await _preflight(http, "authorization, x-odd,X-Other"), 400, "origin_refused")
    assert said["detail"].endswith(": x-odd, X-Other")


async def test_a_refused_method_or_origin_is_told_apart(http: httpx.AsyncClient) -> None:
    by_method = problem(await _preflight(http, None, method="TRACE"), 400, "origin_refused")
    assert "GET, HEAD, POST" in by_method["detail"]
    by_origin = problem(await _preflight(http, "x-odd", origin="https://evil.example"), 400, "origin_refused")
    assert "NINETY_CORS_ORIGINS" in by_origin["detail"]


_DOCUMENT = plain(APP.openapi())
_BESIDE = ["/livez", "/openapi.json", "/docs", "/problems/not_found", "/v1/nowhere", "/v1", "/"]
_OPERATIONS = [
    (method.upper(), path.replace("{", "").replace("}", ""), operation)
    for path, item in _DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
] + [("GET", path, {}) for path in _BESIDE]
each_operation = pytest.mark.parametrize(
    ("method", "path", "operation"), _OPERATIONS, ids=[f"{method} {path}" for method, path, _ in _OPERATIONS]
)
# What a page reads of every answer.
_READ_ANYWAY = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"}


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get(header, "").split(",")}


@each_operation
async def test_each_path_tells_a_page_what_it_may(
    http: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    own = {each["name"].lower() for each in operation.get("parameters", ()) if each["in"] == "header"}
    headers = own | {"authorization", "content-type", "baggage", "sentry-trace", "cache-control"}
    answer = await _preflight(http, ",".join(headers), method, path=path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers
    assert method.lower() in _listed(answer, "access-control-allow-methods")
    assert headers <= _listed(answer, "access-control-allow-headers")


@each_operation
async def test_each_path_names_what_a_page_may_not(
    http: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    by_header = await _preflight(http, "authorization,x-odd", method, path=path)
    assert problem(by_header, 400, "origin_refused")["detail"].endswith(": x-odd")
    assert by_header.headers["access-control-allow-origin"] == ORIGIN
    by_method = problem(await _preflight(http, None, "TRACE", path=path), 400, "origin_refused")
    assert "GET, HEAD, POST" in by_method["detail"]
    by_origin = await _preflight(http, None, method, "https://evil.example", path)
    assert "NINETY_CORS_ORIGINS" in problem(by_origin, 400, "origin_refused")["detail"]
    assert "access-control-allow-origin" not in by_origin.headers


@each_operation
async def test_each_answer_is_read_by_a_page_that_may_and_by_no_other(
    http: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    declared = {name.lower() for each in operation.get("responses", {}).values() for name in each.get("headers", ())}
    for origin, told in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        answer = await http.request(method, path, headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == told
        assert "origin" in _listed(answer, "vary")
        assert declared - _READ_ANYWAY <= _listed(answer, "access-control-expose-headers")

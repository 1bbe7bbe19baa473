"""What a browser is told before a page of another origin calls."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import client_for
from tests.support.expect import problem

ORIGIN = "https://desk.example"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database_url="postgresql://nowhere.test/n", cors_origins=(ORIGIN,), cors_headers=("X-Shop",), worker=False
    )
    async with client_for(create_app(settings), None) as client:
        yield client


async def _preflight(
    http: httpx.AsyncClient, headers: str | None, method: str = "POST", origin: str = ORIGIN
) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return await http.options("/v1/tickets", headers=asked)


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

"""The service behind the proxies of docs/proxies.md."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import Databases
from tests.faults import harness
from tests.proxies.running import CADDY, KINDS, PREFIX, Kind, behind_a_path, running, until_ready
from tests.support.imports import item, message

MIB = 2**20


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with harness.directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def replicas(databases: Databases, place: Path) -> Iterator[list[str]]:
    """Called at the root, and at whatever path a proxy of this machine says."""
    settings = {"NINETY_TRUSTED_PROXIES": "127.0.0.1"}
    with databases() as url, ExitStack() as stack:
        started = [
            stack.enter_context(harness.service(place / name, url, settings=settings))[0] for name in ("one", "two")
        ]
        until_ready(started)
        yield started


@pytest.fixture(scope="module")
def behind_the_path(databases: Databases, place: Path) -> Iterator[list[str]]:
    """One whose settings say the path, for both places."""
    settings = {"NINETY_BASE_PATH": PREFIX}
    with databases() as url, harness.service(place / "path", url, settings=settings) as (replica, _):
        until_ready([replica])
        yield [replica, replica]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture(scope="module")
def front(kind: Kind, place: Path, replicas: list[str]) -> Iterator[str]:
    with running(kind, place, replicas) as url:
        yield url


@pytest.fixture
async def http(front: str) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client(front) as client:
        yield client


async def test_an_import_of_the_largest_size_comes_through(kind: Kind, http: httpx.AsyncClient) -> None:
    padding = "x" * 14_000
    lines = [item(f"{kind.name}-{number}", message(31, body=padding)) for number in range(1_000)]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    assert 13 * MIB < len(body) < 16 * MIB
    answer = await http.post("/v1/imports/tickets", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["created"] == len(lines), answer.text[:500]


async def test_what_is_too_large_is_refused(kind: Kind, http: httpx.AsyncClient) -> None:
    for path, size in (("/v1/imports/tickets", 18 * MIB), ("/v1/tickets", 2 * MIB)):
        try:
            answer = await http.post(path, content=b"x" * size)
        except httpx.TransportError:
            # It hangs up on who still sends, and its answer may be lost.
            assert kind is CADDY
        else:
            assert answer.status_code == 413


async def test_an_event_of_a_stream_comes_at_once(http: httpx.AsyncClient) -> None:
    async with http.stream("GET", "/v1/events/stream?types=team.created") as stream, asyncio.timeout(20):
        lines = stream.aiter_lines()
        async for line in lines:
            if line.startswith("data:"):
                break
        name = quote(str(http.base_url.port))
        made = await http.post("/v1/teams", json={"key": f"stream-{name}", "name": "x"})
        assert made.status_code == 201
        async for line in lines:
            if line.startswith("data:") and made.json()["id"] in line:
                return
    raise AssertionError("the stream ended")


async def test_a_tag_is_understood_on_its_way_back(http: httpx.AsyncClient) -> None:
    path = (await http.post("/v1/teams", json={"key": f"tag-{http.base_url.port}", "name": "x"})).headers["location"]
    read = await http.get(path, headers={"Accept-Encoding": "gzip"})
    assert read.headers["cache-control"] == "private, no-cache"
    same = await http.get(path, headers={"If-None-Match": read.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    patched = await http.patch(path, json={"name": "y"}, headers={"If-Match": read.headers["etag"]})
    assert patched.status_code == 200
    late = await http.patch(path, json={"name": "z"}, headers={"If-Match": read.headers["etag"]})
    assert late.status_code == 412


@pytest.mark.parametrize("name", ["a/b", "a b", "ä", "a%2Fb", "a+b", "a;b", "a//b", "..%2F..", "a?b#c", 'a"b'])
async def test_a_path_comes_as_it_was_written(kind: Kind, http: httpx.AsyncClient, name: str) -> None:
    path = f"/v1/customers/by-external-id/{quote(f'{kind.name}-{name}', safe='')}"
    made = await http.put(path, json={"name": "Ada"})
    assert (made.status_code, made.json().get("external_id")) == (201, f"{kind.name}-{name}"), made.text
    assert (await http.get(path)).json()["id"] == made.json()["id"]


async def test_a_client_does_not_say_which_path_it_was(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/nothing", headers={"X-Forwarded-Prefix": "/elsewhere"})
    assert answer.json()["instance"] == "/v1/nothing"


@pytest.mark.parametrize("said", ["by a setting", "by the proxy"])
async def test_behind_a_path_links_lead_back_through_the_proxy(
    kind: Kind, place: Path, behind_the_path: list[str], replicas: list[str], said: str
) -> None:
    left_on, says = behind_a_path(kind)
    by_setting = said == "by a setting"
    changes, servers = (left_on, behind_the_path) if by_setting else (left_on | says, replicas)
    with running(kind, place, servers, changes) as front:
        async with harness.client(front) as http:
            made = await http.post(f"{PREFIX}/v1/teams", json={"key": f"path-{http.base_url.port}", "name": "x"})
            assert made.headers["location"] == f"{PREFIX}/v1/teams/{made.json()['id']}"
            assert (await http.get(made.headers["location"])).status_code == 200
            page = await http.get(f"{PREFIX}/console")
            assert f'src="{PREFIX}/console/assets/' in page.text
            customer = f"{PREFIX}/v1/customers/by-external-id/{http.base_url.port}%2Fb"
            assert (await http.put(customer, json={"name": "Ada"})).json()["external_id"] == f"{http.base_url.port}/b"
            outside = await http.get("/v1/teams")
            assert outside.headers.get("content-type") != "application/json"

"""A path that stands before the service's own, and links that can be followed from outside."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from app.main import create_app
from app.settings import OWN_WORDS, Settings
from app.web.admission import Admission, Costs
from app.web.edge import EdgeMiddleware
from tests.conftest import ADMIN_KEY, client_for
from tests.support.openapi import NOBODY
from tests.support.wire_server import BUSY, CLOSE, Service, get, serving
from tests.web import raw
from tests.web.wire import answers, exchange

BASE = "/support"
PROXY = (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))


@asynccontextmanager
async def called(settings: Settings, **update: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create_app(settings.model_copy(update=update))
    async with app.router.lifespan_context(app), client_for(app, ADMIN_KEY) as http:
        yield app, http


@pytest.fixture(params=["", BASE], ids=["taken off", "left on"])
def before(request: pytest.FixtureRequest) -> str:
    """What a proxy leaves of the path before ours."""
    return str(request.param)


async def test_links_lead_to_where_the_service_is_called(settings: Settings, before: str) -> None:
    async with called(settings, base_path=BASE) as (_, http):
        made = [await http.post(f"{before}/v1/teams", json={"key": key, "name": key}) for key in ("a", "b")]
        assert made[0].headers["location"] == f"{BASE}/v1/teams/{made[0].json()['id']}"
        assert (await http.get(made[0].headers["location"])).json() == made[0].json()
        page = await http.get(f"{before}/v1/teams?limit=1")
        assert page.headers["link"].startswith(f"<{BASE}/v1/teams?limit=1&cursor=")
        assert (await http.get(page.links["next"]["url"])).json()["items"][0]["key"] == "b"
        feed = await http.get(f"{before}/v1/events?limit=1&types=team.created")
        assert feed.links["next"]["url"].startswith(f"{BASE}/v1/events?")
        assert (await http.get(feed.links["next"]["url"])).json()["items"]


async def test_problems_lead_to_their_explanation_and_name_what_was_asked_for(settings: Settings, before: str) -> None:
    async with called(settings, base_path=BASE) as (_, http):
        nothing = (await http.get(f"{before}/v1/nothing")).json()
        assert (nothing["type"], nothing["instance"]) == (f"{BASE}/problems/not_found", f"{BASE}/v1/nothing")
        assert (await http.get(nothing["type"])).json()["code"] == "not_found"
        wrong = (await http.put(f"{before}/v1/teams")).json()
        assert (wrong["code"], wrong["instance"]) == ("method_not_allowed", f"{BASE}/v1/teams")
        patch = {"tickets": [{"id": NOBODY, "if_match": None, "status": "open"}]}
        [item] = (await http.post(f"{before}/v1/tickets/bulk", json=patch)).json()["items"]
        assert item["problem"]["type"] == f"{BASE}/problems/not_found"
        assert item["problem"]["instance"] == f"{BASE}/v1/tickets/{NOBODY}"


async def test_a_repeat_gets_the_same_answer_whatever_the_proxy_takes_off(settings: Settings) -> None:
    async with called(settings, base_path=BASE) as (_, http):
        first, again = [
            await http.post(f"{before}/v1/teams", headers={"Idempotency-Key": "k"}, json={"key": "a", "name": "A"})
            for before in ("", BASE)
        ]
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == first.content
        assert again.headers["location"] == first.headers["location"]


async def test_the_document_and_its_page_and_the_console_are_found(settings: Settings, before: str) -> None:
    async with called(settings, base_path=BASE) as (_, http):
        assert [each["url"] for each in (await http.get(f"{before}/openapi.json")).json()["servers"]] == [BASE]
        for path in ("/docs", "/console", "/console/tickets/some-id?x=1"):
            page = await http.get(before + path)
            assert page.status_code == 200, path
            found = re.findall(r"(?:href|src)=\"([^\"]+)\"|url: '([^']+)'", page.text)
            assert found
            for place in ("".join(each) for each in found):
                url = urljoin(f"http://ninety.test{BASE}{path}", place)
                assert url.startswith(f"http://ninety.test{BASE}/"), url
                assert (await http.get(url)).status_code == 200, url
        assert f"see {BASE}/docs" in (await http.get(f"{before}/console")).text
        assert (await http.get(f"{before}/")).headers["location"] == f"{BASE}/console"
    async with called(settings) as (_, http):
        assert (await http.get("/openapi.json")).json()["servers"][0]["url"] == "/"
        assert "see /docs" in (await http.get("/console")).text


async def test_the_path_itself_leads_to_the_console(settings: Settings) -> None:
    async with called(settings, base_path=BASE) as (_, http):
        for path in (BASE, f"{BASE}/"):
            assert (await http.get(path)).headers["location"] == f"{BASE}/console"
        for path in (f"{BASE}er/v1/teams", "/Support/v1/teams", f"/x{BASE}/v1/teams", f"{BASE}{BASE}/v1/teams"):
            assert (await http.get(path)).status_code == 404, path


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["/desk"], "/desk"),
        (["/desk/"], "/desk"),
        (["/outer", "/inner"], "/outer/inner"),
        (["/outer, /inner"], "/outer/inner"),
        (["/"], ""),
        (["//evil.example"], BASE),
        (["https://evil.example"], BASE),
        (["/a/../b"], BASE),
        (["/a b"], BASE),
        (["/a\\b"], BASE),
        (['/">'], BASE),
        (["/v1"], BASE),
        (["/" + "x" * 201], BASE),
        (["/\xff"], BASE),
        (["desk"], BASE),
        ([], BASE),
    ],
)
async def test_a_trusted_proxy_says_what_it_took_off(settings: Settings, given: list[str], understood: str) -> None:
    async with called(settings, base_path=BASE, trusted_proxies=PROXY) as (app, _):
        headers = [(b"x-forwarded-prefix", each.encode("latin-1")) for each in given]
        answer = await raw.send(app, "GET", "/v1/nothing", headers=headers)
        assert answer.json()["instance"] == f"{understood}/v1/nothing"
        document = await raw.send(app, "GET", "/openapi.json", headers=headers)
        assert document.json()["servers"][0]["url"] == (understood or "/")


@pytest.mark.parametrize(
    ("trusted", "client", "believed"),
    [
        ((), "127.0.0.1", False),
        (PROXY, "127.0.0.1", True),
        (PROXY, "::ffff:127.0.0.9", True),
        (PROXY, "fd00::7", True),
        (PROXY, "10.0.0.1", False),
        (PROXY, "::1", False),
    ],
)
async def test_anybody_else_says_it_in_vain(
    settings: Settings, trusted: tuple[Any, ...], client: str, believed: bool
) -> None:
    async with called(settings, trusted_proxies=trusted, public_origin="https://desk.example") as (app, _):
        transport = httpx.ASGITransport(app=app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://ninety.test") as http:
            answer = await http.get("/v1/nothing", headers={"X-Forwarded-Prefix": "/desk"})
    assert answer.json()["instance"] == ("/desk/v1/nothing" if believed else "/v1/nothing")


async def test_links_are_absolute_where_the_origin_is_set(settings: Settings) -> None:
    async with called(settings, base_path=BASE, public_origin="https://desk.example") as (_, http):
        # Whatever a caller says of the host.
        answers = [
            await http.post("/v1/teams", json={"key": key, "name": key}, headers={"Host": "evil.example"})
            for key in ("a", "b")
        ]
        made = answers[0]
        assert made.headers["location"] == f"https://desk.example{BASE}/v1/teams/{made.json()['id']}"
        page = await http.get("/v1/teams?limit=1")
        assert page.links["next"]["url"].startswith(f"https://desk.example{BASE}/v1/teams?")
        document = (await http.get("/openapi.json")).json()
        assert document["servers"][0]["url"] == f"https://desk.example{BASE}"
        assert (await http.get("/")).headers["location"] == f"https://desk.example{BASE}/console"


async def test_what_is_refused_before_it_is_a_request_leads_there_too() -> None:
    busy = Admission(4, Costs())
    settings = Settings(base_path=BASE)
    async with serving(EdgeMiddleware(Service(), settings, busy), busy, base_path=BASE) as service:
        [long] = answers(await exchange(service.url, get("/" + "x" * 9000)))
        assert (long.status_code, long.json()["type"]) == (414, f"{BASE}/problems/url_too_long")
        busy.running = BUSY
        [shed] = answers(await exchange(service.url, get(f"{BASE}/v1/teams", CLOSE)))
    assert (shed.status_code, shed.json()["type"]) == (503, f"{BASE}/problems/overloaded")
    assert shed.json()["instance"] == f"{BASE}/v1/teams"


def test_the_words_that_own_paths_begin_with_are_known(app: FastAPI) -> None:
    def first(route: BaseRoute) -> str:
        return str(getattr(route, "path", "/")).split("/")[1]

    assert {first(route) for route in app.routes} - {""} == OWN_WORDS

"""The console in a real browser against a real service. `make browser` runs these; elsewhere they are not collected,
because they need Debian's chromium."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from app.auth.keys import make_key
from tests.conftest import Databases
from tests.faults import harness

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SECONDS = 10_000
expect.set_options(timeout=SECONDS)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--browser") else True


@dataclass
class Service:
    """A running service, and its administrator."""

    url: str
    database_url: str
    http: httpx.Client
    made: list[str] = field(default_factory=list)

    def post(self, path: str, body: Any = None, key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = self.http.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str, **params: Any) -> Any:
        # Parameters, even none, replace those of the path.
        answer = self.http.get(path, params=params or None)
        assert answer.is_success, answer.text
        return answer.json()

    def patch(self, path: str, body: Any) -> Any:
        answer = self.http.patch(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def ticket(self, subject: str, **more: Any) -> Any:
        body = {
            "subject": subject,
            "description": f"{subject}?",
            "customer": {"external_id": f"c-{make_key()[1][4:12]}"},
        }
        return self.post("/v1/tickets", body | more)

    def person(self, role: str, name: str = "Somebody") -> tuple[str, str]:
        """The id of an agent and a key of theirs."""
        agent = self.post("/v1/agents", {"name": name})
        return agent["id"], self.post("/v1/api-keys", {"name": name, "role": role, "agent_id": agent["id"]})["key"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def service(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("browser")
    settings = {"NINETY_RATE_LIMIT_AGENT": "1000000", "NINETY_WEBHOOK_PRIVATE_TARGETS": "true"}
    with (
        databases() as database_url,
        harness.service(directory / "data", database_url, settings=settings) as (url, _),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {harness.ADMIN_KEY}"}, timeout=30) as http,
    ):
        yield Service(url, database_url, http)


@pytest.fixture(scope="session")
def playwright(service: Service) -> Iterator[Playwright]:
    """After the service: Playwright's loop stays in this thread, and no other one starts beside it."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), f"no chromium at {CHROMIUM}: apt-get install chromium, or name it in CHROMIUM"
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield chromium
    chromium.close()


@dataclass
class Watch:
    """What no page may do: complain, fail, or ask anybody else for anything."""

    service: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    # A service with too much to do says so, and the console waits as long as it is told.
    allowed: tuple[str, ...] = ("429", "503")

    def on(self, page: Page) -> Page:
        page.on("console", lambda message: self._say(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._say(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def see(self, page: Page) -> None:
        self.on(page)

    def _say(self, text: str) -> None:
        if not any(part in text for part in self.allowed):
            self.complaints.append(text)

    def check(self) -> None:
        assert self.complaints == []
        foreign = [url for url in self.requests if not url.startswith((self.service, "blob:", "data:"))]
        assert foreign == []


@pytest.fixture
def watch(service: Service) -> Iterator[Watch]:
    watching = Watch(service.url)
    yield watching
    watching.check()


@pytest.fixture
def context(browser: Browser, watch: Watch) -> Iterator[BrowserContext]:
    """A browser of one's own: its tabs share what tabs share."""
    made = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="Europe/Helsinki")
    made.on("page", watch.see)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


SignIn = Callable[..., Page]


@pytest.fixture
def sign_in(page: Page, service: Service) -> SignIn:
    """Opens the console as whoever has the key, at a page of it."""

    def open_as(key: str, path: str = "", page: Page = page, live: bool = True) -> Page:
        page.goto(f"{service.url}/console{path}")
        page.get_by_label("API key or token").fill(key)
        page.get_by_role("button", name="Sign in").click()
        # Rows hold still under the pointer, and where the button was there may be one.
        page.mouse.move(2, 2)
        page.get_by_role("banner").wait_for()
        if live:
            expect(page.locator(".live-on")).to_be_visible()
        return page

    return open_as


@pytest.fixture
def admin_key() -> str:
    return harness.ADMIN_KEY

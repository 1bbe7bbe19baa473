"""Every page, for who may see it: nothing that was written by somebody acts, and nobody is shut out."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Service, SignIn, Watch

AXE = Path("console/node_modules/axe-core/axe.min.js")
CANARY = '<img src=x onerror="window.__xss=1"><b>bold</b>javascript:alert(1)'
REVERSED = f"{CANARY}\u202e"
PAGES = [
    "", "/queue", "/promises", "/reports", "/staffing", "/customers", "/segments", "/policies", "/calendars",
    "/what-if", "/operations",
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def hostile(service: Service) -> dict[str, Any]:
    """A ticket whose every word is somebody's attempt, with all that hangs on it."""
    team = service.post("/v1/teams", {"key": "hostile", "name": CANARY})
    service.post("/v1/agents", {"name": CANARY, "team_ids": [team["id"]]})
    service.post("/v1/segments", {"key": "hostile", "name": CANARY, "need": CANARY})
    hours = {"mon": [["09:00", "17:00"]]}
    service.post("/v1/business-calendars", {"name": CANARY, "timezone": "Europe/Helsinki", "hours": hours})
    for subject in ("ticket", "customer"):
        service.post("/v1/custom-fields", {"subject": subject, "key": "hostile", "name": CANARY, "type": "text"})
    customer = {"external_id": CANARY[:40], "name": CANARY}
    fields = {"hostile": CANARY}
    ticket = service.ticket(CANARY, tags=[CANARY[:40]], team_id=team["id"], customer=customer, custom_fields=fields)
    service.patch(f"/v1/customers/{ticket['customer_id']}", {"attributes": {"hostile": CANARY}})
    service.post(f"/v1/tickets/{ticket['id']}/messages", {"body": REVERSED, "visibility": "internal"})
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    service.post(f"/v1/tickets/{ticket['id']}/promises", {"text": CANARY, "due_at": tomorrow})
    name, body = f"{CANARY[:36]}.txt", b"text"
    path = f"/v1/tickets/{ticket['id']}/attachments"
    service.http.post(
        path, params={"name": name}, content=body, headers={"Content-Type": "text/plain"}
    ).raise_for_status()
    return dict(ticket)


@pytest.fixture
def rude() -> Iterator[str]:
    """An address whose answer is somebody's attempt."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(500)
            self.end_headers()
            self.wfile.write(CANARY.encode())

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def _settled(page: Page) -> None:
    expect(page.locator(".live-on")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [f"{page.url}: {each['id']}: {each['nodes'][0]['html'][:160]}" for each in found["violations"]]


def test_what_somebody_wrote_is_text_on_every_page(
    sign_in: SignIn, service: Service, hostile: dict[str, Any], rude: str, admin_key: str
) -> None:
    """Check 37."""
    service.post("/v1/webhooks", {"url": rude, "types": ["team.created"]})
    page = sign_in(admin_key, "/operations")
    hook = page.get_by_role("listitem").filter(has_text=rude)
    hook.get_by_role("button", name="Test", exact=True).click()
    expect(hook.get_by_role("row")).to_contain_text("onerror", timeout=30_000)
    assert page.evaluate("window.__xss") is None
    assert page.locator("#app img, #app b").count() == 0
    customer = f"/customers/{hostile['customer_id']}"
    for path in [*PAGES, f"/tickets/{hostile['id']}", customer]:
        page.goto(f"{service.url}/console{path}")
        _settled(page)
        assert page.evaluate("window.__xss") is None, path
        assert page.locator("#app img, #app b").count() == 0, path
    page.goto(f"{service.url}/console/what-if")
    page.get_by_role("button", name="New replay").click()
    expect(page.get_by_role("dialog")).to_contain_text("onerror")
    assert page.evaluate("window.__xss") is None
    page.goto(f"{service.url}/console/tickets/{hostile['id']}")
    expect(page.locator(".message-body").first).to_contain_text("onerror")
    expect(page.locator(".fields dd")).to_contain_text(["onerror", "onerror"])
    expect(page.get_by_role("region", name="Files").get_by_role("button")).to_contain_text("onerror")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(
    browser: Browser, service: Service, watch: Watch, hostile: dict[str, Any], admin_key: str, scheme: str
) -> None:
    """Check 41, pages with something on them."""
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = watch.on(context.new_page())
    page.goto(f"{service.url}/console")
    page.get_by_label("API key or token").wait_for()
    found = violations(page)
    page.get_by_label("API key or token").fill(admin_key)
    page.get_by_role("button", name="Sign in").click()
    # The key is kept once it was checked, and not before.
    page.locator(".live-on").wait_for()
    for path in [*PAGES, f"/tickets/{hostile['id']}"]:
        page.goto(f"{service.url}/console{path}")
        _settled(page)
        found += violations(page)
    context.close()
    assert found == []


EMPTY: dict[str, Any] = {"items": [], "next_cursor": None}
BROKEN = {
    "type": "about:blank", "title": "Out of order", "status": 500, "code": "internal",
    "detail": "The lists are being mended",
}  # fmt: skip
# Always answered: who is signed in, and what is live.
ALWAYS = re.compile(r"/v1/(?!me$|stream-tickets|events/stream)")


@pytest.mark.parametrize("state", ["empty", "failing"])
def test_a_page_with_nothing_to_show_says_so_to_everybody(
    sign_in: SignIn, service: Service, watch: Watch, admin_key: str, state: str
) -> None:
    """Check 41 where lists are empty or refused, and what stands there then."""
    watch.allowed += ("500",)
    page = sign_in(admin_key)

    def answer(route: Route) -> None:
        if route.request.method != "GET":
            route.continue_()
        elif state == "empty":
            route.fulfill(json=EMPTY)
        else:
            headers = {"X-Request-ID": "request-17", "Content-Type": "application/problem+json"}
            route.fulfill(status=500, headers=headers, body=json.dumps(BROKEN))

    page.route(ALWAYS, answer)
    found: list[str] = []
    for path in PAGES:
        page.goto(f"{service.url}/console{path}")
        _settled(page)
        if state == "failing":
            expect(page.locator(".failure").first).to_contain_text("The lists are being mended")
            expect(page.locator(".failure").first).to_contain_text("request-17")
        else:
            expect(page.locator(".empty, .plain").first).to_be_visible()
        found += violations(page)
    assert found == []


BEYOND = """[...document.querySelectorAll("#app *")].filter(each => each.getBoundingClientRect().right > 320)
    .map(each => each.outerHTML.slice(0, 90)).slice(-4)"""


def test_a_narrow_screen_needs_no_scrolling_sideways(
    browser: Browser, service: Service, watch: Watch, hostile: dict[str, Any], admin_key: str
) -> None:
    """Check 43."""
    context = browser.new_context(viewport={"width": 320, "height": 640})
    page = watch.on(context.new_page())
    page.goto(f"{service.url}/console")
    page.get_by_label("API key or token").fill(admin_key)
    page.get_by_role("button", name="Sign in").click()
    page.locator(".live-on").wait_for()
    wide = {}
    for path in [*PAGES, f"/tickets/{hostile['id']}", f"/customers/{hostile['customer_id']}"]:
        page.goto(f"{service.url}/console{path}")
        _settled(page)
        if page.evaluate("document.documentElement.scrollWidth") > 320:
            wide[path] = page.evaluate(BEYOND)
    context.close()
    assert wide == {}


@pytest.mark.parametrize("seen", ["deuteranopia", "forced colours"])
def test_states_are_told_apart_without_their_colours(
    browser: Browser, service: Service, watch: Watch, admin_key: str, tmp_path: Path, seen: str
) -> None:
    """Check 44. Each state has a mark of its own, and a picture of it differs from the other's."""
    service.ticket("Seen without colours")
    forced = "active" if seen == "forced colours" else "none"
    context = browser.new_context(forced_colors=forced)  # type: ignore[arg-type]
    page = watch.on(context.new_page())
    if seen == "deuteranopia":
        context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
    page.goto(f"{service.url}/console")
    page.get_by_label("API key or token").fill(admin_key)
    page.get_by_role("button", name="Sign in").click()
    _settled(page)
    marks = [page.locator(".tile .mark").nth(at) for at in range(3)]
    assert [mark.inner_text() for mark in marks] == ["▲", "■", "☎"]
    pictures = {mark.screenshot(path=tmp_path / f"{at}.png") for at, mark in enumerate(marks)}
    assert len(pictures) == 3
    page.screenshot(path=tmp_path / "board.png")
    assert violations(page) == []
    context.close()

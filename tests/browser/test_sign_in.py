"""Signing in and out: a key is checked before it is kept, kept for one tab, and gone everywhere at once."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Service, SignIn, Watch
from tests.faults import harness

KEY = "API key or token"
EVERYBODY = ["Board", "Queue", "Promises", "Reports", "Staffing", "Customers", "Segments", "Policies", "Calendars"]


def test_a_good_key_shows_the_board(sign_in: SignIn, admin_key: str) -> None:
    """Check 1."""
    page = sign_in(admin_key)
    expect(page.get_by_role("link", name="Board", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("img", name=re.compile("First answers within 90 seconds"))).to_be_visible()


def test_a_bad_key_says_why_and_shows_no_board(page: Page, service: Service, watch: Watch) -> None:
    """Check 2."""
    watch.allowed += ("401",)
    page.goto(f"{service.url}/console")
    page.get_by_label(KEY).fill("nty_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not accepted")
    expect(page.get_by_role("navigation")).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0


def test_a_reload_stays_signed_in_and_a_new_tab_asks(context: BrowserContext, sign_in: SignIn, admin_key: str) -> None:
    """Checks 3 and 4."""
    page = sign_in(admin_key)
    page.reload()
    expect(page.locator(".live-on")).to_be_visible()
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_label(KEY)).to_be_visible()


def test_signing_out_ends_every_tab_of_that_caller_and_no_other(
    context: BrowserContext, sign_in: SignIn, service: Service, admin_key: str
) -> None:
    """Check 5."""
    _, key = service.person("agent")
    first, second = sign_in(admin_key), sign_in(admin_key, page=context.new_page())
    other = sign_in(key, page=context.new_page())
    first.get_by_role("button", name="admin").click()
    first.get_by_role("button", name="Sign out").click()
    expect(first.get_by_label(KEY)).to_be_visible()
    expect(second.get_by_label(KEY)).to_be_visible()
    expect(other.locator(".live-on")).to_be_visible()


def test_a_revoked_key_is_signed_out_with_the_reason(sign_in: SignIn, service: Service, watch: Watch) -> None:
    """Check 6."""
    watch.allowed += ("401", "ERR_", "net::")
    agent = service.post("/v1/agents", {"name": "Leaving"})
    key = service.post("/v1/api-keys", {"name": "k", "role": "agent", "agent_id": agent["id"]})
    page = sign_in(key["key"])
    service.http.delete(f"/v1/api-keys/{key['id']}")
    # The stream of a revoked key ends within seconds, and no other one is opened.
    expect(page.get_by_label(KEY)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("alert")).to_contain_text("signed out")


@pytest.mark.parametrize(("role", "more"), [("agent", []), ("lead", ["What if"]), ("admin", ["What if", "Operations"])])
def test_the_menu_is_what_the_role_may(
    sign_in: SignIn, service: Service, admin_key: str, role: str, more: list[str]
) -> None:
    """Check 7."""
    key = admin_key if role == "admin" else service.person(role)[1]
    page = sign_in(key)
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text([*EVERYBODY, *more])


def test_the_key_is_in_no_address_and_no_lasting_store(sign_in: SignIn, watch: Watch, admin_key: str) -> None:
    """Check 8."""
    page = sign_in(admin_key, "/queue")
    page.get_by_role("link", name="Board", exact=True).click()
    secret = admin_key.rsplit("_", 1)[-1]
    assert not [url for url in [*watch.requests, page.url] if secret in url]
    assert secret not in page.evaluate(
        "JSON.stringify(localStorage) + document.cookie + document.documentElement.outerHTML"
    )


def test_the_console_works_behind_a_path(
    context: BrowserContext, service: Service, watch: Watch, admin_key: str
) -> None:
    ticket = service.ticket("Asked behind a path")
    page = context.new_page()
    with harness.directory() as place:
        options = {"NINETY_BASE_PATH": "/support"}
        with harness.service(place / "data", service.database_url, settings=options) as (url, _):
            watch.service = f"{url}/support/"
            page.goto(f"{url}/support/console")
            page.get_by_label(KEY).fill(admin_key)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator(".live-on")).to_be_visible()
            page.get_by_role("link", name="Queue", exact=True).click()
            expect(page).to_have_url(re.compile(r"/support/console/queue"))
            page.goto(f"{url}/support/console/tickets/{ticket['id']}")
            expect(page.get_by_role("heading", name="Asked behind a path")).to_be_visible()
            page.goto(f"{url}/support/docs")
            # Swagger UI draws the whole document at once.
            expect(page.locator("#operations-tag-tickets")).to_be_visible(timeout=60_000)

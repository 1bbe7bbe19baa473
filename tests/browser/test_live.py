"""What is shown is what is: as it happens, by the server's time, for each caller their own."""

import re
import time
from datetime import datetime

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Service, SignIn, Watch, free_port
from tests.faults import harness


def _row(page: Page, subject: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("row").filter(has_text=subject)


def _away(page: Page) -> None:
    """The pointer and the focus rest nowhere."""
    page.mouse.move(2, 2)
    page.evaluate("document.activeElement.blur()")


def test_a_new_ticket_appears_and_an_answered_one_leaves(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Checks 9 and 10."""
    page = sign_in(admin_key)
    _away(page)
    ticket = service.ticket("Appears by itself")
    expect(_row(page, "Appears by itself")).to_be_visible()
    service.post(f"/v1/tickets/{ticket['id']}/messages", {"body": "Here.", "status": "resolved"})
    expect(_row(page, "Appears by itself")).to_have_count(0)


def test_the_countdown_goes_by_the_servers_time(
    browser: Browser, service: Service, watch: Watch, admin_key: str
) -> None:
    """Check 11. With the machine's clock an hour ahead, and a second a second."""
    context = browser.new_context()
    page = watch.on(context.new_page())
    page.add_init_script("const now = Date.now; Date.now = () => now() + 3_600_000;")
    service.ticket("Counts down")
    page.goto(f"{service.url}/console")
    page.get_by_label("API key or token").fill(admin_key)
    page.get_by_role("button", name="Sign in").click()
    count = _row(page, "Counts down").locator(".count")
    expect(count).to_have_text(re.compile(r"^1:[0-2]\d$|^0:\d\d$"))
    shown = [_seconds(count.inner_text())]
    for _ in range(2):
        page.wait_for_timeout(1_500)
        shown.append(_seconds(count.inner_text()))
    assert 1 <= shown[0] - shown[1] <= 3, shown
    assert 1 <= shown[1] - shown[2] <= 3, shown
    context.close()


def _seconds(text: str) -> int:
    minutes, seconds = text.split(":")
    return int(minutes) * 60 + int(seconds)


def test_a_breach_is_marked_at_its_instant(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 12: at risk from half of its six seconds, past the promise from all of them."""
    service.post("/v1/sla-policies", {
        "key": "three", "name": "Three seconds", "position": 1,
        "conditions": {"all": [{"field": "ticket.product", "op": "eq", "value": "Quick"}]},
        "targets": [{"metric": "first_response", "seconds": 6, "warn_at_percent": [50]}],
    })  # fmt: skip
    page = sign_in(admin_key)
    _away(page)
    service.ticket("Breaks soon", product="Quick")
    row = _row(page, "Breaks soon")
    expect(row).to_have_class(re.compile("row-risk"))
    expect(row.locator(".mark")).to_have_text("▲")
    expect(row).to_have_class(re.compile("row-late"), timeout=12_000)
    expect(row.locator(".count")).to_have_text(re.compile(r"^\+0:0\d$"))


def test_the_gauge_moves_as_the_waits_grow(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Between two answers of the service, which nothing makes it ask for."""
    service.ticket("Makes the mean grow")
    page = sign_in(admin_key)
    value = page.locator(".goal .gauge-value")
    expect(value).to_have_text(re.compile(r"\d"))
    first = float(value.text_content() or 0)
    page.wait_for_timeout(3_000)
    assert float(value.text_content() or 0) > first


def test_the_gauge_crosses_at_the_instant_that_was_told(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 13."""
    team = service.post("/v1/teams", {"key": "crossing", "name": "Crossing"})
    goal = service.post("/v1/service-goals", {
        "key": "crossing", "name": "Crossing soon", "target_seconds": 25, "window": {"rolling_seconds": 600},
        "filter": {"team_id": team["id"]},
    })  # fmt: skip
    service.ticket("Makes the goal cross", team_id=team["id"])
    page = sign_in(admin_key, f"?team={team['id']}")
    line = page.locator(".goal-line")
    expect(line).to_contain_text(re.compile(r"breaks in 0:\d\d if nobody answers"))
    crosses_at = service.get(f"/v1/service-goals/{goal['id']}/status")["crosses_at"]
    crossing = datetime.fromisoformat(crosses_at).timestamp()
    page.wait_for_timeout(max(0.0, crossing - time.time() - 1.5) * 1000)
    assert "tone-missed" not in (line.get_attribute("class") or "")
    page.wait_for_timeout(max(0.0, crossing - time.time()) * 1000)
    expect(line).to_have_class(re.compile("tone-missed"), timeout=3_000)


def test_rows_hold_still_under_the_pointer_and_the_focus(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Checks 19 and 20."""
    for number in range(3):
        service.ticket(f"Stays {number}")
    page = sign_in(admin_key, "/queue")
    row = _row(page, "Stays 1")
    row.hover()
    before = row.bounding_box()
    answered = service.get("/v1/tickets", q="Stays 0")["items"] or service.get("/v1/tickets", limit=200)["items"]
    first = next(ticket for ticket in answered if ticket["subject"] == "Stays 0")
    service.post(f"/v1/tickets/{first['id']}/messages", {"body": "Here.", "status": "resolved"})
    service.ticket("Comes later", priority="urgent")
    expect(page.get_by_role("button", name=re.compile(r"^\d+ new$"))).to_be_visible()
    assert row.bounding_box() == before
    row.get_by_role("link").focus()
    page.mouse.move(2, 2)
    page.wait_for_timeout(400)
    assert row.bounding_box() == before
    assert "Stays 1" in page.evaluate("document.activeElement.textContent")
    _away(page)
    expect(_row(page, "Comes later")).to_be_visible()
    expect(_row(page, "Stays 0")).to_have_count(0)


def test_a_restart_is_told_and_what_was_missed_is_there(
    context: BrowserContext, server_url: str, service: Service, watch: Watch, tmp_path_factory: object, admin_key: str
) -> None:
    """Check 14."""
    watch.allowed += ("ERR_", "net::", "Failed to load", "503", "502")
    port = str(free_port())
    watch.service = f"http://127.0.0.1:{port}"
    page = context.new_page()
    with harness.directory() as place:
        options = {"NINETY_PORT": port}
        with harness.service(place / "data", service.database_url, settings=options) as (url, _):
            page.goto(f"{url}/console")
            page.get_by_label("API key or token").fill(admin_key)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator(".live-on")).to_be_visible()
        expect(page.locator(".banner")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d"))
        service.ticket("Missed while away")
        with harness.service(place / "data", service.database_url, settings=options):
            expect(page.locator(".live-on")).to_be_visible(timeout=40_000)
            expect(page.locator(".banner")).to_have_count(0)
            _away(page)
            expect(_row(page, "Missed while away")).to_be_visible()


def test_ten_tabs_share_one_stream_and_outlive_the_one_that_leads(
    context: BrowserContext, sign_in: SignIn, service: Service, watch: Watch, admin_key: str
) -> None:
    """Check 17."""
    leader = sign_in(admin_key)
    others = [sign_in(admin_key, page=context.new_page()) for _ in range(9)]
    streams = [url for url in watch.requests if "/v1/events/stream" in url]
    assert len(streams) == 1
    leader.close()
    service.ticket("After the leader left")
    for page in (others[0], others[-1]):
        _away(page)
        expect(_row(page, "After the leader left")).to_be_visible()
    assert len([url for url in watch.requests if "/v1/events/stream" in url]) == 2


def test_a_list_that_was_just_read_is_not_asked_for_the_rows_touched_before(
    page: Page, sign_in: SignIn, service: Service, watch: Watch, admin_key: str
) -> None:
    """An event, and before its row is read the connection stands anew: the whole list comes, and no row by itself."""
    page.add_init_script(
        "window.BroadcastChannel = class extends BroadcastChannel {"
        " constructor(name) { super(name); window.channelName = name; } }"
    )
    ticket = service.ticket("Touched and read anew")
    sign_in(admin_key)
    expect(_row(page, "Touched and read anew")).to_be_visible()
    for _ in range(3):
        page.evaluate(
            "id => { const channel = new BroadcastChannel(window.channelName);"
            " for (let n = 0; n < 2; n += 1)"
            " channel.postMessage({kind: 'events', events: [{type: 'ticket.updated', ticketid: id}]});"
            " channel.postMessage({kind: 'live', offset: 0}); channel.close(); }",
            ticket["id"],
        )
        page.wait_for_timeout(500)
    assert len([url for url in watch.requests if "/v1/tickets?" in url and "ids=" not in url]) >= 4
    assert not [url for url in watch.requests if re.search(r"[?&]ids=(&|$)", url)]


def test_two_callers_in_two_tabs_hear_their_own(
    context: BrowserContext, sign_in: SignIn, service: Service, watch: Watch, admin_key: str
) -> None:
    """Check 18. Each has a stream, and the end of one is not the end of the other."""
    _, key = service.person("agent", "Second caller")
    first = sign_in(admin_key)
    second = sign_in(key, page=context.new_page())
    assert len([url for url in watch.requests if "/v1/events/stream" in url]) == 2
    first.get_by_role("button", name="admin").click()
    first.get_by_role("button", name="Sign out").click()
    expect(first.get_by_label("API key or token")).to_be_visible()
    _away(second)
    service.ticket("Heard by the second alone")
    expect(_row(second, "Heard by the second alone")).to_be_visible()
    expect(second.locator(".live-on")).to_be_visible()


def test_opening_the_board_asks_as_much_whatever_the_rows(
    sign_in: SignIn, service: Service, watch: Watch, admin_key: str
) -> None:
    """Names come along with the list: nothing is asked for row by row."""
    for number in range(12):
        service.ticket(f"Row {number}")
    page = sign_in(admin_key)
    page.get_by_role("table", name="Waiting").wait_for()
    page.wait_for_load_state("load")
    page.wait_for_timeout(1_500)
    # What was opened just before may be told of, and then it is read by its id, or the list again or further.
    calls = {url.partition("&cursor=")[0] for url in watch.requests if "/v1/" in url and "ids=" not in url}
    assert not [url for url in calls if "/v1/customers/" in url]
    assert len(calls) <= 8, calls

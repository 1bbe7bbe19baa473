"""An agent's work on a ticket: said once, seen by whom it is for, and nothing lost to a colleague who was faster."""

import re
import time

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Service, SignIn, Watch


def _open(sign_in: SignIn, service: Service, subject: str) -> tuple[Page, str]:
    _, key = service.person("agent", "Aino Laine")
    ticket = service.ticket(subject)
    page = sign_in(key, f"/tickets/{ticket['id']}")
    expect(page.get_by_role("heading", name=subject)).to_be_visible()
    return page, ticket["id"]


def _messages(service: Service, ticket_id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = service.get(f"/v1/tickets/{ticket_id}/messages")["items"]
    return found


def test_a_reply_stops_the_clock_and_changes_the_status_with_it(sign_in: SignIn, service: Service) -> None:
    """Checks 21, 22, 24."""
    page, ticket_id = _open(sign_in, service, "Where is my parcel")
    expect(page.get_by_text(re.compile("promised: an answer by"))).to_be_visible()
    page.get_by_label("Reply", exact=True).fill("It comes today.")
    page.get_by_label("Then").select_option("pending")
    page.get_by_role("button", name=re.compile("^Send")).dblclick()
    expect(page.get_by_role("list", name="Conversation").get_by_text("It comes today.")).to_have_count(1)
    expect(page.locator(".ticket-controls select").first).to_have_value("pending")
    clocks = service.get(f"/v1/tickets/{ticket_id}/clocks")["items"]
    assert next(clock for clock in clocks if clock["metric"] == "first_response")["state"] == "met"
    assert [message["body"] for message in _messages(service, ticket_id)].count("It comes today.") == 1


def test_a_note_is_written_for_colleagues_only(sign_in: SignIn, service: Service) -> None:
    """Check 23."""
    page, ticket_id = _open(sign_in, service, "Needs a note")
    page.locator("body").press("n")
    page.get_by_label("Note", exact=True).fill("Ask the bank first.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".message.internal")).to_contain_text("Ask the bank first.")
    note = next(message for message in _messages(service, ticket_id) if message["body"] == "Ask the bank first.")
    assert note["visibility"] == "internal"


def test_what_a_colleague_changed_is_shown_and_the_draft_is_kept(
    sign_in: SignIn, service: Service, watch: Watch
) -> None:
    """Check 26."""
    watch.allowed += ("412", "409")
    page, ticket_id = _open(sign_in, service, "Two at once")
    page.get_by_label("Reply", exact=True).fill("My long answer")
    service.post(f"/v1/tickets/{ticket_id}/messages", {"body": "A colleague was faster"})
    expect(page.get_by_role("alert")).to_contain_text("A colleague was faster")
    page.get_by_role("button", name=re.compile("^Send")).click()
    expect(page.get_by_role("button", name=re.compile("^Send anyway"))).to_be_visible()
    assert "My long answer" not in [message["body"] for message in _messages(service, ticket_id)]
    page.reload()
    expect(page.get_by_label("Reply", exact=True)).to_have_value("My long answer")


def test_a_ticket_that_changed_on_the_way_keeps_the_draft_and_says_what_changed(
    sign_in: SignIn, service: Service, watch: Watch
) -> None:
    """Check 25. The ticket changes after the answer has left, and before it is there."""
    watch.allowed += ("412",)
    page, ticket_id = _open(sign_in, service, "Changes on the way")

    answers: list[str] = []

    def faster(route: Route) -> None:
        answers.append(route.request.method)
        if len(answers) == 1:
            service.patch(f"/v1/tickets/{ticket_id}", {"priority": "urgent"})
        route.continue_()

    page.route(f"**/v1/tickets/{ticket_id}/messages", faster)
    page.get_by_label("Reply", exact=True).fill("My careful answer")
    page.get_by_role("button", name=re.compile("^Send")).click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("priority: normal → urgent"))
    expect(page.get_by_label("Reply", exact=True)).to_have_value("My careful answer")
    assert "My careful answer" not in [message["body"] for message in _messages(service, ticket_id)]
    page.get_by_role("button", name=re.compile("^Send")).click()
    expect(page.get_by_role("list", name="Conversation").get_by_text("My careful answer")).to_have_count(1)


def test_a_ticket_is_answered_by_keyboard_alone(sign_in: SignIn, service: Service) -> None:
    """Check 42."""
    agent_id, key = service.person("agent", "Keya Board")
    ticket = service.ticket("Without a pointer", product="Keys")
    # Words are found once the worker has started and read the log.
    deadline = time.monotonic() + 120
    while not service.get("/v1/tickets?q=pointer")["items"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    page = sign_in(key)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("pointer")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Queue").get_by_role("row")).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Without a pointer", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Without a pointer", exact=True)).to_be_visible()
    page.keyboard.press("=")
    expect(page.get_by_role("combobox", name="Who", exact=True)).to_have_value(agent_id)
    page.keyboard.press("r")
    page.keyboard.type("By keys alone.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("list", name="Conversation").get_by_text("By keys alone.")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Without a pointer", exact=True)).to_have_count(0)
    assert service.get(f"/v1/tickets/{ticket['id']}")["status"] == "resolved"


def test_an_agent_takes_tickets_from_the_queue_by_keyboard(sign_in: SignIn, service: Service) -> None:
    agent_id, key = service.person("agent", "Ben Okafor")
    ticket = service.ticket("Taken by keyboard")
    page = sign_in(key, "/queue")
    row = page.get_by_role("row").filter(has_text="Taken by keyboard")
    row.get_by_role("link").focus()
    page.keyboard.press("=")
    expect(row).to_contain_text("Ben Okafor")
    assert service.get(f"/v1/tickets/{ticket['id']}")["assignee_id"] == agent_id
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_who_asks_for_a_person_stands_on_top(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 28."""
    service.ticket("Came first")
    asks = service.ticket("Wants a person")
    service.post(f"/v1/tickets/{asks['id']}/handoff")
    page = sign_in(admin_key)
    first = page.get_by_role("table", name="Waiting").get_by_role("row").nth(1)
    expect(first).to_contain_text("Wants a person")
    expect(first).to_contain_text("asks for a person")


def test_a_promise_is_made_and_kept(sign_in: SignIn, service: Service) -> None:
    """Check 29."""
    page, ticket_id = _open(sign_in, service, "Wants a call")
    page.get_by_text("Promise something").click()
    page.get_by_label("What, in the customer's words").fill("We call you back")
    page.get_by_role("button", name="Promise", exact=True).click()
    expect(page.get_by_text("We call you back")).to_be_visible()
    page.get_by_role("button", name=re.compile("Kept")).click()
    expect(page.get_by_role("button", name=re.compile("Kept"))).to_have_count(0)
    assert service.get(f"/v1/tickets/{ticket_id}/promises")["items"][0]["state"] == "kept"

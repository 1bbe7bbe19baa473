"""Agents who take tickets: the service gives the next one, and colleagues see who is writing."""

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Service, SignIn, Watch


def test_the_next_one_is_claimed_with_its_reason_and_its_agent_is_online(sign_in: SignIn, service: Service) -> None:
    agent_id, key = service.person("agent", "Claire Next")
    ticket_id = service.ticket("To be claimed")["id"]
    page = sign_in(key, "/queue")
    expect(page.get_by_label("I am")).to_have_value("offline")
    page.get_by_role("button", name=re.compile("^Next one")).click()
    expect(page).to_have_url(re.compile("/tickets/"))
    expect(page.get_by_role("status").filter(has_text=re.compile("waited"))).to_be_visible()
    availability = service.get(f"/v1/agents/{agent_id}/availability")
    assert (availability["state"], availability["capacity"]) == ("online", 10)
    taken = page.url.rpartition("/")[2]
    assert service.get(f"/v1/tickets/{taken}")["assignee_id"] == agent_id
    assert service.get(f"/v1/tickets/{taken}/explain")["claim"]["agent_id"] == agent_id
    # What is theirs and waits comes before what nobody has.
    service.patch(f"/v1/tickets/{ticket_id}", {"assignee_id": agent_id})
    page.get_by_role("link", name="Queue", exact=True).click()
    page.get_by_role("button", name=re.compile("^Next one")).click()
    expect(page).to_have_url(re.compile(f"/tickets/({ticket_id}|{taken})"))


def test_an_agent_says_whether_they_take_tickets_and_how_many(sign_in: SignIn, service: Service) -> None:
    agent_id, key = service.person("agent", "Otto Present")
    page = sign_in(key, "/queue")
    page.get_by_label("I am").select_option("online")
    page.get_by_label("at once").fill("3")
    page.get_by_label("at once").press("Tab")
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    expect(page.get_by_label("at once")).to_have_value("3")
    page.reload()
    expect(page.get_by_label("I am")).to_have_value("online")
    expect(page.get_by_label("at once")).to_have_value("3")
    page.get_by_label("I am").select_option("away")
    expect(page.get_by_label("at once")).to_have_count(0)
    availability = service.get(f"/v1/agents/{agent_id}/availability")
    assert (availability["state"], availability["capacity"]) == ("away", 3)


def test_who_writes_an_answer_is_seen_by_a_colleague_and_not_for_long(
    sign_in: SignIn, service: Service, context: BrowserContext, watch: Watch
) -> None:
    ticket_id = service.ticket("Both at once")["id"]
    _, first = service.person("agent", "Wilma Writes")
    _, second = service.person("agent", "Leo Looks")
    looking = sign_in(second, f"/tickets/{ticket_id}")
    expect(looking.get_by_role("heading", name="Both at once")).to_be_visible()
    writing: Page = sign_in(first, f"/tickets/{ticket_id}", page=context.new_page())
    writing.get_by_label("Reply", exact=True).fill("I am on it")
    expect(looking.get_by_text("Wilma Writes is writing an answer")).to_be_visible()
    expect(writing.get_by_text("is writing an answer")).to_have_count(0)
    expect(looking.get_by_text("Wilma Writes is writing an answer")).to_have_count(0, timeout=20_000)


def test_a_ticket_shows_what_its_customer_is_told(sign_in: SignIn, service: Service) -> None:
    ticket = service.ticket("Told to wait")
    _, key = service.person("agent", "Tiina Tells")
    page = sign_in(key, f"/tickets/{ticket['id']}")
    told = page.locator("section").filter(has=page.get_by_role("heading", name="What the customer is told"))
    expect(told.locator("q")).to_have_text(service.get(f"/v1/tickets/{ticket['id']}/outlook")["text"])
    expect(told).to_contain_text("place in the queue")
    service.post(f"/v1/tickets/{ticket['id']}/messages", {"body": "Here."})
    expect(told).not_to_contain_text("place in the queue")

"""What is offered while a goal is about to be missed: set, shown on the ticket, told in its history, and counted."""

import csv
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Service, SignIn

RULE = "/v1/automations/overload_offer"
NAME = "offer another way while a goal is about to be missed"
# A channel of this file's own: no other ticket of the session is offered anything.
CHANNEL = "in_person"


@pytest.fixture
def rule(service: Service) -> Iterator[dict[str, Any]]:
    """As it was, afterwards."""
    before = service.get(RULE)
    yield before
    settings = before["settings"]
    gone = dict.fromkeys(service.get(RULE)["settings"]["segment_choices"])
    kept = {name: settings[name] for name in ("before_seconds", "choices", "most", "min_score")}
    service.patch(RULE, {"enabled": before["enabled"], "settings": kept | {"segment_choices": gone}})


@pytest.fixture
def offered(service: Service, rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A ticket whose customer may choose, because a goal is missed and another one waits before it."""
    goal = service.post("/v1/service-goals", {
        "key": "in-person", "name": "At the counter", "target_seconds": 1, "filter": {"channel": CHANNEL},
        "window": {"rolling_seconds": 3600},
    })  # fmt: skip
    service.ticket("Stands before", channel=CHANNEL)
    service.patch(RULE, {"enabled": True})
    # The goal is judged some seconds later; each who comes meanwhile waits too.
    for _ in range(30):
        time.sleep(1)
        ticket = service.ticket("Comes while many wait", channel=CHANNEL)
        if service.get(f"/v1/tickets/{ticket['id']}/outlook")["offer"]:
            break
    yield dict(ticket)
    service.http.delete(f"/v1/service-goals/{goal['id']}").raise_for_status()


def test_what_is_offered_is_set(sign_in: SignIn, service: Service, rule: dict[str, Any], admin_key: str) -> None:
    service.post("/v1/segments", {"key": "counter", "name": "Who come by", "position": 90})
    page = sign_in(admin_key, "/operations")
    switch = page.get_by_role("checkbox", name=NAME, exact=True)
    switch.click()
    expect(switch).to_be_checked()
    page.get_by_role("button", name=f"Change: {NAME}").click()
    dialog = page.get_by_role("dialog", name=NAME)
    dialog.get_by_label("So many seconds before a goal is missed").fill("120")
    dialog.get_by_role("group", name="What is offered").get_by_label("an article").uncheck()
    dialog.get_by_label("Instead, in segment").select_option(label="Who come by")
    theirs = dialog.get_by_role("group", name="Instead, in segment Who come by")
    expect(theirs).to_contain_text("Nothing is offered.")
    theirs.get_by_label("the wait").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    made = service.get(RULE)
    assert (made["enabled"], made["settings"]["before_seconds"]) == (True, 120)
    assert made["settings"]["choices"] == ["call_back", "wait"]
    assert made["settings"]["segment_choices"] == {"counter": ["wait"]}
    page.get_by_role("button", name=f"Change: {NAME}").click()
    dialog.get_by_role("button", name="Delete Instead, in segment Who come by").click()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert service.get(RULE)["settings"]["segment_choices"] == {}


def test_an_offer_and_what_was_chosen_of_it_are_on_the_ticket(
    sign_in: SignIn, service: Service, offered: dict[str, Any]
) -> None:
    _, key = service.person("agent", "Aino Laine")
    page = sign_in(key, f"/tickets/{offered['id']}")
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="What the customer is told"))
    expect(panel).to_contain_text("nothing yet")
    service.post(f"/v1/tickets/{offered['id']}/overload-choice", {"choice": "wait"})
    # It comes by the stream.
    expect(panel).to_contain_text("✓ the wait")
    page.get_by_text("What happened").click()
    history = page.locator(".audit")
    expect(history).to_contain_text(re.compile("another way was offered: .*the wait"))
    expect(history.get_by_role("listitem").filter(has_text="the customer chose")).to_contain_text("the wait")


def test_offers_are_counted_as_the_csv_has_them(sign_in: SignIn, offered: dict[str, Any], admin_key: str) -> None:
    del offered
    page = sign_in(admin_key, "/reports")
    table = page.get_by_role("region", name="Offers at overload")
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV: Offers at overload").click()
    rows = list(csv.DictReader(Path(started.value.path()).read_text().splitlines()))
    assert sum(int(row["offered"]) for row in rows) >= 1
    expect(table.get_by_role("rowheader")).to_have_text([row["segment"] or "none" for row in rows])
    for at, row in enumerate(rows):
        cells = [value for name, value in row.items() if name != "segment"]
        expect(table.get_by_role("row").nth(at + 1).get_by_role("cell")).to_have_text(cells)


def test_a_wait_that_grew_is_told_in_words(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """The event as the service writes it; that it does is tested beside it."""
    ticket = service.ticket("Waits longer than was told")
    page = sign_in(admin_key)
    path = f"/v1/tickets/{ticket['id']}/events"
    events = service.get(path)
    by, before = ((datetime.now(UTC) + timedelta(minutes=minutes)).isoformat() for minutes in (20, 5))
    data = {"p50": by, "p80": by, "p95": by, "told_before": before}
    worse = events["items"][0] | {"id": "worse", "type": "ticket.outlook_worsened", "data": data}
    page.route(f"**{path}*", lambda route: route.fulfill(json=events | {"items": [worse]}))
    page.goto(f"{service.url}/console/tickets/{ticket['id']}")
    page.get_by_text("What happened").click()
    expect(page.locator(".audit")).to_contain_text(
        re.compile(r"an answer is likely later than was told: likely by [\d:]+, told [\d:]+")
    )

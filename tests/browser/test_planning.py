"""Looking back under other policies, and ahead at how many agents are needed: each against what the service says."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, SignIn
from tests.browser.test_pages import violations

# A day on which no other test has tickets.
DAY = datetime(2026, 10, 5, 10, tzinfo=UTC)
CHANNEL = "social"
ZONE = "Europe/Helsinki"
SLOW_MS = 60_000


def _past(service: Service, name: str, opened: datetime, waited: int, **more: Any) -> str:
    answered = {"at": (opened + timedelta(seconds=waited)).isoformat(), "kind": "message", "author": "agent"}
    body = {
        "external_id": name, "subject": f"Past {name}", "created_at": opened.isoformat(),
        "customer": {"external_id": f"of {name}"}, "timeline": [answered | {"body": "Here."}],
    }  # fmt: skip
    made = service.post("/v1/imports/tickets", {"tickets": [body | more]})
    assert made["items"][0]["outcome"] in ("created", "duplicate"), made
    return str(made["items"][0]["ticket_id"])


@pytest.fixture(scope="module")
def replayed(service: Service) -> list[str]:
    """Answered after 60, 120 and 200 seconds: with 90 one is in time, with 150 two are."""
    return [_past(service, f"replayed {waited}", DAY, waited) for waited in (60, 120, 200)]


def _stock(service: Service) -> dict[str, Any]:
    policies = service.get("/v1/sla-policies", limit=200)["items"]
    return dict(next(each for each in policies if not any(each["conditions"].values()) and not each["archived_at"]))


def test_the_past_is_replayed_under_another_target(sign_in: SignIn, service: Service, replayed: list[str]) -> None:
    _, key = service.person("lead")
    page = sign_in(key, "/policies")
    page.get_by_role("main").get_by_role("link", name=re.compile("What if")).click()
    page.get_by_role("button", name="New replay").click()
    dialog = page.get_by_role("dialog", name="New replay")
    for name in ("From", "Through"):
        dialog.get_by_label(name).fill(DAY.date().isoformat())
    policy = dialog.get_by_role("group", name=_stock(service)["name"], exact=True)
    policy.get_by_label("first answer, seconds").fill("150")
    assert violations(page) == []
    dialog.get_by_role("button", name="Replay", exact=True).click()
    table = page.get_by_role("region", name="Before and after")
    row = table.get_by_role("row").filter(has_text="first answer")
    expect(page.get_by_role("status").filter(has_text="done")).to_be_visible(timeout=SLOW_MS)
    found = service.get(f"/v1/sla-simulations/{page.url.rsplit('/', 1)[-1]}")
    [first] = [each for each in found["metrics"] if each["metric"] == "first_response"]
    assert [(side["met"], side["breached"]) for side in (first["before"], first["after"])] == [(1, 2), (2, 1)]
    # Clocks; within target, past target and mean, each before and after with the difference.
    expect(row.get_by_role("cell")).to_have_text(
        ["3", "33.3 %", "66.7 % (+33.3 %)", "2", "1 (−1)", "2 min 7 s", "2 min 7 s"]
    )
    expect(page.get_by_role("region", name="Segments").get_by_role("rowheader").first).to_have_text(
        "none · first answer"
    )
    changed = page.get_by_role("region", name="Tickets that change")
    listed = service.get(f"/v1/sla-simulations/{found['id']}/tickets")["items"]
    assert {each["ticket_id"] for each in listed} == set(replayed)
    for each in listed:
        link = page.locator(f"a[href$='/tickets/{each['ticket_id']}']")
        shown = changed.get_by_role("row").filter(has=link).get_by_role("cell")
        expect(shown).to_have_text(["first answer", str(each["breaches_before"]), str(each["breaches_after"])])
    assert violations(page) == []
    page.get_by_role("button", name=f"Delete {found['id'][-6:]}").click()
    expect(changed).to_have_count(0)
    assert service.http.get(f"/v1/sla-simulations/{found['id']}").status_code == 404


def test_a_replay_goes_by_the_hours_that_were_drawn(
    sign_in: SignIn, service: Service, replayed: list[str], admin_key: str
) -> None:
    """They came on a Monday at 13:00 in Helsinki: open from 13:02, one of them waited, for 80 seconds."""
    hours = {day: [["09:00", "17:00"]] for day in ("mon", "tue")}
    service.post("/v1/business-calendars", {"name": "Counter hours", "timezone": ZONE, "hours": hours})
    page = sign_in(admin_key, "/what-if")
    page.get_by_role("button", name="New replay").click()
    dialog = page.get_by_role("dialog", name="New replay")
    for name in ("From", "Through"):
        dialog.get_by_label(name).fill(DAY.date().isoformat())
    policy = dialog.get_by_role("group", name=_stock(service)["name"], exact=True)
    policy.get_by_label("Hours").first.select_option(label="business hours")
    policy.get_by_label("Calendars").select_option(label="Counter hours")
    drawn = dialog.locator("details").filter(has_text="Counter hours")
    drawn.get_by_text("Other hours").click()
    drawn.get_by_label("Mon", exact=True).fill("08:00-12:00, 13:02-16:00")
    drawn.get_by_label("Tue", exact=True).fill("")
    dialog.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="done")).to_be_visible(timeout=SLOW_MS)
    found = service.get(f"/v1/sla-simulations/{page.url.rsplit('/', 1)[-1]}")
    [first] = [each for each in found["metrics"] if each["metric"] == "first_response"]
    assert (first["after"]["met"], first["after"]["mean_seconds"]) == (len(replayed), pytest.approx(80 / 3, abs=0.01))
    [stored] = [each for each in service.get("/v1/business-calendars")["items"] if each["name"] == "Counter hours"]
    assert stored["hours"]["mon"] == hours["mon"]


def test_a_replay_that_runs_is_seen_to_move_and_is_cancelled(sign_in: SignIn, service: Service, admin_key: str) -> None:
    span = {"from": DAY.isoformat(), "to": (DAY + timedelta(hours=1)).isoformat()}
    made = service.post("/v1/sla-simulations", {"policies": [], **span})
    seen = iter(range(10, 100, 10))
    page = sign_in(admin_key)

    def running(answer: dict[str, Any]) -> dict[str, Any]:
        moving = {"state": "running", "finished_at": None, "tickets_seen": next(seen, 99), "tickets_total": 100}
        return {**answer, "items": [made | moving]}

    path = "**/v1/sla-simulations?*"
    page.route(path, lambda route: route.fulfill(json=running({"next_cursor": None})))
    page.keyboard.type("gi")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "10")
    expect(page.get_by_text("30 / 100")).to_be_visible()
    page.unroute(path)
    page.get_by_role("button", name=f"Cancel {made['id'][-6:]}").click()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert service.http.get(f"/v1/sla-simulations/{made['id']}").status_code == 404


def test_an_agent_sees_no_way_to_replay(sign_in: SignIn, service: Service) -> None:
    _, key = service.person("agent")
    page = sign_in(key, "/what-if")
    expect(page.get_by_role("heading", name="What if", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="New replay")).to_have_count(0)


@pytest.fixture(scope="module")
def asked(service: Service) -> dict[str, Any]:
    """Two came at this hour of the weekday that tomorrow is, for five weeks; and the goal that is asked for."""
    morning = datetime.now(UTC).replace(hour=8, minute=20, second=0, microsecond=0) + timedelta(days=1)
    for week in range(1, 6):
        for number in range(2):
            opened = morning - timedelta(days=7 * week, minutes=-number)
            _past(service, f"staffed {week} {number}", opened, 30, channel=CHANNEL)
    goal = {
        "key": "in-public", "name": "In public", "target_seconds": 90, "filter": {"channel": CHANNEL},
        "window": {"rolling_seconds": 3600},
    }  # fmt: skip
    return dict(service.post("/v1/service-goals", goal))


def _ask(page: Page) -> None:
    page.get_by_role("combobox", name="Goal").select_option(label="In public")
    page.get_by_label("Days").select_option("1")
    page.get_by_label("May give up, %").fill("8")
    page.get_by_label("Handling, s").fill("300")
    page.get_by_label("Patience, s").fill("100")
    page.get_by_role("button", name="Forecast").click()


def test_a_forecast_says_how_many_agents_and_how_sure_it_is(
    sign_in: SignIn, service: Service, asked: dict[str, Any]
) -> None:
    _, key = service.person("agent")
    page = sign_in(key, "/staffing")
    _ask(page)
    panel = page.get_by_role("region", name="Staffing", exact=True)
    expect(panel).to_contain_text("No more than 8.0 % of those who come may give up.")
    expect(panel).to_contain_text("Handling takes 5 min; patience: 1 min 40 s.")
    body = {"days": 1, "max_abandoned_percent": 8, "handling_seconds": 300, "patience_seconds": 100, "timezone": ZONE}
    found = service.post("/v1/staffing/forecast", {"goal_id": asked["id"], **body})
    busy = [each for each in found["items"] if each["arrivals"] != 0]
    rows = panel.get_by_role("region", name="Forecast").get_by_role("row")
    expect(rows).to_have_count(len(busy) + 1)
    at = next(place for place, each in enumerate(busy) if each["arrivals"])
    cells = rows.nth(at + 1).get_by_role("cell")
    expect(cells.nth(0)).to_have_text(f"{busy[at]['arrivals']:.1f}")
    expect(cells.nth(1)).to_have_text(str(busy[at]["agents"]))
    chosen = next(each for each in busy[at]["options"] if each["agents"] == busy[at]["agents"])
    expect(cells.nth(5)).to_have_text(f"{chosen['abandoned_percent']:.1f} %")
    assert chosen["abandoned_percent"] <= 8
    expect(panel.locator("canvas")).to_be_visible()
    assert violations(page) == []


def test_a_forecast_tells_how_far_off_it_was(sign_in: SignIn, asked: dict[str, Any], admin_key: str) -> None:
    del asked
    page = sign_in(admin_key, "/staffing")
    error = {
        "hours": 240, "mean_wait_seconds": 36.3, "mean_absolute_error_seconds": 26, "error_percent": 71.6,
        "as_before_error_seconds": 31.6, "hours_without_answer": 0, "at_work_percent": 80,
    }  # fmt: skip
    page.route("**/v1/staffing/forecast", lambda route: route.fulfill(json=route.fetch().json() | {"error": error}))
    _ask(page)
    expect(page.get_by_role("region", name="Staffing", exact=True)).to_contain_text(
        "Over 240 hours of the past it was off by 26 s on average, where the mean wait was 36 s; "
        "“as the day before” was off by 32 s."
    )


def test_a_forecast_that_knows_too_little_says_what_to_give(
    sign_in: SignIn, watch: Any, asked: dict[str, Any], admin_key: str
) -> None:
    del asked
    watch.allowed += ("422",)
    page = sign_in(admin_key, "/staffing")
    page.get_by_role("combobox", name="Goal").select_option(label="another target")
    expect(page.get_by_label("Target in seconds")).to_have_value("90")
    page.get_by_role("combobox", name="Goal").select_option(label="In public")
    page.get_by_role("button", name="Forecast").click()
    expect(page.get_by_role("alert")).to_contain_text("say how long one takes")
    expect(page.get_by_role("alert")).to_contain_text("Request ")

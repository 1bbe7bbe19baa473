"""What else agents, leads and administrators do in the console, each against what the service then says."""

import csv
import http.server
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Service, SignIn, Watch

QUIET_MS = 30_000


def _ticket_page(sign_in: SignIn, service: Service, subject: str, role: str = "agent") -> tuple[Page, str]:
    _, key = service.person(role, "Aino Laine")
    ticket = service.ticket(subject)
    page = sign_in(key, f"/tickets/{ticket['id']}")
    expect(page.get_by_role("heading", name=subject, exact=True)).to_be_visible()
    return page, ticket["id"]


def _row(page: Page, subject: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("row").filter(has_text=subject)


def test_a_snoozed_ticket_is_out_of_the_queue_until_it_is_woken(sign_in: SignIn, service: Service) -> None:
    page, ticket_id = _ticket_page(sign_in, service, "Waits for the bank")
    page.get_by_role("button", name="Snooze …").click()
    dialog = page.get_by_role("dialog", name="Snooze …")
    dialog.get_by_label("Why").fill("the bank answers tomorrow")
    dialog.get_by_role("button", name="Snooze …").click()
    expect(page.get_by_text("Snoozed until")).to_be_visible()
    assert service.get(f"/v1/tickets/{ticket_id}")["snooze_reason"] == "the bank answers tomorrow"
    service.ticket("Waits for an answer")
    page.goto(f"{service.url}/console/queue")
    expect(_row(page, "Waits for an answer")).to_be_visible()
    expect(_row(page, "Waits for the bank")).to_have_count(0)
    page.get_by_role("combobox", name="Snoozed", exact=True).select_option("any")
    _row(page, "Waits for the bank").get_by_role("link").click()
    page.get_by_role("button", name="Wake it").click()
    expect(page.get_by_text("Snoozed until")).to_have_count(0)
    assert service.get(f"/v1/tickets/{ticket_id}")["snoozed_until"] is None


def test_spam_is_closed_and_comes_back(sign_in: SignIn, service: Service) -> None:
    page, ticket_id = _ticket_page(sign_in, service, "Win a prize")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Spam", exact=True).click()
    expect(page.get_by_text("Marked as spam")).to_be_visible()
    assert service.get(f"/v1/tickets/{ticket_id}")["status"] == "closed"
    page.goto(f"{service.url}/console/queue?spam=true")
    _row(page, "Win a prize").get_by_role("link").click()
    page.get_by_role("button", name="Not spam").click()
    expect(page.get_by_text("Marked as spam")).to_have_count(0)
    assert service.get(f"/v1/tickets/{ticket_id}")["spam_at"] is None


def test_promises_of_all_tickets_are_one_list(sign_in: SignIn, service: Service, admin_key: str) -> None:
    ticket = service.ticket("Was promised a call")
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    service.post(f"/v1/tickets/{ticket['id']}/promises", {"text": "We ring at ten", "due_at": due})
    page = sign_in(admin_key, "/promises")
    row = _row(page, "We ring at ten")
    expect(row.get_by_role("link", name="Was promised a call", exact=True)).to_be_visible()
    row.get_by_role("button", name=re.compile("Kept")).click()
    expect(row).to_have_count(0)
    assert service.get(f"/v1/tickets/{ticket['id']}/promises")["items"][0]["state"] == "kept"
    page.get_by_label("Status").select_option("kept")
    expect(row).to_be_visible()


def test_a_colleague_of_the_customer_reads_along(sign_in: SignIn, service: Service) -> None:
    other = service.post("/v1/customers", {"external_id": "reads-along", "name": "Olga Along"})
    page, ticket_id = _ticket_page(sign_in, service, "Both should know")
    region = page.get_by_role("region", name="Reading along")
    region.get_by_label("Add a customer").fill("reads-along")
    region.get_by_role("button", name="+").click()
    expect(region.get_by_role("link", name="Olga Along", exact=True)).to_be_visible()
    found = service.get(f"/v1/tickets/{ticket_id}/participants")["items"]
    assert [each["customer_id"] for each in found] == [other["id"]]
    region.get_by_role("button", name="Delete Olga Along").click()
    expect(region.get_by_text("Nobody but the customer.")).to_be_visible()


def test_two_hundred_tickets_are_changed_at_once(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 27."""
    for number in range(200):
        service.ticket(f"Of many {number}", product="Many")
    page = sign_in(admin_key, "/queue?product=Many")
    expect(page.get_by_text("200 tickets")).to_be_visible()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Select all shown").click()
    page.get_by_role("toolbar").get_by_label("Priority").select_option("urgent")
    expect(page.get_by_text("200 tickets changed")).to_be_visible(timeout=60_000)
    urgent = service.get("/v1/tickets", product="Many", priority="urgent", limit=200)
    assert len(urgent["items"]) == 200


def test_a_file_goes_up_with_an_answer_and_comes_down_as_it_was(
    sign_in: SignIn, service: Service, tmp_path: Path
) -> None:
    """Check 30."""
    page, ticket_id = _ticket_page(sign_in, service, "Sends a file")
    sent = tmp_path / "receipt of May.txt"
    sent.write_bytes(b"paid 1\xe2\x82\xac\n" * 100)
    page.locator("input[type=file]").set_input_files(sent)
    expect(page.locator(".upload .tag")).to_have_text(sent.name)
    page.get_by_label("Reply", exact=True).fill("Here it is.")
    page.get_by_role("button", name=re.compile("^Send")).click()
    files = page.get_by_role("region", name="Files")
    with page.expect_download() as started:
        files.get_by_role("button", name=sent.name).click()
    assert Path(started.value.path()).read_bytes() == sent.read_bytes()
    assert service.get(f"/v1/tickets/{ticket_id}/attachments")["items"][0]["size_bytes"] == sent.stat().st_size


def test_the_csv_says_what_the_table_says(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 31."""
    for priority in ("urgent", "low"):
        ticket = service.ticket(f"Counted {priority}", priority=priority)
        service.post(f"/v1/tickets/{ticket['id']}/messages", {"body": "Here."})
    page = sign_in(admin_key, "/reports?group=priority")
    table = page.get_by_role("region", name="By", exact=True).get_by_role("table")
    expect(table.get_by_role("rowheader", name="urgent", exact=True)).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(Path(started.value.path()).read_text().splitlines()))
    for row in rows:
        shown = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=row["priority"], exact=True))
        expect(shown.get_by_role("cell").first).to_have_text(f"{int(row['answered']):,}")
    assert len(rows) == table.get_by_role("row").count() - 1


def test_a_rule_holds_whom_its_preview_counted(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 32."""
    for number in range(3):
        attributes = {"plan": "platinum"}
        service.post(
            "/v1/customers", {"external_id": f"p-{number}", "name": f"Plat {number}", "attributes": attributes}
        )
    page = sign_in(admin_key, "/segments")
    page.get_by_role("button", name="New segment").click()
    dialog = page.get_by_role("dialog", name="New segment")
    dialog.get_by_label("Key").fill("platinum")
    dialog.get_by_label("Name", exact=True).fill("Platinum customers")
    dialog.get_by_role("button", name="Condition").click()
    dialog.get_by_label("Value").fill("platinum")
    dialog.get_by_role("button", name="Whom would it hold?").click()
    expect(dialog.get_by_text("3 customers")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Platinum customers", exact=True).click()
    for number in range(3):
        member = page.get_by_role("link", name=f"Plat {number}", exact=True)
        expect(member).to_be_visible(timeout=QUIET_MS)


def test_why_a_deadline_is_when_it_is_reads_as_the_service_says(sign_in: SignIn, service: Service) -> None:
    """Check 33."""
    page, ticket_id = _ticket_page(sign_in, service, "Why then")
    page.get_by_text("Why this deadline?").click()
    said = service.get(f"/v1/tickets/{ticket_id}/explain")
    lines = [line for clock in said["clocks"] for line in clock["arithmetic"]]
    expect(page.locator(".arithmetic li")).to_have_count(len(lines))
    # What has passed grows from one answer to the next.
    shown = page.locator(".arithmetic li").all_inner_texts()
    assert [_without_figures(line) for line in shown] == [_without_figures(line) for line in lines]
    taken = next(policy["name"] for policy in said["policies"] if policy["taken"])
    expect(page.locator(".tried .taken")).to_contain_text(taken)


def _without_figures(line: str) -> str:
    return re.sub(r"[\d.:]+ s\b|[\d.:]+", "#", line)


@pytest.mark.parametrize("zone", ["Europe/Helsinki", "America/New_York"])
def test_a_week_tells_what_becomes_of_a_friday_afternoon(
    sign_in: SignIn, service: Service, admin_key: str, zone: str
) -> None:
    """Check 34. Four hours from Friday 16:30, open nine to five: half an hour, then Monday until 12:30, by the clocks
    of the calendar's zone, wherever the browser is."""
    days = ("mon", "tue", "wed", "thu", "fri")
    hours = {day: [["09:00", "17:00"]] for day in days}
    service.post("/v1/business-calendars", {"name": f"Week of {zone}", "timezone": zone, "hours": hours})
    page = sign_in(admin_key, "/calendars")
    panel = page.locator("section").filter(has=page.get_by_role("heading", name=f"Week of {zone}", exact=True))
    start = panel.get_by_label("Start")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT16:30", start.input_value())
    start.fill("2026-03-27T16:30")
    panel.get_by_label("within").select_option("14400")
    panel.get_by_role("button", name="Show").click()
    # In Helsinki the clocks go forward in between, and the office opens at nine all the same.
    expect(panel.get_by_role("status")).to_contain_text(re.compile(r"Monday, 30 March 2026 at 12:30:00"))


def test_reapplying_is_tried_out_first(sign_in: SignIn, service: Service, admin_key: str) -> None:
    """Check 35."""
    page = sign_in(admin_key, "/policies")
    panel = page.locator(".policies > li").first
    before = service.get("/v1/sla-jobs")["items"]
    expect(panel.get_by_role("button", name="Reapply", exact=True)).to_have_count(0)
    panel.get_by_role("button", name="What would reapplying change?").click()
    expect(panel.get_by_role("status")).to_contain_text(re.compile(r"\d+ tickets, \d+ clocks, \d+ breaches"))
    assert len(service.get("/v1/sla-jobs")["items"]) == len(before)
    panel.get_by_role("button", name="Reapply", exact=True).click()
    expect(panel.get_by_role("button", name="Reapply", exact=True)).to_have_count(0)
    assert len(service.get("/v1/sla-jobs")["items"]) == len(before) + 1


def test_a_policy_is_found_for_a_ticket_like_this(sign_in: SignIn, service: Service, admin_key: str) -> None:
    service.post("/v1/sla-policies", {
        "key": "by-phone", "name": "Who rings", "position": 2,
        "conditions": {"all": [{"field": "ticket.channel", "op": "eq", "value": "phone"}]},
        "targets": [{"metric": "first_response", "seconds": 30}],
    })  # fmt: skip
    page = sign_in(admin_key, "/policies")
    page.get_by_label("Channel").select_option("phone")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tried .taken")).to_contain_text("Who rings")
    page.get_by_label("Channel").select_option("email")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tried .taken")).not_to_contain_text("Who rings")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """An address that takes deliveries, and which it has heard."""
    heard: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.headers["webhook-id"])
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()
    server.server_close()


def test_a_delivery_is_delivered_again_under_its_own_id(
    sign_in: SignIn, service: Service, receiver: tuple[str, list[str]], admin_key: str
) -> None:
    """Check 36."""
    url, heard = receiver
    service.post("/v1/webhooks", {"url": url, "types": ["team.created"]})
    page = sign_in(admin_key, "/operations")
    row = page.get_by_role("listitem").filter(has_text=url)
    row.get_by_role("button", name="Test", exact=True).click()
    delivery = row.get_by_role("row")
    expect(delivery.get_by_text("delivered")).to_be_visible(timeout=QUIET_MS)
    assert len(heard) == 1
    delivery.get_by_role("button", name="Deliver again").click()
    for _ in range(60):
        if len(heard) == 2:
            break
        page.wait_for_timeout(500)
    assert heard == [heard[0], heard[0]]
    expect(delivery.get_by_text("delivered")).to_be_visible(timeout=QUIET_MS)


def test_a_goal_of_one_team_and_its_history(sign_in: SignIn, service: Service, admin_key: str) -> None:
    team = service.post("/v1/teams", {"key": "night", "name": "Night shift"})
    ticket = service.ticket("Asked at night", team_id=team["id"])
    service.post(f"/v1/tickets/{ticket['id']}/messages", {"body": "Here."})
    page = sign_in(admin_key, "/reports")
    page.get_by_role("button", name="New goal").click()
    dialog = page.get_by_role("dialog", name="New goal")
    dialog.get_by_label("Name").fill("At night")
    dialog.get_by_label("Of team").select_option(label="Night shift")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="History: At night").click()
    expect(page.locator(".goal-history > .table-wrap tbody tr").first.get_by_role("cell").nth(2)).to_have_text("1")
    goals = service.get("/v1/service-goals", limit=200)["items"]
    assert next(goal for goal in goals if goal["name"] == "At night")["filter"]["team_id"] == team["id"]
    page.goto(f"{service.url}/console?team={team['id']}")
    expect(page.get_by_role("heading", name="At night", exact=True)).to_be_visible()


def test_a_goal_of_fairness_is_written(sign_in: SignIn, service: Service, admin_key: str) -> None:
    page = sign_in(admin_key, "/reports")
    page.get_by_role("button", name="New goal").click()
    dialog = page.get_by_role("dialog", name="New goal")
    dialog.get_by_label("Name").fill("Alike")
    dialog.get_by_label("Judged by").select_option(label="fairness")
    dialog.get_by_label("Between").select_option(label="language")
    dialog.get_by_label("Largest gap, in points").fill("7.5")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".goal-row").filter(has_text="Alike")).to_contain_text("language: 7.5 %")
    made = next(goal for goal in service.get("/v1/service-goals", limit=200)["items"] if goal["name"] == "Alike")
    assert (made["statistic"], made["fairness"]) == ("fairness", {"by": "language", "max_gap_points": 7.5})


def test_helsinki_in_finnish_through_the_week_the_clocks_change(
    browser: Browser, service: Service, watch: Watch, admin_key: str
) -> None:
    """Check 45. A ticket of before the change and one of after it, each by the clock of its own day."""
    for number, at in enumerate(("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z")):
        customer = {"external_id": "dst"}
        body = {"external_id": f"dst-{number}", "subject": f"Kesäaika {number}", "created_at": at, "customer": customer}
        answer = service.http.post("/v1/imports/tickets", json={"tickets": [body]})
        assert answer.is_success, answer.text
    context = browser.new_context(locale="fi-FI", timezone_id="Europe/Helsinki")
    page = watch.on(context.new_page())
    page.goto(f"{service.url}/console/queue?status=any&customer_id={_customer(service)}")
    page.get_by_label("API-avain tai token").fill(admin_key)
    page.get_by_role("button", name="Kirjaudu").click()
    expect(page.get_by_role("link", name="Jono", exact=True)).to_have_attribute("aria-current", "page")
    assert page.evaluate("document.documentElement.lang") == "fi"
    for number, hour in enumerate(("14.00", "15.00")):
        page.get_by_role("link", name=f"Kesäaika {number}", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Kesäaika {number}")
        expect(page.locator(".ticket-head time").first).to_contain_text(hour)
        page.go_back()
    context.close()


def _customer(service: Service) -> str:
    return str(service.get("/v1/customers", external_id="dst")["items"][0]["id"])


def test_a_goal_says_why_its_mean_is_another_one(sign_in: SignIn, service: Service, admin_key: str) -> None:
    now = datetime.now(UTC)
    customer = {"external_id": "why-waiting"}
    for minutes, waited in ((100, 60), (95, 60), (40, 600), (35, 600)):
        at = now - timedelta(minutes=minutes)
        answered = {
            "at": (at + timedelta(seconds=waited)).isoformat(),
            "kind": "message",
            "author": "agent",
            "body": "Here.",
        }
        body = {"external_id": f"why-{minutes}", "subject": "Why?", "created_at": at.isoformat(), "customer": customer}
        sent = service.post("/v1/imports/tickets", {"tickets": [body | {"timeline": [answered]}]})
        assert sent["created"] == 1, sent
    asked = {"key": "why", "name": "Why so long", "target_seconds": 90, "window": {"rolling_seconds": 3600}}
    goal = service.post("/v1/service-goals", asked)
    page = sign_in(admin_key, "/reports")
    row = page.get_by_role("listitem").filter(has_text="Why so long")
    row.get_by_role("button", name="Why this mean?: Why so long").click()
    told = service.get(f"/v1/service-goals/{goal['id']}/why")
    table = row.get_by_role("region", name="Where the seconds went")
    expect(table.get_by_role("rowheader")).to_have_count(len(told["parts"]))
    expect(table.get_by_role("link").first).to_be_visible()
    expect(row).to_contain_text(told["in_words"].split(":")[0].split(",")[0].split(".")[0])


def test_quality_satisfaction_and_what_a_customer_got_are_shown(
    sign_in: SignIn, service: Service, admin_key: str
) -> None:
    ticket = service.ticket("Charged twice, says Olga")
    path = f"/v1/tickets/{ticket['id']}"
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    service.post(f"{path}/promises", {"text": "The money by Friday", "due_at": due})
    service.post(f"{path}/messages", {"body": "Repaid.", "status": "resolved"})
    page = sign_in(admin_key, f"/tickets/{ticket['id']}")
    expect(page.get_by_role("heading", name="Charged twice, says Olga", exact=True)).to_be_visible()
    said = {"score": 4, "comment": "Right, but slow.", "met": ["accuracy"], "missed": ["availability"]}
    service.post(f"{path}/satisfaction", said)
    # It comes by the stream.
    panel = page.get_by_role("region", name="Satisfaction")
    for words in ("4 / 5", "Right, but slow.", "met: accuracy", "missed: availability"):
        expect(panel).to_contain_text(words)
    page.goto(f"{service.url}/console/customers/{ticket['customer_id']}")
    panel = page.get_by_role("region", name="What they got, in a year")
    for words in ("1 open", "4.0 / 5 (1)", "The money by Friday"):
        expect(panel).to_contain_text(words)
    page.goto(f"{service.url}/console/reports?group=channel")
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Quality", exact=True))
    expect(panel).to_contain_text("Complaints recovered")
    expect(panel).to_contain_text("accuracy")

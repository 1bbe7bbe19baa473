"""Incidents of an IT service desk in 2016, the event log of their ServiceNow, as tickets to import.

Every recorded update becomes a message, internal but for one, so that the whole log goes through the import; what it
changed (priority, assignee, state) follows at the same instant. The log has no reply that a customer could see. What
its reference takes for the first response is the first update in which the case is past New: that one message is
public and an agent's, which is what stops `first_response`; it comes before the change of status, as in a reply that
sets one. Who made an update is the author of its message. A ticket is opened as new by its caller: a case whose first
update is past New already was taken up then."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tests.real_data.location import rows

FOLDER = "uci_incidents"
PRIORITIES = {"1 - Critical": "urgent", "2 - High": "high", "3 - Moderate": "normal", "4 - Low": "low"}
CHANNELS = {
    "Phone": "phone",
    "IVR": "phone",
    "Self service": "web",
    "Email": "email",
    "Direct opening": "api",  # made in the tool itself, over no channel of the customer's
}
STATUSES = {
    "New": "new",
    "Active": "open",
    # It is the customer's turn: what `pending` is for. Both this and `on_hold` stop the clock of the resolution.
    "Awaiting User Info": "pending",
    # It is somebody else's turn, and the customer's writing would not change that: what `on_hold` is for.
    "Awaiting Vendor": "on_hold",
    "Awaiting Problem": "on_hold",
    "Awaiting Evidence": "on_hold",
    # Resolved is answered for and may be reopened; Closed is the end, five days later and mostly by a batch job, of
    # what was resolved before. A few cases are closed at once, and a few are made Active again after it.
    "Resolved": "resolved",
    "Closed": "closed",
    # The source's junk value, -100, is missing on purpose: it says nothing, so that the ticket stays as it was.
}
DONE = frozenset({"Resolved", "Closed"})

Event = dict[str, str]


def histories() -> dict[str, list[Event]]:
    """The updates of each case, in the order of the file."""
    found = defaultdict(list)
    for event in rows(FOLDER, "events.csv.gz"):
        found[event["case_id"]].append(event)
    return found


def ticket(events: list[Event]) -> dict[str, Any]:
    first = events[0]
    return {
        "external_id": first["case_id"],
        "subject": f"{first['category']}, {first['subcategory']}",
        "type": "incident",
        "priority": PRIORITIES[first["priority"]],
        "channel": CHANNELS[first["contact_type"]],
        # The source's flag has no target time behind it: kept as a label, never judged.
        "custom_fields": {"made_sla": events[-1]["made_sla"] == "true"},
        # A caller whom the source does not know is a customer of their own.
        "customer": {"external_id": first["caller"] or f"caller of {first['case_id']}"},
        "opened_by": "customer",
        "created_at": first["opened_at"],
        "status": "new",
        "timeline": list(_timeline(events)),
    }


def _timeline(events: list[Event]) -> Iterator[dict[str, Any]]:
    priority, assignee, status = events[0]["priority"], "", "new"
    answered = False
    for event in events:
        at = event["event_at"]
        answers = event["state"] != "New" and not answered
        answered = answered or answers
        visibility = "public" if answers else "internal"
        yield {
            "at": at, "kind": "message", "author": "agent", "agent": {"external_id": event["actor"]},
            "visibility": visibility, "body": f"Update {event['seq']}",
        }  # fmt: skip
        if event["priority"] != priority:
            priority = event["priority"]
            yield {"at": at, "kind": "priority", "priority": PRIORITIES[priority]}
        if event["assigned_to"] != assignee:
            assignee = event["assigned_to"]
            yield {"at": at, "kind": "assignee", "assignee": {"external_id": assignee} if assignee else None}
        # An update that leaves the state as it is sets no status.
        if STATUSES.get(event["state"], status) != status:
            status = STATUSES[event["state"]]
            yield {"at": at, "kind": "status", "status": status, "by": "agent"}


def responder(events: list[Event]) -> str:
    """Who took the case up, by the source's own column."""
    return next(event["actor"] for event in events if event["state"] != "New")


def priority_when_answered(events: list[Event]) -> str:
    """Ours, as it was before the first update past New: what that update changes, it changes after its message."""
    answer = next(number for number, event in enumerate(events) if event["state"] != "New")
    return PRIORITIES[events[max(answer - 1, 0)]["priority"]]


def resolutions(events: list[Event]) -> list[str]:
    """When the case was resolved (or closed at once), when reopened, when resolved again …"""
    known = (event for event in events if event["state"] in STATUSES)
    turns = [(done, next(group)["event_at"]) for done, group in groupby(known, lambda event: event["state"] in DONE)]
    return [at for number, (done, at) in enumerate(turns) if done or number]

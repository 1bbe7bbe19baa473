"""Calls to a bank in February 1999, as tickets to import.

A call is a ticket opened by its caller when it entered the voice menu. One that was answered has a public message of
the agent at that instant, and was resolved when the call ended; one that was abandoned was closed by the customer when
they hung up. Left out, as in the reference: rows with an anomaly, and answered calls whose answer has no known time.
What the source calls a call's type (PS, NW …) becomes the product, its priority `regular` our `normal`."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.real_data.location import rows

FOLDER = "callcenter_feb1999"
PRIORITIES = {"regular": "normal", "high": "high"}


def tickets() -> Iterator[dict[str, Any]]:
    for call in rows(FOLDER, "cases.csv.gz"):
        if not call["anomaly"] and call["outcome"] != "answered_time_unknown":
            yield _ticket(call)


def answers() -> dict[str, list[int]]:
    """The waits in seconds of those whom each agent answered, by the source's own columns; `""` is nobody known."""
    found = defaultdict(list)
    for call in rows(FOLDER, "cases.csv.gz"):
        if not call["anomaly"] and call["outcome"] == "answered":
            found[call["agent"]].append(int(call["first_response_seconds"]))
    return found


def _ticket(call: dict[str, str]) -> dict[str, Any]:
    return {
        "external_id": call["case_id"],
        "subject": f"Call {call['case_id']}",
        "priority": PRIORITIES[call["priority"]],
        "channel": "phone",
        "product": call["type"],
        # Most callers are not known to the source; each of those is a customer of their own.
        "customer": {"external_id": call["customer"] or f"caller of {call['case_id']}"},
        "opened_by": "customer",
        "created_at": call["opened_at"],
        "timeline": list(_timeline(call)),
    }


def _timeline(call: dict[str, str]) -> Iterator[dict[str, Any]]:
    if call["outcome"] == "abandoned":
        yield {"at": call["abandoned_at"], "kind": "status", "status": "closed", "by": "customer"}
        return
    answered_at = call["answered_at"]
    if call["agent"]:
        yield {"at": answered_at, "kind": "assignee", "assignee": {"external_id": call["agent"]}}
    answer = {"at": answered_at, "kind": "message", "author": "agent", "visibility": "public", "body": "Answered."}
    yield answer | ({"agent": {"external_id": call["agent"]}} if call["agent"] else {})
    yield {"at": call["ended_at"], "kind": "status", "status": "resolved", "by": "agent"}

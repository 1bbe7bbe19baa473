"""Conversations of customers with 25 brands on Twitter, 2018 to 2020, as tickets to import.

A conversation is a ticket opened by its first message, which is the customer's. Every further message is a public one,
of the customer or (outbound) of an agent, who is the account that wrote it. The text was taken out of the source, so
that only its length is told. The brand is the product."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.real_data.location import rows

FOLDER = "ibm_cdp"


def tickets() -> Iterator[dict[str, Any]]:
    messages = defaultdict(list)
    for message in rows(FOLDER, "messages.csv.gz"):
        messages[message["case_id"]].append(message)
    for case in rows(FOLDER, "cases.csv.gz"):
        yield {
            "external_id": case["case_id"],
            "subject": f"Conversation {case['case_id']}",
            "channel": "social",
            "product": case["brand"],
            "customer": {"external_id": case["requester"]},
            "opened_by": "customer",
            "created_at": case["opened_at"],
            "timeline": [_message(message) for message in messages[case["case_id"]][1:]],
        }


def _message(message: dict[str, str]) -> dict[str, Any]:
    said = {
        "at": message["sent_at"],
        "kind": "message",
        "visibility": "public",
        "body": f"({message['text_len']} characters)",
    }
    if message["direction"] == "inbound":
        return {**said, "author": "customer"}
    return {**said, "author": "agent", "agent": {"external_id": message["author"]}}


def answers() -> dict[str, list[int]]:
    """The waits in seconds for the first outbound message, by the account that sent it."""
    found: dict[str, list[int]] = defaultdict(list)
    opened: dict[str, datetime] = {}
    answered: set[str] = set()
    for message in rows(FOLDER, "messages.csv.gz"):
        case, at = message["case_id"], datetime.fromisoformat(message["sent_at"])
        start = opened.setdefault(case, at)
        if message["direction"] == "outbound" and case not in answered:
            answered.add(case)
            found[message["author"]].append(int((at - start).total_seconds()))
    return found

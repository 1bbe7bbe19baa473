"""Tickets to import, and how they are sent."""

from typing import Any

import httpx

URL = "/v1/imports/tickets"


def item(external_id: str = "INC-1", *timeline: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "subject": "Printer on fire",
        "customer": {"external_id": "c-1"},
        "created_at": "2013-03-21T09:30:00Z",
        "timeline": list(timeline),
        **more,
    }


def message(minute: int, author: str = "agent", second: int = 0, **more: Any) -> dict[str, Any]:
    return {"at": at(minute, second), "kind": "message", "author": author, "body": "Hello.", **more}


def status(minute: int, word: str, by: str = "agent") -> dict[str, Any]:
    return {"at": at(minute), "kind": "status", "status": word, "by": by}


def at(minute: int, second: int = 0) -> str:
    """Minutes after 09:00 of the day."""
    return f"2013-03-21T{9 + minute // 60:02}:{minute % 60:02}:{second:02}Z"


async def send(client: httpx.AsyncClient, *items: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={"tickets": list(items)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def waits(ticket: dict[str, Any]) -> list[dict[str, Any]]:
    """Its clocks of the first answer."""
    return [clock for clock in ticket["clocks"] if clock["metric"] == "first_response"]


async def imported(client: httpx.AsyncClient, ticket: dict[str, Any]) -> dict[str, Any]:
    """The one ticket, sent, stored and read again, with all that belongs to it."""
    [outcome] = (await send(client, ticket))["items"]
    assert outcome["outcome"] == "created", outcome
    answer = await client.get(f"/v1/tickets/{outcome['ticket_id']}?include=clocks,messages,customer")
    found: dict[str, Any] = answer.json()
    return found

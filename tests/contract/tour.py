"""A tour through the generated Python client, with nothing of the service to lean on. Types are checked strictly.
`tour.py URL KEY`, with clients/python on the path."""

import sys

from ninety_client import AuthenticatedClient
from ninety_client.api.tickets import create_message, create_ticket, get_ticket, list_tickets, update_ticket
from ninety_client.models import (
    CustomerRef,
    MessageIn,
    MessageOut,
    OpenedTicketOut,
    Problem,
    Status,
    TicketIn,
    TicketOut,
    TicketPage,
    TicketPatch,
)
from ninety_client.types import UNSET, Unset


def main(url: str, key: str) -> None:
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        tickets = [opened(client, f"Lost card {number}") for number in range(3)]
        asked_twice(client)
        refused(client)
        answered(client, tickets[0])
        listed(client, {str(ticket.id) for ticket in tickets})
        resolved(client, tickets[0])


def opened(client: AuthenticatedClient, subject: str) -> OpenedTicketOut:
    body = TicketIn(subject=subject, customer=CustomerRef(external_id="python-tour"), tags=["python-tour"])
    ticket = create_ticket.sync(client=client, body=body)
    assert isinstance(ticket, OpenedTicketOut), ticket
    assert ticket.status is Status.NEW
    return ticket


def asked_twice(client: AuthenticatedClient) -> None:
    body = TicketIn(subject="Once", customer=CustomerRef(external_id="python-twice"))
    first, second = [
        create_ticket.sync_detailed(client=client, body=body, idempotency_key="python-tour-1") for _ in range(2)
    ]
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["Idempotency-Replayed"] == "true"


def refused(client: AuthenticatedClient) -> None:
    answer = create_ticket.sync_detailed(client=client, body=TicketIn(subject=""))
    assert answer.status_code == 422
    assert isinstance(answer.parsed, Problem)
    assert answer.parsed.code == "invalid"
    assert not isinstance(answer.parsed.errors, Unset)
    assert [error.pointer for error in answer.parsed.errors or []] == ["/subject"]


def answered(client: AuthenticatedClient, ticket: OpenedTicketOut) -> None:
    message = create_message.sync(ticket.id, client=client, body=MessageIn(body="It is on its way."))
    assert isinstance(message, MessageOut), message
    assert message.ticket_id == ticket.id


def listed(client: AuthenticatedClient, expected: set[str]) -> None:
    found: set[str] = set()
    cursor: str | None | Unset = UNSET
    while cursor is not None:
        page = list_tickets.sync(client=client, limit=2, tag=["python-tour"], cursor=cursor)
        assert isinstance(page, TicketPage), page
        assert len(page.items) <= 2
        found |= {str(ticket.id) for ticket in page.items}
        cursor = page.next_cursor
    assert found == expected


def resolved(client: AuthenticatedClient, ticket: OpenedTicketOut) -> None:
    before = get_ticket.sync_detailed(ticket.id, client=client)
    etag = before.headers["ETag"]
    patch = TicketPatch(status=Status.RESOLVED)
    after = update_ticket.sync(ticket.id, client=client, body=patch, if_match=etag)
    assert isinstance(after, TicketOut), after
    assert after.status is Status.RESOLVED
    late = update_ticket.sync(ticket.id, client=client, body=patch, if_match=etag)
    assert isinstance(late, Problem)
    assert late.code == "precondition_failed"


if __name__ == "__main__":
    main(*sys.argv[1:])
    print("Python: opened, asked twice, refused, answered, listed by pages, resolved under its ETag")

"""The tour through the Python client of openapi-generator. `python_tour.py URL KEY`, with the client on the path."""

import sys
from typing import Any

from ninety_og import ApiClient, Configuration
from ninety_og.api.tickets_api import TicketsApi
from ninety_og.api_response import ApiResponse
from ninety_og.exceptions import ApiException
from ninety_og.models.customer_ref import CustomerRef
from ninety_og.models.list_tickets_tag_parameter_inner import ListTicketsTagParameterInner
from ninety_og.models.message_in import MessageIn
from ninety_og.models.status import Status
from ninety_og.models.ticket_in import TicketIn
from ninety_og.models.ticket_patch import TicketPatch

NAME = "openapi-generator-python"


def main(url: str, key: str) -> None:
    with ApiClient(Configuration(host=url, access_token=key)) as client:
        api = TicketsApi(client)
        opened = [
            api.create_ticket(TicketIn(subject=f"Lost {n}", customer=CustomerRef(external_id=NAME), tags=[NAME]))
            for n in range(3)
        ]
        assert {ticket.status for ticket in opened} == {Status.NEW}
        once = TicketIn(subject="Once", customer=CustomerRef(external_id=f"{NAME}-twice"))
        first, second = [api.create_ticket_with_http_info(once, idempotency_key=f"{NAME}-1") for _ in range(2)]
        assert first.data.id == second.data.id
        assert _header(second, "Idempotency-Replayed") == "true"
        refused = _refused(lambda: api.create_ticket(TicketIn.model_construct(subject="")))
        assert (refused.status, "/subject" in str(refused.body)) == (422, True)
        ticket = opened[0].id
        assert api.create_message(ticket, MessageIn(body="It is on its way.")).ticket_id == ticket
        found, cursor = set(), None
        while True:
            page = api.list_tickets(limit=2, tag=[ListTicketsTagParameterInner(NAME)], cursor=cursor)
            found |= {each.id for each in page.items}
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == {each.id for each in opened}
        etag = _header(api.get_ticket_with_http_info(ticket), "ETag")
        patch = TicketPatch(status=Status.RESOLVED)
        assert api.update_ticket(ticket, patch, if_match=etag).status == Status.RESOLVED
        assert _refused(lambda: api.update_ticket(ticket, patch, if_match=etag)).status == 412


def _header(answer: ApiResponse[Any], name: str) -> str:
    """It keeps the names as they were sent."""
    found: dict[str, str] = {key.lower(): value for key, value in (answer.headers or {}).items()}
    return found[name.lower()]


def _refused(ask: object) -> ApiException:
    try:
        ask()  # type: ignore[operator]
    except ApiException as refused:
        return refused
    raise AssertionError("it was taken")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the ticket list and a view's list have in common."""

from typing import Any

from fastapi import Request, Response

from app.auth.guard import Actor
from app.db import Transaction
from app.tickets.list_schemas import TicketFilter, TicketQuery
from app.tickets.lists import OWN_TICKETS, TICKETS
from app.tickets.permissions import check_list
from app.tickets.queries import ticket_shown
from app.web.paging import page


async def listed(request: Request, response: Response, tx: Transaction, actor: Actor, query: TicketQuery) -> Any:
    check_list(actor, query)
    where = {name: getattr(query, name) for name in TicketFilter.model_fields}
    listing = TICKETS
    if actor.is_customer:
        # Only the caller's own; asking for somebody else's finds nothing.
        own, asked = actor.customer_id, query.customer_id
        listing, where["customer_id"] = OWN_TICKETS, (own,) if asked is None or own in asked else ()
    answer = await page(request, response, tx, listing, query, where, query.sort)
    count = await listing.estimated_count(tx, where) if query.count else None
    return {**answer, "items": [ticket_shown(actor, row) for row in answer["items"]], "estimated_count": count}

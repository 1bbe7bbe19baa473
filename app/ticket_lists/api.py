from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.ticket_lists.pages import answered
from app.ticket_lists.schemas import TicketPage, TicketQuery
from app.web.route import Tx, router

routes = router("/v1/tickets", "tickets")
Reader = Annotated[Actor, may("tickets:read")]


@routes.get("", response_model=TicketPage, summary="List tickets")
async def list_tickets(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[TicketQuery, Query()]
) -> Any:
    """Newest first unless `sort` says otherwise. A filter takes several values, with commas: any of them. A customer's
    list holds what they see: their own tickets, those that they take part in, those of their `shared` organization.

    A page may hold fewer tickets than `limit`, even none, and still have a `next_cursor`: where very few of very many
    match, a page looks at 5,000 of them and leaves the next ones to the next page. `sort=relevance` ranks the newest
    1,000 matches; a customer's own list is put in another order than that of creation for the newest 10,000.

    With `Accept: text/csv`, all that the filters find, whatever `limit` says, with the fields of a ticket as columns;
    `include` adds names of the customer, assignee and team."""
    return await answered(request, response, tx, actor, query)

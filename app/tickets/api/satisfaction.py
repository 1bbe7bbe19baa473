from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.tickets import satisfaction
from app.tickets.satisfaction_schemas import SatisfactionIn, SatisfactionOut, SatisfactionPage
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/tickets/{ticket_id}/satisfaction", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


@routes.get("", response_model=SatisfactionPage, summary="List how satisfied a ticket's customer was")
async def list_satisfaction(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """By resolution, oldest first: for staff, and for the customer who asked."""
    await satisfaction.check_reading(tx, actor, ticket_id)
    answer = await page(request, response, tx, satisfaction.LISTING, query, {"ticket_id": ticket_id}, "resolved_at")
    return {**answer, "items": [satisfaction.to_response(row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=SatisfactionOut, summary="Say how satisfied the customer is")
async def create_satisfaction(ticket_id: UUID, body: SatisfactionIn, tx: Tx, actor: Writer) -> Any:
    """By the customer who asked; an administrator or a service passes on what they said. Once for each time that the
    ticket is resolved."""
    return await satisfaction.give(tx, actor, ticket_id, body)

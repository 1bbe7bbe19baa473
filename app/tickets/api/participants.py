from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.tickets import participants, queries
from app.tickets.participant_schemas import ParticipantIn, ParticipantOut, ParticipantPage
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/tickets/{ticket_id}/participants", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


@routes.get("", response_model=ParticipantPage, summary="List who takes part in a ticket")
async def list_participants(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """The customers beside the one who asked, in the order in which they came. Who sees the ticket as a member of its
    organization is not among them."""
    await queries.get_ticket(tx, actor, ticket_id)
    where = {"ticket_id": ticket_id}
    answer = await page(request, response, tx, participants.LISTING, query, where, "created_at")
    return {**answer, "items": [participants.to_response(row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=ParticipantOut, summary="Let another customer take part in a ticket")
async def add_participant(ticket_id: UUID, body: ParticipantIn, tx: Tx, actor: Writer) -> Any:
    """They read all of it that its customer reads, and answer it: to the clocks, their message is the customer's. The
    rest stays with the one who asked. Repeatable."""
    return await participants.add(tx, actor, ticket_id, body.customer_id)


@routes.delete("/{customer_id}", status_code=204, summary="Let a customer no longer take part in a ticket")
async def remove_participant(ticket_id: UUID, customer_id: UUID, tx: Tx, actor: Writer) -> None:
    """By the staff, by the customer who asked, or by themselves. What they wrote stays."""
    await participants.remove(tx, actor, ticket_id, customer_id)

from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from app.auth.dependencies import Actor, may
from app.claims import explanations, service
from app.claims.schemas import ClaimIn, ClaimList, TicketExplanation
from app.tickets import queries
from app.tickets.schemas import TicketOut
from app.web.admission import BULK, WORK, costs
from app.web.etag import tag
from app.web.route import Tx, router

routes = router("/v1/tickets", "tickets")
# Customers write tickets, too; agents are not theirs to know.
Claimer = Annotated[Actor, may("tickets:write", "agents:read")]
# Policies and calendars are nobody's business but the staff's.
Explainer = Annotated[Actor, may("tickets:read", "sla:read")]


@routes.post("/claim", response_model=ClaimList, summary="Claim the ticket to be answered next")
@costs(WORK)
async def claim_tickets(body: ClaimIn, tx: Tx, actor: Claimer) -> Any:
    """For an agent who is online, within their capacity, channels, teams and skills; never one ticket to two. First
    those that can still be met, by their deadline; then what a goal counts that is about to be missed; then who waits
    longest; and nobody waits much longer than if the oldest came first. It is assigned to them, and taken back where
    they do not answer it within `NINETY_CLAIM_SECONDS`. A ticket with the tag `skill:x` needs the skill `x`; one of a
    team goes to its members. Every ticket of theirs that is `new` or `open` takes of their capacity."""
    return await service.claim(tx, actor, body)


@routes.post("/{ticket_id}/release", response_model=TicketOut, summary="Give a claimed ticket back")
async def release_ticket(ticket_id: UUID, response: Response, tx: Tx, actor: Claimer) -> Any:
    """By the agent who claimed it, or by a lead. It is nobody's again, and not given to the same agent for ten
    minutes."""
    released = await service.release(tx, actor, ticket_id)
    return tag(response, await queries.ticket_to_response(tx, actor, released))


@routes.get("/{ticket_id}/explain", response_model=TicketExplanation, summary="Explain a ticket's deadlines")
@costs(BULK)
async def explain_ticket(ticket_id: UUID, tx: Tx, actor: Explainer) -> Any:
    """Which policy and why; each pause, each stretch of business hours that counted, and the way to each deadline, of
    the newest 20 clocks."""
    return await explanations.explain_ticket(tx, actor, ticket_id)

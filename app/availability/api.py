from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.availability import service
from app.availability.schemas import AvailabilityIn, AvailabilityOut, AvailabilityPage, AvailabilityQuery
from app.web.paging import page
from app.web.route import Tx, router

list_routes = router("/v1/availability", "agents")
routes = router("/v1/agents/{agent_id}/availability", "agents")
Reader = Annotated[Actor, may("agents:read")]
# Agents write no agents; that they work on tickets is what they say.
Speaker = Annotated[Actor, may("tickets:write", "agents:read")]


@list_routes.get("", response_model=AvailabilityPage, summary="List who is there")
async def list_availability(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[AvailabilityQuery, Query()]
) -> Any:
    """Of every active agent, in the order they were added."""
    return await page(request, response, tx, service.LISTING, query, {"state": query.state}, "created_at")


@routes.get("", response_model=AvailabilityOut, summary="Read whether an agent is there")
async def get_availability(agent_id: UUID, tx: Tx, actor: Reader) -> Any:
    """Who never said anything is offline. There is no ETag: it ends by itself."""
    return await service.get(tx, agent_id)


@routes.put("", response_model=AvailabilityOut, summary="Say whether an agent is there")
async def update_availability(agent_id: UUID, body: AvailabilityIn, tx: Tx, actor: Speaker) -> Any:
    """By the agent, or by a lead for them: online, away or offline, how many tickets at once, of which channels, with
    which skills, until when. What is left out is its default. It ends where neither this nor a heartbeat comes for
    `NINETY_AVAILABILITY_SILENCE_SECONDS`."""
    return await service.say(tx, actor, agent_id, body)


@routes.post("/heartbeat", response_model=AvailabilityOut, summary="Keep an agent available")
async def keep_availability(agent_id: UUID, tx: Tx, actor: Speaker) -> Any:
    """Send it every half minute. Once it has ended this is a conflict: say anew that the agent is there."""
    return await service.hear(tx, actor, agent_id)

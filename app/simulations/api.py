from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.simulations import service
from app.simulations.schemas import SimulatedTicketPage, SlaSimulationIn, SlaSimulationOut, SlaSimulationPage
from app.web.admission import BULK, costs
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/sla-simulations", "sla")
Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


@routes.get("", response_model=SlaSimulationPage, summary="List simulations")
async def list_sla_simulations(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Newest first."""
    answer = await page(request, response, tx, service.LISTING, query, {}, "-created_at")
    return {**answer, "items": [service.to_response(row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=SlaSimulationOut, summary="Replay the past under other policies")
@costs(BULK)
async def create_sla_simulation(body: SlaSimulationIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A job: the log of every ticket is replayed under the policies sent, and nothing else is touched. A ticket's
    customer and segments are taken as they are now. A caller has five: a sixth takes the place of
    the oldest. They are deleted after seven days."""
    made = await service.create_simulation(tx, actor, body)
    response.headers["Location"] = f"/v1/sla-simulations/{made['id']}"
    return made


@routes.get("/{simulation_id}", response_model=SlaSimulationOut, summary="Read a simulation")
async def get_sla_simulation(simulation_id: UUID, tx: Tx, actor: Reader) -> Any:
    """While it runs, the figures are of the tickets that it has seen."""
    return await service.get_simulation(tx, simulation_id)


@routes.get("/{simulation_id}/tickets", response_model=SimulatedTicketPage, summary="List tickets that would change")
async def list_sla_simulation_tickets(
    simulation_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Annotated[Actor, may("sla:read", "tickets:read")],
    query: Annotated[PageQuery, Query()],
) -> Any:
    """By id; the first 100,000 of them."""
    await service.get_simulation(tx, simulation_id)
    return await page(request, response, tx, service.TICKETS, query, {"simulation_id": simulation_id}, "ticket_id")


@routes.delete("/{simulation_id}", status_code=204, summary="Cancel or delete a simulation")
async def delete_sla_simulation(simulation_id: UUID, tx: Tx, actor: Writer) -> None:
    """At any moment, also while it runs."""
    await service.delete_simulation(tx, simulation_id)

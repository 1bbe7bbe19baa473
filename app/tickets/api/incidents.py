from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from app.auth.dependencies import Actor, may
from app.tickets import incidents
from app.tickets.incident_schemas import IncidentJobOut, SolveProblemIn
from app.web.admission import BULK, costs
from app.web.openapi_headers import refer
from app.web.route import Tx, router

routes = router("/v1/tickets/{ticket_id}/solve-problem", "tickets")
job_routes = router("/v1/incident-jobs", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]
Preview = Annotated[bool, Query(description="Count and name the incidents, and do nothing.")]


@routes.post(
    "",
    response_model=IncidentJobOut,
    responses={202: {"model": IncidentJobOut, "description": "A job does it.", "headers": refer("Location")}},
    summary="Solve a problem and the incidents that it caused",
)
@costs(BULK)
async def solve_problem(
    ticket_id: UUID, body: SolveProblemIn, response: Response, tx: Tx, actor: Writer, preview: Preview = False
) -> Any:
    """The problem is resolved at once. A job (202) answers each ticket that is `caused_by` it and neither resolved nor
    closed with the message, one each, and resolves it, as the caller would."""
    if preview:
        return await incidents.preview(tx, actor, ticket_id)
    job = await incidents.solve(tx, actor, ticket_id, body.body)
    response.status_code = 202
    response.headers["Location"] = f"/v1/incident-jobs/{job['id']}"
    return job


@job_routes.get("/{incident_job_id}", response_model=IncidentJobOut, summary="Read a job that answers incidents")
async def get_incident_job(incident_job_id: UUID, tx: Tx, actor: Reader) -> Any:
    """How far it is."""
    return await incidents.get_job(tx, actor, incident_job_id)

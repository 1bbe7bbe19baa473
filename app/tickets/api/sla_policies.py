from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from app.auth.dependencies import Actor, check_scope, may, require_policy_admin
from app.errors import Invalid, NotFound
from app.sla import coverage, job_queue, policies
from app.sla.conditions import checked_facts
from app.sla.customer_context import load_contexts
from app.sla.schemas.policies import ExplainIn, ReapplyIn, SlaJobOut, SlaPolicyExplanation
from app.tickets import queries
from app.tickets.rematch_jobs import dry_run
from app.web.admission import BULK, HEAVY, costs
from app.web.openapi_headers import refer
from app.web.route import Tx, router

routes = router("/v1/sla-policies", "sla")
Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


@routes.post("/explain", response_model=SlaPolicyExplanation, summary="Explain which policy is taken")
@costs(BULK)
async def explain_sla_policies(body: ExplainIn, tx: Tx, actor: Reader) -> Any:
    """For a ticket as it is, or for facts: every policy in order, with the first condition that does not hold."""
    if (body.ticket_id is None) == (body.facts is None):
        raise Invalid.at("/ticket_id", "required", "send a ticket_id or facts, not both")
    if body.ticket_id is None:
        return await policies.explain(tx, checked_facts(body.facts or {}))
    # The condition that does not hold tells what the ticket is.
    check_scope(actor, "tickets:read", "ticket_id")
    try:
        ticket = await queries.get_whole_ticket(tx, actor, body.ticket_id)
    except NotFound:
        raise Invalid.at("/ticket_id", "unknown", "there is no ticket with this id") from None
    context = (await load_contexts(tx, [ticket["customer_id"]]))[ticket["customer_id"]]
    return await policies.explain(tx, {**coverage.of_ticket(ticket), **context.facts})


@routes.post(
    "/{policy_id}/reapply",
    response_model=SlaJobOut,
    responses={202: {"model": SlaJobOut, "description": "A job does it.", "headers": refer("Location")}},
    summary="Match open tickets anew",
)
@costs(HEAVY)
async def reapply_sla_policy(policy_id: UUID, body: ReapplyIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Tickets that are not done and stand under this policy, or would now, come under the policies of today. With
    `dry_run` only counted; else a job does it (202), batch by batch, and blocks no reader."""
    require_policy_admin(actor)
    policy, now = await policies.with_now(tx, policy_id)
    if body.dry_run:
        return job_queue.counted(policy["id"], now, asdict(await dry_run(tx, policy_id)))
    job_id = job_queue.queue(tx, job_queue.Kind.reapply, policy_id, now)
    policies.record_reapply(tx, actor, policy_id, job_id, now)
    await tx.flush()
    response.status_code = 202
    response.headers["Location"] = f"/v1/sla-jobs/{job_id}"
    return job_queue.JOBS.to_response(await job_queue.JOBS.get(tx, job_id))


class GrantQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: Annotated[bool, Field(description="Grant nothing: answer (200) what it would reach at once.")] = False

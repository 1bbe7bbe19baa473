from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.guard import Actor, check_governs, may
from app.errors import Invalid, NotFound
from app.sla import jobs, policies
from app.sla.conditions import checked_facts
from app.sla.core.policy import Scope
from app.sla.schemas.exceptions import ExceptionKind, SlaExceptionIn, SlaExceptionOut, SlaExceptionPage
from app.sla.schemas.policies import ExplainIn, ReapplyIn, SlaJobOut, SlaPolicyExplanation
from app.tickets import exceptions, facts, queries
from app.tickets.jobs import dry_run
from app.tickets.whose import read_whose
from app.web.paging import PageQuery, page
from app.web.query import AnyOf, Ids
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT

policy_routes = router("/v1/sla-policies", "sla")
exception_routes = router("/v1/sla-exceptions", "sla")
Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


@policy_routes.post("/explain", response_model=SlaPolicyExplanation, summary="Explain which policy is taken")
async def explain_sla_policies(body: ExplainIn, tx: Tx, actor: Reader) -> Any:
    """For a ticket as it is, or for facts: every policy in order, with the first condition that does not hold."""
    if (body.ticket_id is None) == (body.facts is None):
        raise Invalid.at("/ticket_id", "required", "send a ticket_id or facts, not both")
    if body.ticket_id is None:
        return await policies.explain(tx, checked_facts(body.facts or {}))
    try:
        ticket = await queries.get_whole_ticket(tx, actor, body.ticket_id)
    except NotFound:
        raise Invalid.at("/ticket_id", "unknown", "there is no ticket with this id") from None
    whose = (await read_whose(tx, [ticket["customer_id"]]))[ticket["customer_id"]]
    return await policies.explain(tx, {**facts.of_ticket(ticket), **whose.facts})


@policy_routes.post(
    "/{policy_id}/reapply",
    response_model=SlaJobOut,
    responses={202: {"model": SlaJobOut, "description": "A job does it."}},
    summary="Match open tickets anew",
)
async def reapply_sla_policy(policy_id: UUID, body: ReapplyIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Tickets that are not done and stand under this policy, or would now, come under the policies of today. With
    `dry_run` only counted; else a job does it (202), batch by batch, and blocks no reader."""
    check_governs(actor)
    policy, now = await policies.with_now(tx, policy_id)
    if body.dry_run:
        return jobs.counted(policy["id"], now, asdict(await dry_run(tx, policy_id)))
    job_id = jobs.queue(tx, jobs.Kind.reapply, policy_id, now)
    policies.record_reapply(tx, actor, policy_id, job_id, now)
    await tx.flush()
    response.status_code = 202
    response.headers["Location"] = f"/v1/sla-jobs/{job_id}"
    return jobs.shown(await jobs.get_job(tx, job_id))


class ExceptionQuery(PageQuery):
    kind: AnyOf[Annotated[ExceptionKind, FROM_TEXT]] = None
    scope: AnyOf[Annotated[Scope, FROM_TEXT]] = None
    ticket_id: Ids = None
    customer_id: Ids = None
    segment_id: Ids = None


@exception_routes.get("", response_model=SlaExceptionPage, summary="List exceptions")
async def list_sla_exceptions(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ExceptionQuery, Query()]
) -> Any:
    """Newest first, with those that are over."""
    where = {name: getattr(query, name) for name in ("kind", "scope", "ticket_id", "customer_id", "segment_id")}
    answer = await page(request, response, tx, exceptions.LISTING, query, where, "-created_at")
    return {**answer, "items": [exceptions.shown(row) for row in answer["items"]]}


@exception_routes.post("", status_code=201, response_model=SlaExceptionOut, summary="Grant an exception")
async def create_sla_exception(body: SlaExceptionIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Leads and above. It reaches the clocks that run while it is in force, and stays with each until that one ends.
    For more than a ticket, those that run take it by a job."""
    granted = await exceptions.grant(tx, actor, body)
    response.headers["Location"] = f"/v1/sla-exceptions/{granted['id']}"
    return granted


@exception_routes.get("/{exception_id}", response_model=SlaExceptionOut, summary="Read an exception")
async def get_sla_exception(exception_id: UUID, tx: Tx, actor: Reader) -> Any:
    return exceptions.shown(await exceptions.get_exception(tx, exception_id))


@exception_routes.delete("/{exception_id}", status_code=204, summary="Revoke an exception")
async def delete_sla_exception(exception_id: UUID, tx: Tx, actor: Writer) -> None:
    """Running clocks are judged without it again; what has ended keeps it, and the exception stays readable."""
    await exceptions.revoke(tx, actor, exception_id)

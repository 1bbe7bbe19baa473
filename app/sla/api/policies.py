from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.sla import job_queue, policies
from app.sla.schemas.policies import (
    SlaJobOut,
    SlaJobPage,
    SlaPolicyIn,
    SlaPolicyOut,
    SlaPolicyPage,
    SlaPolicyPatch,
)
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import Key

routes = router("/v1/sla-policies", "sla")
job_routes = router("/v1/sla-jobs", "sla")
Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


@routes.get("", response_model=SlaPolicyPage, summary="List SLA policies")
async def list_sla_policies(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order in which they are tried; archived ones left out."""
    answer = await page(request, response, tx, policies.LISTING, query, {}, "position")
    return {**answer, "items": [policies.to_response(row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=SlaPolicyOut, summary="Write an SLA policy")
async def create_sla_policy(body: SlaPolicyIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Version 1. Tickets that open from now on match it."""
    row = policies.to_response(await policies.create_policy(tx, actor, body))
    response.headers["Location"] = f"/v1/sla-policies/{row['id']}"
    return tag(response, row)


@routes.get("/by-key/{key:path}", response_model=SlaPolicyOut, summary="Read an SLA policy by its key")
async def get_sla_policy_by_key(key: Annotated[Key, Path()], response: Response, tx: Tx, actor: Reader) -> Any:
    """Percent-encoded, slashes and all."""
    return tag(response, policies.to_response(await policies.get_policy_by_key(tx, key)))


@routes.get("/{policy_id:id}", response_model=SlaPolicyOut, summary="Read an SLA policy")
async def get_sla_policy(policy_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    """The newest version."""
    return tag(response, policies.to_response(await policies.get_policy(tx, policy_id)))


@routes.patch("/{policy_id:id}", response_model=SlaPolicyOut, summary="Write the next version of an SLA policy")
async def update_sla_policy(
    policy_id: UUID, patch: SlaPolicyPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch; lists are replaced whole. Running clocks keep their version until something re-matches them."""
    return tag(response, policies.to_response(await policies.change_policy(tx, actor, policy_id, patch, if_match)))


@routes.delete("/{policy_id:id}", status_code=204, summary="Archive an SLA policy")
async def delete_sla_policy(policy_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """No ticket matches it from now on. Its versions, and what was judged by them, stay."""
    await policies.archive_policy(tx, actor, policy_id, if_match)


@routes.get("/{policy_id}/versions", response_model=SlaPolicyPage, summary="List the versions of an SLA policy")
async def list_sla_policy_versions(
    policy_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Newest first, and readable for ever."""
    await policies.get_policy(tx, policy_id)
    answer = await page(request, response, tx, policies.VERSIONS, query, {"policy_id": policy_id}, "-version")
    return {**answer, "items": [policies.to_response(row) for row in answer["items"]]}


@job_routes.get("", response_model=SlaJobPage, summary="List jobs")
async def list_sla_jobs(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Tickets matched anew, for a changed calendar, an archived policy or because it was asked for; newest first."""
    answer = await page(request, response, tx, job_queue.JOBS.listing, query, {}, "-created_at")
    return {**answer, "items": [job_queue.JOBS.to_response(row) for row in answer["items"]]}


@job_routes.get("/{job_id}", response_model=SlaJobOut, summary="Read how far a job is")
async def get_sla_job(job_id: UUID, tx: Tx, actor: Reader) -> Any:
    return job_queue.JOBS.to_response(await job_queue.JOBS.get(tx, job_id))

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.customers.service.customers import CUSTOMERS
from app.segments import job_queue, membership_rows, service
from app.segments.schemas import (
    MemberPage,
    MembershipPage,
    SegmentIn,
    SegmentJobOut,
    SegmentJobPage,
    SegmentOut,
    SegmentPage,
    SegmentPatch,
    SegmentVersionPage,
)
from app.web.admission import BULK, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import Key

routes = router("/v1/segments", "segments")
customer_routes = router("/v1/customers", "segments")
job_routes = router("/v1/segment-jobs", "segments")
Reader = Annotated[Actor, may("segments:read")]
Writer = Annotated[Actor, may("segments:write")]


@routes.get("", response_model=SegmentPage, summary="List segments")
async def list_segments(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In their order; archived ones left out."""
    return await page(request, response, tx, service.LISTING, query, {}, "position")


@routes.post("", status_code=201, response_model=SegmentOut, summary="Make a segment")
async def create_segment(body: SegmentIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Its members follow by a job, see `/v1/segment-jobs`. A key is unique whatever its case, width and form, and stays
    that of the segment for good."""
    row = await service.create_segment(tx, actor, body)
    response.headers["Location"] = f"/v1/segments/{row['id']}"
    return tag(response, row)


@routes.get("/by-key/{key:path}", response_model=SegmentOut, summary="Read a segment by its key")
async def get_segment_by_key(key: Annotated[Key, Path()], response: Response, tx: Tx, actor: Reader) -> Any:
    """Percent-encoded, slashes and all."""
    return tag(response, await service.SEGMENTS.get_called(tx, key))


@routes.get("/{segment_id:id}", response_model=SegmentOut, summary="Read a segment")
async def get_segment(segment_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.SEGMENTS.get(tx, segment_id))


@routes.patch("/{segment_id:id}", response_model=SegmentOut, summary="Change a segment")
async def update_segment(
    segment_id: UUID, patch: SegmentPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. Another rule is the next version, and its members follow by a job."""
    return tag(response, await service.change_segment(tx, actor, segment_id, patch, if_match))


@routes.delete("/{segment_id:id}", status_code=204, summary="Archive a segment")
async def delete_segment(segment_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Its members leave it, by a job. Tickets that were opened in it say so for good."""
    await service.archive_segment(tx, actor, segment_id, if_match)


@routes.get("/{segment_id}/versions", response_model=SegmentVersionPage, summary="List the versions of a rule")
async def list_segment_versions(
    segment_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Newest first, and readable for ever."""
    await service.SEGMENTS.get(tx, segment_id)
    return await page(request, response, tx, service.VERSIONS, query, {"segment_id": segment_id}, "-version")


@routes.get("/{segment_id}/members", response_model=MemberPage, summary="List a segment's members")
@costs(BULK)
async def list_segment_members(
    segment_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """With the reason of each."""
    await service.SEGMENTS.get(tx, segment_id)
    answer = await page(
        request, response, tx, membership_rows.MEMBERS, query, {"segment_id": segment_id}, "customer_id"
    )
    return {**answer, "items": [membership_rows.to_response(row) for row in answer["items"]]}


class MembershipQuery(PageQuery):
    past: bool = False


@customer_routes.get("/{customer_id}/segments", response_model=MembershipPage, summary="List a customer's segments")
async def list_customer_segments(
    customer_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[MembershipQuery, Query()],
) -> Any:
    """In the order of the segments, with the reason of each; with `past=true` those that are over as well."""
    await CUSTOMERS.get(tx, customer_id)
    where = {"customer_id": customer_id, "now": None if query.past else True}
    answer = await page(request, response, tx, membership_rows.MEMBERSHIPS, query, where, "position")
    return {**answer, "items": [membership_rows.to_response(row) for row in answer["items"]]}


@job_routes.get("", response_model=SegmentJobPage, summary="List segment jobs")
async def list_segment_jobs(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Customers decided on anew, for a rule, an organization or an archived segment; newest first."""
    answer = await page(request, response, tx, job_queue.JOBS.listing, query, {}, "-created_at")
    return {**answer, "items": [job_queue.JOBS.to_response(row) for row in answer["items"]]}


@job_routes.get("/{segment_job_id}", response_model=SegmentJobOut, summary="Read how far a segment job is")
async def get_segment_job(segment_job_id: UUID, tx: Tx, actor: Reader) -> Any:
    return job_queue.JOBS.to_response(await job_queue.JOBS.get(tx, segment_job_id))

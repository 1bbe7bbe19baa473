from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.memberships import overrides
from app.segments import service
from app.segments.schemas import OverrideIn, OverrideOut, OverridePage, PreviewIn, PreviewOut
from app.web.admission import HEAVY, costs
from app.web.paging import PageQuery, page
from app.web.query import Ids
from app.web.route import Tx, router

routes = router("/v1/segments", "segments")
Reader = Annotated[Actor, may("segments:read")]
Writer = Annotated[Actor, may("segments:write")]
# A rule asks what is known of customers, and the count answers.
Previewer = Annotated[Actor, may("segments:read", "customers:read")]


@routes.post("/preview", response_model=PreviewOut, summary="Preview a segment's rule")
@costs(HEAVY)
async def preview_segment(body: PreviewIn, tx: Tx, actor: Previewer) -> Any:
    """How many customers it would hold, and some of them. Nothing is stored; overrides are not looked at."""
    return await overrides.preview(tx, body.rule)


class OverrideQuery(PageQuery):
    customer_id: Ids = None


@routes.get("/{segment_id}/overrides", response_model=OverridePage, summary="List a segment's overrides")
async def list_segment_overrides(
    segment_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[OverrideQuery, Query()],
) -> Any:
    """Newest first, with those that are over."""
    await service.SEGMENTS.get(tx, segment_id)
    where = {"segment_id": segment_id, "customer_id": query.customer_id}
    answer = await page(request, response, tx, overrides.LISTING, query, where, "-created_at")
    return {**answer, "items": [overrides.to_response(row) for row in answer["items"]]}


@routes.post(
    "/{segment_id}/overrides", status_code=201, response_model=OverrideOut, summary="Override a segment's rule"
)
async def create_segment_override(segment_id: UUID, body: OverrideIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """For one customer, with a reason; it acts at once, and expires by itself. One at a time."""
    made = await overrides.create_override(tx, actor, segment_id, body)
    response.headers["Location"] = f"/v1/segments/{segment_id}/overrides/{made['id']}"
    return made


@routes.get("/{segment_id}/overrides/{override_id}", response_model=OverrideOut, summary="Read an override")
async def get_segment_override(segment_id: UUID, override_id: UUID, tx: Tx, actor: Reader) -> Any:
    return overrides.to_response(await overrides.get_override(tx, segment_id, override_id))


@routes.delete("/{segment_id}/overrides/{override_id}", status_code=204, summary="Take an override back")
async def delete_segment_override(segment_id: UUID, override_id: UUID, tx: Tx, actor: Writer) -> None:
    """The rule decides again. The override stays readable."""
    await overrides.delete_override(tx, actor, segment_id, override_id)

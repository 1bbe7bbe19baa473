from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.sla import calendars
from app.sla.schemas.calendars import (
    BusinessCalendarIn,
    BusinessCalendarOut,
    BusinessCalendarPage,
    BusinessCalendarPatch,
    ComputeIn,
    ComputeOut,
)
from app.web.admission import BULK, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/business-calendars", "sla")
Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


@routes.get("", response_model=BusinessCalendarPage, summary="List business calendars")
async def list_business_calendars(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Oldest first; archived ones left out."""
    return await page(request, response, tx, calendars.LISTING, query, {}, "created_at")


@routes.post("", status_code=201, response_model=BusinessCalendarOut, summary="Write a business calendar")
async def create_business_calendar(body: BusinessCalendarIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Any number of intervals a day; an overnight shift is written as two."""
    row = await calendars.create_calendar(tx, actor, body)
    response.headers["Location"] = f"/v1/business-calendars/{row['id']}"
    return tag(response, row)


@routes.post("/compute", response_model=ComputeOut, summary="Compute with business time")
@costs(BULK)
async def compute_business_time(body: ComputeIn, tx: Tx, actor: Reader) -> Any:
    """`after`: the first instant at which so many open seconds have passed. `elapsed`: the open seconds between two
    instants, negative where the end comes first. `is_open`: whether an instant is open."""
    return {"result": await calendars.compute(tx, body)}


@routes.get("/{calendar_id:id}", response_model=BusinessCalendarOut, summary="Read a business calendar")
async def get_business_calendar(calendar_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    """The newest version."""
    return tag(response, await calendars.get_calendar(tx, calendar_id))


@routes.patch("/{calendar_id:id}", response_model=BusinessCalendarOut, summary="Write a calendar's next version")
async def update_business_calendar(
    calendar_id: UUID,
    patch: BusinessCalendarPatch,
    response: Response,
    tx: Tx,
    actor: Writer,
    if_match: IfMatch = None,
) -> Any:
    """JSON merge patch, day by day. Running clocks are recomputed by a job; what has ended stays as it was judged."""
    return tag(response, await calendars.change_calendar(tx, actor, calendar_id, patch, if_match))


@routes.delete("/{calendar_id:id}", status_code=204, summary="Archive a business calendar")
async def delete_business_calendar(calendar_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """No new policy takes it. Policies that use it go on using it."""
    await calendars.archive_calendar(tx, actor, calendar_id, if_match)

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import ValidationError

from app.auth.dependencies import Actor, may
from app.release import NewerRelease
from app.ticket_lists import views
from app.ticket_lists.pages import answered
from app.ticket_lists.schemas import TicketPage, TicketQuery, ViewIn, ViewOut, ViewPage, ViewPatch, ViewTicketsQuery
from app.web.admission import BULK, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import by_newer_release

routes = router("/v1/views", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


@routes.get("", response_model=ViewPage, summary="List views")
async def list_views(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """The caller's own and the shared ones, in the order in which they were saved."""
    return await page(request, response, tx, views.LISTING, query, views.seen_by(actor), "created_at")


@routes.post("", status_code=201, response_model=ViewOut, summary="Save a view")
async def create_view(body: ViewIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A view is the caller's own unless it is shared."""
    row = await views.create_view(tx, actor, body)
    response.headers["Location"] = f"/v1/views/{row['id']}"
    return tag(response, row)


@routes.get("/{view_id}", response_model=ViewOut, summary="Read a view")
async def get_view(view_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await views.get_view(tx, actor, view_id))


@routes.patch("/{view_id}", response_model=ViewOut, summary="Change a view")
async def update_view(
    view_id: UUID, patch: ViewPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. A view that is shared no more is its agent's own again."""
    return tag(response, await views.change_view(tx, actor, view_id, patch, if_match))


@routes.delete("/{view_id}", status_code=204, summary="Remove a view")
async def delete_view(view_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    await views.delete_view(tx, actor, view_id, if_match)


@routes.get("/{view_id}/tickets", response_model=TicketPage, summary="List the tickets of a view")
@costs(BULK)
async def list_view_tickets(
    view_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[ViewTicketsQuery, Query()],
) -> Any:
    """As the ticket list with this filter and order. A cursor ends with a change of either. As CSV where
    that is asked for."""
    view = await views.get_view(tx, actor, view_id)
    try:
        asked = TicketQuery(**view["filter"], sort=view["sort"], **query.model_dump())
    except ValidationError as wrong:
        if not by_newer_release(wrong.errors(include_input=False)):
            raise
        raise NewerRelease("the filter or order of this view") from None
    return await answered(request, response, tx, actor, asked)

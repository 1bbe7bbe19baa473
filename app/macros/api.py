from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.macros import service
from app.macros.schemas import MacroApplied, MacroIn, MacroOut, MacroPage, MacroPatch, MacroResults, MacroTickets
from app.web.admission import BULK, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/macros", "tickets")
ticket_routes = router("/v1/tickets/{ticket_id}/macros", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]
Preview = Annotated[bool, Query(description="Answer what it would do, and do nothing.")]


@routes.get("", response_model=MacroPage, summary="List macros")
async def list_macros(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """By name."""
    service.check_staff(actor)
    return await page(request, response, tx, service.LISTING, query, {}, "name")


@routes.post("", status_code=201, response_model=MacroOut, summary="Prepare an answer and changes")
async def create_macro(body: MacroIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A lead or an administrator writes macros, all staff apply them."""
    row = await service.create_macro(tx, actor, body)
    response.headers["Location"] = f"/v1/macros/{row['id']}"
    return tag(response, row)


@routes.get("/{macro_id}", response_model=MacroOut, summary="Read a macro")
async def get_macro(macro_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    service.check_staff(actor)
    return tag(response, await service.MACROS.get(tx, macro_id))


@routes.patch("/{macro_id}", response_model=MacroOut, summary="Change a macro")
async def update_macro(
    macro_id: UUID, patch: MacroPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch, but that `changes` are replaced as a whole."""
    return tag(response, await service.change_macro(tx, actor, macro_id, patch, if_match))


@routes.delete("/{macro_id}", status_code=204, summary="Remove a macro")
async def delete_macro(macro_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """What it did stays."""
    await service.delete_macro(tx, actor, macro_id, if_match)


@routes.post("/{macro_id}/apply", response_model=MacroResults, summary="Apply a macro to many tickets")
@costs(BULK)
async def apply_macro_to_tickets(
    macro_id: UUID, body: MacroTickets, tx: Tx, actor: Writer, preview: Preview = False
) -> Any:
    """Up to 200. A ticket on which it is refused is left as it is and answered with the problem; the others are
    changed."""
    return {"items": await service.apply_to_many(tx, actor, macro_id, body.ticket_ids, preview=preview)}


@ticket_routes.post("/{macro_id}/apply", response_model=MacroApplied, summary="Apply a macro to a ticket")
async def apply_macro(
    ticket_id: UUID, macro_id: UUID, tx: Tx, actor: Writer, preview: Preview = False, if_match: IfMatch = None
) -> Any:
    """Its changes and then its message, as if the caller had made them: all of it or nothing. With `If-Match`, only
    where the ticket is as the caller has read it."""
    return await service.apply(tx, actor, macro_id, ticket_id, if_match, preview=preview)

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.tickets import followers, links, queries
from app.tickets.schemas import FollowerPage, LinkIn, LinkOut, LinkPage
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/tickets/{ticket_id}", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


@routes.get("/links", response_model=LinkPage, summary="List a ticket's links")
async def list_links(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Those that lead from it and those that lead to it, oldest first; with those of what was merged into it."""
    links.check_linking(actor)
    ids = await queries.tickets_to_show(tx, actor, await queries.get_ticket(tx, actor, ticket_id))
    where = {"ticket_id": ids}
    answer = await page(request, response, tx, links.LISTING, query, where, "created_at", about={"ticket_id": ids[0]})
    return {**answer, "items": [links.to_response(row, ids) for row in answer["items"]]}


@routes.post("/links", status_code=201, response_model=LinkOut, summary="Link a ticket to another one")
async def create_link(ticket_id: UUID, body: LinkIn, tx: Tx, actor: Writer) -> Any:
    """It relates to, duplicates, was caused by, is the parent of or follows up the other one. A ticket has one parent,
    and is nobody's ancestor and descendant."""
    return await links.link(tx, actor, ticket_id, body.kind, body.ticket_id)


@routes.delete("/links/{link_id}", status_code=204, summary="Delete a link")
async def delete_link(ticket_id: UUID, link_id: UUID, tx: Tx, actor: Writer) -> None:
    """From either end."""
    await links.unlink(tx, actor, ticket_id, link_id)


@routes.get("/followers", response_model=FollowerPage, summary="List who follows a ticket")
async def list_followers(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order in which they came."""
    followers.check_following(actor)
    await queries.get_ticket(tx, actor, ticket_id)
    return await page(request, response, tx, followers.LISTING, query, {"ticket_id": ticket_id}, "created_at")


@routes.put("/followers/{agent_id}", status_code=204, summary="Follow a ticket")
async def follow_ticket(ticket_id: UUID, agent_id: UUID, tx: Tx, actor: Writer) -> None:
    """An agent for themselves, a lead for anybody active."""
    await followers.follow(tx, actor, ticket_id, agent_id)


@routes.delete("/followers/{agent_id}", status_code=204, summary="Follow a ticket no more")
async def unfollow_ticket(ticket_id: UUID, agent_id: UUID, tx: Tx, actor: Writer) -> None:
    """An agent for themselves, a lead for anybody."""
    await followers.unfollow(tx, actor, ticket_id, agent_id)

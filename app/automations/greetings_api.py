from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.automations import greetings
from app.automations.schemas import GreetingIn, GreetingOut, GreetingPage, GreetingPatch
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router

routes = router("/v1/greetings", "greetings")
Reader = Annotated[Actor, may("agents:read")]
Writer = Annotated[Actor, may("agents:write")]


@routes.get("", response_model=GreetingPage, summary="List greetings")
async def list_greetings(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """By channel and language. There is none until somebody writes one."""
    return await page(request, response, tx, greetings.LISTING, query, {}, "channel")


@routes.post("", status_code=201, response_model=GreetingOut, summary="Greet who writes on a channel")
async def create_greeting(body: GreetingIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A ticket that a customer opens on this channel gets it at once, as a message by the system. It counts as no
    response; the ticket's `greeted_at` tells when it was sent."""
    greetings.check(body.body)
    row = await greetings.GREETINGS.create(tx, actor, body.model_dump())
    response.headers["Location"] = f"/v1/greetings/{row['id']}"
    return tag(response, row)


@routes.get("/{greeting_id}", response_model=GreetingOut, summary="Read a greeting")
async def get_greeting(greeting_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await greetings.GREETINGS.get(tx, greeting_id))


@routes.patch("/{greeting_id}", response_model=GreetingOut, summary="Change a greeting")
async def update_greeting(
    greeting_id: UUID, patch: GreetingPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. `active: false` turns it off."""
    values = patch.model_dump()
    greetings.check(values.get("body", ""))
    before = await greetings.GREETINGS.locked(tx, greeting_id, if_match)
    return tag(response, await greetings.GREETINGS.change(tx, actor, before, values))


@routes.delete("/{greeting_id}", status_code=204, summary="Delete a greeting")
async def delete_greeting(greeting_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    await greetings.GREETINGS.delete(tx, actor, greeting_id, if_match)

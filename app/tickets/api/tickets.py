from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.guard import Actor, may
from app.sla import clocks
from app.sla.schemas.clocks import SlaClockList, TicketExplanation
from app.tickets import explain, merging, messages, opening, promises, queries, service
from app.tickets.api.lists import listed
from app.tickets.list_schemas import TicketPage, TicketQuery
from app.tickets.schemas import (
    EventPage,
    MergeIn,
    MessageIn,
    MessageOut,
    MessagePage,
    MessagePatch,
    MessageVersionPage,
    PromiseIn,
    PromiseOut,
    PromisePage,
    TicketIn,
    TicketOut,
    TicketPatch,
    TicketWithOut,
    WithdrawIn,
)
from app.tickets.self_service.schemas import OpenedTicketOut, SolvedIn
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.query import AnyOf
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT

routes = router("/v1/tickets", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]
# Policies and calendars are nobody's business but the staff's.
Explainer = Annotated[Actor, may("tickets:read", "sla:read")]


_SUGGEST = "Send the articles that may answer it along."


class Include(StrEnum):
    clocks = "clocks"
    messages = "messages"
    customer = "customer"


Including = Annotated[AnyOf[Annotated[Include, FROM_TEXT]], Query(description="What to send with the ticket.")]


@routes.post("", status_code=201, response_model=OpenedTicketOut, summary="Open a ticket")
async def create_ticket(
    body: TicketIn,
    response: Response,
    tx: Tx,
    actor: Writer,
    suggest: Annotated[bool, Query(description=_SUGGEST)] = False,
) -> Any:
    """The customer is found, or made, by what is given of them. The clock of the first response starts now. Who is in a
    self-service segment gets the articles that match, as a message of the system, where the automation is on."""
    ticket = await opening.open_ticket(tx, actor, body, suggest=suggest)
    response.headers["Location"] = f"/v1/tickets/{ticket['id']}"
    return tag(response, queries.ticket_shown(actor, ticket))


@routes.get("", response_model=TicketPage, summary="List tickets")
async def list_tickets(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[TicketQuery, Query()]
) -> Any:
    """Newest first unless `sort` says otherwise. A filter takes several values, with commas: any of them. A customer's
    list holds their own tickets.

    A page may hold fewer tickets than `limit`, even none, and still have a `next_cursor`: where very few of very many
    match, a page looks at 5,000 of them and leaves the next ones to the next page. `sort=relevance` ranks the newest
    1,000 matches; a customer's own list is put in another order than that of creation for the newest 10,000."""
    return await listed(request, response, tx, actor, query)


@routes.get("/by-number/{number}", response_model=TicketWithOut, summary="Read a ticket by its number")
async def get_ticket_by_number(
    number: Annotated[int, Path(ge=1, le=2**63 - 1)],
    response: Response,
    tx: Tx,
    actor: Reader,
    include: Including = None,
) -> Any:
    """The number is the one people say to each other."""
    return await _with(tx, actor, response, await queries.get_ticket_by_number(tx, actor, number), include)


@routes.get("/{ticket_id:id}", response_model=TicketWithOut, summary="Read a ticket")
async def get_ticket(ticket_id: UUID, response: Response, tx: Tx, actor: Reader, include: Including = None) -> Any:
    """With `include`, what was asked for comes along, and there is no ETag: clocks change by themselves."""
    return await _with(tx, actor, response, await queries.get_ticket(tx, actor, ticket_id), include)


@routes.patch("/{ticket_id:id}", response_model=TicketOut, summary="Change a ticket")
async def update_ticket(
    ticket_id: UUID, patch: TicketPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch. A customer may resolve or close their ticket, and nothing else."""
    changed = await service.change_ticket(tx, actor, ticket_id, patch, if_match)
    return tag(response, queries.ticket_shown(actor, changed))


@routes.get("/{ticket_id}/messages", response_model=MessagePage, summary="List a ticket's messages")
async def list_messages(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Oldest first. A customer sees the public ones."""
    await queries.get_ticket(tx, actor, ticket_id)
    answer = await page(request, response, tx, queries.MESSAGES, query, _messages_of(actor, ticket_id), "created_at")
    return {**answer, "items": [queries.message_shown(row) for row in answer["items"]]}


@routes.post("/{ticket_id}/messages", status_code=201, response_model=MessageOut, summary="Write a message")
async def create_message(ticket_id: UUID, body: MessageIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """An agent's public message is a response: it stops the clocks that wait for one. A customer's public message
    reopens a resolved ticket."""
    return await service.reply(tx, actor, ticket_id, body)


@routes.patch("/{ticket_id}/messages/{message_id}", response_model=MessageOut, summary="Edit a message")
async def update_message(
    ticket_id: UUID,
    message_id: UUID,
    patch: MessagePatch,
    response: Response,
    tx: Tx,
    actor: Writer,
    if_match: IfMatch = None,
) -> Any:
    """An agent their own, a lead everybody's. What it said before is kept; no clock moves."""
    return tag(response, await messages.edit_message(tx, actor, ticket_id, message_id, patch.body, if_match))


@routes.delete("/{ticket_id}/messages/{message_id}", status_code=204, summary="Delete a message")
async def delete_message(ticket_id: UUID, message_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Its place stays, without its text; no clock moves."""
    await messages.delete_message(tx, actor, ticket_id, message_id, if_match)


@routes.get(
    "/{ticket_id}/messages/{message_id}/versions",
    response_model=MessageVersionPage,
    summary="List a message's versions",
)
async def list_message_versions(
    ticket_id: UUID,
    message_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[PageQuery, Query()],
) -> Any:
    """What it said before it was edited or deleted, oldest first; it itself is the newest. For the staff."""
    await messages.check_history(tx, actor, ticket_id, message_id)
    answer = await page(request, response, tx, messages.VERSIONS, query, {"message_id": message_id}, "version")
    return {**answer, "items": [messages.version_shown(row) for row in answer["items"]]}


@routes.get("/{ticket_id}/events", response_model=EventPage, summary="Read a ticket's audit")
async def list_ticket_events(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Who did what when, and what was before and after, in order."""
    await queries.get_ticket(tx, actor, ticket_id)
    where = {"ticket_id": ticket_id, "internal": False if actor.is_customer else None}
    answer = await page(request, response, tx, queries.EVENTS, query, where, "id")
    shown = queries.event_told if actor.is_customer else queries.event_shown
    return {**answer, "items": [shown(row) for row in answer["items"]]}


@routes.get("/{ticket_id}/clocks", response_model=SlaClockList, summary="Read a ticket's clocks")
async def list_ticket_clocks(ticket_id: UUID, tx: Tx, actor: Reader) -> Any:
    """As they are at this instant. A customer sees how long they waited, and neither the policy nor a deadline."""
    await queries.get_ticket(tx, actor, ticket_id)
    return {"items": await clocks.of_ticket(tx, ticket_id, for_customer=actor.is_customer)}


@routes.get("/{ticket_id}/explain", response_model=TicketExplanation, summary="Explain a ticket's deadlines")
async def explain_ticket(ticket_id: UUID, tx: Tx, actor: Explainer) -> Any:
    """Which policy and why; each pause, each stretch of business hours that counted, and the way to each deadline."""
    return await explain.explain_ticket(tx, actor, ticket_id)


@routes.post("/{ticket_id}/merge", response_model=TicketOut, summary="Merge a ticket into another one")
async def merge_ticket(ticket_id: UUID, body: MergeIn, tx: Tx, actor: Writer) -> Any:
    """It is closed, and its unfinished clocks are cancelled. The other one's clocks do not see its messages. Both are
    one customer's: link those of two as duplicates, or merge the customers first."""
    return await merging.merge(tx, actor, ticket_id, body.into)


@routes.post("/{ticket_id}/handoff", response_model=TicketOut, summary="Ask for a person")
async def hand_off_ticket(ticket_id: UUID, tx: Tx, actor: Writer) -> Any:
    """By the customer, or a bot for them. It succeeds on every ticket that is not closed, reopens a resolved one,
    starts the clock of the next answer where none runs, and marks the ticket `needs_human` until a person answers."""
    return queries.ticket_shown(actor, await service.hand_off(tx, actor, ticket_id))


@routes.post("/{ticket_id}/solved-by", response_model=TicketOut, summary="Tell that an article helped")
async def solve_ticket_by_article(ticket_id: UUID, body: SolvedIn, tx: Tx, actor: Writer) -> Any:
    """By the customer, or for them. The ticket is resolved; where no person has answered it, it counts as deflected."""
    return queries.ticket_shown(actor, await service.solved_by(tx, actor, ticket_id, body.article_id))


@routes.post("/{ticket_id}/confirm", response_model=TicketOut, summary="Confirm a ticket opened towards the customer")
async def confirm_ticket(ticket_id: UUID, tx: Tx, actor: Writer) -> Any:
    """By the customer, or by staff who heard it from them. The reminder that was promised is then not needed."""
    return queries.ticket_shown(actor, await service.confirm(tx, actor, ticket_id))


@routes.get("/{ticket_id}/promises", response_model=PromisePage, summary="List a ticket's promises")
async def list_promises(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order in which they were made."""
    await queries.get_ticket(tx, actor, ticket_id)
    answer = await page(request, response, tx, promises.LISTING, query, {"ticket_id": ticket_id}, "cycle")
    return {**answer, "items": [promises.shown(row) for row in answer["items"]]}


@routes.post("/{ticket_id}/promises", status_code=201, response_model=PromiseOut, summary="Promise something")
async def create_promise(ticket_id: UUID, body: PromiseIn, tx: Tx, actor: Writer) -> Any:
    """To the customer, by an instant. A clock of its own tells whether it was kept in time."""
    return await promises.promise(tx, actor, ticket_id, body)


@routes.post("/{ticket_id}/promises/{promise_id}/keep", response_model=PromiseOut, summary="Tell that it was kept")
async def keep_promise(ticket_id: UUID, promise_id: UUID, tx: Tx, actor: Writer) -> Any:
    """Kept after its instant, it stays broken."""
    return await promises.end(tx, actor, ticket_id, promise_id)


@routes.post("/{ticket_id}/promises/{promise_id}/withdraw", response_model=PromiseOut, summary="Withdraw a promise")
async def withdraw_promise(ticket_id: UUID, promise_id: UUID, body: WithdrawIn, tx: Tx, actor: Writer) -> Any:
    """With a reason. Withdrawn after its instant, it stays broken."""
    return await promises.end(tx, actor, ticket_id, promise_id, withdrawn_reason=body.reason)


def _messages_of(actor: Actor, ticket_id: UUID) -> dict[str, object]:
    return {"ticket_id": ticket_id, "visibility": "public" if actor.is_customer else None}


async def _with(tx: Tx, actor: Actor, response: Response, ticket: Any, include: tuple[Include, ...] | None) -> Any:
    ticket = queries.ticket_shown(actor, ticket)
    asked = set(include or ())
    if not asked:
        return tag(response, {**ticket, "clocks": None, "messages": None, "customer": None})
    messages = waits = None
    if Include.clocks in asked:
        waits = await clocks.of_ticket(tx, ticket["id"], for_customer=actor.is_customer)
    if Include.messages in asked:
        found = await queries.MESSAGES.rows(tx, _messages_of(actor, ticket["id"]), "created_at", 200, None)
        messages = [queries.message_shown(row) for row in found]
    return {
        **ticket,
        "clocks": waits,
        "messages": messages,
        "customer": await queries.get_customer(tx, ticket["customer_id"]) if Include.customer in asked else None,
    }

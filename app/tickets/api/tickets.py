from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.events.catalogue import TOLD_TO_CUSTOMERS, outward
from app.outlook.schemas import OutlookOut, OutlookQuery
from app.sla import clocks
from app.sla.core.enums import Channel, OfferChoice
from app.sla.schemas.clocks import SlaClockList
from app.sla.schemas.types import ChannelWord
from app.tickets import (
    merging,
    messages,
    opening,
    outlooks,
    overload_offers,
    promises,
    queries,
    service,
    side_loading,
    snoozing,
    spam,
)
from app.tickets.promise_schemas import PromiseIn, PromiseOut, PromisePage, WithdrawIn
from app.tickets.schemas import (
    EventPage,
    MergeIn,
    MessageIn,
    MessageOut,
    MessagePage,
    MessagePatch,
    MessageQuery,
    MessageVersionPage,
    OpenedTicketOut,
    OverloadChoiceIn,
    SnoozeIn,
    SolvedIn,
    TicketIn,
    TicketOut,
    TicketPatch,
    TicketWithOut,
)
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.query import AnyOf
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT, ExternalId

routes = router("/v1/tickets", "tickets")
message_routes = router("/v1/messages", "tickets")
Reader = Annotated[Actor, may("tickets:read")]
Writer = Annotated[Actor, may("tickets:write")]


_INCLUDED = "What to send with the ticket."
_SUGGEST = "Send the articles that may answer it along."


class IncludeNew(StrEnum):
    outlook = "outlook"


class Include(StrEnum):
    clocks = "clocks"
    messages = "messages"
    customer = "customer"
    assignee = "assignee"
    team = "team"
    last_message = "last_message"


Including = Annotated[AnyOf[Annotated[Include, FROM_TEXT]], Query(description=_INCLUDED)]


@routes.post("", status_code=201, response_model=OpenedTicketOut, summary="Open a ticket")
async def create_ticket(
    body: TicketIn,
    response: Response,
    tx: Tx,
    actor: Writer,
    suggest: Annotated[bool, Query(description=_SUGGEST)] = False,
    include: Annotated[AnyOf[Annotated[IncludeNew, FROM_TEXT]], Query(description=_INCLUDED)] = None,
) -> Any:
    """The customer is found, or made, by what is given of them. The clock of the first response starts now. Who is in a
    self-service segment gets the articles that match, as a message of the system, where the automation is on."""
    ticket = await opening.open_ticket(tx, actor, body, suggest=suggest, foretell=bool(include))
    response.headers["Location"] = f"/v1/tickets/{ticket['id']}"
    return tag(response, await queries.ticket_to_response(tx, actor, ticket))


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
    return tag(response, await queries.ticket_to_response(tx, actor, changed))


@routes.get("/{ticket_id}/messages", response_model=MessagePage, summary="List a ticket's messages")
async def list_messages(
    ticket_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[MessageQuery, Query()],
) -> Any:
    """Oldest first unless `sort` says otherwise, with those of tickets that were merged into it. A customer sees the
    public ones."""
    ids = await queries.tickets_to_show(tx, actor, await queries.get_ticket(tx, actor, ticket_id))
    where, about = _messages_of(actor, ids), _messages_of(actor, ids[:1])
    answer = await page(request, response, tx, queries.MESSAGES, query, where, query.sort, about=about)
    return {**answer, "items": [queries.message_shown(actor, row, ids[0]) for row in answer["items"]]}


@routes.put("/{ticket_id}/being-answered", status_code=204, summary="Say that I am writing an answer")
async def announce_answer(ticket_id: UUID, tx: Tx, actor: Writer) -> None:
    """The staff who listen to the stream get `event: ticket.being_answered`, so that two do not answer at once. It
    holds for ten seconds: say it again every five while you write."""
    await service.announce_answer(tx, actor, ticket_id)


@routes.post("/{ticket_id}/messages", status_code=201, response_model=MessageOut, summary="Write a message")
async def create_message(
    ticket_id: UUID, body: MessageIn, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """An agent's public message is a response: it stops the clocks that wait for one. A customer's public message
    reopens a resolved ticket. With `If-Match`, the ticket's ETag, what came meanwhile is a 412 that names it."""
    return tag(response, await service.reply(tx, actor, ticket_id, body, if_match))


@message_routes.get(
    "/by-external-id/{external_id:path}", response_model=MessageOut, summary="Read a message by its external id"
)
async def get_message_by_external_id(
    external_id: Annotated[ExternalId, Path()],
    response: Response,
    tx: Tx,
    actor: Reader,
    channel: Annotated[ChannelWord, Query(description="On which it is called so.")] = Channel.email,
) -> Any:
    """So the ticket of an answered e-mail is found: what its `In-Reply-To` names is a message's external id."""
    return tag(response, await messages.get_by_external_id(tx, actor, channel, external_id))


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
    return {**answer, "items": [messages.version_to_response(row) for row in answer["items"]]}


@routes.get("/{ticket_id}/events", response_model=EventPage, summary="Read a ticket's audit")
async def list_ticket_events(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Who did what when, and what was before and after, in order: the events as `GET /v1/events` has them."""
    await queries.get_ticket(tx, actor, ticket_id)
    where: dict[str, object] = {"ticket_id": ticket_id}
    if actor.is_customer:
        where |= {"internal": False, "types": TOLD_TO_CUSTOMERS}
    answer = await page(request, response, tx, queries.EVENTS, query, where, "id")
    return {**answer, "items": [outward(row, for_customer=actor.is_customer) for row in answer["items"]]}


@routes.get("/{ticket_id}/clocks", response_model=SlaClockList, summary="Read a ticket's clocks")
async def list_ticket_clocks(ticket_id: UUID, tx: Tx, actor: Reader) -> Any:
    """As they are at this instant, the newest 200. A customer sees how long they waited, and neither the policy nor a
    deadline."""
    await queries.get_ticket(tx, actor, ticket_id)
    return {"items": await clocks.of_ticket(tx, ticket_id, for_customer=actor.is_customer)}


@routes.get("/{ticket_id}/outlook", response_model=OutlookOut, summary="Read a ticket's outlook")
async def get_ticket_outlook(ticket_id: UUID, tx: Tx, actor: Reader, query: Annotated[OutlookQuery, Query()]) -> Any:
    """What its customer is told: what is promised, in words and instants, their place in the queue, and by when an
    answer is likely, learnt from how long others waited who met the same. Null where too little is known."""
    return await outlooks.get_outlook(tx, actor, ticket_id, query.timezone)


@routes.post("/{ticket_id}/overload-choice", response_model=OutlookOut, summary="Choose what was offered")
async def choose_at_overload(ticket_id: UUID, body: OverloadChoiceIn, tx: Tx, actor: Writer) -> Any:
    """By the customer, or for them: of the `offer` in the outlook. A call back is promised, by the p95 of the outlook
    as it is now. The ticket keeps its place in the queue."""
    return await overload_offers.choose(tx, actor, ticket_id, OfferChoice(body.choice))


@routes.post("/{ticket_id}/merge", response_model=TicketOut, summary="Merge a ticket into another one")
async def merge_ticket(ticket_id: UUID, body: MergeIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """It is closed, and its unfinished clocks end as `merged`. The other one shows its messages, files, tags, followers
    and links, each marked with where it came from; whoever waited on it waits there, since they began to. Both are one
    customer's: link those of two as duplicates, or merge the customers first."""
    return tag(response, await merging.merge(tx, actor, ticket_id, body.into))


@routes.post("/{ticket_id}/unmerge", response_model=TicketOut, summary="Undo a ticket's merge")
async def unmerge_ticket(ticket_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """Of the ticket that was merged: it is what it was, and its clocks run on from their own starts. What was done on
    the other one since stays there. Refused once that was merged on."""
    return tag(response, await merging.unmerge(tx, actor, ticket_id))


@routes.post("/{ticket_id}/snooze", response_model=TicketOut, summary="Snooze a ticket")
async def snooze_ticket(ticket_id: UUID, body: SnoozeIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Out of the queue, for lists with `snoozed=false`, until that instant or until its customer writes. No clock stops
    for it."""
    return tag(response, await snoozing.snooze(tx, actor, ticket_id, body.until, body.reason))


@routes.post("/{ticket_id}/spam", response_model=TicketOut, summary="Mark a ticket as spam")
async def mark_ticket_as_spam(ticket_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """It is closed, its clocks end as `spam`, and it is in no figure, goal or queue. Repeatable."""
    return tag(response, await spam.mark_spam(tx, actor, ticket_id))


@routes.post("/{ticket_id}/not-spam", response_model=TicketOut, summary="Mark a ticket as no spam")
async def mark_ticket_as_not_spam(ticket_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """It is as it was, and whoever waited waits on from their own start. Repeatable."""
    return tag(response, await spam.unmark_spam(tx, actor, ticket_id))


@routes.post("/{ticket_id}/handoff", response_model=TicketOut, summary="Ask for a person")
async def hand_off_ticket(ticket_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """By the customer, or a bot for them. It succeeds on every ticket that is not closed, reopens a resolved one,
    starts the clock of the next answer where none runs, and marks the ticket `needs_human` until a person answers."""
    return tag(response, await queries.ticket_to_response(tx, actor, await service.hand_off(tx, actor, ticket_id)))


@routes.post("/{ticket_id}/solved-by", response_model=TicketOut, summary="Tell that an article helped")
async def solve_ticket_by_article(ticket_id: UUID, body: SolvedIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """By the customer, or for them. The ticket is resolved; where no person has answered it, it counts as deflected."""
    return tag(
        response,
        await queries.ticket_to_response(tx, actor, await service.solved_by(tx, actor, ticket_id, body.article_id)),
    )


@routes.post("/{ticket_id}/confirm", response_model=TicketOut, summary="Confirm a ticket opened towards the customer")
async def confirm_ticket(ticket_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """By the customer, or by staff who heard it from them. The reminder that was promised is then not needed."""
    return tag(response, await queries.ticket_to_response(tx, actor, await service.confirm(tx, actor, ticket_id)))


@routes.get("/{ticket_id}/promises", response_model=PromisePage, summary="List a ticket's promises")
async def list_promises(
    ticket_id: UUID, request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order in which they were made."""
    await queries.get_ticket(tx, actor, ticket_id)
    answer = await page(request, response, tx, promises.LISTING, query, {"ticket_id": ticket_id}, "cycle")
    return {**answer, "items": [promises.to_response(row) for row in answer["items"]]}


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


def _messages_of(actor: Actor, ticket_ids: Sequence[UUID]) -> dict[str, object]:
    return {"ticket_id": ticket_ids, "visibility": "public" if actor.is_customer else None}


async def _with(tx: Tx, actor: Actor, response: Response, whole: Any, include: tuple[Include, ...] | None) -> Any:
    ticket = await queries.ticket_to_response(tx, actor, whole)
    asked = set(include or ())
    side_loading.check(actor, asked)
    [shown] = await side_loading.load(tx, actor, [ticket], asked - {Include.clocks})
    shown["messages"] = None
    if Include.clocks in asked:
        shown["clocks"] = await clocks.of_ticket(tx, ticket["id"], for_customer=actor.is_customer)
    if Include.messages in asked:
        ids = await queries.tickets_to_show(tx, actor, whole)
        found = await queries.MESSAGES.rows(tx, _messages_of(actor, ids), "-created_at", 200, None)
        shown["messages"] = [queries.message_shown(actor, row, whole["id"]) for row in reversed(found)]
    return shown if asked else tag(response, shown)

"""What is done with tickets, one verb a function, in the words of those who do it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from app.agents.tables import agents
from app.auth.dependencies import Actor
from app.custom_fields import values as custom_fields
from app.custom_fields.schemas import Subject
from app.customers.tables import customers
from app.db import Query, Row, RunAgain, Transaction, Values
from app.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from app.events import hints, log
from app.instants import written
from app.outlook.schemas import OfferChosen
from app.sla.core.enums import DONE, AuthorKind, Status
from app.sla.core.timeline import HandedOff, Said
from app.sla.coverage import MATCHED
from app.tickets import attachments
from app.tickets.article_offers import helped
from app.tickets.changes import TicketChange, save
from app.tickets.follow_ups import open_follow_ups
from app.tickets.lifecycle import TicketClosed, Visibility, after_message, check_transition
from app.tickets.messages import NOT_FROM_CHANNEL, find_by_external_id, write_message
from app.tickets.opening import check_parts, follow_up, known_parts, share_customer
from app.tickets.overload_offers import chosen_instead
from app.tickets.participants import check_asked
from app.tickets.permissions import author_of, check_message, check_patch
from app.tickets.promises import end_automatic, end_reminder
from app.tickets.queries import changes_since, get_ticket, message_to_response, seen_version
from app.tickets.rematching import rematch, rematch_with_exceptions
from app.tickets.schemas import MessageIn, SelfService, TicketPatch
from app.tickets.store import SYSTEM, LoadedTicket, load_ticket, lock_ticket, read_ticket
from app.tickets.tables import tickets
from app.web import taken
from app.web.etag import PreconditionFailed, require


class NothingToConfirm(Conflict):
    """Only what was opened towards a customer, and asks them to, is confirmed, and once."""

    code = "nothing_to_confirm"
    title = "There is nothing to confirm"


_PARTS = Query(select(*known_parts()))
_author_id = bindparam("author_id", type_=Uuid)
_AUTHORS = {
    AuthorKind.agent: Query(select(agents.c.id).where(agents.c.id == _author_id)),
    # Who was merged is the one they were merged into.
    AuthorKind.customer: Query(
        select(func.coalesce(customers.c.merged_into, customers.c.id).label("id")).where(customers.c.id == _author_id)
    ),
}


async def reply(
    tx: Transaction, actor: Actor, ticket_id: UUID, body: MessageIn, if_match: str | None = None
) -> dict[str, Any]:
    """A message, and what it brings about: it may stop a clock, move the status, and carry a status and an assignee.
    The message is applied first. On a ticket that was merged it lands where that went; a customer's on a closed one,
    on a resolved one that it does not reopen, or on one that went to another customer's, lands on its follow-up, which
    it opens where none is open."""
    author = await _known(tx, author_of(actor, body.author)) if body.author else author_of(actor, None)
    check_message(actor, body)
    follows = author.kind == AuthorKind.customer and body.visibility is Visibility.public
    look = lock_ticket if body.attachment_ids or if_match else load_ticket
    asked = await _asked_for(tx, actor, ticket_id, look, follows=follows)
    first = await _said_before(tx, asked, body)
    if first is not None:
        return first
    await _check_unchanged(tx, actor, asked, if_match)
    if body.status:
        check_asked(actor, asked.ticket)
    locked = await _where_it_goes_on(tx, actor, asked, follows=follows)
    if author == log.ActorRef("customer"):
        author = log.ActorRef("customer", asked.ticket["customer_id"])
    if body.assignee_id:
        await _check_parts(tx, {"assignee_id": body.assignee_id})
    if follows and not _takes_customers(locked):
        if body.status or body.assignee_id or body.attachment_ids:
            raise TicketClosed("the message goes to a follow-up: it may only have a `body`")
        return await _follow_up(tx, actor, asked, locked, author, body)
    return await _say(tx, actor, locked, author, body)


async def announce_answer(tx: Transaction, actor: Actor, ticket_id: UUID) -> None:
    """Changes nothing of the ticket."""
    if actor.is_customer:
        raise Forbidden("who answers is for the staff to tell one another")
    await get_ticket(tx, actor, ticket_id)
    await hints.say(tx, actor, ticket_id)


def _takes_customers(locked: LoadedTicket) -> bool:
    """Whether what a customer says on it can be answered on it."""
    status, policy = locked.state.status, locked.state.policy
    if status is Status.resolved:
        return policy is None or policy.reopen_on_customer_message
    return status is not Status.closed


async def _follow_up(
    tx: Transaction, actor: Actor, asked: LoadedTicket, locked: LoadedTicket, author: log.ActorRef, body: MessageIn
) -> dict[str, Any]:
    """On the follow-up that is open already, or on a new one: several messages wait for one answer."""
    # A new one refers to the customer, whose lock comes before those of tickets.
    await share_customer(tx, asked.ticket["customer_id"])
    # Two messages at once must not open two: whoever comes second finds what the first one opened.
    locked = await lock_ticket(tx, SYSTEM, locked.id)
    if _takes_customers(locked):
        return await _say(tx, actor, locked, author, body)
    roots = list(dict.fromkeys([asked.id, locked.id, *locked.ticket["merged_from"]]))
    for id_ in await open_follow_ups(tx, actor, roots, asked.ticket["customer_id"]):
        found = await lock_ticket(tx, SYSTEM, id_)
        if _takes_customers(found) and found.ticket["customer_id"] == asked.ticket["customer_id"]:
            return await _say(tx, actor, found, author, body)
    return await follow_up(tx, actor, asked, author, body.body, _from_channel(asked, body))


async def _said_before(tx: Transaction, asked: LoadedTicket, body: MessageIn) -> dict[str, Any] | None:
    """The message that the channel called so before, which is not said again."""
    if body.external_id is None:
        return None
    row = await find_by_external_id(tx, asked.ticket["channel"], body.external_id)
    return message_to_response(row) if row else None


def _from_channel(locked: LoadedTicket, body: MessageIn) -> Mapping[str, Any]:
    if body.external_id is None and body.in_reply_to is None and body.sent_at is None:
        return NOT_FROM_CHANNEL
    said = {name: getattr(body, name) for name in ("external_id", "in_reply_to", "sent_at")}
    return {"channel": locked.ticket["channel"], **said}


async def _check_unchanged(tx: Transaction, actor: Actor, locked: LoadedTicket, if_match: str | None) -> None:
    """Raises PreconditionFailed with what came since the version that the caller has read."""
    try:
        require(if_match, seen_version(actor, locked.ticket))
    except PreconditionFailed as refused:
        read = [int(number) for number in re.findall(r'"(\d{1,9})"', if_match or "")]
        hidden = locked.ticket["version"] - seen_version(actor, locked.ticket)
        came = await changes_since(tx, actor, locked.id, max(read, default=locked.ticket["version"]) + hidden)
        errors = tuple(FieldError("/header/If-Match", row["type"], _what_came(row)) for row in came)
        raise PreconditionFailed(refused.detail, errors=errors) from None


def _what_came(row: Row) -> str:
    who = f" {row['actor_id']}" if row["actor_id"] else ""
    return f"{row['subject_id']} by {row['actor_kind']}{who} at {written(row['occurred_at'])}"


async def _known(tx: Transaction, named: log.ActorRef) -> log.ActorRef:
    """Raises Invalid where nobody has the id. Bots and systems are not kept here: theirs is what their owner says."""
    query = _AUTHORS.get(AuthorKind(named.kind))
    if query is None or named.id is None:
        return named
    row = await tx.row(query, author_id=named.id)
    if row is None:
        raise Invalid.at("/author/id", "unknown", f"there is no {named.kind} with this id")
    return log.ActorRef(named.kind, row["id"])


async def _say(
    tx: Transaction, actor: Actor, locked: LoadedTicket, author: log.ActorRef, body: MessageIn
) -> dict[str, Any]:
    change, kind, public = TicketChange(locked, author), AuthorKind(author.kind), body.visibility is Visibility.public
    moved = after_message(change.status, kind, body.visibility)
    wanted = body.status or moved
    check_transition(moved, wanted)
    await _reopen(tx, change, wanted)
    attached = await attachments.waiting(tx, actor, locked.id, body.attachment_ids)
    answers = public and kind is AuthorKind.agent
    handling = _handling(locked, author, body, answers=answers)
    message = write_message(
        tx, locked.id, author, body.visibility, body.body, locked.now, attached=attached,
        from_channel=_from_channel(locked, body), handling_seconds=handling, change=change,
    )  # fmt: skip
    if handling is not None:
        change.handled(message["id"], author, handling)
    if public:
        change.quality.said(author)
    change.add(Said(locked.now, kind, public, author.id))
    change.set_status(moved)
    change.set_status(wanted, log.actor_ref(actor))
    if answers and locked.ticket["needs_human"]:
        change.values["needs_human"] = False
    if public and kind is AuthorKind.customer:
        change.wake(because="customer")
    if body.assignee_id and body.assignee_id != locked.ticket["assignee_id"]:
        change.update({"assignee_id": body.assignee_id}, log.actor_ref(actor))
    if answers and author.id == change.ticket["assignee_id"] and change.ticket["assigned_at"]:
        # Once answered by them, what comes next is no longer what they were assigned for.
        change.values["assigned_at"] = None
    await end_automatic(tx, change)
    # A note that changes nothing leaves the version alone: the ETag would tell the customer of it.
    save(tx, change, touch=public)
    return message


def _handling(locked: LoadedTicket, author: log.ActorRef, body: MessageIn, *, answers: bool) -> float | None:
    """How long the author worked on it: as they say, or since they got the ticket. Raises Invalid."""
    if body.handling_seconds is not None:
        if author.kind == AuthorKind.customer:
            raise Invalid.at("/handling_seconds", "not_handled", "it is of what the staff write: leave it out here")
        return body.handling_seconds
    since = locked.ticket["assigned_at"]
    if not answers or since is None or author.id is None or author.id != locked.ticket["assignee_id"]:
        return None
    seconds: float = (locked.now - since).total_seconds()
    return seconds


Look = Callable[[Transaction, Actor, UUID], Awaitable[LoadedTicket]]


async def _asked_for(tx: Transaction, actor: Actor, id: UUID, look: Look, *, follows: bool) -> LoadedTicket:
    """The ticket as `look` gives it; without a lock where what is said goes on elsewhere, at the ticket that it was
    merged into or, where it `follows` one that takes nothing more, at another one of its customer: their locks may come
    before its own."""
    if tx.repeated:
        seen = await read_ticket(tx, actor, id)
        if _goes_on_elsewhere(seen, follows=follows):
            return seen
    asked = await look(tx, actor, id)
    if not asked.optimistic and _goes_on_elsewhere(asked, follows=follows):
        raise RunAgain
    return asked


def _goes_on_elsewhere(seen: LoadedTicket, *, follows: bool) -> bool:
    return bool(seen.ticket["merged_into"]) or (follows and not _takes_customers(seen))


async def _where_it_goes_on(tx: Transaction, actor: Actor, asked: LoadedTicket, *, follows: bool) -> LoadedTicket:
    """The ticket that it was merged into, if any, under its lock unless a new one follows it. Two customers may have
    been told apart since, or a participant not take part in that one: then it stays where it is, and closed, for nobody
    reads and moves what is another customer's."""
    last = asked
    while merged_into := last.ticket["merged_into"]:
        into = await _read_into(tx, actor, merged_into)
        if into is None or into.ticket["customer_id"] != last.ticket["customer_id"]:
            break
        last = into
    if last is asked or _goes_on_elsewhere(last, follows=follows):
        return last
    locked = await lock_ticket(tx, SYSTEM, last.id)
    moved = locked.ticket["customer_id"] != last.ticket["customer_id"]
    if moved or _goes_on_elsewhere(locked, follows=follows):
        raise RunAgain
    return locked


async def _read_into(tx: Transaction, actor: Actor, into: UUID) -> LoadedTicket | None:
    """The ticket that one was merged into; None where a customer does not see it."""
    try:
        return await read_ticket(tx, actor, into)
    except NotFound:
        return None


async def hand_off(tx: Transaction, actor: Actor, ticket_id: UUID) -> Mapping[str, Any]:
    """Somebody asks for a person, and gets into the queue for one: always, unless the ticket is closed."""
    asked = await _asked_for(tx, actor, ticket_id, lock_ticket, follows=False)
    check_asked(actor, asked.ticket)
    locked = await _where_it_goes_on(tx, actor, asked, follows=False)
    change = TicketChange(locked, log.actor_ref(actor))
    wanted = after_message(change.status, AuthorKind.customer, Visibility.public)
    if locked.ticket["needs_human"] and wanted is change.status:
        return locked.ticket
    await _reopen(tx, change, wanted)
    change.set_status(wanted, log.ActorRef("customer", locked.ticket["customer_id"]))
    change.add(HandedOff(locked.now))
    change.record("ticket.handed_off", {})
    # Who asked before, and has waited since, waits from then.
    change.quality.asks_for_person = not locked.ticket["needs_human"]
    change.values["needs_human"] = True
    change.wake(because="customer")
    if locked.ticket["self_service"]:
        change.values["self_service"] = SelfService.handed_off
    chosen_instead(tx, locked.id, OfferChosen.person, locked.now)
    return save(tx, change)


async def solved_by(tx: Transaction, actor: Actor, ticket_id: UUID, article_id: UUID) -> Mapping[str, Any]:
    """An article helped: the ticket is resolved by its customer, whoever says it for them. Whether a person is still
    wanted is not a machine's to say."""
    locked = await lock_ticket(tx, actor, ticket_id)
    check_asked(actor, locked.ticket)
    if locked.ticket["status"] == Status.closed:
        raise TicketClosed("it is over: open a new one")
    person_wanted = locked.ticket["needs_human"] and AuthorKind(actor.kind) is AuthorKind.bot
    change = TicketChange(locked, log.ActorRef("customer", locked.ticket["customer_id"]))
    change.values |= await helped(tx, locked.ticket, article_id, locked.now, person_wanted=person_wanted)
    change.quality.article_helped = change.values.get("self_service") is SelfService.deflected
    change.record("ticket.solved_by_article", {"article_id": article_id}, who=log.actor_ref(actor))
    change.set_status(Status.resolved)
    chosen_instead(tx, locked.id, OfferChosen.article, locked.now)
    await end_automatic(tx, change)
    return save(tx, change)


async def confirm(tx: Transaction, actor: Actor, ticket_id: UUID) -> Mapping[str, Any]:
    """The customer has seen what the ticket tells them of; staff may say so for them."""
    locked = await lock_ticket(tx, actor, ticket_id)
    check_asked(actor, locked.ticket)
    if not locked.ticket["asks_confirmation"] or locked.ticket["confirmed_at"]:
        raise NothingToConfirm("it asks for no confirmation, or was confirmed before")
    change = TicketChange(locked, log.actor_ref(actor))
    change.record("ticket.confirmed", {})
    await end_reminder(tx, change)
    change.values["confirmed_at"] = locked.now
    return save(tx, change)


async def change_ticket(
    tx: Transaction, actor: Actor, ticket_id: UUID, patch: TicketPatch, if_match: str | None
) -> Mapping[str, Any]:
    """Merge patch. A changed attribute that conditions read puts the ticket under the policy that is in force now."""
    values = patch.model_dump()
    await check_patch(tx, actor, values)
    locked = await lock_ticket(tx, actor, ticket_id)
    check_asked(actor, locked.ticket)
    require(if_match, seen_version(actor, locked.ticket))
    await _check_parts(tx, values)
    if "custom_fields" in values or "type" in values:
        values["custom_fields"] = await custom_fields.checked(
            tx, Subject.ticket, locked.ticket["custom_fields"], values.get("custom_fields", {}),
            ticket_type=values.get("type", locked.ticket["type"]), by_customer=actor.is_customer,
        )  # fmt: skip
    before: Values = locked.ticket
    values = {name: value for name, value in values.items() if log.differ(before[name], value)}
    if not values:
        return locked.ticket
    if "external_id" in values:
        await taken.check(tx, tickets, values, ticket_id)
    change = TicketChange(locked, log.actor_ref(actor))
    wanted = Status(values.pop("status", change.status))
    change.update(values)
    check_transition(change.status, wanted)
    changed = [name for name in MATCHED if name in values]
    if changed:
        await rematch(tx, change, f"{', '.join(changed)} changed")
    else:
        await _reopen(tx, change, wanted)
    change.set_status(wanted)
    await end_automatic(tx, change)
    return save(tx, change)


async def _reopen(tx: Transaction, change: TicketChange, after: Status) -> None:
    """What is promised may be another thing by the time a ticket is reopened: it comes under the policy of today, and
    gets the exceptions of today."""
    if change.status in DONE and after not in DONE:
        await rematch_with_exceptions(tx, change, "reopened")


async def _check_parts(tx: Transaction, values: Mapping[str, Any]) -> None:
    parts = {name: values.get(name) for name in ("assignee_id", "team_id", "organization_id")}
    if any(parts.values()):
        seen = await tx.row(_PARTS, **parts)
        assert seen is not None
        check_parts(seen, **parts)

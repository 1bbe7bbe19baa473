"""What is done with tickets, one verb a function, in the words of those who do it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from app.agents.tables import agents
from app.auth.guard import Actor
from app.custom_fields import values as custom_fields
from app.custom_fields.schemas import Subject
from app.customers.tables import customers
from app.db import Query, Transaction
from app.errors import Conflict, Invalid
from app.events import log
from app.sla.core.timeline import HandedOff, Said, StatusSet
from app.sla.core.words import DONE, AuthorKind, Status
from app.tickets import attachments
from app.tickets.facts import MATCHED
from app.tickets.lifecycle import TicketClosed, Visibility, after_message, check_transition
from app.tickets.messages import write_message
from app.tickets.opening import check_parts, follow_up, known_parts
from app.tickets.permissions import author_of, check_message, check_patch
from app.tickets.promises import end_reminder
from app.tickets.schemas import MessageIn, SelfService, TicketPatch
from app.tickets.self_service.offering import helped
from app.tickets.store import (
    SYSTEM,
    Locked,
    Rematch,
    apply,
    lock_ticket,
    look_at_ticket,
    matched_anew,
    rematched,
    update_ticket,
)
from app.web.etag import require


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


async def reply(tx: Transaction, actor: Actor, ticket_id: UUID, body: MessageIn) -> dict[str, Any]:
    """A message, and what it brings about: it may stop a clock, move the status, and carry a status and an assignee.
    The message is applied first. On a ticket that was merged it lands where that went; a customer's on a closed one,
    or on one that went to another customer's, opens a follow-up."""
    author = await _known(tx, author_of(actor, body.author)) if body.author else author_of(actor, None)
    check_message(actor, body)
    look = lock_ticket if body.attachment_ids else look_at_ticket
    asked = await look(tx, actor, ticket_id)
    locked = await _where_it_goes_on(tx, asked)
    if author == log.By("customer"):
        author = log.By("customer", asked.ticket["customer_id"])
    if body.assignee_id:
        await _check_parts(tx, {"assignee_id": body.assignee_id})
    before = Status(locked.ticket["status"])
    kind = AuthorKind(author.kind)
    if before is Status.closed and kind is AuthorKind.customer and body.visibility is Visibility.public:
        if body.status or body.assignee_id or body.attachment_ids:
            raise TicketClosed("the message opens a follow-up: it may only have a `body`")
        return await follow_up(tx, actor, asked, body.body)
    return await _say(tx, actor, locked, author, body)


async def _known(tx: Transaction, named: log.By) -> log.By:
    """Raises Invalid where nobody has the id. Bots and systems are not kept here: theirs is what their owner says."""
    query = _AUTHORS.get(AuthorKind(named.kind))
    if query is None or named.id is None:
        return named
    row = await tx.row(query, author_id=named.id)
    if row is None:
        raise Invalid.at("/author/id", "unknown", f"there is no {named.kind} with this id")
    return log.By(named.kind, row["id"])


async def _say(tx: Transaction, actor: Actor, locked: Locked, author: log.By, body: MessageIn) -> dict[str, Any]:
    before, kind, policy = Status(locked.ticket["status"]), AuthorKind(author.kind), locked.state.policy
    moved = after_message(before, kind, body.visibility, reopens=policy is None or policy.reopen_on_customer_message)
    wanted = body.status or moved
    check_transition(moved, wanted)
    entries, values = await _reopened(tx, locked, before, wanted)
    attached = await attachments.waiting(tx, actor, locked.id, body.attachment_ids)
    message = write_message(tx, locked.id, author, body.visibility, body.body, locked.now, attached=attached)
    entries.append(Said(locked.now, kind, body.visibility is Visibility.public))
    if moved is not before:
        entries.append(StatusSet(locked.now, moved, kind))
        _record_status(tx, author, locked, before, moved)
    if wanted is not moved:
        entries.append(StatusSet(locked.now, wanted, AuthorKind(actor.kind)))
        _record_status(tx, log.by(actor), locked, moved, wanted)
    after = apply(tx, author, locked, entries)
    values |= _status_values(locked, before, moved) | _status_values(locked, moved, wanted)
    if locked.ticket["needs_human"] and kind is AuthorKind.agent and body.visibility is Visibility.public:
        values["needs_human"] = False
    if body.assignee_id and body.assignee_id != locked.ticket["assignee_id"]:
        values["assignee_id"] = body.assignee_id
        _record_update(tx, actor, locked, {"assignee_id": body.assignee_id})
    if values or body.visibility is Visibility.public:
        # A note that changes nothing leaves the version alone: the ETag would tell the customer of it.
        update_ticket(tx, locked, after, values)
    return message


async def _where_it_goes_on(tx: Transaction, locked: Locked) -> Locked:
    """The ticket that it was merged into, if any. Two customers may have been told apart since: then it stays where it
    is, and closed, for nobody reads and moves what is another customer's."""
    while locked.ticket["merged_into"]:
        into = await lock_ticket(tx, SYSTEM, locked.ticket["merged_into"])
        if into.ticket["customer_id"] != locked.ticket["customer_id"]:
            break
        locked = into
    return locked


async def hand_off(tx: Transaction, actor: Actor, ticket_id: UUID) -> Mapping[str, Any]:
    """Somebody asks for a person, and gets into the queue for one: always, unless the ticket is closed."""
    locked = await _where_it_goes_on(tx, await lock_ticket(tx, actor, ticket_id))
    before = Status(locked.ticket["status"])
    wanted = after_message(before, AuthorKind.customer, Visibility.public)
    if locked.ticket["needs_human"] and wanted is before:
        return locked.ticket
    who = log.by(actor)
    entries, values = await _reopened(tx, locked, before, wanted)
    if wanted is not before:
        entries.append(StatusSet(locked.now, wanted, AuthorKind.customer))
        _record_status(tx, log.By("customer", locked.ticket["customer_id"]), locked, before, wanted)
    entries.append(HandedOff(locked.now))
    log.record(tx, who, "ticket.handed_off", locked.id, locked.now, {}, ticket_id=locked.id)
    after = apply(tx, who, locked, entries)
    values |= _status_values(locked, before, wanted) | {"needs_human": True}
    if locked.ticket["self_service"]:
        values["self_service"] = SelfService.handed_off
    return update_ticket(tx, locked, after, values)


async def solved_by(tx: Transaction, actor: Actor, ticket_id: UUID, article_id: UUID) -> Mapping[str, Any]:
    """An article helped: the ticket is resolved by its customer, whoever says it for them. Whether a person is still
    wanted is not a machine's to say."""
    locked = await lock_ticket(tx, actor, ticket_id)
    if locked.ticket["status"] == Status.closed:
        raise TicketClosed("it is over: open a new one")
    person_wanted = locked.ticket["needs_human"] and AuthorKind(actor.kind) is AuthorKind.bot
    values = await helped(tx, locked.ticket, article_id, locked.now, person_wanted=person_wanted)
    data = {"article_id": article_id}
    log.record(tx, log.by(actor), "ticket.solved_by_article", locked.id, locked.now, data, ticket_id=locked.id)
    return move(tx, log.By("customer", locked.ticket["customer_id"]), locked, Status.resolved, values)


def move(
    tx: Transaction,
    who: log.By,
    locked: Locked,
    wanted: Status,
    values: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Set a status that reopens nothing, and `values` beside it; the log is `told` why."""
    before = Status(locked.ticket["status"])
    entries = []
    if wanted is not before:
        entries.append(StatusSet(locked.now, wanted, AuthorKind(who.kind)))
        _record_status(tx, who, locked, before, wanted, told)
    after = apply(tx, who, locked, entries)
    return update_ticket(tx, locked, after, {**(values or {}), **_status_values(locked, before, wanted)})


async def confirm(tx: Transaction, actor: Actor, ticket_id: UUID) -> Mapping[str, Any]:
    """The customer has seen what the ticket tells them of; staff may say so for them."""
    locked = await lock_ticket(tx, actor, ticket_id)
    if not locked.ticket["asks_confirmation"] or locked.ticket["confirmed_at"]:
        raise NothingToConfirm("it asks for no confirmation, or was confirmed before")
    who = log.by(actor)
    log.record(tx, who, "ticket.confirmed", locked.id, locked.now, {}, ticket_id=locked.id)
    after = apply(tx, who, locked, await end_reminder(tx, who, locked))
    return update_ticket(tx, locked, after, {"confirmed_at": locked.now})


async def change_ticket(
    tx: Transaction, actor: Actor, ticket_id: UUID, patch: TicketPatch, if_match: str | None
) -> Mapping[str, Any]:
    """Merge patch. A changed attribute that conditions read puts the ticket under the policy that is in force now."""
    values = patch.model_dump()
    check_patch(actor, values)
    locked = await lock_ticket(tx, actor, ticket_id)
    require(if_match, locked.ticket["version"])
    await _check_parts(tx, values)
    if "custom_fields" in values or "type" in values:
        values["custom_fields"] = await custom_fields.checked(
            tx, Subject.ticket, locked.ticket["custom_fields"], values.get("custom_fields", {}),
            ticket_type=values.get("type", locked.ticket["type"]),
        )  # fmt: skip
    values = {name: value for name, value in values.items() if log.differ(locked.ticket[name], value)}
    if not values:
        return locked.ticket
    _record_update(tx, actor, locked, {name: value for name, value in values.items() if name != "status"})
    before = Status(locked.ticket["status"])
    wanted = Status(values.get("status", before))
    check_transition(before, wanted)
    changed = [name for name in MATCHED if name in values]
    if changed:
        because = f"{', '.join(changed)} changed"
        entries, columns = await rematched(tx, locked, {**locked.ticket, **values}, because)
    else:
        entries, columns = await _reopened(tx, locked, before, wanted)
    values |= columns
    if wanted is not before:
        entries.append(StatusSet(locked.now, wanted, AuthorKind(actor.kind)))
        _record_status(tx, log.by(actor), locked, before, wanted)
    after = apply(tx, log.by(actor), locked, entries)
    return update_ticket(tx, locked, after, values | _status_values(locked, before, wanted))


async def _reopened(tx: Transaction, locked: Locked, before: Status, after: Status) -> Rematch:
    """What is promised may be another thing by the time a ticket is reopened: it comes under the policy of today, and
    gets the exceptions of today."""
    if before not in DONE or after in DONE:
        return [], {}
    return await matched_anew(tx, locked, "reopened")


async def _check_parts(tx: Transaction, values: Mapping[str, Any]) -> None:
    parts = {name: values.get(name) for name in ("assignee_id", "team_id", "organization_id")}
    if any(parts.values()):
        seen = await tx.row(_PARTS, **parts)
        assert seen is not None
        check_parts(seen, **parts)


def _status_values(locked: Locked, before: Status, after: Status) -> dict[str, Any]:
    if after is before:
        return {}
    values: dict[str, Any] = {"status": after}
    if after is Status.resolved:
        values["resolved_at"] = locked.now
    elif after is Status.closed:
        values["closed_at"] = locked.now
    elif before is Status.resolved:
        values["resolved_at"] = None
        if locked.ticket["self_service"] == SelfService.deflected:
            values["self_service"] = SelfService.offered
    return values


def _record_status(
    tx: Transaction, who: log.By, locked: Locked, before: Status, after: Status, told: Mapping[str, Any] | None = None
) -> None:
    data = {"changes": {"status": {"before": before, "after": after}}, **(told or {})}
    log.record(tx, who, "ticket.status_changed", locked.id, locked.now, data, ticket_id=locked.id)


def _record_update(tx: Transaction, actor: Actor, locked: Locked, values: Mapping[str, Any]) -> None:
    if changes := log.changes(locked.ticket, values):
        who, data = log.by(actor), {"changes": changes}
        log.record(tx, who, "ticket.updated", locked.id, locked.now, data, ticket_id=locked.id, internal=True)

"""Who may do what to a ticket, beyond the scope of the operation: by role, and by whose ticket it is. Another
customer's ticket is not refused here: the reads do not find it."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.custom_fields.schemas import Subject
from app.custom_fields.values import check_customer_sets
from app.db import Transaction
from app.errors import Forbidden, Invalid
from app.events import log
from app.sla.core.enums import Status
from app.tickets.lifecycle import Visibility
from app.tickets.schemas import AuthorIn, CustomerRef, MessageIn, Opener, TicketIn

# Of a customer's own ticket, where the setting `customers_set` names it.
_SET_BY_SETTING = frozenset({"priority", "tags"})


async def check_opening(tx: Transaction, actor: Actor, body: TicketIn) -> None:
    # Whether an external id is taken would tell of other customers' tickets; who works on it is the agents' to say.
    if actor.is_customer and (body.external_id or body.team_id or body.organization_id):
        raise Forbidden("a customer sets neither external_id nor team_id nor organization_id")
    towards = body.opened_by is Opener.agent
    if actor.is_customer and towards:
        raise Forbidden("a customer opens tickets of their own")
    if not towards and (body.asks_confirmation or body.remind_at):
        name = "asks_confirmation" if body.asks_confirmation else "remind_at"
        raise Invalid.at(f"/{name}", "not_towards_customer", "only a ticket opened by an agent asks for a confirmation")
    if body.remind_at and not body.asks_confirmation:
        raise Invalid.at("/remind_at", "nothing_to_remind_of", "only where a confirmation is asked for")
    _check_assignee(actor, body.assignee_id)
    if actor.is_customer:
        given = {name for name in _SET_BY_SETTING if name in body.model_fields_set}
        await _check_customer_sets(tx, given, body.custom_fields)


async def _check_customer_sets(tx: Transaction, given: Iterable[str], fields: Iterable[str]) -> None:
    for name in sorted(set(given) - set(tx.settings.customers_set)):
        raise Forbidden(f"a customer does not set {name} here: leave it out")
    await check_customer_sets(tx, Subject.ticket, fields)


def customer_of(actor: Actor, ref: CustomerRef | None) -> CustomerRef:
    if actor.is_customer:
        if ref is not None and ref != CustomerRef(id=actor.customer_id):
            raise Forbidden("a customer opens tickets for themselves: leave `customer` out")
        return CustomerRef(id=actor.customer_id)
    if ref is None or not (ref.id or ref.external_id or ref.email or ref.name):
        raise Invalid.at("/customer", "required", "name the customer by id, external_id, email or name")
    return ref


def author_of(actor: Actor, named: AuthorIn | None) -> log.ActorRef:
    if named is None:
        return log.ActorRef(actor.kind, actor.person_id)
    if actor.role not in (Role.admin, Role.service):
        raise Forbidden("you are the author of what you write: leave `author` out")
    return log.ActorRef(named.kind, named.id)


def check_message(actor: Actor, body: MessageIn) -> None:
    if actor.is_customer and body.visibility is Visibility.internal:
        raise Forbidden("a customer's messages are public")
    # Whether an id is taken would tell of other customers' messages.
    if actor.is_customer and (body.external_id or body.in_reply_to or body.sent_at):
        raise Forbidden("what a channel says of a message is not a customer's to set")
    if actor.is_customer and body.handling_seconds is not None:
        raise Forbidden("how long the staff worked is theirs to say: leave `handling_seconds` out")
    _check_status(actor, body.status)
    _check_assignee(actor, body.assignee_id)


async def check_patch(tx: Transaction, actor: Actor, values: Mapping[str, Any]) -> None:
    if actor.is_customer:
        if values.keys() - {"status", "custom_fields", *_SET_BY_SETTING}:
            raise Forbidden("a customer may resolve or close their ticket, and set what is theirs to set")
        await _check_customer_sets(tx, _SET_BY_SETTING & values.keys(), values.get("custom_fields", {}))
    _check_status(actor, values.get("status"))
    _check_assignee(actor, values.get("assignee_id"))


def _check_status(actor: Actor, status: Status | None) -> None:
    if actor.is_customer and status not in (None, Status.resolved, Status.closed):
        raise Forbidden("a customer may only resolve or close their ticket; to reopen it, write a message")


def _check_assignee(actor: Actor, assignee_id: UUID | None) -> None:
    if actor.role is Role.customer and assignee_id:
        raise Forbidden("a customer assigns nobody")
    if actor.role is Role.agent and assignee_id and assignee_id != actor.agent_id:
        raise Forbidden("an agent takes tickets for themselves; a lead assigns anybody")

"""Who may do what to a ticket, beyond the scope of the operation: by role, and by whose ticket it is. Another
customer's ticket is not refused here: the reads do not find it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.auth.guard import Actor
from app.auth.roles import Role
from app.errors import Forbidden, Invalid
from app.events import log
from app.sla.core.words import Status
from app.tickets.lifecycle import Visibility
from app.tickets.list_schemas import TicketOrder, TicketQuery
from app.tickets.schemas import AuthorIn, CustomerRef, MessageIn, Opener, TicketIn


def check_opening(actor: Actor, body: TicketIn) -> None:
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


def customer_of(actor: Actor, ref: CustomerRef | None) -> CustomerRef:
    if actor.is_customer:
        if ref is not None and ref != CustomerRef(id=actor.customer_id):
            raise Forbidden("a customer opens tickets for themselves: leave `customer` out")
        return CustomerRef(id=actor.customer_id)
    if ref is None or not (ref.id or ref.external_id or ref.email or ref.name):
        raise Invalid.at("/customer", "required", "name the customer by id, external_id, email or name")
    return ref


def author_of(actor: Actor, named: AuthorIn | None) -> log.By:
    if named is None:
        return log.By(actor.kind, actor.person_id)
    if actor.role not in (Role.admin, Role.service):
        raise Forbidden("you are the author of what you write: leave `author` out")
    return log.By(named.kind, named.id)


def check_message(actor: Actor, body: MessageIn) -> None:
    if actor.is_customer and body.visibility is Visibility.internal:
        raise Forbidden("a customer's messages are public")
    _check_status(actor, body.status)
    _check_assignee(actor, body.assignee_id)


def check_patch(actor: Actor, values: Mapping[str, Any]) -> None:
    if actor.is_customer and set(values) - {"status"}:
        raise Forbidden("a customer may only resolve or close their ticket")
    _check_status(actor, values.get("status"))
    _check_assignee(actor, values.get("assignee_id"))


def check_list(actor: Actor, query: TicketQuery) -> None:
    if actor.is_customer and (query.sla or query.sort is TicketOrder.due):
        raise Forbidden("deadlines are the staff's to know: leave `sla` out, and do not sort by due_at")
    if actor.is_customer and query.follower_id:
        raise Forbidden("who follows a ticket is the staff's to know: leave `follower_id` out")
    if actor.is_customer and query.segment:
        raise Forbidden("how customers are grouped is the staff's to know: leave `segment` out")


def check_sharing(actor: Actor, *shared: bool) -> None:
    if any(shared) and actor.role is Role.agent:
        raise Forbidden("a lead shares views, and changes shared ones; save one of your own")


def _check_status(actor: Actor, status: Status | None) -> None:
    if actor.is_customer and status not in (None, Status.resolved, Status.closed):
        raise Forbidden("a customer may only resolve or close their ticket; to reopen it, write a message")


def _check_assignee(actor: Actor, assignee_id: UUID | None) -> None:
    if actor.role is Role.customer and assignee_id:
        raise Forbidden("a customer assigns nobody")
    if actor.role is Role.agent and assignee_id and assignee_id != actor.agent_id:
        raise Forbidden("an agent takes tickets for themselves; a lead assigns anybody")

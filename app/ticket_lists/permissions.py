"""Who may list tickets by what, and who shares views."""

from app.auth.dependencies import Actor
from app.auth.roles import Role
from app.db import Transaction
from app.errors import Forbidden
from app.ticket_lists.schemas import TicketOrder, TicketQuery
from app.tickets.queries import tags_shown

_DEADLINES = (TicketOrder.due, TicketOrder.latest_due, TicketOrder.waiting)


def check_list(tx: Transaction, actor: Actor, query: TicketQuery) -> None:
    if actor.is_customer and query.tag and not tags_shown(tx):
        raise Forbidden("tags are the staff's: leave `tag` out")
    if actor.is_customer and query.custom_fields is not None:
        raise Forbidden("custom fields are the staff's to ask for: leave `custom_fields` out")
    if actor.is_customer and (query.sla or query.sort in _DEADLINES):
        raise Forbidden("deadlines are the staff's to know: leave `sla` out, and sort by another order")
    if actor.is_customer and query.follower_id:
        raise Forbidden("who follows a ticket is the staff's to know: leave `follower_id` out")
    if actor.is_customer and query.spam is not None:
        raise Forbidden("what is spam is the staff's to know: leave `spam` out")
    if actor.is_customer and query.snoozed is not None:
        raise Forbidden("when a ticket is back in the queue is the staff's to know: leave `snoozed` out")
    if actor.is_customer and query.segment:
        raise Forbidden("how customers are grouped is the staff's to know: leave `segment` out")


def check_sharing(actor: Actor, *shared: bool) -> None:
    if any(shared) and actor.role is Role.agent:
        raise Forbidden("a lead shares views, and changes shared ones; save one of your own")

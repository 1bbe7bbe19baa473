"""Customers who read and answer a ticket beside the one who asked: the staff add them, and whoever is added may leave.
What else may be done to it stays with the one who asked. The ticket is not changed by it."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, null, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.auth.dependencies import Actor
from app.customers.tables import customers
from app.db import Query, Row, Transaction, Values
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import log
from app.tickets.queries import get_ticket
from app.tickets.tables import ticket_participants as participants
from app.web.paging import Listing, Order, is_any


class TooManyParticipants(Conflict):
    """A ticket has so many participants, and no more: remove one first."""

    code = "too_many_participants"
    title = "The ticket has too many participants"


MOST = 100

_p, _c = participants.c, customers.c
_NOW = func.clock_timestamp().label("now")
_customer, _ticket = bindparam("customer_id", type_=Uuid), bindparam("ticket_id", type_=Uuid)
# Who was merged is the one they were merged into. Who is being erased is waited for.
_STANDING_FOR = Query(select(func.coalesce(_c.merged_into, _c.id).label("id")).where(_c.id == _customer))
_SHARE = Query(select(customers).where(_c.id == _customer).with_for_update(read=True, key_share=True))
_COUNT = Query(select(func.count().label("found")).where(_p.ticket_id == _ticket))
# Who came with a merged ticket takes part in this one of their own then, and stays.
_ADD = Query(
    insert(participants)
    .on_conflict_do_update(
        index_elements=["ticket_id", "customer_id"],
        set_={"from_ticket_id": null(), "created_at": func.clock_timestamp()},
        where=_p.from_ticket_id.is_not(None),
    )
    .returning(_p.created_at.label("now")),
    ["ticket_id", "customer_id"],
)
_GET = Query(select(participants).where(_p.ticket_id == _ticket, _p.customer_id == _customer))
_they = select(_c.id).where(or_(_c.id == _customer, _c.merged_into == _customer))
_REMOVE = Query(delete(participants).where(_p.ticket_id == _ticket, _p.customer_id.in_(_they)).returning(_NOW))
_copied = select(
    bindparam("target_id", type_=Uuid), _p.customer_id, _p.created_at, func.coalesce(_p.from_ticket_id, _p.ticket_id)
).where(_p.ticket_id == bindparam("source_id", type_=Uuid))
COPY = Query(
    insert(participants)
    .from_select(["ticket_id", "customer_id", "created_at", "from_ticket_id"], _copied)
    .on_conflict_do_nothing()
)
DROP = Query(
    delete(participants).where(
        _p.ticket_id == bindparam("target_id", type_=Uuid),
        _p.from_ticket_id == any_(bindparam("source_ids", type_=ARRAY(Uuid))),
    )
)
_standing_for = func.coalesce(_c.merged_into, _c.id).label("standing_for")
LISTING = Listing(
    "participants",
    select(participants, _standing_for).join_from(participants, customers, _c.id == _p.customer_id),
    {"ticket_id": is_any(_p.ticket_id)},
    {"created_at": Order((_p.created_at, _p.customer_id))},
)


def check_asked(actor: Actor, ticket: Values) -> None:
    """Raises Forbidden for a customer who sees the ticket of another one."""
    if actor.is_customer and ticket["customer_id"] != actor.customer_id:
        raise Forbidden("you read and answer this ticket; the rest is for the customer who asked")


async def add(tx: Transaction, actor: Actor, ticket_id: UUID, customer_id: UUID) -> dict[str, Any]:
    """Repeatable."""
    if actor.is_customer:
        raise Forbidden("the staff say who takes part in a ticket")
    ticket = await get_ticket(tx, actor, ticket_id)
    id_ = await _known(tx, customer_id)
    if id_ == ticket["customer_id"]:
        raise Invalid.at("/customer_id", "asked", "another customer than the one who asked: they see the ticket anyway")
    if await tx.row(_GET, ticket_id=ticket_id, customer_id=id_) is None:
        count = await tx.row(_COUNT, ticket_id=ticket_id)
        if count is not None and count["found"] >= MOST:
            raise TooManyParticipants(f"at most {MOST} customers take part in one ticket")
    if added := await tx.locked_row(_ADD, ticket_id=ticket_id, customer_id=id_):
        _record(tx, actor, "added", ticket_id, id_, added)
    row = await tx.row(_GET, ticket_id=ticket_id, customer_id=id_)
    assert row is not None
    return to_response({**row, "standing_for": id_})


async def remove(tx: Transaction, actor: Actor, ticket_id: UUID, customer_id: UUID) -> None:
    """By the staff, by the one who asked, or by themselves. Raises NotFound."""
    ticket = await get_ticket(tx, actor, ticket_id)
    if customer_id != actor.customer_id:
        check_asked(actor, ticket)
    removed = await tx.locked_row(_REMOVE, ticket_id=ticket_id, customer_id=customer_id)
    if removed is None:
        raise NotFound("no such customer takes part in the ticket")
    _record(tx, actor, "removed", ticket_id, customer_id, removed)


def to_response(row: Values) -> dict[str, Any]:
    return {**row, "customer_id": row["standing_for"]}


async def _known(tx: Transaction, customer_id: UUID) -> UUID:
    row = await tx.row(_STANDING_FOR, customer_id=customer_id)
    customer = await tx.locked_row(_SHARE, customer_id=row["id"]) if row else None
    if customer is None:
        raise Invalid.at("/customer_id", "unknown", "there is no customer with this id")
    if customer["erased_at"]:
        raise Invalid.at("/customer_id", "erased", "this customer was erased")
    id_: UUID = customer["id"]
    return id_


def _record(tx: Transaction, actor: Actor, verb: str, ticket_id: UUID, customer_id: UUID, row: Row) -> None:
    type_, who = f"ticket.participant_{verb}", log.actor_ref(actor)
    log.record(tx, who, type_, customer_id, row["now"], {}, ticket_id=ticket_id)

"""Reading tickets and what belongs to them. A customer's reads carry their id, and find nothing that is not theirs to
see."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, func, literal_column, or_, select
from sqlalchemy.sql import ColumnElement

from app.auth.dependencies import Actor
from app.custom_fields.schemas import Subject
from app.custom_fields.values import told_to_customers
from app.customers.tables import customers
from app.db import Query, Row, Transaction, Values
from app.events import log
from app.events.catalogue import TOLD_TO_CUSTOMERS
from app.events.tables import events
from app.events.ticket_readers import customer_sees
from app.sla import clocks
from app.sla.core.enums import DONE
from app.tickets.lifecycle import no_such_ticket
from app.tickets.tables import messages, tickets
from app.web.paging import Listing, Order, is_any

_t, _m, _e = tickets.c, messages.c, events.c

_UNSHOWN = {"imported", "policy_id", "policy_version", "calendar_version", "exceptions", "status_before_spam"}
TICKET_COLUMNS = [column for column in _t if column.name not in _UNSHOWN]
_customer = bindparam("for_customer", type_=Uuid)
FOR_CUSTOMER: ColumnElement[bool] = or_(_customer.is_(None), customer_sees(_t, _customer))

_GET = Query(select(*TICKET_COLUMNS).where(_t.id == bindparam("ticket_id"), FOR_CUSTOMER))
_WHOLE = Query(
    select(tickets, func.clock_timestamp().label("now")).where(_t.id == bindparam("ticket_id"), FOR_CUSTOMER)
)
_GET_BY_NUMBER = Query(select(*TICKET_COLUMNS).where(_t.number == bindparam("number"), FOR_CUSTOMER))
# Two customers may have been told apart since: then what was merged is shown on its own. Who takes part in a ticket did
# not take part in all that was merged into it.
_MERGED = Query(
    select(_t.id).where(
        _t.id == any_(bindparam("ids", type_=ARRAY(Uuid))),
        _t.customer_id == bindparam("customer_id", type_=Uuid),
        FOR_CUSTOMER,
    )
)
_CUSTOMER = Query(select(customers).where(customers.c.id == bindparam("customer_id")))


MESSAGES = Listing(
    "messages",
    select(messages),
    {"ticket_id": is_any(_m.ticket_id), "visibility": is_any(_m.visibility)},
    {
        "created_at": Order((_m.created_at, _m.id)),
        "-created_at": Order((_m.created_at, _m.id), descending=True),
    },
)

EVENTS = Listing(
    "events",
    select(events),
    {"ticket_id": is_any(_e.ticket_id), "internal": is_any(_e.internal), "types": is_any(_e.type)},
    {"id": Order((_e.id,))},
)


_SINCE = Query(
    select(events)
    .where(
        _e.ticket_id == bindparam("ticket_id"),
        _e.ticket_version > bindparam("version", type_=_e.ticket_version.type),
        or_(bindparam("internal_too", type_=_e.internal.type), ~_e.internal),
    )
    .order_by(_e.id)
    .limit(literal_column("50"))
)


async def changes_since(tx: Transaction, actor: Actor, id: UUID, version: int) -> list[Row]:
    """The first events that made later versions of a ticket than this one, and may be told to the caller."""
    rows = await tx.rows(_SINCE, ticket_id=id, version=version, internal_too=not actor.is_customer)
    return [row for row in rows if not actor.is_customer or row["type"] in TOLD_TO_CUSTOMERS]


_POLICY = {"policy_id", "policy_version", "calendar_version"}


async def get_ticket(tx: Transaction, actor: Actor, id: UUID) -> Row:
    """Raises NotFound, also where a customer does not see it."""
    return _found(await tx.row(_GET, ticket_id=id, for_customer=actor.customer_id))


async def get_whole_ticket(tx: Transaction, actor: Actor, id: UUID) -> dict[str, Any]:
    """With what is not shown, and `now`."""
    return dict(_found(await tx.row(_WHOLE, ticket_id=id, for_customer=actor.customer_id)))


async def get_ticket_by_number(tx: Transaction, actor: Actor, number: int) -> Row:
    return _found(await tx.row(_GET_BY_NUMBER, number=number, for_customer=actor.customer_id))


async def tickets_to_show(tx: Transaction, actor: Actor, ticket: Values) -> tuple[UUID, ...]:
    """The tickets whose messages, files and links are shown on this one: itself, and those that were merged into it."""
    if not ticket["merged_from"]:
        return (ticket["id"],)
    about = {"customer_id": ticket["customer_id"], "for_customer": actor.customer_id}
    merged = await tx.rows(_MERGED, ids=ticket["merged_from"], **about)
    return (ticket["id"], *(row["id"] for row in merged))


def marked(row: Values, ticket_id: UUID) -> UUID | None:
    """The ticket that a row of another one came with to this one."""
    return None if row["ticket_id"] == ticket_id else row["ticket_id"]


async def get_customer(tx: Transaction, id: UUID) -> dict[str, Any]:
    row = await tx.row(_CUSTOMER, customer_id=id)
    assert row is not None  # a customer with a ticket is never deleted
    return dict(row)


def _found(row: Row | None) -> Row:
    if row is None:
        raise no_such_ticket()
    return row


def tags_shown(tx: Transaction) -> bool:
    """Whether customers see the tags of their tickets."""
    return "tags" in tx.settings.customers_set


_STAFFS: dict[str, Any] = {
    **dict.fromkeys(
        ("merged_into", "segment", "spam_at", "snoozed_until", "snooze_reason", "handling_seconds", *clocks.STANDING)
    ),
    "merged_from": [],
}


async def ticket_to_response(tx: Transaction, actor: Actor, row: Values) -> Values:
    """What it was merged into may be another customer's, and deadlines are policy: that is the staff's to know. So is
    how customers are grouped, and that something happened which a customer sees nothing of."""
    if not actor.is_customer:
        return row
    return {
        **row,
        **_STAFFS,
        "tags": row["tags"] if tags_shown(tx) else [],
        "custom_fields": await told_to_customers(tx, Subject.ticket, row["custom_fields"]),
        "version": seen_version(actor, row),
        "updated_at": row["seen_updated_at"] or row["updated_at"],
    }


async def customer_shown(tx: Transaction, actor: Actor, row: Values) -> Values | None:
    """The customer of a ticket, to the staff and to themselves. What is noted of them is the staff's, but for what is
    defined to be theirs, too."""
    if not actor.is_customer:
        return row
    if row["id"] != actor.customer_id:
        return None
    return {**row, "attributes": await told_to_customers(tx, Subject.customer, row["attributes"])}


def seen_version(actor: Actor, row: Values) -> int:
    """The version of what this caller sees of a ticket."""
    version: int = row["version"]
    return version - int(row["hidden_changes"]) if actor.is_customer else version


def message_to_response(row: Values, ticket_id: UUID | None = None) -> dict[str, Any]:
    """A message, on the ticket that it was asked for with, as the staff see it."""
    author = log.actor_of(row, "author")
    return {**row, "author": author, "from_ticket_id": marked(row, ticket_id) if ticket_id else None}


def message_shown(actor: Actor, row: Values, ticket_id: UUID | None = None) -> dict[str, Any]:
    """How long the staff worked on it is theirs to know."""
    message = message_to_response(row, ticket_id)
    return {**message, "handling_seconds": None} if actor.is_customer else message


NOT_DONE = and_(*(tickets.c.status != status.value for status in sorted(DONE)))

"""Which customers see a ticket: who asked, who takes part in it, and who belongs to its organization, where that lets
its members read one another's. Whoever was merged is the one they were merged into. Every read for a customer asks
this.

The tables are higher features', by name."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    column,
    exists,
    func,
    or_,
    select,
    table,
)

from app.db import Query

TICKETS = table(
    "tickets",
    column("id", Uuid),
    column("customer_id", Uuid),
    column("organization_id", Uuid),
    column("created_at", DateTime(timezone=True)),
)
_participants = table("ticket_participants", column("ticket_id", Uuid), column("customer_id", Uuid))
_customers = table(
    "customers", column("id", Uuid), column("merged_into", Uuid), column("organization_id", Uuid)
)  # fmt: skip
_organizations = table("organizations", column("id", Uuid), column("shared", Boolean))
_t, _p, _c, _o = TICKETS.c, _participants.c, _customers.c, _organizations.c
_ids = any_(bindparam("ids", type_=ARRAY(Uuid)))


def _taking_part(customer: ColumnElement[UUID]) -> Select[Any]:
    theirs = or_(and_(_c.id == customer, _c.merged_into.is_(None)), _c.merged_into == customer)
    return select(_p.ticket_id).join_from(_participants, _customers, _c.id == _p.customer_id).where(theirs)


def _shared_organization(customer: ColumnElement[UUID]) -> Select[Any]:
    whole = select(_c.organization_id).join_from(_customers, _organizations, _o.id == _c.organization_id)
    return whole.where(_c.id == customer, _o.shared)


def customer_sees(ticket: Any, customer: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Of the columns of a ticket."""
    return or_(
        ticket.customer_id == customer,
        exists(_taking_part(customer).where(_p.ticket_id == ticket.id)),
        ticket.organization_id == _shared_organization(customer).scalar_subquery(),
    )


def seen_tickets(customer: ColumnElement[UUID]) -> list[Select[Any]]:
    """`id` and `created_at` of what a customer sees, for each reason why: each by an index of its own. A ticket may be
    in several."""
    its = select(_t.id, _t.created_at)
    return [
        its.where(_t.customer_id == customer),
        its.where(_t.id == any_(func.array(_taking_part(customer).scalar_subquery()))),
        its.where(_t.organization_id == _shared_organization(customer).scalar_subquery()),
    ]


def others_seen(customer: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Whether this customer may see tickets of others at all."""
    return or_(exists(_taking_part(customer)), exists(_shared_organization(customer)))


# Who of the customers `among` sees which of the tickets `ids`: `customer_sees` for many.
_among = any_(bindparam("among", type_=ARRAY(Uuid)))
_colleagues = _customers.alias("colleagues")
_standing_for = func.coalesce(_c.merged_into, _c.id)
READERS = Query(
    select(_t.id, _t.customer_id)
    .where(_t.id == _ids, _t.customer_id == _among)
    .union(
        select(_p.ticket_id, _standing_for)
        .join_from(_participants, _customers, _c.id == _p.customer_id)
        .where(_p.ticket_id == _ids, _standing_for == _among),
        select(_t.id, _colleagues.c.id)
        .select_from(TICKETS)
        .join(_organizations, _o.id == _t.organization_id)
        .join(_colleagues, _colleagues.c.organization_id == _o.id)
        .where(_t.id == _ids, _o.shared, _colleagues.c.id == _among),
    )
)

"""To whom and to what a figure belongs: the ticket as it was when the clock ended, or as it is while the clock runs.
Reports and goals group and filter by these expressions and by nothing else."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select

from app.customers.tables import customers
from app.sla.clocks import ATTRIBUTED, Attribution
from app.sla.tables import sla_clocks
from app.tickets.tables import tickets

# Kept under the name that the ticket's row has for them; the region is the customer's.
OF_TICKETS = tuple(name for name in ATTRIBUTED if name not in ("ticket_policy_id", "region"))

_clock, _ticket = sla_clocks.c, tickets.c


def region_of(customer_id: Any) -> ColumnElement[Any]:
    """The region of a customer, also of one who was erased: erasing somebody changes no figure."""
    region = func.coalesce(customers.c.region, customers.c.erased_region)
    return select(region).where(customers.c.id == customer_id).scalar_subquery()


_present: dict[str, ColumnElement[Any]] = {
    **{name: _ticket[name] for name in OF_TICKETS},
    "ticket_policy_id": _ticket.policy_id,
    "region": region_of(_ticket.customer_id),
}


def _kept(name: str) -> ColumnElement[Any]:
    return case((_clock.customer_id.is_not(None), _clock[name]), else_=_present[name])


# Of clocks joined with their tickets.
ATTRIBUTES: Mapping[str, ColumnElement[Any]] = {
    **{name: _kept(name) for name in ATTRIBUTED},
    # Never changes.
    "segment": _ticket.segment,
    # The policy that set the target, else the one that the ticket stood under.
    "policy_id": func.coalesce(_clock.policy_id, _kept("ticket_policy_id")),
    "responder_id": _clock.responder_id,
}


def attribution(ticket: Mapping[str, Any], region: str | None, policy_id: UUID | None) -> Attribution:
    """What the clocks of a ticket of these attributes keep when they end."""
    return {**{name: ticket[name] for name in OF_TICKETS}, "region": region, "ticket_policy_id": policy_id}

"""Greetings: what the installation says by itself when a ticket is opened, by channel and language. A greeting is the
system's and no response; `greeted_at` of the ticket tells when it was sent. None is there until somebody writes one."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ScalarSelect, bindparam, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from app.automations.service import excepted, is_on
from app.automations.tables import automations, greetings
from app.errors import Invalid
from app.events.resource import Resource
from app.segments.membership_rows import segments_of
from app.sla.core.enums import AutomationKey
from app.web.paging import Listing, Order

GREETINGS = Resource(greetings, "greeting", ["channel", "language", "body", "active"])
LISTING = Listing("greetings", GREETINGS.select, {}, {"channel": Order((greetings.c.channel, greetings.c.id))})
KEY = AutomationKey.auto_acknowledge
PLACES = ("customer_name", "ticket_number", "ticket_subject")
_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def for_customer(customer: Any) -> ScalarSelect[Any]:
    """The text for the bound `channel` and this customer, and the version of the rule that says it: in their language,
    in its main language, or in any; none where they are kept from it."""
    wanted = func.lower(customer.language)
    fits = or_(
        greetings.c.language.is_(None),
        greetings.c.language == wanted,
        greetings.c.language == func.split_part(wanted, literal_column("'-'"), literal_column("1")),
    )
    return (
        select(func.jsonb_build_array(greetings.c.body, automations.c.version, type_=JSONB))
        .select_from(greetings.join(automations, is_on(KEY)))
        .where(
            greetings.c.channel == bindparam("channel"),
            greetings.c.active,
            fits,
            ~excepted(KEY, customer.id, segments_of(customer.id)),
        )
        .correlate(customer.id.table)
        .order_by(func.length(greetings.c.language).desc().nulls_last())
        .limit(literal_column("1"))
        .scalar_subquery()
    )


def check(body: str) -> None:
    """Raises Invalid for a place that nothing would fill."""
    for found in _PLACE.finditer(body):
        if found[1] not in PLACES:
            known = ", ".join(f"{{{{{name}}}}}" for name in PLACES)
            raise Invalid.at("/body", "unknown_place", f"the places that are filled are: {known}")


def filled(body: str, ticket: Mapping[str, Any], customer_name: str | None) -> str:
    values = {
        "customer_name": customer_name or "",
        "ticket_number": str(ticket["number"]),
        "ticket_subject": ticket["subject"],
    }
    return _PLACE.sub(lambda found: values[found[1]], body)

"""Greetings: what the installation says by itself when a ticket is opened, by channel and language. A greeting is the
system's and no response; `greeted_at` of the ticket tells when it was sent. None is there until somebody writes one."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, literal_column, or_, select

from app.errors import Invalid
from app.events.resource import Resource
from app.tickets.tables import greetings
from app.web.paging import Listing, Order

GREETINGS = Resource(greetings, "greeting", ["channel", "language", "body", "active"])
LISTING = Listing("greetings", GREETINGS.select, {}, {"channel": Order((greetings.c.channel, greetings.c.id))})
PLACES = ("customer_name", "ticket_number", "ticket_subject")
_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def for_language(language: ColumnElement[str | None]) -> ScalarSelect[str]:
    """The text for the bound `channel` and a customer of this language: in it, in its main language, or in any."""
    wanted = func.lower(language)
    fits = or_(
        greetings.c.language.is_(None),
        greetings.c.language == wanted,
        greetings.c.language == func.split_part(wanted, literal_column("'-'"), literal_column("1")),
    )
    return (
        select(greetings.c.body)
        .where(greetings.c.channel == bindparam("channel"), greetings.c.active, fits)
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

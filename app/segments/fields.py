"""What a segment's rule may read of a customer, and such facts from a customer's row. Figures of their history lie in
tables of a higher layer: they are named here, and come as values or as SQL."""

from collections.abc import Mapping
from typing import Any

from app.segments.rules import Fields, FieldType

_PERSONAL = ("external_id", "name", "email", "region", "language")
OF_CUSTOMERS = Fields(
    exact={
        **{f"customer.{name}": FieldType.TEXT for name in _PERSONAL},
        "customer.organization_id": FieldType.TEXT,
        "customer.created_at": FieldType.INSTANT,
        **{f"organization.{name}": FieldType.TEXT for name in _PERSONAL},
        "organization.created_at": FieldType.INSTANT,
    },
    prefixes={
        "customer.attributes.": FieldType.ANY_SCALAR,
        "organization.attributes.": FieldType.ANY_SCALAR,
    },
)
# Of all their tickets; the windows end now.
FIGURES = {
    "customer.open_tickets": FieldType.NUMBER,
    "customer.tickets_last_30_days": FieldType.NUMBER,
    "customer.last_ticket_at": FieldType.INSTANT,
    "customer.breaches_last_90_days": FieldType.NUMBER,
    "customer.complaints": FieldType.NUMBER,
}
WINDOWED = frozenset({"customer.tickets_last_30_days", "customer.breaches_last_90_days"})
OF_SEGMENTS = Fields(exact={**OF_CUSTOMERS.exact, **FIGURES}, prefixes=OF_CUSTOMERS.prefixes)
# Of somebody who has had no ticket yet.
NO_HISTORY: Mapping[str, object] = {name: 0 if type_ is FieldType.NUMBER else None for name, type_ in FIGURES.items()}

# What the facts are made of, as the columns of one row are named.
CUSTOMER_COLUMNS = (*_PERSONAL, "organization_id", "created_at", "attributes")
ORGANIZATION_COLUMNS = (*_PERSONAL, "created_at", "attributes")


def facts_of(customer: Mapping[str, Any], organization: Mapping[str, Any] | None) -> dict[str, object]:
    """Of rows that have at least these columns."""
    organization_id = customer["organization_id"]
    facts: dict[str, object] = {f"customer.{name}": customer[name] for name in (*_PERSONAL, "created_at")}
    facts["customer.organization_id"] = str(organization_id) if organization_id else None
    facts.update((f"customer.attributes.{name}", value) for name, value in customer["attributes"].items())
    if organization is not None:
        facts.update((f"organization.{name}", organization[name]) for name in (*_PERSONAL, "created_at"))
        facts.update((f"organization.attributes.{name}", value) for name, value in organization["attributes"].items())
    return facts

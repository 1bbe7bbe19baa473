"""Customers: who is helped. Known by an external id, or else by their e-mail address."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, any_, func, or_, select

from app.auth.dependencies import Actor
from app.custom_fields.schemas import Subject
from app.custom_fields.values import checked
from app.customers.schemas import CustomerIn, CustomerPatch, CustomerUpsert
from app.customers.service.name_search import words_begin
from app.customers.service.organizations import check_organization
from app.customers.tables import customers
from app.db import Row, Transaction
from app.events.resource import UpsertedResource
from app.web import absence
from app.web.paging import Listing, Order, is_any, is_any_folded
from app.web.schemas import fold

_COLUMNS = ["external_id", "name", "email", "region", "language", "organization_id", "attributes"]
CUSTOMERS = UpsertedResource(customers, "customer", _COLUMNS, derived=["email_folded"], stands_for="merged_into")
_merged = customers.alias("merged").c


def _called(name: str, value: object) -> ColumnElement[bool]:
    """By an address of theirs, or of somebody who turned out to be them."""
    others = select(_merged.merged_into).where(is_any(_merged.email_folded)(name, value)).scalar_subquery()
    return or_(is_any(customers.c.email_folded)(name, value), customers.c.id == any_(func.array(others)))


def _has_words(name: str, _value: object) -> ColumnElement[bool]:
    merged = select(_merged.merged_into).where(words_begin(_merged, name)).scalar_subquery()
    return or_(words_begin(customers.c, name), customers.c.id == any_(func.array(merged)))


MAY_LACK = ("external_id", "email", "organization_id")
LISTING = Listing(
    "customers",
    CUSTOMERS.select,
    {
        "ids": is_any(customers.c.id),
        "external_id": is_any_folded(customers.c.external_id),
        "email": _called,
        "q": _has_words,
        "organization_id": is_any(customers.c.organization_id),
        **absence.filters("external_id", customers.c.external_id.is_(None), is_any_folded(customers.c.external_id)),
        **absence.filters("email", customers.c.email_folded.is_(None), _called),
        **absence.filters(
            "organization_id", customers.c.organization_id.is_(None), is_any(customers.c.organization_id)
        ),
    },
    {"created_at": Order((customers.c.created_at, customers.c.id))},
)


async def create_customer(tx: Transaction, actor: Actor, body: CustomerIn) -> Row:
    return await CUSTOMERS.create(tx, actor, await _values(tx, body.model_dump()))


async def change_customer(tx: Transaction, actor: Actor, id: UUID, patch: CustomerPatch, if_match: str | None) -> Row:
    before = await CUSTOMERS.locked(tx, id, if_match)
    return await CUSTOMERS.change(tx, actor, before, await _values(tx, patch.model_dump(), before))


async def upsert_customer(
    tx: Transaction, actor: Actor, external_id: str, body: CustomerUpsert, if_match: str | None
) -> tuple[Row, bool]:
    """The customer with this external id as `body` says, and whether they are new. Callers at once make one."""
    return await CUSTOMERS.upsert(tx, actor, external_id, await _values(tx, body.model_dump()), if_match)


async def _values(tx: Transaction, given: dict[str, Any], before: Row | None = None) -> dict[str, Any]:
    """Columns from a body or patch. Attributes given as null go away."""
    values = dict(given)
    if "attributes" in values:
        had = before["attributes"] if before else {}
        values["attributes"] = await checked(tx, Subject.customer, had, values["attributes"])
    if "email" in values:
        values["email_folded"] = fold(values["email"]) if values["email"] else None
    if values.get("organization_id"):
        await check_organization(tx, values["organization_id"])
    return values

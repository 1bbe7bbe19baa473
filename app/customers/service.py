"""Customers: who is helped. Known by an external id, or else by their e-mail address."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from uuid_utils.compat import uuid7

from app.auth.guard import Actor
from app.customers.schemas import CustomerIn, CustomerPatch, CustomerUpsert
from app.customers.tables import customers
from app.db import Query, Row, Transaction
from app.events import log
from app.events.resource import Resource, merged
from app.web.etag import PreconditionFailed
from app.web.paging import Listing, Order, is_any
from app.web.schemas import fold

_COLUMNS = ["external_id", "name", "email", "region", "language", "attributes"]
CUSTOMERS = Resource(customers, "customer", _COLUMNS, derived=["email_folded"])
LISTING = Listing(
    "customers",
    CUSTOMERS.select,
    {"external_id": is_any(customers.c.external_id), "email": is_any(customers.c.email_folded)},
    {"created_at": Order((customers.c.created_at, customers.c.id))},
)
# Writes nothing where the row is there: an update would lock it, and upserts mostly repeat what is known.
_CLAIM = Query(
    pg_insert(customers)
    .on_conflict_do_nothing(index_elements=[customers.c.external_id])
    .returning(customers, func.clock_timestamp().label("now")),
    ["id", *_COLUMNS, "email_folded"],
)
_ID_OF = Query(select(customers.c.id).where(customers.c.external_id == bindparam("external_id")))


async def create_customer(tx: Transaction, actor: Actor, body: CustomerIn) -> Row:
    return await CUSTOMERS.create(tx, actor, _values(body.model_dump()))


async def change_customer(tx: Transaction, actor: Actor, id: UUID, patch: CustomerPatch, if_match: str | None) -> Row:
    before = await CUSTOMERS.locked(tx, id, if_match)
    return await CUSTOMERS.change(tx, actor, before, _values(patch.model_dump(), before))


async def upsert_customer(
    tx: Transaction, actor: Actor, external_id: str, body: CustomerUpsert, if_match: str | None
) -> tuple[Row, bool]:
    """The customer with this external id as `body` says, and whether they are new. Callers at once make one."""
    values = {**body.model_dump(), "external_id": external_id}
    made = await tx.locked_row(_CLAIM, id=uuid7(), **_values(values))
    if made is not None:
        if if_match is not None:
            raise PreconditionFailed("there was no such customer")
        data = {"after": {name: made[name] for name in _COLUMNS}}
        log.record(tx, log.by(actor), "customer.created", made["id"], made["now"], data)
        return made, True
    found = await tx.row(_ID_OF, external_id=external_id)
    assert found is not None  # a customer is never deleted
    before = await CUSTOMERS.locked(tx, found["id"], if_match)
    return await CUSTOMERS.change(tx, actor, before, _values(values)), False


def _values(given: dict[str, Any], before: Row | None = None) -> dict[str, Any]:
    """Columns from a body or patch. Attributes given as null go away."""
    values = dict(given)
    if "attributes" in values:
        values["attributes"] = merged("/attributes", before["attributes"] if before else {}, values["attributes"])
    if "email" in values:
        values["email_folded"] = fold(values["email"]) if values["email"] else None
    return values

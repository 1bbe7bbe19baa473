"""Organizations: whom customers belong to."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from app.auth.dependencies import Actor
from app.custom_fields.schemas import Subject
from app.custom_fields.values import checked
from app.customers.schemas import OrganizationIn, OrganizationPatch, OrganizationUpsert
from app.customers.service.name_search import words_begin
from app.customers.tables import organizations
from app.db import Query, Row, Transaction
from app.errors import Invalid
from app.events.resource import UpsertedResource
from app.web import absence
from app.web.paging import Listing, Order, is_any_folded

_COLUMNS = ["external_id", "name", "email", "region", "language", "shared", "attributes"]
ORGANIZATIONS = UpsertedResource(organizations, "organization", _COLUMNS)
LISTING = Listing(
    "organizations",
    ORGANIZATIONS.select,
    {
        "external_id": is_any_folded(organizations.c.external_id),
        **absence.filters(
            "external_id", organizations.c.external_id.is_(None), is_any_folded(organizations.c.external_id)
        ),
        "q": lambda name, _: words_begin(organizations.c, name),
    },
    {"created_at": Order((organizations.c.created_at, organizations.c.id))},
)
_KNOWN = Query(select(organizations.c.id).where(organizations.c.id == bindparam("organization_id")))


async def create_organization(tx: Transaction, actor: Actor, body: OrganizationIn) -> Row:
    return await ORGANIZATIONS.create(tx, actor, await _values(tx, body.model_dump()))


async def change_organization(
    tx: Transaction, actor: Actor, id: UUID, patch: OrganizationPatch, if_match: str | None
) -> Row:
    before = await ORGANIZATIONS.locked(tx, id, if_match)
    return await ORGANIZATIONS.change(tx, actor, before, await _values(tx, patch.model_dump(), before))


async def upsert_organization(
    tx: Transaction, actor: Actor, external_id: str, body: OrganizationUpsert, if_match: str | None
) -> tuple[Row, bool]:
    """The organization with this external id as `body` says, and whether it is new. Callers at once make one."""
    return await ORGANIZATIONS.upsert(tx, actor, external_id, await _values(tx, body.model_dump()), if_match)


async def check_organization(tx: Transaction, id: UUID) -> None:
    """Raises Invalid, with a pointer, where there is none."""
    if await tx.row(_KNOWN, organization_id=id) is None:
        raise Invalid.at("/organization_id", "unknown", "there is no organization with this id")


async def _values(tx: Transaction, given: dict[str, Any], before: Row | None = None) -> dict[str, Any]:
    """Columns from a body or patch. Attributes given as null go away."""
    if "attributes" not in given:
        return given
    had = before["attributes"] if before else {}
    return {**given, "attributes": await checked(tx, Subject.organization, had, given["attributes"])}

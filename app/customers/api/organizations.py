from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import Field

from app.auth.dependencies import Actor, may
from app.auth.oneself import filters_of
from app.customers.schemas import Beginnings, OrganizationIn, OrganizationOut, OrganizationPage
from app.customers.service import organizations as service
from app.customers.service.name_search import beginnings
from app.web import absence
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.query import NONE, OrNone
from app.web.route import Tx, router
from app.web.schemas import ExternalId

routes = router("/v1/organizations", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


class OrganizationQuery(PageQuery):
    external_id: OrNone[ExternalId] = Field(default=None, description=NONE)
    q: Beginnings | None = None


@routes.get("", response_model=OrganizationPage, summary="List organizations")
async def list_organizations(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[OrganizationQuery, Query()]
) -> Any:
    """In the order they were added. `q` finds those of whose name, e-mail address or external id a word begins with
    each of its own."""
    where = filters_of(actor, query, ("external_id",))
    absence.part(where, ("external_id",))
    where["q"] = beginnings(query.q) if query.q else None
    return await page(request, response, tx, service.LISTING, query, where, "created_at")


@routes.post("", status_code=201, response_model=OrganizationOut, summary="Add an organization")
async def create_organization(body: OrganizationIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await service.create_organization(tx, actor, body)
    response.headers["Location"] = f"/v1/organizations/{row['id']}"
    return tag(response, row)


@routes.get(
    "/by-external-id/{external_id:path}",
    response_model=OrganizationOut,
    summary="Read an organization by its external id",
)
async def get_organization_by_external_id(
    external_id: Annotated[ExternalId, Path()], response: Response, tx: Tx, actor: Reader
) -> Any:
    """Slashes and all."""
    return tag(response, await service.ORGANIZATIONS.get_called(tx, external_id))


@routes.get("/{organization_id}", response_model=OrganizationOut, summary="Read an organization")
async def get_organization(organization_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.ORGANIZATIONS.get(tx, organization_id))


@routes.delete("/{organization_id}", status_code=204, summary="Remove an organization")
async def delete_organization(organization_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Refused while customers or tickets belong to it."""
    await service.ORGANIZATIONS.delete(tx, actor, organization_id, if_match)

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.guard import Actor, may
from app.customers.schemas import OrganizationIn, OrganizationOut, OrganizationPage
from app.customers.service import organizations as service
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import ExternalId

routes = router("/v1/organizations", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


class OrganizationQuery(PageQuery):
    external_id: ExternalId | None = None


@routes.get("", response_model=OrganizationPage, summary="List organizations")
async def list_organizations(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[OrganizationQuery, Query()]
) -> Any:
    """In the order they were added."""
    where = {"external_id": query.external_id}
    return await page(request, response, tx, service.LISTING, query, where, "created_at")


@routes.post("", status_code=201, response_model=OrganizationOut, summary="Add an organization")
async def create_organization(body: OrganizationIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await service.create_organization(tx, actor, body)
    response.headers["Location"] = f"/v1/organizations/{row['id']}"
    return tag(response, row)


@routes.get("/{organization_id}", response_model=OrganizationOut, summary="Read an organization")
async def get_organization(organization_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.ORGANIZATIONS.get(tx, organization_id))


@routes.delete("/{organization_id}", status_code=204, summary="Remove an organization")
async def delete_organization(organization_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Refused while customers or tickets belong to it."""
    await service.ORGANIZATIONS.delete(tx, actor, organization_id, if_match)

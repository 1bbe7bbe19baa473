from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import Field

from app.auth.guard import Actor, may
from app.customers.schemas import (
    CustomerIn,
    CustomerOut,
    CustomerPatch,
    CustomerUpsert,
    OrganizationOut,
    OrganizationPatch,
    OrganizationUpsert,
)
from app.tickets import customer_merging, erasing, exporting, memberships
from app.tickets.export_schemas import CustomerExport
from app.tickets.schemas import CustomerMergeIn
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery
from app.web.route import Tx, router
from app.web.schemas import ExternalId

routes = router("/v1/customers", "customers")
organization_routes = router("/v1/organizations", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


class ExportQuery(PageQuery):
    limit: Annotated[int, Field(ge=1, le=50, description="How many tickets at most.")] = 20


@routes.post("", status_code=201, response_model=CustomerOut, summary="Add a customer")
async def create_customer(body: CustomerIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await memberships.create_customer(tx, actor, body)
    response.headers["Location"] = f"/v1/customers/{row['id']}"
    return tag(response, row)


@routes.put(
    "/by-external-id/{external_id}",
    response_model=CustomerOut,
    responses={201: {"model": CustomerOut, "description": "Made."}},
    summary="Add or replace a customer",
)
async def upsert_customer(
    external_id: Annotated[ExternalId, Path()],
    body: CustomerUpsert,
    response: Response,
    tx: Tx,
    actor: Writer,
    if_match: IfMatch = None,
) -> Any:
    """Makes the customer (201) or replaces what is known of them (200)."""
    row, made = await memberships.upsert_customer(tx, actor, external_id, body, if_match)
    if made:
        response.status_code = 201
        response.headers["Location"] = f"/v1/customers/{row['id']}"
    return tag(response, row)


@routes.patch("/{customer_id}", response_model=CustomerOut, summary="Change a customer")
async def update_customer(
    customer_id: UUID, patch: CustomerPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch; an attribute set to null goes away."""
    return tag(response, await memberships.change_customer(tx, actor, customer_id, patch, if_match))


@routes.delete("/{customer_id}", status_code=204, summary="Remove a customer")
async def delete_customer(customer_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Leads and above. Only one to whom nothing refers, such as one who was added by mistake; the others are erased."""
    await erasing.remove(tx, actor, customer_id, if_match)


@routes.post("/{customer_id}/merge", response_model=CustomerOut, summary="Merge a customer into another one")
async def merge_customer(customer_id: UUID, body: CustomerMergeIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """Two who turned out to be one. Tickets and keys go to the other one, who is answered; so does whatever names this
    one by external id or e-mail from now on."""
    return tag(response, await customer_merging.merge(tx, actor, customer_id, body.into))


@routes.post("/{customer_id}/unmerge", response_model=CustomerOut, summary="Undo the merge of a customer")
async def unmerge_customer(customer_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """The tickets and keys that moved then come back, as far as they are still with whom they went to."""
    return tag(response, await customer_merging.unmerge(tx, actor, customer_id))


@routes.post("/{customer_id}/erase", response_model=CustomerOut, summary="Erase a customer")
async def erase_customer(customer_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """Leads and above. All that tells who they are and what was said is gone, with its copies: the figures stay. It
    cannot be undone; erasing again erases what came since."""
    return tag(response, await erasing.erase(tx, actor, customer_id))


@routes.get("/{customer_id}/export", response_model=CustomerExport, summary="Export all that is held of a customer")
async def export_customer(
    customer_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[ExportQuery, Query()],
) -> Any:
    """Leads and above. Page by page of their tickets, oldest first, with all that hangs on each."""
    return await exporting.export(request, response, tx, actor, customer_id, query)


@organization_routes.put(
    "/by-external-id/{external_id}",
    response_model=OrganizationOut,
    responses={201: {"model": OrganizationOut, "description": "Made."}},
    summary="Add or replace an organization",
)
async def upsert_organization(
    external_id: Annotated[ExternalId, Path()],
    body: OrganizationUpsert,
    response: Response,
    tx: Tx,
    actor: Writer,
    if_match: IfMatch = None,
) -> Any:
    """Makes the organization (201) or replaces what is known of it (200)."""
    row, made = await memberships.upsert_organization(tx, actor, external_id, body, if_match)
    if made:
        response.status_code = 201
        response.headers["Location"] = f"/v1/organizations/{row['id']}"
    return tag(response, row)


@organization_routes.patch("/{organization_id}", response_model=OrganizationOut, summary="Change an organization")
async def update_organization(
    organization_id: UUID, patch: OrganizationPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch; an attribute set to null goes away."""
    return tag(response, await memberships.change_organization(tx, actor, organization_id, patch, if_match))

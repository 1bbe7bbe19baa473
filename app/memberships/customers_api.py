from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Response

from app.auth.dependencies import Actor, may
from app.customers.schemas import (
    CustomerIn,
    CustomerOut,
    CustomerPatch,
    CustomerUpsert,
    OrganizationOut,
    OrganizationPatch,
    OrganizationUpsert,
)
from app.memberships import service as memberships
from app.web.etag import IfMatch, tag
from app.web.route import Tx, router
from app.web.schemas import ExternalId

routes = router("/v1/customers", "customers")
organization_routes = router("/v1/organizations", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]
# What is theirs besides goes along.
Mover = Annotated[Actor, may("customers:write", "tickets:write")]
Exporter = Annotated[Actor, may("customers:read", "tickets:read", "segments:read", "sla:read")]


@routes.post("", status_code=201, response_model=CustomerOut, summary="Add a customer")
async def create_customer(body: CustomerIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await memberships.create_customer(tx, actor, body)
    response.headers["Location"] = f"/v1/customers/{row['id']}"
    return tag(response, row)


@routes.put(
    "/by-external-id/{external_id:path}",
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


@organization_routes.put(
    "/by-external-id/{external_id:path}",
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

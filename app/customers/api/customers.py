from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.guard import Actor, may
from app.customers.schemas import CustomerIn, CustomerOut, CustomerPage, CustomerPatch, CustomerUpsert
from app.customers.service import customers as service
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import Email, ExternalId, fold

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


class CustomerQuery(PageQuery):
    external_id: ExternalId | None = None
    email: Email | None = None
    organization_id: UUID | None = None


@routes.get("", response_model=CustomerPage, summary="List customers")
async def list_customers(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[CustomerQuery, Query()]
) -> Any:
    """In the order they were added."""
    where = {
        "external_id": query.external_id,
        "email": fold(query.email) if query.email else None,
        "organization_id": query.organization_id,
    }
    return await page(request, response, tx, service.LISTING, query, where, "created_at")


@routes.post("", status_code=201, response_model=CustomerOut, summary="Add a customer")
async def create_customer(body: CustomerIn, response: Response, tx: Tx, actor: Writer) -> Any:
    row = await service.create_customer(tx, actor, body)
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
    row, made = await service.upsert_customer(tx, actor, external_id, body, if_match)
    if made:
        response.status_code = 201
        response.headers["Location"] = f"/v1/customers/{row['id']}"
    return tag(response, row)


@routes.get("/{customer_id}", response_model=CustomerOut, summary="Read a customer")
async def get_customer(customer_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.CUSTOMERS.get(tx, customer_id))


@routes.patch("/{customer_id}", response_model=CustomerOut, summary="Change a customer")
async def update_customer(
    customer_id: UUID, patch: CustomerPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch; an attribute set to null goes away."""
    return tag(response, await service.change_customer(tx, actor, customer_id, patch, if_match))

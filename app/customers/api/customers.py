from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.guard import Actor, may
from app.customers.schemas import CustomerOut, CustomerPage
from app.customers.service import customers as service
from app.web.etag import tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import Email, ExternalId, fold

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]


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


@routes.get("/{customer_id}", response_model=CustomerOut, summary="Read a customer")
async def get_customer(customer_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.CUSTOMERS.get(tx, customer_id))

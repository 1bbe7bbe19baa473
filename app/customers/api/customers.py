from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.customers.schemas import Beginnings, CustomerOut, CustomerPage
from app.customers.service import customers as service
from app.customers.service.name_search import beginnings
from app.web.etag import tag
from app.web.paging import PageQuery, page
from app.web.query import ManyIds
from app.web.route import Tx, router
from app.web.schemas import Email, ExternalId, fold

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]


class CustomerQuery(PageQuery):
    ids: ManyIds = None
    external_id: ExternalId | None = None
    email: Email | None = None
    organization_id: UUID | None = None
    q: Beginnings | None = None


@routes.get("", response_model=CustomerPage, summary="List customers")
async def list_customers(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[CustomerQuery, Query()]
) -> Any:
    """In the order they were added. `q` finds those of whose name, e-mail address or external id a word begins with
    each of its own; a customer is found by what is known of those who were merged into them, too."""
    where: dict[str, object] = {
        "ids": query.ids,
        "external_id": query.external_id,
        "email": fold(query.email) if query.email else None,
        "organization_id": query.organization_id,
        "q": beginnings(query.q) if query.q else None,
    }
    return await page(request, response, tx, service.LISTING, query, where, "created_at")


@routes.get(
    "/by-external-id/{external_id:path}", response_model=CustomerOut, summary="Read a customer by their external id"
)
async def get_customer_by_external_id(
    external_id: Annotated[ExternalId, Path()], response: Response, tx: Tx, actor: Reader
) -> Any:
    """Slashes and all. Of who was merged, the one who stands for them."""
    return tag(response, await service.CUSTOMERS.get_called(tx, external_id))


@routes.get("/{customer_id}", response_model=CustomerOut, summary="Read a customer")
async def get_customer(customer_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.CUSTOMERS.get(tx, customer_id))

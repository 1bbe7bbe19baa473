from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import Field

from app.auth.dependencies import Actor, may
from app.auth.oneself import filters_of
from app.customers.schemas import Beginnings, CustomerOut, CustomerPage
from app.customers.service import customers as service
from app.customers.service.name_search import beginnings
from app.web import absence
from app.web.etag import tag
from app.web.paging import PageQuery, page
from app.web.query import NONE, ManyIds, OrNone
from app.web.route import Tx, router
from app.web.schemas import Email, ExternalId, fold

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]


class CustomerQuery(PageQuery):
    ids: ManyIds = None
    external_id: OrNone[ExternalId] = Field(default=None, description=NONE)
    email: OrNone[Email] = Field(default=None, description=NONE)
    organization_id: OrNone[UUID] = Field(default=None, description=NONE)
    q: Beginnings | None = None


@routes.get("", response_model=CustomerPage, summary="List customers")
async def list_customers(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[CustomerQuery, Query()]
) -> Any:
    """In the order they were added. `q` finds those of whose name, e-mail address or external id a word begins with
    each of its own; a customer is found by what is known of those who were merged into them, too."""
    where = filters_of(actor, query, ("ids", *service.MAY_LACK))
    if "email" in where:
        where["email"] = tuple(email and fold(email) for email in where["email"])
    absence.part(where, service.MAY_LACK)
    where["q"] = beginnings(query.q) if query.q else None
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

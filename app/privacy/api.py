from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field

from app.auth.dependencies import Actor, may
from app.customers.schemas import CustomerOut
from app.privacy import erasure, export
from app.privacy.schemas import CustomerExport
from app.web.admission import HEAVY, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery
from app.web.route import Tx, router

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


Mover = Annotated[Actor, may("customers:write", "tickets:write")]
Exporter = Annotated[Actor, may("customers:read", "tickets:read", "segments:read", "sla:read")]


class ExportQuery(PageQuery):
    limit: Annotated[int, Field(ge=1, le=50, description="How many tickets at most.")] = 20


@routes.delete("/{customer_id}", status_code=204, summary="Remove a customer")
async def delete_customer(customer_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """Leads and above. Only one to whom nothing refers, such as one who was added by mistake; the others are erased."""
    await erasure.remove(tx, actor, customer_id, if_match)


@routes.post("/{customer_id}/erase", response_model=CustomerOut, summary="Erase a customer")
@costs(HEAVY)
async def erase_customer(customer_id: UUID, response: Response, tx: Tx, actor: Mover) -> Any:
    """Leads and above. All that tells who they are and what was said is gone, with its copies: the figures stay. It
    cannot be undone; erasing again erases what came since."""
    return tag(response, await erasure.erase(tx, actor, customer_id))


@routes.get("/{customer_id}/export", response_model=CustomerExport, summary="Export all that is held of a customer")
@costs(HEAVY)
async def export_customer(
    customer_id: UUID, request: Request, tx: Tx, actor: Exporter, query: Annotated[ExportQuery, Query()]
) -> Response:
    """Leads and above. Page by page of their tickets, oldest first, with all that hangs on each; their API keys only to
    whom `keys:read` lets see keys. It is sent as it is read: what is written meanwhile is in it or not."""
    return await export.export(request, tx, actor, customer_id, query)

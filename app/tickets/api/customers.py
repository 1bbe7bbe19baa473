from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field

from app.auth.guard import Actor, may
from app.customers.schemas import CustomerOut
from app.tickets import customer_merging, erasing, exporting
from app.tickets.export_schemas import CustomerExport
from app.tickets.schemas import CustomerMergeIn
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery
from app.web.route import Tx, router

routes = router("/v1/customers", "customers")
Reader = Annotated[Actor, may("customers:read")]
Writer = Annotated[Actor, may("customers:write")]


class ExportQuery(PageQuery):
    limit: Annotated[int, Field(ge=1, le=50, description="How many tickets at most.")] = 20


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

from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from app.auth.dependencies import Actor, may
from app.customer_merges import service as customer_merges
from app.customer_merges.schemas import CustomerMergeIn
from app.customers.schemas import CustomerOut
from app.web.admission import HEAVY, costs
from app.web.etag import tag
from app.web.route import Tx, router

routes = router("/v1/customers", "customers")
Writer = Annotated[Actor, may("customers:write")]


Mover = Annotated[Actor, may("customers:write", "tickets:write")]


@routes.post("/{customer_id}/merge", response_model=CustomerOut, summary="Merge a customer into another one")
@costs(HEAVY)
async def merge_customer(customer_id: UUID, body: CustomerMergeIn, response: Response, tx: Tx, actor: Mover) -> Any:
    """Two who turned out to be one. Tickets and keys go to the other one, who is answered; so does whatever names this
    one by external id or e-mail from now on."""
    return tag(response, await customer_merges.merge(tx, actor, customer_id, body.into))


@routes.post("/{customer_id}/unmerge", response_model=CustomerOut, summary="Undo the merge of a customer")
@costs(HEAVY)
async def unmerge_customer(customer_id: UUID, response: Response, tx: Tx, actor: Mover) -> Any:
    """The tickets and keys that moved then come back, as far as they are still with whom they went to."""
    return tag(response, await customer_merges.unmerge(tx, actor, customer_id))

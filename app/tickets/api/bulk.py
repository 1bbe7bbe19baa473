from typing import Annotated, Any

from app.auth.dependencies import Actor, may
from app.tickets import bulk
from app.tickets.schemas import BulkPatchIn, BulkPatchOut
from app.web.admission import BULK, costs
from app.web.route import Tx, router

routes = router("/v1/tickets/bulk", "tickets")
Writer = Annotated[Actor, may("tickets:write")]


@routes.post("", response_model=BulkPatchOut, summary="Change many tickets")
@costs(BULK)
async def update_tickets(body: BulkPatchIn, tx: Tx, actor: Writer) -> Any:
    """Up to 200, each by a merge patch of its own. One that is refused is left as it is and answered with its problem,
    whose pointers are into its own patch; the others are changed."""
    return {"items": await bulk.change_tickets(tx, actor, body.tickets)}

from typing import Annotated, Any

from app.auth.dependencies import Actor, may
from app.events import log
from app.imports import service as imports
from app.imports.schemas import TicketImportIn, TicketImportOut
from app.web.admission import HEAVY, costs
from app.web.body import JSONL
from app.web.route import NDJSON_FIELD, Tx, router

routes = router("/v1/imports", "imports")
Writer = Annotated[Actor, may("imports:write")]


@routes.post(
    "/tickets",
    response_model=TicketImportOut,
    summary="Import tickets with their past",
    openapi_extra={
        NDJSON_FIELD: "tickets",
        "requestBody": {"content": {JSONL: {"schema": {"$ref": "#/components/schemas/ImportedTicket"}}}},
    },
)
@costs(HEAVY)
async def import_tickets(body: TicketImportIn, tx: Tx, actor: Writer) -> Any:
    """Up to 1,000 tickets, as JSON or one a line (`application/jsonl`, `application/x-ndjson`). Each goes in whole or
    is rejected by itself; one whose `external_id` is there already is a duplicate and stays as it is: a broken-off
    import is simply run again."""
    return await imports.import_tickets(tx, log.actor_ref(actor), body.tickets)

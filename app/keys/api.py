from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.auth.dependencies import Actor, may
from app.keys import service
from app.keys.schemas import ApiKeyIn, ApiKeyMade, ApiKeyPage
from app.web.openapi_headers import refer
from app.web.paging import PageQuery, page
from app.web.route import SHOWN_ONCE, Tx, router

routes = router("/v1/api-keys", "keys")
Reader = Annotated[Actor, may("keys:read")]
Writer = Annotated[Actor, may("keys:write")]


@routes.get("", response_model=ApiKeyPage, summary="List API keys")
async def list_api_keys(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Newest first, without their secrets; revoked ones included."""
    return await page(request, response, tx, service.LISTING, query, {}, "-created_at")


@routes.post(
    "",
    status_code=201,
    response_model=ApiKeyMade,
    summary="Make an API key",
    responses={201: {"headers": refer("Location")}},
    openapi_extra={SHOWN_ONCE: True},
)
async def create_api_key(body: ApiKeyIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """The answer holds the whole key, this once. Roles `agent` and `lead` need an `agent_id`, `customer` needs a
    `customer_id`, `service` needs `scopes`. A repeat with the same Idempotency-Key makes no second key, and does not
    show the first one again."""
    made = await service.create_key(tx, actor, body)
    response.headers["Location"] = f"/v1/api-keys/{made['id']}"
    return made


@routes.delete("/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke_api_key(key_id: UUID, tx: Tx, actor: Writer) -> None:
    """The key stops working within 5 seconds."""
    await service.revoke_key(tx, actor, key_id)

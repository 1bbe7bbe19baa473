from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.web.admission import BULK, HEAVY, costs
from app.web.etag import IfMatch, tag
from app.web.openapi_headers import refer
from app.web.paging import PageQuery, page
from app.web.query import Ids
from app.web.route import SHOWN_ONCE, Tx, router
from app.webhooks import redelivering, service
from app.webhooks.retries import DeliveryState
from app.webhooks.schemas import (
    DeliveryOut,
    DeliveryPage,
    Redelivered,
    Redelivery,
    SecretRotation,
    WebhookIn,
    WebhookMade,
    WebhookOut,
    WebhookPage,
    WebhookPatch,
)

routes = router("/v1/webhooks", "webhooks")
Reader = Annotated[Actor, may("webhooks:read")]
Writer = Annotated[Actor, may("webhooks:write")]
# Whoever says where events go could read them there.
Teller = Annotated[Actor, may("webhooks:write", "events:read")]


class DeliveryQuery(PageQuery):
    state: DeliveryState | None = None


class AllDeliveriesQuery(DeliveryQuery):
    webhook_id: Ids = None


@routes.get("", response_model=WebhookPage, summary="List webhooks")
async def list_webhooks(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """Newest first, without their secrets."""
    return await page(request, response, tx, service.LISTING, query, {}, "-created_at")


@routes.post(
    "", status_code=201, response_model=WebhookMade, summary="Make a webhook", openapi_extra={SHOWN_ONCE: True}
)
async def create_webhook(body: WebhookIn, request: Request, response: Response, tx: Tx, actor: Teller) -> Any:
    """It is told of what happens from now on. The answer holds the secret that its deliveries are signed with, this
    once. A repeat with the same Idempotency-Key makes no second webhook, and does not show the secret again."""
    made = await service.create_webhook(tx, actor, body, request.app.state.settings)
    response.headers["Location"] = f"/v1/webhooks/{made['id']}"
    return tag(response, made)


@routes.get("/deliveries", response_model=DeliveryPage, summary="List the deliveries of all webhooks")
async def list_deliveries(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[AllDeliveriesQuery, Query()]
) -> Any:
    """Newest first, for 30 days. `state=dead` is what was given up, wherever it was to go."""
    where = {"webhook_id": query.webhook_id, f"state {query.state}": True if query.state else None}
    answer = await page(request, response, tx, service.ALL_DELIVERIES, query, where, "-created_at")
    return {**answer, "items": [service.to_response(row) for row in answer["items"]]}


@routes.get("/{webhook_id:id}", response_model=WebhookOut, summary="Read a webhook")
async def get_webhook(webhook_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, await service.WEBHOOKS.get(tx, webhook_id))


@routes.patch("/{webhook_id:id}", response_model=WebhookOut, summary="Change a webhook")
async def update_webhook(
    webhook_id: UUID,
    patch: WebhookPatch,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Teller,
    if_match: IfMatch = None,
) -> Any:
    """JSON merge patch. What is pending waits while `active` is false, for three days at most."""
    settings = request.app.state.settings
    return tag(response, await service.change_webhook(tx, actor, webhook_id, patch, if_match, settings))


@routes.delete("/{webhook_id:id}", status_code=204, summary="Remove a webhook")
async def delete_webhook(webhook_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    """With all that is still to be delivered to it."""
    await service.WEBHOOKS.delete(tx, actor, webhook_id, if_match)


@routes.post(
    "/{webhook_id}/rotate-secret",
    response_model=WebhookMade,
    summary="Give a webhook another secret",
    openapi_extra={SHOWN_ONCE: True},
)
async def rotate_webhook_secret(
    webhook_id: UUID,
    body: Annotated[SecretRotation, Body(default_factory=SecretRotation)],
    request: Request,
    response: Response,
    tx: Tx,
    actor: Teller,
) -> Any:
    """Until the overlap ends deliveries bear two signatures, with the secret before and with this one, which is shown
    this once. Without a body one is made, and the overlap is a day."""
    return tag(response, await service.rotate_secret(tx, actor, webhook_id, body, request.app.state.settings))


@routes.post(
    "/{webhook_id}/test",
    status_code=201,
    response_model=DeliveryOut,
    responses={201: {"headers": refer("Location")}},
    summary="Send a test",
)
async def test_webhook(webhook_id: UUID, response: Response, tx: Tx, actor: Writer) -> Any:
    """A delivery of the type `webhook.test`, whatever types were asked for."""
    made = await service.send_test(tx, actor, webhook_id)
    response.headers["Location"] = f"/v1/webhooks/{webhook_id}/deliveries/{made['id']}"
    return made


@routes.post("/{webhook_id}/redeliver", response_model=Redelivered, summary="Send a range again")
@costs(HEAVY)
async def redeliver_webhook_deliveries(webhook_id: UUID, body: Redelivery, tx: Tx, actor: Writer) -> Any:
    """Up to 10,000 deliveries, the oldest first, each under its id; those that are pending are left alone."""
    return await redelivering.redeliver_range(tx, actor, webhook_id, body)


@routes.get("/{webhook_id}/deliveries", response_model=DeliveryPage, summary="List a webhook's deliveries")
@costs(BULK)
async def list_webhook_deliveries(
    webhook_id: UUID,
    request: Request,
    response: Response,
    tx: Tx,
    actor: Reader,
    query: Annotated[DeliveryQuery, Query()],
) -> Any:
    """Newest first, for 30 days. `state=dead` are those that were given up: nobody tries them again unless asked."""
    await service.WEBHOOKS.get(tx, webhook_id)
    where = {"webhook_id": webhook_id, "state": query.state}
    answer = await page(request, response, tx, service.DELIVERIES, query, where, "-id")
    return {**answer, "items": [service.to_response(row) for row in answer["items"]]}


@routes.get("/{webhook_id}/deliveries/{delivery_id}", response_model=DeliveryOut, summary="Read a delivery")
async def get_webhook_delivery(webhook_id: UUID, delivery_id: UUID, tx: Tx, actor: Reader) -> Any:
    await service.WEBHOOKS.get(tx, webhook_id)
    return await service.get_delivery(tx, webhook_id, delivery_id)


@routes.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver", response_model=DeliveryOut, summary="Send a delivery again"
)
async def redeliver_webhook_delivery(webhook_id: UUID, delivery_id: UUID, tx: Tx, actor: Writer) -> Any:
    """Under the same `webhook-id`; one that is pending is refused."""
    return await service.redeliver(tx, actor, webhook_id, delivery_id)

"""What tests of self-service share: articles, a self-service segment with a customer in it, automations set."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.verification import Body, good

Open = Callable[..., Awaitable[Body]]

PARCEL = {
    "key": "parcel",
    "title": "Where is my parcel?",
    "body": "Follow the link in the mail that we sent when it left us.",
    "language": "en",
    "tags": ["shipping"],
}


async def write(client: httpx.AsyncClient, **more: Any) -> Body:
    return good(await client.post("/v1/articles", json={**PARCEL, **more}))


async def suggested(client: httpx.AsyncClient, text: str, **more: Any) -> list[Body]:
    items: list[Body] = good(await client.post("/v1/articles/suggest", json={"text": text, **more}))["items"]
    return items


async def set_automation(client: httpx.AsyncClient, key: str, enabled: bool = True, **settings: Any) -> Body:
    body = {"enabled": enabled, **({"settings": settings} if settings else {})}
    return good(await client.patch(f"/v1/automations/{key}", json=body))


async def segment(client: httpx.AsyncClient, key: str = "self", *, self_service: bool = True, **more: Any) -> Body:
    body = {"key": key, "name": key, "position": 1, "self_service": self_service, **more}
    return good(await client.post("/v1/segments", json=body))


async def include(client: httpx.AsyncClient, made: Body, customer_id: object) -> None:
    body = {"customer_id": str(customer_id), "effect": "include", "reason": "Test."}
    good(await client.post(f"/v1/segments/{made['id']}/overrides", json=body))


async def helped_first(client: httpx.AsyncClient, customer_id: object) -> Body:
    """The customer is in a self-service segment, and the automation is on; the segment."""
    await set_automation(client, "self_service_first")
    made = await segment(client)
    await include(client, made, customer_id)
    return made


async def said(client: httpx.AsyncClient, ticket: Body) -> list[tuple[str, str]]:
    items = good(await client.get(f"/v1/tickets/{ticket['id']}/messages"))["items"]
    return [(item["author"]["kind"], item["body"]) for item in items]

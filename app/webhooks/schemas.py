from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field

from app.web.schemas import In, Instant, Out, Page
from app.webhooks.payloads import check_type
from app.webhooks.retries import DeliveryState, Failure
from app.webhooks.signing import PREFIX, key_of


def _is_secret(secret: str) -> str:
    key_of(secret)
    return secret


Url = Annotated[str, Field(min_length=1, max_length=2000, description="https, a public host, no user or fragment.")]
EventTypes = Annotated[
    list[Annotated[str, Field(max_length=100), AfterValidator(check_type)]],
    Field(min_length=1, max_length=200, description="Types of events, or `*` for all."),
]
Secret = Annotated[
    str,
    Field(
        min_length=1, max_length=200, description=f"`{PREFIX}` and 24 to 64 bytes in base64; made where none is given."
    ),
    AfterValidator(_is_secret),
]


class DisabledReason(StrEnum):
    gone = "gone"


class WebhookIn(In):
    url: Url
    types: EventTypes
    secret: Annotated[Secret | None, Field(repr=False)] = None
    active: bool = True


class WebhookPatch(In):
    url: Url | MISSING = MISSING
    types: EventTypes | MISSING = MISSING
    active: bool | MISSING = MISSING


class WebhookOut(Out):
    id: UUID
    url: str
    types: list[str]
    active: bool
    disabled_reason: DisabledReason | None = Field(description="Why it was turned off by the service: `gone` is a 410.")
    version: int
    created_at: datetime
    updated_at: datetime


class WebhookMade(WebhookOut):
    secret: str = Field(description="Shown this once.")


class WebhookPage(Page[WebhookOut]): ...


class SecretRotation(In):
    secret: Annotated[Secret | None, Field(repr=False)] = None
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = Field(
        default=86_400, description="How long the secret before it signs as well."
    )


class DeliveryOut(Out):
    """One event on its way to one webhook. Its id is the `webhook-id` of every attempt."""

    id: UUID
    webhook_id: UUID
    event_id: int | None = Field(description="None where it is only a test.")
    type: str
    state: DeliveryState
    attempts: int = Field(description="Since it was made, or last asked for.")
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="Not before; of a pending one.")
    attempted_at: datetime | None
    status: int | None = Field(description="Of the last answer.")
    answer: str | None = Field(description="Its first KiB, as text.")
    failure: Failure | None = Field(description="What went wrong with the last attempt.")


class DeliveryPage(Page[DeliveryOut]): ...


class Redelivery(In):
    """Which deliveries to send again: all that is given must fit. Those that are pending are on their way already."""

    from_position: Annotated[str | None, Field(max_length=100, description="Of an event: behind it.")] = None
    to_position: Annotated[str | None, Field(max_length=100, description="Of an event: with it.")] = None
    from_time: Instant | None = None
    to_time: Instant | None = None
    failed_only: bool = True


class Redelivered(Out):
    count: int
    more: bool = Field(description="There was more than one call sends again: ask once more.")

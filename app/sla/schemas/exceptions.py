from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.sla.core.enums import AuthorKind, AutomationKey, Metric
from app.sla.core.policy import AppliesTo, Effect, Scope
from app.sla.schemas.types import AutomationWord, MetricWord, Seconds
from app.web.schemas import FROM_TEXT, Id, In, Instant, Name, Out, Page


class ExceptionKind(StrEnum):
    """`sla` relaxes what is promised, `automation` keeps automated treatment away."""

    sla = "sla"
    automation = "automation"


class SlaExceptionIn(In):
    """`extend` and `retarget` need `seconds`; `freeze` stops time from `starts_at` until `expires_at`. The id that
    belongs to the scope is given, and no other. One of kind `automation` has neither effect nor metrics."""

    kind: Annotated[ExceptionKind, FROM_TEXT] = ExceptionKind.sla
    automations: Annotated[list[AutomationWord], Field(max_length=10)] = Field(
        default=[], description="Of kind `automation`: which are kept away; none named: all."
    )
    scope: Annotated[Scope, FROM_TEXT] = Scope.ticket
    ticket_id: Id | None = None
    customer_id: Id | None = None
    segment_id: Id | None = None
    effect: Annotated[Effect, FROM_TEXT] | None = Field(default=None, description="Of kind `sla`, which needs it.")
    metrics: Annotated[list[MetricWord], Field(max_length=5)] = Field(default=[], description="None named: all.")
    seconds: Seconds | None = None
    applies_to: Annotated[AppliesTo, FROM_TEXT] | None = Field(
        default=None, description="Left out: `running` for one ticket, `started` for every wider scope."
    )
    reason: Annotated[Name, Field(max_length=200)]
    starts_at: Instant | None = Field(default=None, description="Left out: now.")
    expires_at: Instant | None = None


class ExceptionState(StrEnum):
    waiting = "waiting"
    in_force = "in_force"
    expired = "expired"
    revoked = "revoked"


class GrantedBy(Out):
    kind: AuthorKind
    id: UUID | None


class ExceptionReach(Out):
    """What an exception reaches of what runs; clocks that start later are not counted."""

    tickets: int
    clocks: int


class SlaExceptionOut(Out):
    id: UUID
    kind: ExceptionKind
    automations: list[AutomationKey]
    scope: Scope
    ticket_id: UUID | None
    customer_id: UUID | None
    segment_id: UUID | None
    effect: Effect | None
    metrics: list[Metric]
    seconds: int | None
    applies_to: AppliesTo
    reason: str
    granted_by: GrantedBy
    state: ExceptionState
    created_at: datetime
    starts_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    reached: ExceptionReach = Field(description="When it was granted.")


class SlaExceptionPage(Page[SlaExceptionOut]): ...

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.sla.core.clock import ClockState, EndedReason
from app.sla.core.enums import Metric
from app.sla.schemas.policies import TriedPolicyOut
from app.sla.schemas.types import Hours
from app.web.schemas import Item, Out, Page


class SlaClockOut(Out):
    """How long somebody waited, against what was promised. Computed at the instant of the answer."""

    id: UUID
    ticket_id: UUID
    metric: Metric
    cycle: int
    state: ClockState
    at_risk: bool
    policy_id: UUID | None
    policy_version: int | None
    target_seconds: int | None
    hours: Hours
    calendar_id: UUID | None
    calendar_version: int | None
    started_at: datetime
    stopped_at: datetime | None
    due_at: datetime | None
    original_due_at: datetime | None
    elapsed_seconds: float
    remaining_seconds: float | None = Field(
        description="Of the clock's own time until the deadline, negative past it; null once ended."
    )
    paused_seconds: float
    excluded: bool = Field(description="Left out of judgement by an exception.")
    breached_at: datetime | None
    detected_at: datetime | None
    ended_reason: EndedReason | None


class SlaClockPage(Page[SlaClockOut]): ...


class SlaClockList(Out):
    items: list[Item[SlaClockOut]]


class SpanOut(Out):
    start: datetime
    end: datetime
    seconds: float


class PauseKind(StrEnum):
    """A status paused the clock, it was resolved, or an exception had it frozen."""

    status = "status"
    resolved = "resolved"
    frozen = "frozen"


class PauseOut(Out):
    """Time that did not count."""

    kind: PauseKind
    start: datetime
    end: datetime | None
    seconds: float = Field(description="Of the clock's own time, so far.")


class ClockExplanation(Out):
    """Why a clock is due when it is."""

    clock: SlaClockOut
    timezone: str = Field(description="Of the calendar; UTC where every hour counts.")
    due_local: str | None = Field(description="The deadline on the wall there.", examples=["Mon 2026-11-23 10:30"])
    counted: list[SpanOut] = Field(description="What counted, in order, up to the end, the deadline or now.")
    counted_more: bool = Field(description="Whether there are more such spans than are listed.")
    pauses: list[PauseOut]
    arithmetic: list[str] = Field(description="The way from the start to the deadline, a sentence a step.")


class DeadlinesExplanation(Out):
    """Which policy and why, and how each deadline came about."""

    ticket_id: UUID
    at: datetime
    policy_id: UUID | None
    policy_version: int | None
    applied_at: datetime | None = Field(description="When the ticket came under it.")
    because: str | None
    policies: list[TriedPolicyOut]
    clocks: list[ClockExplanation]

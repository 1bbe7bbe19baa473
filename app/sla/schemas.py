from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.segments.schemas import ConditionsIn, ConditionsOut
from app.sla.core.clock import EndedReason, State
from app.sla.core.policy import Metric, Priority
from app.web.schemas import FROM_TEXT, In, Key, Name, Out, Page

TEN_YEARS = 315_360_000

Seconds = Annotated[int, Field(ge=1, le=TEN_YEARS)]
Position = Annotated[int, Field(ge=0, le=1_000_000, description="Policies are tried in this order; ties go by id.")]
Percents = Annotated[list[Annotated[int, Field(ge=1, le=99)]], Field(max_length=10)]


class Hours(StrEnum):
    calendar = "calendar"


class TargetIn(In):
    metric: Annotated[Metric, FROM_TEXT]
    priority: Annotated[Priority, FROM_TEXT] | None = Field(default=None, description="Null is for any priority.")
    seconds: Seconds
    hours: Annotated[Hours, FROM_TEXT] = Hours.calendar
    warn_at_percent: Percents = []


class TargetOut(Out):
    metric: Metric
    priority: Priority | None
    seconds: int
    hours: Hours
    warn_at_percent: list[int]


Targets = Annotated[list[TargetIn], Field(min_length=1, max_length=50)]


class SlaPolicyIn(In):
    key: Key
    name: Name
    position: Position = 100
    conditions: ConditionsIn = ConditionsIn()
    targets: Targets
    bot_counts: bool = Field(default=False, description="Whether a bot's public message counts as a response.")


class SlaPolicyPatch(In):
    key: Key | MISSING = MISSING
    name: Name | MISSING = MISSING
    position: Position | MISSING = MISSING
    conditions: ConditionsIn | MISSING = MISSING
    targets: Targets | MISSING = MISSING
    bot_counts: bool | MISSING = MISSING


class SlaPolicyOut(Out):
    """One version of a policy. A version never changes."""

    id: UUID
    key: str
    name: str
    version: int
    position: int
    conditions: ConditionsOut
    targets: list[TargetOut]
    bot_counts: bool
    created_at: datetime
    archived_at: datetime | None


class SlaPolicyPage(Page[SlaPolicyOut]): ...


class SlaClockOut(Out):
    """How long somebody waited, against what was promised. Computed at the instant of the answer."""

    id: UUID
    ticket_id: UUID
    metric: Metric
    cycle: int
    state: State
    at_risk: bool
    policy_id: UUID | None
    policy_version: int | None
    target_seconds: int | None
    hours: Hours
    started_at: datetime
    stopped_at: datetime | None
    due_at: datetime | None
    original_due_at: datetime | None
    elapsed_seconds: float
    remaining_seconds: float | None = Field(description="Until the deadline, negative past it; null once ended.")
    paused_seconds: float
    breached_at: datetime | None
    detected_at: datetime | None
    ended_reason: EndedReason | None


class SlaClockPage(Page[SlaClockOut]): ...


class SlaClockList(Out):
    items: list[SlaClockOut]

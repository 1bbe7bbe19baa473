from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.segments.condition_schemas import ConditionsIn, ConditionsOut, RuleIn
from app.sla.core.enums import Metric, Priority, Status
from app.sla.core.policy import OnReopen
from app.sla.job_queue import Kind
from app.sla.schemas.types import Hours, MetricWord, Seconds, StatusWord
from app.web.schemas import FROM_TEXT, Id, In, Key, Name, Out, Page

Position = Annotated[int, Field(ge=0, le=1_000_000, description="Policies are tried in this order; ties go by id.")]
Percents = Annotated[list[Annotated[int, Field(ge=1, le=99)]], Field(max_length=10)]


class TargetIn(In):
    metric: MetricWord
    priority: Annotated[Priority, FROM_TEXT] | None = Field(default=None, description="Null is for any priority.")
    seconds: Seconds
    hours: Annotated[Hours, FROM_TEXT] = Hours.calendar
    pause_on: Annotated[list[StatusWord], Field(max_length=6)] | None = Field(
        default=None, description="Statuses in which the clock stands still. Null is what is usual for the metric."
    )
    warn_at_percent: Percents = []


class TargetOut(Out):
    metric: Metric
    priority: Priority | None
    seconds: int
    hours: Hours
    pause_on: list[Status]
    warn_at_percent: list[int]


Targets = Annotated[list[TargetIn], Field(min_length=1, max_length=50)]


class SlaPolicyIn(In):
    key: Key
    name: Name
    position: Position = 100
    conditions: ConditionsIn = ConditionsIn()
    calendar_id: Id | None = Field(default=None, description="The business calendar of targets in business hours.")
    on_reopen: Annotated[OnReopen, FROM_TEXT] = OnReopen.resume
    reopen_on_customer_message: bool = True
    bot_counts: bool = Field(default=False, description="Whether a bot's public message counts as a response.")
    shown_to_customers: bool = True
    targets: Targets


class SlaPolicyPatch(In):
    key: Key | MISSING = MISSING
    name: Name | MISSING = MISSING
    position: Position | MISSING = MISSING
    conditions: ConditionsIn | MISSING = MISSING
    calendar_id: Id | None | MISSING = MISSING
    on_reopen: Annotated[OnReopen, FROM_TEXT] | MISSING = MISSING
    reopen_on_customer_message: bool | MISSING = MISSING
    bot_counts: bool | MISSING = MISSING
    shown_to_customers: bool | MISSING = MISSING
    targets: Targets | MISSING = MISSING


class SlaPolicyOut(Out):
    """One version of a policy. A version never changes."""

    id: UUID
    key: str
    name: str
    version: int
    position: int
    conditions: ConditionsOut
    calendar_id: UUID | None
    on_reopen: OnReopen
    reopen_on_customer_message: bool
    bot_counts: bool
    shown_to_customers: bool = Field(description="Whether customers are told its targets, on the outlook.")
    targets: list[TargetOut]
    created_at: datetime
    archived_at: datetime | None


class SlaPolicyPage(Page[SlaPolicyOut]): ...


class ReapplyIn(In):
    dry_run: bool = Field(default=False, description="Only count what would change.")


class SlaJobState(StrEnum):
    waiting = "waiting"
    running = "running"
    done = "done"
    counted = "counted"


class SlaJobOut(Out):
    """Many tickets matched anew: how far it is, and what it changed. `counted` is a dry run: there is no job."""

    id: UUID | None
    kind: Kind
    subject_id: UUID = Field(description="The policy or the calendar that it is about.")
    state: SlaJobState
    tickets_seen: int
    tickets_total: int | None = Field(description="Tickets that are not done, when it began.")
    tickets: int = Field(description="Put under another policy, version or calendar.")
    clocks: int = Field(description="Given other terms.")
    deadlines: int = Field(description="Moved.")
    breaches: int = Field(description="Past their deadline now, and not before.")
    created_at: datetime
    finished_at: datetime | None


class SlaJobPage(Page[SlaJobOut]): ...


class ExplainIn(In):
    """A ticket, or facts such as `{"ticket.priority": "urgent", "ticket.tags": ["vip"]}`."""

    ticket_id: Id | None = None
    facts: Annotated[dict[Annotated[str, Field(max_length=200)], object], Field(max_length=200)] | None = None


class TriedPolicyOut(Out):
    """One policy, in the order in which they are tried."""

    id: UUID
    key: str
    name: str
    version: int
    position: int
    matches: bool = Field(description="Whether its conditions hold. The first one that matches is taken.")
    taken: bool
    failed: RuleIn | None = Field(description="The first condition that does not hold.")


class SlaPolicyExplanation(Out):
    policies: list[TriedPolicyOut]
    policy_id: UUID | None
    policy_version: int | None

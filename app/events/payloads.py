"""What each type of event tells besides its envelope: ids, words and figures. The fields of a model are all that leaves
the log, so names, addresses and texts are not among them: whoever may read those asks for the thing itself."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.web.schemas import Out


class Nothing(Out):
    """The type and the subject say it all."""


class FieldsChanged(Out):
    """Which fields were set: all of a new or deleted thing, those that differ of a changed one."""

    changed: list[str]


class ChangedVersion(Out):
    """Which fields were set, and the version that this made; null where it made none."""

    version: int | None
    changed: list[str]


class ActedAutomation(Out):
    """The built-in that acted, and the version of its settings."""

    key: str
    version: int


class TicketCreated(Out):
    status: str
    priority: str
    opened_by: str = Field(description="`customer`, `agent`, `bot` or `system`.")
    policy_id: UUID | None = Field(description="The SLA policy that covers it; for staff.")
    policy_version: int | None


class OutlookWorsened(Out):
    """An answer is likely much later than its customer was told: by when now, as its outlook has it."""

    p50: datetime = Field(description="By when half of those who wait so have an answer.")
    p80: datetime = Field(description="By when four of five have one.")
    p95: datetime = Field(description="By when 19 of 20 have one.")
    told_before: datetime = Field(description="The p95 that was told before.")


class OverloadOffered(Out):
    """Its customer may choose how to get an answer, because a goal was about to be missed."""

    choices: list[str] = Field(description="Of `article`, `call_back` and `wait`.")
    goal_id: UUID | None = Field(description="The goal; for staff.")


class OverloadChosen(Out):
    """`call_back` comes with a promise by that instant."""

    choice: str = Field(description="`call_back` or `wait`.")
    call_back_by: datetime | None = Field(description="What is promised; null where they wait.")


class StatusChanged(Out):
    before: str
    after: str
    automation: ActedAutomation | None = Field(description="What did it, where nobody did.")


class SolvedByArticle(Out):
    article_id: UUID


class TicketValues(Out):
    """Null as well where it did not change: see `changed`."""

    priority: str | None
    type: str | None
    channel: str | None
    product: str | None
    tags: list[str] | None
    customer_id: UUID | None
    organization_id: UUID | None
    assignee_id: UUID | None
    team_id: UUID | None


class TicketUpdated(Out):
    changed: list[str] = Field(description="Every field that differs, also those whose values stay inside.")
    before: TicketValues
    after: TicketValues


class TicketMerged(Out):
    into: UUID
    number: int = Field(description="The number of the ticket that goes on.")


class TicketAbsorbed(Out):
    source_id: UUID
    number: int = Field(description="The number of the ticket that was merged.")
    waiting_since: datetime | None = Field(description="Since when the customer waits here because of it.")


class TicketUnmerged(Out):
    """The merge into `target_id` was undone: the ticket goes on by itself."""

    target_id: UUID
    number: int = Field(description="The number of the ticket that it had gone into.")
    merged_at: datetime


class TicketReleased(Out):
    """A merge into this ticket was undone."""

    source_id: UUID
    number: int = Field(description="The number of the ticket that goes on by itself.")
    moved: bool = Field(description="Whether the customer waits here since another instant now, or not any more.")
    waiting_since: datetime | None


class TicketSnoozed(Out):
    until: datetime


class TicketWoken(Out):
    """A snoozed ticket is back in the queue."""

    because: str = Field(description="`time`, `customer`, who wrote, `reminder`, or `agent`.")


class TicketClaimed(Out):
    """It was given to an agent, who is to answer it next."""

    agent_id: UUID
    answer_by: datetime
    why: str
    reason: str


class ClaimEnded(Out):
    """It was given back, or taken back because it was not answered: it is nobody's again."""

    agent_id: UUID
    claimed_at: datetime


class TicketLinked(Out):
    kind: str
    source_id: UUID
    target_id: UUID


class MessageCreated(Out):
    visibility: str = Field(description="`public` or `internal`; a customer is never told of an internal one.")
    opening: bool = Field(description="Whether it is the description the ticket was opened with.")
    attachment_ids: list[UUID]
    automation: ActedAutomation | None = Field(description="What wrote it, where nobody did.")
    article_ids: list[UUID] = Field(description="The articles that it offers.")


class MessageReplaced(Out):
    version: int


class AttachmentChanged(Out):
    """`published` is what was internal and went with a public message: the first that its customer hears of it."""

    size_bytes: int
    content_type: str
    visibility: str


class PromiseMade(Out):
    cycle: int
    due_at: datetime


class PromiseEnded(Out):
    cycle: int


class ClockAlert(Out):
    clock_id: UUID
    metric: str
    cycle: int
    target_seconds: int
    percent: int | None = Field(description="Of the target, at which a warning is given; 0 or null for a breach.")


class ClockEnded(Out):
    clock_id: UUID
    metric: str
    cycle: int
    target_seconds: int | None
    elapsed_seconds: float
    reason: str | None = Field(description="Why it ended without an answer.")


class SatisfactionGiven(Out):
    """What a customer said of a resolution, without their words."""

    resolved_at: datetime
    score: int = Field(description="1 to 5.")
    met: list[str] = Field(description="Expectations: `accuracy`, `availability`, `partnership`, `advice`.")
    missed: list[str] = Field(description="Likewise.")


class PolicyApplied(Out):
    policy_id: UUID | None
    policy_version: int | None
    because: str


class ExceptionsApplied(Out):
    """Those that reach the ticket from now on."""

    exception_ids: list[UUID]
    because: str


class ExceptionGranted(Out):
    """Of a customer's own nothing is told any more once they are erased."""

    kind: str | None = Field(description="`sla`, or `automation`.")
    scope: str | None
    customer_id: UUID | None
    segment_id: UUID | None
    automations: list[str] = Field(description="Which built-ins it keeps away; none named: all of them.")
    effect: str | None
    metrics: list[str]
    seconds: int | None
    applies_to: str | None = Field(description="`started`, or `running` too.")
    starts_at: datetime | None
    expires_at: datetime | None


class Reapplied(Out):
    job_id: UUID


class GoalJudged(Out):
    metric: str
    statistic: str
    target_seconds: int
    target_percent: float | None = None
    value: float | None = Field(default=None, description="As the goal's status had it at that instant.")
    mean_floor: float | None
    crosses_at: datetime | None = Field(description="When the goal is missed if nothing more is answered.")


class GoalUnfair(Out):
    """The group that is worst off, and how much of the gap chance leaves."""

    metric: str
    target_seconds: int
    by: str = Field(description="`segment`, `region` or `language`.")
    max_gap_points: float
    group: str
    behind: str
    waits: int
    attainment: float
    gap_points: float
    at_least_points: float


class TeamsChanged(Out):
    joined: list[UUID]
    left: list[UUID]


class AvailableOnChannel(Out):
    channel: str
    capacity: int


class AvailabilityChanged(Out):
    """An agent is there, or is not, or takes other tickets than before."""

    before: str = Field(description="`online`, `away` or `offline`.")
    after: str
    because: str = Field(description="`said`, or what ended it: `silence` or `until`.")
    capacity: int
    channels: list[AvailableOnChannel] | None = Field(description="Null: every channel.")
    skills: list[str]
    until: datetime | None


class CustomersMerged(Out):
    source_id: UUID
    target_id: UUID


class KeyCreated(Out):
    role: str | None = Field(description="Null once the customer whose it was is erased.")


class MembershipChanged(Out):
    segment_id: UUID
    key: str = Field(description="The segment's key at that time.")
    rule_version: int | None
    override_id: UUID | None = Field(description="The override that decided it; null where it was the rule.")


class OverrideChanged(Out):
    override_id: UUID
    segment_id: UUID
    effect: str | None = Field(description="`include` or `exclude`; null where it expired.")
    expires_at: datetime | None

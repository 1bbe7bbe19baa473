"""The wire shapes of segments, their members, overrides and jobs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.segments.condition_schemas import RuleIn
from app.web.schemas import FROM_TEXT, Id, In, Instant, Key, Name, Out, Page, Prose

Position = Annotated[int, Field(ge=0, le=1_000_000, description="A ticket is counted to its customer's first segment.")]
Text = Annotated[Prose, Field(max_length=2000)]
_RULE = "Whom it holds; without one, only overrides make members."
_SELF_SERVICE = "Whether its customers are first shown answers."
_JUDGED = "Whether its customers' clocks are judged; if not, they are excluded, as by an exception."


class SegmentIn(In):
    key: Key
    name: Name
    description: Text | None = None
    need: Text | None = Field(default=None, description="What its customers need, in a word.")
    position: Position = 100
    rule: RuleIn | None = Field(default=None, description=_RULE)
    self_service: bool = Field(default=False, description=_SELF_SERVICE)
    judged: bool = Field(default=True, description=_JUDGED)


class SegmentPatch(In):
    key: Key | MISSING = Field(default=MISSING, description="It cannot change: rules, reports and tickets name it.")
    name: Name | MISSING = MISSING
    description: Text | None | MISSING = MISSING
    need: Text | None | MISSING = MISSING
    position: Position | MISSING = MISSING
    rule: RuleIn | None | MISSING = Field(default=MISSING, description="Replaced whole.")
    self_service: bool | MISSING = MISSING
    judged: bool | MISSING = MISSING


class SegmentOut(Out):
    id: UUID
    key: str
    name: str
    description: str | None
    need: str | None
    position: int
    rule: RuleIn | None
    rule_version: int
    self_service: bool
    judged: bool
    archived_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class SegmentPage(Page[SegmentOut]): ...


class SegmentVersionOut(Out):
    """What a segment's rule was. A version never changes."""

    version: int
    rule: RuleIn | None
    created_at: datetime


class SegmentVersionPage(Page[SegmentVersionOut]): ...


class MembershipReason(StrEnum):
    rule = "rule"
    override = "override"


class MemberOut(Out):
    customer_id: UUID
    since: datetime
    reason: MembershipReason
    rule_version: int | None = Field(description="The version of the rule by which they came in.")
    override_id: UUID | None


class MemberPage(Page[MemberOut]): ...


class MembershipOut(Out):
    """One stay in a segment; `until` is null while it lasts."""

    segment_id: UUID
    key: str
    name: str
    position: int
    since: datetime
    until: datetime | None
    reason: MembershipReason
    rule_version: int | None
    override_id: UUID | None
    override_reason: str | None


class MembershipPage(Page[MembershipOut]): ...


class OverrideEffect(StrEnum):
    include = "include"
    exclude = "exclude"


class OverrideIn(In):
    customer_id: Id
    effect: Annotated[OverrideEffect, FROM_TEXT]
    reason: Name
    expires_at: Instant | None = None


class MadeBy(Out):
    kind: str
    id: UUID | None


class OverrideOut(Out):
    id: UUID
    segment_id: UUID
    customer_id: UUID
    effect: OverrideEffect
    reason: str
    made_by: MadeBy
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None = Field(description="When it was taken back, or expired.")


class OverridePage(Page[OverrideOut]): ...


class PreviewIn(In):
    rule: RuleIn


class PreviewOut(Out):
    """Whom a rule would hold now, without overrides. Nothing is stored."""

    count: int
    sample: list[UUID] = Field(description="Some of these customers, ten at most.")


class SegmentJobKind(StrEnum):
    """Why customers are looked at anew."""

    rule_changed = "rule_changed"
    archived = "archived"
    judgement_changed = "judgement_changed"
    organization_changed = "organization_changed"


class SegmentJobState(StrEnum):
    waiting = "waiting"
    running = "running"
    done = "done"


class SegmentJobOut(Out):
    """Many customers decided on anew: how far it is, and what it changed. Their open tickets follow, as an SLA job."""

    id: UUID
    kind: SegmentJobKind
    subject_id: UUID = Field(description="The segment or the organization that it is about.")
    state: SegmentJobState
    customers_seen: int
    customers_total: int | None = Field(description="Estimated when it began.")
    added: int
    removed: int
    created_at: datetime
    finished_at: datetime | None


class SegmentJobPage(Page[SegmentJobOut]): ...

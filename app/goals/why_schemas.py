from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.sla.core.enums import Metric
from app.sla.core.replayed_queue import Cause
from app.sla.core.wait_parts import WaitPart
from app.sla.schemas.local_time import SpanQuery
from app.web.schemas import Item, Out


class GoalWhyQuery(SpanQuery):
    """Both left out: the window of the goal's last miss, or the present one where it was never missed."""


class Dimension(StrEnum):
    """What waits are told apart by: as it was when they ended."""

    priority = "priority"
    channel = "channel"
    type_ = "type"
    segment = "segment"
    region = "region"
    team = "team"
    agent = "agent"


class Verdict(StrEnum):
    """`causes`: those that are `named`. `normal_variation`: none does more than usual windows do to one another.
    `unknown`: there is one usual window only."""

    causes = "causes"
    normal_variation = "normal_variation"
    unknown = "unknown"


class WindowMean(Out):
    start: datetime
    end: datetime
    waits: int = Field(description="Answered ones and running ones, with the wait so far.")
    mean_seconds: float | None


class TicketSeconds(Out):
    ticket_id: UUID
    seconds: float


class PartOfWaits(Out):
    part: WaitPart
    before_seconds: float = Field(description="Of the mean wait.")
    after_seconds: float
    change_seconds: float
    tickets: list[Item[TicketSeconds]] = Field(description="Those with most of it, and how much.")


class GroupOfWaits(Out):
    group: str | None = Field(description="A word, key or id; null where there is none.")
    waits_before: int
    waits_after: int
    mean_before_seconds: float | None
    mean_after_seconds: float | None
    mix_seconds: float
    within_seconds: float
    tickets: list[Item[TicketSeconds]] = Field(description="Those that waited longest.")


class DimensionOfWaits(Out):
    """Of the groups `mix_seconds`, that their shares are others, and `within_seconds`, that their means are, add up to
    the change, with those of the `others`."""

    dimension: Dimension
    groups: list[Item[GroupOfWaits]] = Field(description="Those with the largest effects.")
    others_mix_seconds: float
    others_within_seconds: float


class CauseOfWaits(Out):
    cause: Cause
    effect_seconds: float
    named: bool = Field(description="It is beyond what usual windows do to one another.")
    tickets: list[Item[TicketSeconds]] = Field(description="Those that show it most, and how much of it each has.")


class CausesOfWaits(Out):
    """What each cause did, over replays of the queue; with the rest, which replays do not explain, they add up to the
    change."""

    verdict: Verdict
    items: list[Item[CauseOfWaits]]
    rest_seconds: float
    spread_seconds: float | None = Field(description="The largest effect between usual windows.")
    windows: int = Field(description="Usual ones: up to five before.")
    handling_scale: float = Field(description="With it, times replayed, the usual mean is the observed one.")


class GoalWhy(Out):
    """The change of the mean wait against the window before, of the same length, in parts that add up exactly."""

    goal_id: UUID
    metric: Metric
    before: Item[WindowMean]
    after: Item[WindowMean]
    change_seconds: float
    in_words: str
    parts: list[Item[PartOfWaits]] = Field(description="Where the seconds went.")
    dimensions: list[Item[DimensionOfWaits]]
    causes: Item[CausesOfWaits] | None
    because: str | None = Field(description="Why no causes could be told.")

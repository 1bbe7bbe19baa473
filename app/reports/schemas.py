from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.sla.core.words import Metric
from app.web.query import AnyOf
from app.web.schemas import FROM_TEXT, Instant, Out


class Interval(StrEnum):
    hour = "hour"
    day = "day"
    week = "week"
    month = "month"


class GroupBy(StrEnum):
    team = "team"
    agent = "agent"
    priority = "priority"
    channel = "channel"
    product = "product"
    segment = "segment"
    region = "region"
    policy = "policy"


class Percentiles(StrEnum):
    nearest_rank = "nearest_rank"


class Exceptions(StrEnum):
    """Judged with the exceptions that were granted (what they exclude is left out), or as if there were none."""

    with_ = "with"
    without = "without"


class Unanswered(Out):
    """Clocks that ended without an answer, by reason."""

    resolved_without_response: int
    closed_by_customer: int
    merged: int
    withdrawn: int
    exception: int


class ReportGroup(Out):
    """What an item is about; null where the tickets have none, and for what was not asked for."""

    team: UUID | None
    agent: UUID | None
    priority: str | None
    channel: str | None
    product: str | None
    segment: str | None = Field(description="When the ticket was opened.")
    region: str | None = Field(description="Of the customer, as it is now.")
    policy: UUID | None


class ResponseTimes(Out):
    """One interval and group. `count`, the mean and the percentiles are over answered clocks."""

    interval_start: datetime | None
    group: ReportGroup
    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    attainment: float | None = Field(description="Met over met and breached.")
    met: int
    breached: int
    cancelled: int
    running: int
    unanswered: Unanswered
    unanswered_wait_mean: float | None


class Cohort(StrEnum):
    """Which clocks a figure is over: those that started in the span."""

    started = "started"


class ResponseTimesReport(Out):
    items: list[ResponseTimes]
    cohort: Cohort
    percentiles: Percentiles


class Backlog(Out):
    """The open tickets of a group as they are at this instant."""

    group: ReportGroup
    open: int
    waiting: int = Field(description="Of these, those whose customer waits for an answer.")
    oldest_wait_seconds: float | None = Field(description="Since the first of them began to wait, by every hour.")
    at_risk: int = Field(description="Of the open ones, as the filter `sla` of tickets has it.")
    breached: int = Field(description="Likewise.")


class BacklogReport(Out):
    items: list[Backlog]


class BacklogQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    group_by: AnyOf[Annotated[GroupBy, FROM_TEXT]] = None


class SelfServiceGroup(StrEnum):
    segment = "segment"
    article = "article"


class SelfServiceOf(Out):
    """What an item is about; null for what was not asked for. `segment` is a key."""

    segment: str | None
    article: UUID | None


class SelfServiceFigures(Out):
    group: SelfServiceOf
    offered: int = Field(description="Tickets that got answers before a person answered.")
    deflected: int = Field(description="Of these, those that an article resolved: by article, this one.")
    handed_off: int = Field(description="Of these, those for which a person was asked nonetheless.")


class SelfServiceReport(Out):
    items: list[SelfServiceFigures]


class SpanQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: Annotated[Instant | None, Field(alias="from", description="Inclusive; left out: from the beginning.")] = None
    to: Annotated[Instant | None, Field(description="Exclusive; left out: up to now.")] = None


class SelfServiceQuery(SpanQuery):
    group_by: AnyOf[Annotated[SelfServiceGroup, FROM_TEXT]] = None


class ReportQuery(SpanQuery):
    metric: Annotated[Metric, FROM_TEXT] = Metric.first_response
    interval: Annotated[Interval, FROM_TEXT] | None = None
    group_by: AnyOf[Annotated[GroupBy, FROM_TEXT]] = None
    exceptions: Annotated[Exceptions, FROM_TEXT] = Exceptions.with_

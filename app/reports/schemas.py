from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.sla.core.enums import Channel, Metric, Priority, TicketType
from app.sla.schemas.local_time import SpanQuery
from app.web.query import NONE, NONE_OR_ME, AnyOf, Ids, MyIds, MyIdsOrNone, OrNone
from app.web.schemas import FROM_TEXT, Out


class Interval(StrEnum):
    hour = "hour"
    day = "day"
    week = "week"
    month = "month"


class GroupBy(StrEnum):
    """What a figure is about. `agent` answered, `assignee` had the ticket."""

    segment = "segment"
    team = "team"
    agent = "agent"
    assignee = "assignee"
    priority = "priority"
    channel = "channel"
    type = "type"
    region = "region"
    product = "product"
    policy = "policy"
    customer = "customer"
    organization = "organization"
    tag = "tag"


class Percentiles(StrEnum):
    """Each a wait that somebody had, or, over many, at most 1 % off it."""

    nearest_rank = "nearest_rank"
    histogram = "histogram"


class Exceptions(StrEnum):
    """Judged with the exceptions that were granted (what they exclude is left out), or as if there were none."""

    with_ = "with"
    without = "without"


class Unanswered(Out):
    """Clocks that ended without an answer, by reason."""

    resolved_without_response: int
    closed_by_customer: int
    merged: int
    spam: int = Field(description="Those of tickets marked as spam, answered ones too: they are in no other figure.")
    withdrawn: int
    exception: int


class ReportGroup(Out):
    """What an item is about, as it was when the clock ended, and as it is now while the clock runs; null where there is
    none, and for what was not asked for. Names are for whoever has the scope to read what is called so."""

    segment: str | None = Field(description="The key, of when the ticket was opened.")
    segment_name: str | None
    team: UUID | None
    team_name: str | None
    agent: UUID | None = Field(
        description="Who stopped the clock: by the answer, for resolutions and promises by resolving and keeping them. "
        "In the backlog the assignee, of handling times who wrote the message, of quality as each part says."
    )
    agent_name: str | None
    assignee: UUID | None = Field(description="Who had the ticket.")
    assignee_name: str | None
    priority: str | None
    channel: str | None
    type: str | None
    region: str | None = Field(description="Of the customer.")
    product: str | None
    policy: UUID | None = Field(description="Which set the target; where none did, which the ticket stood under.")
    policy_name: str | None
    customer: UUID | None
    customer_name: str | None
    organization: UUID | None
    organization_name: str | None
    tag: str | None = Field(description="A ticket with several tags counts with each.")


class HistogramBucket(Out):
    """Answered waits above the bucket before and up to this."""

    up_to_seconds: float | None = Field(description="Inclusive; null: all that are longer.")
    count: int


class ResponseTimes(Out):
    """One interval and group, over the clocks that started in it. Waits are in the clock's own time, `mean_wall` aside.
    What an exception excludes is in `excluded`, and in `mean_floor` and `mean_wall`, which leave out nobody's wait."""

    interval_start: datetime | None
    group: ReportGroup
    answered: int
    mean_answered: float | None = Field(
        description="Of answered waits alone: gets better while nobody answers, so look at `mean_floor`."
    )
    mean_floor: float | None = Field(
        description="Of answered waits and those who still wait, with the wait so far. Waiting can only raise it, and "
        "no exception lowers it."
    )
    mean_wall: float | None = Field(description="`mean_floor` in plain seconds, whatever the calendar and pauses.")
    p50: float | None = Field(description="Nearest rank, of answered waits, as all percentiles.")
    p90: float | None
    p95: float | None
    p99: float | None
    attainment: float | None = Field(description="Percent: met over met and breached.")
    met: int
    breached: int = Field(description="Past the deadline, answered since or not.")
    breached_running: int = Field(description="Of these, those that still wait.")
    cancelled: int = Field(description="Ended unanswered within the target.")
    running: int = Field(description="Still waiting, late ones included.")
    excluded: int = Field(description="Left out of judgement by an exception; none `without` exceptions.")
    unanswered: Unanswered
    unanswered_wait_mean: float | None
    histogram: list[HistogramBucket] | None = Field(description="Of answered waits, where `buckets` are asked for.")


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
    oldest_ticket_id: UUID | None = Field(description="Whose wait that is.")
    at_risk: int = Field(description="Of the open ones, as the filter `sla` of tickets has it.")
    breached: int = Field(description="Likewise.")


class BacklogReport(Out):
    items: list[Backlog]


_Text = OrNone[Annotated[str, Field(max_length=200)]]
_EMPTY = Field(default=None, description=NONE)


class GroupQuery(BaseModel):
    """Groups, and the same names as filters: any of several values, `none` for what is empty, `me` for the caller."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group_by: AnyOf[Annotated[GroupBy, FROM_TEXT]] = None
    segment: _Text = _EMPTY
    team: OrNone[UUID] = _EMPTY
    agent: MyIdsOrNone = Field(default=None, description=NONE_OR_ME)
    assignee: MyIdsOrNone = Field(default=None, description=NONE_OR_ME)
    priority: AnyOf[Annotated[Priority, FROM_TEXT]] = None
    channel: AnyOf[Annotated[Channel, FROM_TEXT]] = None
    type: AnyOf[Annotated[TicketType, FROM_TEXT]] = None
    region: _Text = _EMPTY
    product: _Text = _EMPTY
    policy: OrNone[UUID] = _EMPTY
    customer: Ids = None
    organization: OrNone[UUID] = _EMPTY
    tag: _Text = _EMPTY
    excel: Annotated[bool, Field(description="As CSV, with the mark by which Excel knows UTF-8.")] = False

    @property
    def filters(self) -> dict[GroupBy, tuple[object, ...]]:
        """Once the words are what they stand for (`resolved`)."""
        given = {group: getattr(self, group) for group in GroupBy}
        return {group: values for group, values in given.items() if values is not None}


class BacklogQuery(GroupQuery): ...


class HandlingTimesQuery(SpanQuery, GroupQuery): ...


class HandlingTimes(Out):
    """Of a group, over the messages that were written in the span and say how long the staff worked on them."""

    group: ReportGroup
    tickets: int
    messages: int
    handling_seconds: float = Field(description="Of all of them, added up.")
    mean_handling_seconds: float | None = Field(description="Of a message.")


class HandlingTimesReport(Out):
    items: list[HandlingTimes]


class AvailabilityGroup(StrEnum):
    agent = "agent"
    team = "team"


class AvailabilityReportQuery(SpanQuery):
    group_by: AnyOf[Annotated[AvailabilityGroup, FROM_TEXT]] = None
    agent: MyIds = Field(default=None, description="`me` is the caller.")
    team: OrNone[UUID] = _EMPTY


class AvailabilityFigures(Out):
    group: ReportGroup
    online_seconds: float
    away_seconds: float
    answered: int = Field(description="Waits for a first or next answer that they ended in the span.")
    answered_online: int = Field(description="Of these, while they were online.")
    answered_per_hour: float | None = Field(description="Of what was answered online, an hour online.")


class AvailabilityReport(Out):
    items: list[AvailabilityFigures]


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


class SelfServiceQuery(SpanQuery):
    group_by: AnyOf[Annotated[SelfServiceGroup, FROM_TEXT]] = None


class OverloadGroup(StrEnum):
    segment = "segment"


class OverloadFigures(Out):
    """Each offer counts once among those who chose, by what they chose last."""

    segment: str | None = Field(description="The key; null where it was not asked for, and for who was in none.")
    offered: int = Field(description="Tickets whose customers were offered something.")
    article: int = Field(description="Of these, those that an article resolved.")
    call_back: int = Field(description="Of these, those that chose to be called back.")
    wait: int = Field(description="Of these, those that chose to wait.")
    person: int = Field(description="Of these, those that asked for a person.")
    undecided: int = Field(description="Of these, those that chose nothing.")
    call_backs_kept: int = Field(description="Call backs that came by the instant that was promised.")
    call_backs_late: int = Field(description="Call backs that came later, or are overdue.")


class OverloadReport(Out):
    items: list[OverloadFigures]


class OverloadQuery(SpanQuery):
    group_by: AnyOf[Annotated[OverloadGroup, FROM_TEXT]] = None


_TEN_YEARS = 315_360_000
Bucket = Annotated[float, Field(gt=0, le=_TEN_YEARS)]


class ReportQuery(SpanQuery, GroupQuery):
    metric: Annotated[Metric, FROM_TEXT] = Metric.first_response
    interval: Annotated[Interval | None, FROM_TEXT] = None
    exceptions: Annotated[Exceptions, FROM_TEXT] = Exceptions.with_
    buckets: AnyOf[Bucket] = Field(
        default=None, description="Upper ends in seconds, for a histogram.", examples=[[15, 30, 60, 90]]
    )

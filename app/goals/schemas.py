from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.customers.schemas import Region
from app.sla.core.enums import Channel, Metric, Priority
from app.sla.core.goal import Judgement
from app.sla.schemas.calendars import Zone
from app.sla.schemas.local_time import SpanQuery
from app.sla.schemas.types import Seconds
from app.web.schemas import FROM_TEXT, Id, In, Key, Name, Out, Page


class Statistic(StrEnum):
    """What of the waits is held against `target_seconds`: their mean, a percentile (nearest rank), or how many percent
    of them are within it. `fairness`: how far any group's attainment is below the best one's."""

    mean = "mean"
    p50 = "p50"
    p90 = "p90"
    p95 = "p95"
    p99 = "p99"
    attainment = "attainment"
    fairness = "fairness"


class FairnessBy(StrEnum):
    """Whose attainments are compared; tickets without such a thing are nobody's. The language is the customer's now."""

    segment = "segment"
    region = "region"
    language = "language"


MaxGap = Annotated[float, Field(ge=0, lt=100, multiple_of=0.01, description="In points of attainment.")]


class GoalFairness(In):
    by: Annotated[FairnessBy, FROM_TEXT]
    max_gap_points: MaxGap


class GoalFairnessPatch(In):
    by: Annotated[FairnessBy, FROM_TEXT] | MISSING = MISSING
    max_gap_points: MaxGap | MISSING = MISSING


class GoalWindow(In):
    """Which clocks are judged: those that started in the last so many seconds, or today. One of the two."""

    rolling_seconds: Annotated[int, Field(ge=1, le=31 * 86_400)] | None = None
    calendar_day: Zone | None = Field(default=None, description="The time zone whose date it is.")


class GoalFilter(In):
    """All that is given must fit: as it was when the clock ended, and as it is while the clock runs."""

    priority: Annotated[Priority, FROM_TEXT] | None = None
    channel: Annotated[Channel, FROM_TEXT] | None = None
    team_id: Id | None = None
    segment: Key | None = Field(default=None, description="Of tickets that were opened in this segment.")
    region: Region | None = Field(default=None, description="Of the customer.")


Percent = Annotated[
    float,
    Field(gt=0, le=100, multiple_of=0.01, description="For attainment: so many percent within the target, at least."),
]


class ServiceGoalIn(In):
    key: Key
    name: Name
    metric: Annotated[Metric, FROM_TEXT] = Metric.first_response
    statistic: Annotated[Statistic, FROM_TEXT] = Statistic.mean
    target_seconds: Seconds
    target_percent: Percent | None = None
    fairness: GoalFairness | None = Field(default=None, description="For that statistic: between whom, how much.")
    filter: GoalFilter = GoalFilter()
    window: GoalWindow


class ServiceGoalPatch(In):
    key: Key | MISSING = MISSING
    name: Name | MISSING = MISSING
    target_seconds: Seconds | MISSING = MISSING
    target_percent: Percent | MISSING = MISSING
    fairness: GoalFairnessPatch | MISSING = MISSING
    filter: GoalFilter | MISSING = MISSING
    window: GoalWindow | MISSING = MISSING


class ServiceGoalOut(Out):
    id: UUID
    key: str
    name: str
    metric: Metric
    statistic: Statistic
    target_seconds: int
    target_percent: float | None
    fairness: GoalFairness | None
    filter: GoalFilter
    window: GoalWindow
    version: int
    created_at: datetime
    updated_at: datetime


class ServiceGoalPage(Page[ServiceGoalOut]): ...


class HistoryInterval(StrEnum):
    hour = "hour"
    day = "day"


class GoalHistoryQuery(SpanQuery):
    """`timezone` left out: that of the goal's calendar day, else UTC."""

    interval: Annotated[HistoryInterval, FROM_TEXT] = HistoryInterval.day


class GoalInterval(Out):
    """How the goal stood by the clocks that started in one day or hour, worked out from them as they are now: a
    correction corrects the past, too. Who still waits counts with the wait so far."""

    start: datetime
    end: datetime
    statistic: Statistic
    target_seconds: int = Field(description="What the goal asked for at the end of the interval.")
    target_percent: float | None
    judgement: Judgement
    value: float | None = Field(description="What is judged: seconds, or percent.")
    answered: int
    running: int
    unanswered: int
    excluded: int
    spam: int
    mean_answered: float | None
    mean_floor: float | None
    misses: int | None
    allowed_misses: int | None
    budget_spent: float | None
    missed_seconds: float | None = Field(
        description="For how long of it the goal stood missed, as the worker saw it; null before there was the goal."
    )


class GoalHistory(Out):
    goal_id: UUID
    timezone: str
    items: list[GoalInterval]


class FairnessGroup(Out):
    """`value` on a goal's status is the largest of the `at_least_points`."""

    group: str
    waits: int
    attainment: float
    behind: str | None = Field(description="The group that it is most surely behind.")
    gap_points: float | None
    at_least_points: float | None = Field(
        description="The gap that chance leaves, by Newcombe's interval; where it is more than allowed, that is unfair."
    )
    needed: int | None = Field(description="Of so many waits, with these attainments, it could be said.")


class ServiceGoalStatus(Out):
    """The goal judged at one instant, honestly: who still waits is counted with the wait so far."""

    goal_id: UUID
    at: datetime
    window_start: datetime
    judgement: Judgement
    statistic: Statistic
    target_seconds: int
    target_percent: float | None
    answered: int
    running: int
    unanswered: int = Field(description="Ended without an answer; in no mean, percentile or attainment.")
    excluded: int
    spam: int = Field(description="Of tickets marked as spam; in no other figure.")
    mean_answered: float | None
    mean_floor: float | None = Field(description="Answered and running waits over both; waiting can only raise it.")
    value: float | None = Field(
        description="What is judged: the statistic over answered and running waits, in seconds, or in percent."
    )
    value_answered: float | None = Field(description="The same over answered waits alone.")
    slack_seconds: float | None = Field(
        description="For a mean: what may still be waited in all before it passes the target."
    )
    misses: int | None = Field(description="For a percentile or attainment: waits that are longer than the target.")
    allowed_misses: int | None = Field(description="The most with which the goal is met.")
    crosses_at: datetime | None = Field(description="When the goal is missed if nothing more is answered.")
    budget_spent: float | None = Field(
        description="The share of the window's error budget that is used up: of a mean, of the seconds that may be "
        "waited; else of the waits that may be too long. Over 1 the goal is missed, but for what rounding leaves."
    )
    short_window_seconds: int = Field(description="The last twelfth of the window.")
    burn_rate: float | None = Field(
        description="`budget_spent` of the short window alone: over 1, the budget is being used up too fast."
    )
    groups: list[FairnessGroup] | None = Field(description="For fairness: the worst first, of the 50 largest.")

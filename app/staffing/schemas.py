from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.goals.schemas import GoalFilter, Percent, Statistic
from app.sla.core.staffing import MOST_AGENTS
from app.sla.schemas.calendars import Day, Zone
from app.sla.schemas.types import Seconds
from app.web.schemas import FROM_TEXT, Id, In, Out

MOST_INTERVALS = 672


class StaffingInterval(StrEnum):
    quarter_hour = "quarter_hour"
    half_hour = "half_hour"
    hour = "hour"


class StaffingTarget(In):
    """A percentile or an attainment is of all who come: who gives up was not answered in time."""

    statistic: Annotated[Statistic, FROM_TEXT] = Statistic.mean
    target_seconds: Seconds
    target_percent: Percent | None = None


class StaffingForecastIn(In):
    """Either `goal_id` or `target`. What is left out is learnt from the past."""

    goal_id: Id | None = Field(default=None, description="A goal of first responses, with its filter.")
    target: StaffingTarget | None = Field(default=None, description="In place of a goal.")
    filter: GoalFilter | None = Field(default=None, description="With `target`: whose waits the past is made of.")
    max_abandoned_percent: Annotated[
        float, Field(gt=0, le=50, description="So many of those who come may give up. A mean alone bounds nobody.")
    ] = 5
    from_: Day | None = Field(default=None, alias="from", description="By the `timezone`; left out: tomorrow.")
    days: Annotated[int, Field(ge=1, le=14, description="So many are planned.")] = 7
    timezone: Zone = "UTC"
    interval: Annotated[StaffingInterval, FROM_TEXT, Field(description="How long each is.")] = StaffingInterval.hour
    weeks: Annotated[int, Field(ge=1, le=12, description="Of the past.")] = 8
    arrivals_quantile: Annotated[
        float, Field(ge=0.5, le=0.99, description="Of the same intervals of past weeks, planned for.")
    ] = 0.8
    arrivals: Annotated[
        list[Annotated[float, Field(ge=0, le=1_000_000)]] | None,
        Field(min_length=1, max_length=MOST_INTERVALS, description="One interval after the other, in place of `days`."),
    ] = None
    handling_seconds: Annotated[float | None, Field(ge=1, le=604_800, description="Work on a ticket, on average.")] = (
        None
    )
    patience_seconds: Annotated[
        float | None, Field(ge=1, le=2_678_400, description="Until a customer gives up, on average.")
    ] = None
    shrinkage: Annotated[
        float, Field(ge=0, le=0.95, multiple_of=0.001, description="The share of scheduled agents who are not at work.")
    ] = 0


class StaffingOption(Out):
    """What so many agents come to; percents are of all who come."""

    agents: int = Field(description="At work.")
    scheduled: int = Field(description="With shrinkage.")
    mean_wait_seconds: float | None = Field(description="Until answered or given up; null where it grows for ever.")
    within_percent: float = Field(description="Answered within the target's seconds.")
    abandoned_percent: float = Field(description="Gave up.")
    occupancy_percent: float = Field(description="The share of the time in which an agent is busy.")


class StaffingItem(Out):
    start: datetime
    end: datetime
    arrivals: float | None = Field(description="Planned for; null where no such interval is past.")
    past_intervals: int = Field(description="So many it was learnt from.")
    agents: int | None = Field(description=f"The fewest that meet the target and the bound; null over {MOST_AGENTS:,}.")
    scheduled: int | None = Field(description="With shrinkage.")
    options: list[StaffingOption] = Field(description="One less, as many, one more.")


class StaffingPatience(Out):
    """Of past waits. Kaplan and Meier's percentiles assume nothing; the mean assumes that nobody ever grows weary."""

    waits: int
    abandoned: int = Field(description="Closed by the customer, unanswered.")
    mean_seconds: float | None = Field(description="All waits over the number who gave up.")
    p25: float | None = Field(description="By then a quarter have given up; null where that was not seen.")
    p50: float | None


class StaffingError(Out):
    """Hour by hour, from what was known before it, and how many came and were online in it. Nothing was peeked at."""

    hours: int = Field(description="Those that could be judged.")
    mean_wait_seconds: float = Field(description="That came.")
    mean_absolute_error_seconds: float = Field(description="Of the model.")
    error_percent: float | None = Field(description="Of the mean wait that came.")
    as_before_error_seconds: float = Field(description="Of saying: as at this hour of the day before.")
    hours_without_answer: int = Field(description="For which the model has no finite wait.")
    at_work_percent: float = Field(description="Of those online: so many at work fit the model best.")


class StaffingArrivalsError(Out):
    intervals: int = Field(description="Those of the past that could be judged.")
    covered_percent: float = Field(description="Had no more arrivals than would have been planned for them.")


class StaffingForecast(Out):
    goal_id: UUID | None
    statistic: Statistic
    target_seconds: int
    target_percent: float | None
    max_abandoned_percent: float = Field(description="The bound on those who give up.")
    handling_seconds: float = Field(description="Work on a ticket, given or learnt.")
    patience_seconds: float | None = Field(description="Null: nobody gives up.")
    patience: StaffingPatience
    items: list[StaffingItem]
    error: StaffingError | None = Field(description="On the past.")
    arrivals_error: StaffingArrivalsError | None = Field(description="Of what was planned for; null: not known.")
    unsure: list[str] = Field(description="Where too little is known, in words.")

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.customers.schemas import Region
from app.sla.core.goal import Judgement
from app.sla.core.words import Metric, Priority
from app.sla.schemas.words import Seconds
from app.web.schemas import FROM_TEXT, Id, In, Key, Name, Out, Page


class Statistic(StrEnum):
    mean = "mean"


class GoalWindow(In):
    rolling_seconds: Annotated[int, Field(ge=1, le=31 * 86_400)]


class GoalFilter(In):
    """All that is given must fit."""

    priority: Annotated[Priority, FROM_TEXT] | None = None
    channel: Annotated[str, Field(max_length=20)] | None = None
    team_id: Id | None = None
    segment: Key | None = Field(default=None, description="Of tickets that were opened in this segment.")
    region: Region | None = Field(default=None, description="Of the customer, as it is now.")


class ServiceGoalIn(In):
    key: Key
    name: Name
    metric: Annotated[Metric, FROM_TEXT] = Metric.first_response
    statistic: Annotated[Statistic, FROM_TEXT] = Statistic.mean
    target_seconds: Seconds
    filter: GoalFilter = GoalFilter()
    window: GoalWindow


class ServiceGoalPatch(In):
    key: Key | MISSING = MISSING
    name: Name | MISSING = MISSING
    target_seconds: Seconds | MISSING = MISSING
    filter: GoalFilter | MISSING = MISSING
    window: GoalWindow | MISSING = MISSING


class ServiceGoalOut(Out):
    id: UUID
    key: str
    name: str
    metric: Metric
    statistic: Statistic
    target_seconds: int
    filter: GoalFilter
    window: GoalWindow
    version: int
    created_at: datetime
    updated_at: datetime


class ServiceGoalPage(Page[ServiceGoalOut]): ...


class ServiceGoalStatus(Out):
    """The goal judged at one instant, honestly: who still waits is counted with the wait so far."""

    goal_id: UUID
    at: datetime
    window_start: datetime
    judgement: Judgement
    target_seconds: int
    answered: int
    running: int
    unanswered: int = Field(description="Ended without an answer; not in the means.")
    excluded: int
    mean_answered: float | None
    mean_floor: float | None = Field(description="Answered and running waits over both; waiting can only raise it.")
    slack_seconds: float = Field(description="What may still be waited in all before the mean passes the target.")
    crosses_at: datetime | None = Field(description="When the mean passes the target if nothing more is answered.")

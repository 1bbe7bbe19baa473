"""What the shapes of several resources share."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from app.sla.core.enums import AutomationKey, Channel, Metric, Status
from app.web.schemas import FROM_TEXT, Name

TEN_YEARS = 315_360_000

Seconds = Annotated[int, Field(ge=1, le=TEN_YEARS)]
MetricWord = Annotated[Metric, FROM_TEXT]
AutomationWord = Annotated[AutomationKey, FROM_TEXT]
StatusWord = Annotated[Status, FROM_TEXT]


class Hours(StrEnum):
    """Whether every hour counts, or those of the policy's business calendar."""

    calendar = "calendar"
    business = "business"


ChannelWord = Annotated[Channel, FROM_TEXT]
Product = Annotated[Name, Field(max_length=100)]

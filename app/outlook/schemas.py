"""What somebody who waits is told, as callers get it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.sla.core.calendar import zone_names
from app.web.schemas import Out


class OutlookGap(StrEnum):
    """Why nothing is said of how long it takes: too few waits are known, nobody waits, the clock stands still, or it is
    not the first answer that they wait for."""

    too_little_known = "too_little_known"
    nobody_waits = "nobody_waits"
    paused = "paused"
    not_the_first = "not_the_first"


def _known(zone: str) -> str:
    if zone not in zone_names():
        raise ValueError("an IANA time zone, such as Europe/Helsinki")
    return zone


class OutlookQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known)] | None = Field(
        default=None, description="Of the instants in words; left out: that of the service hours, or UTC."
    )


class LikelyBy(Out):
    p50: datetime
    p80: datetime
    p95: datetime


class OutlookOut(Out):
    ticket_id: UUID
    at: datetime
    language: str = Field(description="The customer's, where there are words for it; else `en`.")
    timezone: str
    text: str
    promised_by: datetime | None = Field(description="Null to customers where the policy is not shown to them.")
    promised_seconds: int | None
    place_in_queue: int | None = Field(description="By deadlines; up to 1,000, of a new ticket up to 22.")
    chance_within_target: float | None
    likely_by: LikelyBy | None
    why: OutlookGap | None
    service_open: bool
    service_opens_at: datetime | None
    service_closes_at: datetime | None = Field(description="Null where it never closes.")

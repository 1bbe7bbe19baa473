"""What somebody who waits is told, as callers get it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.sla.core.calendar import zone_names
from app.sla.core.enums import OfferChoice
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
    p50: datetime = Field(description="By when half of those who wait so have an answer.")
    p80: datetime = Field(description="By when four of five have one.")
    p95: datetime = Field(description="By when 19 of 20 have one.")


class OfferChosen(StrEnum):
    """`person`: they asked for one."""

    article = "article"
    call_back = "call_back"
    wait = "wait"
    person = "person"


class OverloadOffer(Out):
    """What its customer may choose, because a goal was about to be missed when they wrote. They may ask for a person
    whatever they choose (`handoff`), and tell of an article that helped (`solved-by`)."""

    offered_at: datetime = Field(description="When they wrote.")
    choices: list[OfferChoice] = Field(description="What they may choose.")
    article_ids: list[UUID] = Field(description="The articles that were sent.")
    call_back_by: datetime | None = Field(description="What is promised to who chooses a call back, or was.")
    chosen: OfferChosen | None = Field(description="What they chose last; null until they choose.")
    chosen_at: datetime | None = Field(description="When they chose it.")


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
    offer: OverloadOffer | None = Field(description="While they wait for the first answer.")
    service_open: bool
    service_opens_at: datetime | None
    service_closes_at: datetime | None = Field(description="Null where it never closes.")

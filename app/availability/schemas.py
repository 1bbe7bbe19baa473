from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from app.sla.core.enums import Channel
from app.web.paging import PageQuery
from app.web.query import AnyOf
from app.web.schemas import FROM_TEXT, In, Instant, Item, Out, Page, Tags

Capacity = Annotated[int, Field(ge=0, le=1000)]


class AvailabilityState(StrEnum):
    online = "online"
    away = "away"
    offline = "offline"


class ChannelCapacity(In):
    channel: Annotated[Channel, FROM_TEXT]
    capacity: Capacity


def _each_once(channels: list[ChannelCapacity]) -> list[ChannelCapacity]:
    if len({each.channel for each in channels}) < len(channels):
        raise ValueError("name each channel once")
    return channels


class AvailabilityIn(In):
    state: Annotated[AvailabilityState, FROM_TEXT]
    capacity: Capacity = Field(default=1, description="Tickets that are theirs to work on at once, of all channels.")
    channels: Annotated[list[ChannelCapacity], Field(max_length=20), AfterValidator(_each_once)] | None = Field(
        default=None, description="Which channels they take, and how many tickets of each; null: every channel."
    )
    skills: Tags = Field(default=[], description="A ticket with the tag `skill:x` needs the skill `x`.")
    until: Instant | None = Field(default=None, description="When it ends, heartbeats or not.")


class ChannelCapacityOut(Out):
    channel: Channel
    capacity: int


class AvailabilityOut(Out):
    agent_id: UUID
    state: AvailabilityState = Field(description="`offline` as well once it has expired.")
    capacity: int
    channels: list[Item[ChannelCapacityOut]] | None
    skills: list[str]
    until: datetime | None
    since: datetime | None = Field(description="Since when the state is so; null where they never said anything.")
    heard_at: datetime | None = Field(description="When they said so, or sent a heartbeat, last.")
    expires_at: datetime | None = Field(description="When it ends unless a heartbeat comes before.")


class AvailabilityPage(Page[AvailabilityOut]): ...


class AvailabilityQuery(PageQuery):
    state: AnyOf[Annotated[AvailabilityState, FROM_TEXT]] = None

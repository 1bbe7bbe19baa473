from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header
from pydantic import MISSING, BaseModel, ConfigDict, Field

from app.events.catalogue import Event, EventName
from app.web.query import AnyOf
from app.web.schemas import FROM_TEXT, Out

_AFTER = "A position: of an event, or `next_position` of a page."


class EventFilter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Annotated[str | None, Field(max_length=64, description=_AFTER)] = None
    types: AnyOf[Annotated[EventName, FROM_TEXT]] = Field(default=None, description="Any of these.")
    ticket_id: UUID | None = None


class EventQuery(EventFilter):
    limit: Annotated[int, Field(ge=1, le=5000, description="How many items at most.")] = 200


class StreamQuery(EventFilter):
    ticket: Annotated[str | None, Field(max_length=64, description="From `POST /v1/stream-tickets`.")] = None


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=64,
        description="As `after`, which comes first. Browsers send it by themselves.",
    ),
]


class EventFeed(Out):
    """A page of the log in order. It may be short, or empty, and have more after it."""

    items: list[Event]
    next_position: str = Field(description="Where to go on, now or later: nothing will ever come before it.")
    has_more: bool = Field(description="Whether there is more at once.")


class StreamTicket(Out):
    ticket: str = Field(description="For `?ticket=` of the stream; opens one, once.")
    expires_at: datetime


_EVENT: dict[str, Any] = {
    "contentMediaType": "application/json",
    "contentSchema": {"$ref": "#/components/schemas/Event"},
}


class StreamEvent(Out):
    """As server-sent events are made of lines."""

    id: str | MISSING = Field(default=MISSING, description="The event's position.")
    event: str | MISSING = Field(default=MISSING, description="`message`; or `bye`, which tells of nothing.")
    data: str = Field(json_schema_extra=_EVENT, description="The event, as JSON.")

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header
from pydantic import MISSING, BaseModel, ConfigDict, Field

from app.events.catalogue import AuditEntry, EventName
from app.web.query import AnyOf
from app.web.schemas import FROM_TEXT, Instant, Out


class FeedOrder(StrEnum):
    asc = "asc"
    desc = "desc"


_AFTER = "A position: of an event, or `next_position` of a page."


class EventFilter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Annotated[str | None, Field(max_length=64, description=_AFTER)] = None
    types: AnyOf[Annotated[EventName, FROM_TEXT]] = Field(default=None, description="Any of these.")
    ticket_id: UUID | None = None


class EventQuery(EventFilter):
    limit: Annotated[int, Field(ge=1, le=5000, description="How many items at most.")] = 200
    from_: Instant | None = Field(
        default=None,
        alias="from",
        description="Events written (`recordedat`) at or after this instant. An event whose transaction was long may "
        "come late: a reader that must miss nothing goes by `after`.",
    )
    to: Instant | None = Field(default=None, description="Events written before this instant.")
    order: Annotated[FeedOrder, FROM_TEXT] = Field(
        default=FeedOrder.asc,
        description="`desc`: the newest first, from `after` (or the end) towards older ones.",
    )


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

    items: list[AuditEntry]
    next_position: str = Field(description="Where to go on, now or later: nothing will ever come before it.")
    has_more: bool = Field(description="Whether there is more at once.")


class StreamTicket(Out):
    ticket: str = Field(description="For `?ticket=` of the stream; opens one, once.")
    expires_at: datetime


_EVENT: dict[str, Any] = {
    "contentMediaType": "application/json",
    "contentSchema": {
        "oneOf": [
            {"$ref": "#/components/schemas/AuditEntry"},
            {
                "type": "object",
                "description": "Of `hello` and `position`: how far the stream has come, and the server's time at its "
                "beginning. Nothing of `bye`.",
                "properties": {
                    "position": {"type": "string", "maxLength": 64},
                    "time": {"type": "string", "format": "date-time"},
                },
                "additionalProperties": False,
            },
            {
                "type": "object",
                "description": "Of `ticket.being_answered`: who writes an answer, and until when that holds.",
                "properties": {
                    "ticket_id": {"type": "string", "format": "uuid"},
                    "agent_id": {"type": ["string", "null"], "format": "uuid"},
                    "until": {"type": "string", "format": "date-time"},
                },
                "required": ["ticket_id", "agent_id", "until"],
                "additionalProperties": False,
            },
        ]
    },
}


class StreamEvent(Out):
    """As server-sent events are made of lines."""

    id: str | MISSING = Field(default=MISSING, description="The event's position.")
    event: str | MISSING = Field(
        default=MISSING,
        description="Absent for events (`message` to a browser). `hello` begins the stream, `position` says how far "
        "it has come where no event did, `bye` ends it. `ticket.being_answered` is a hint for staff, of no position "
        "and not in the feed.",
    )
    data: str = Field(
        json_schema_extra=_EVENT,
        description="The event, as JSON; of `hello` the position that the stream begins at and the server's time, of "
        "`position` the position.",
    )

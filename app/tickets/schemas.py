from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field

from app.customers.schemas import CustomerOut
from app.sla.core.words import AuthorKind, Priority, Status
from app.sla.schemas.clocks import SlaClockOut
from app.tickets.lifecycle import Channel, TicketType, Visibility
from app.web.schemas import (
    FROM_TEXT,
    Email,
    ExternalId,
    Fields,
    Id,
    In,
    Instant,
    Key,
    Line,
    Name,
    Out,
    Page,
    Prose,
)

StatusWord = Annotated[Status, FROM_TEXT]
PriorityWord = Annotated[Priority, FROM_TEXT]
TypeWord = Annotated[TicketType, FROM_TEXT]
ChannelWord = Annotated[Channel, FROM_TEXT]
VisibilityWord = Annotated[Visibility, FROM_TEXT]
AuthorKindWord = Annotated[AuthorKind, FROM_TEXT]


def _each_once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Tags = Annotated[list[Key], Field(max_length=50), AfterValidator(_each_once)]
Product = Annotated[Name, Field(max_length=100)]


class CustomerRef(In):
    """By `id`; or by `external_id` or else `email`, made when not known yet."""

    id: Id | None = None
    external_id: ExternalId | None = None
    email: Email | None = None
    name: Name | None = None


class TicketIn(In):
    subject: Line
    description: Prose | None = Field(default=None, description="The customer's first public message.")
    channel: ChannelWord = Channel.api
    priority: PriorityWord = Priority.normal
    type: TypeWord = TicketType.question
    customer: CustomerRef | None = Field(default=None, description="Left out by a customer, who opens for themselves.")
    assignee_id: Id | None = None
    team_id: Id | None = None
    tags: Tags = []
    custom_fields: Fields = {}
    external_id: ExternalId | None = None
    product: Product | None = None


class TicketPatch(In):
    subject: Line | MISSING = MISSING
    status: StatusWord | MISSING = MISSING
    channel: ChannelWord | MISSING = MISSING
    priority: PriorityWord | MISSING = MISSING
    type: TypeWord | MISSING = MISSING
    assignee_id: Id | None | MISSING = MISSING
    team_id: Id | None | MISSING = MISSING
    tags: Tags | MISSING = MISSING
    custom_fields: Fields | MISSING = MISSING
    external_id: ExternalId | None | MISSING = MISSING
    product: Product | None | MISSING = MISSING


class TicketOut(Out):
    id: UUID
    number: int
    external_id: str | None
    subject: str
    status: Status
    priority: Priority
    type: TicketType
    channel: Channel
    customer_id: UUID
    assignee_id: UUID | None
    team_id: UUID | None
    product: str | None
    tags: list[str]
    custom_fields: Fields
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    merged_into: UUID | None = Field(description="Null to customers.")
    version: int


class TicketPage(Page[TicketOut]): ...


class AuthorIn(In):
    kind: AuthorKindWord
    id: Id | None = None


class MessageIn(In):
    body: Prose
    visibility: VisibilityWord = Visibility.public
    author: AuthorIn | None = Field(
        default=None, description="Only admin and service may name one; others are the author."
    )
    status: StatusWord | None = Field(default=None, description="Set after the message, in the same transaction.")
    assignee_id: Id | None = None


class AuthorOut(Out):
    kind: AuthorKind
    id: UUID | None


class MessageOut(Out):
    id: UUID
    ticket_id: UUID
    author: AuthorOut
    visibility: Visibility
    body: str = Field(description="Empty once deleted.")
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    version: int


class MessagePatch(In):
    body: Prose


class MessagePage(Page[MessageOut]): ...


class TicketWithOut(TicketOut):
    """A ticket with what `include` asked for; the rest is null."""

    clocks: list[SlaClockOut] | None
    messages: list[MessageOut] | None = Field(description="The first 200, oldest first.")
    customer: CustomerOut | None


class ActorOut(Out):
    kind: AuthorKind
    id: UUID | None


class EventOut(Out):
    """One entry of the audit: who did what when, and what was before and after."""

    id: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    actor: ActorOut
    subject_id: UUID
    ticket_id: UUID | None
    imported: bool
    data: "EventData"


class EventPage(Page[EventOut]): ...


EventData = Annotated[dict[str, object], Field(description="By type: `changes`, `after`, ids and figures.")]


class MergeIn(In):
    into: Id = Field(description="The ticket that goes on.")


class PromiseIn(In):
    text: Annotated[Prose, Field(max_length=2000)]
    due_at: Instant | None = Field(default=None, description="Left out: what the policy has for promises.")


class WithdrawIn(In):
    reason: Name


class PromiseState(StrEnum):
    open = "open"
    kept = "kept"
    broken = "broken"
    withdrawn = "withdrawn"


class PromiseOut(Out):
    """What was promised by when; broken once the instant has passed unkept."""

    id: UUID
    ticket_id: UUID
    text: str
    due_at: datetime
    state: PromiseState
    made_by: AuthorOut
    created_at: datetime
    kept_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_reason: str | None


class PromisePage(Page[PromiseOut]): ...

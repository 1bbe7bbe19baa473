from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, AfterValidator, Field

from app.customers.schemas import CustomerOut, Language
from app.sla.core.words import AuthorKind, Priority, Status
from app.sla.schemas.clocks import SlaClockOut
from app.tickets.lifecycle import Channel, LinkKind, TicketType, Visibility
from app.web.problems import Problem
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


class Opener(StrEnum):
    """`agent`: towards the customer, for whom nobody is late before they write."""

    customer = "customer"
    agent = "agent"


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
    organization_id: Id | None = Field(default=None, description="Left out: the customer's.")
    opened_by: Annotated[Opener, FROM_TEXT] = Opener.customer
    asks_confirmation: bool = Field(default=False, description="Of a ticket opened by an agent.")
    remind_at: Instant | None = Field(
        default=None, description="By when the customer is to be reminded who has not confirmed: a promise."
    )


class TicketPatch(In):
    subject: Line | MISSING = MISSING
    status: StatusWord | MISSING = MISSING
    channel: ChannelWord | MISSING = MISSING
    priority: PriorityWord | MISSING = MISSING
    type: TypeWord | MISSING = MISSING
    organization_id: Id | None | MISSING = MISSING
    assignee_id: Id | None | MISSING = MISSING
    team_id: Id | None | MISSING = MISSING
    tags: Tags | MISSING = MISSING
    custom_fields: Fields | MISSING = MISSING
    external_id: ExternalId | None | MISSING = MISSING
    product: Product | None | MISSING = MISSING


class SelfService(StrEnum):
    """`offered`: answers were sent. `deflected`: one of them helped, and no person answered. `handed_off`: a person was
    asked for nonetheless."""

    offered = "offered"
    deflected = "deflected"
    handed_off = "handed_off"


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
    organization_id: UUID | None
    opened_by: Opener
    assignee_id: UUID | None
    team_id: UUID | None
    product: str | None
    segment: str | None = Field(
        description="The key of its customer's first segment when it was opened. Null to customers."
    )
    tags: list[str]
    custom_fields: Fields
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None = Field(description="The earliest deadline of its running clocks. Null to customers.")
    needs_human: bool = Field(description="A person was asked for, and none has answered since.")
    greeted_at: datetime | None = Field(description="When the automatic greeting was sent; it is no response.")
    self_service: SelfService | None = Field(description="What came of the answers that were sent to it, if any were.")
    asks_confirmation: bool
    confirmed_at: datetime | None
    merged_into: UUID | None = Field(description="Null to customers.")
    version: int


class AuthorIn(In):
    kind: AuthorKindWord
    id: Id | None = None


class BulkTicketPatch(TicketPatch):
    id: Id
    if_match: Annotated[str, Field(max_length=1000)] | None = Field(
        default=None, description="The ETag that it must still have."
    )


class BulkPatchIn(In):
    tickets: Annotated[list[BulkTicketPatch], Field(min_length=1, max_length=200)]


class BulkItemOut(Out):
    ticket_id: UUID
    status: int = Field(description="What a PATCH of this ticket alone would have been answered with.")
    ticket: TicketOut | None
    problem: Problem | None


class BulkPatchOut(Out):
    """What became of each ticket, in the order in which they were sent."""

    items: list[BulkItemOut]


class MessageIn(In):
    body: Prose
    visibility: VisibilityWord = Visibility.public
    author: AuthorIn | None = Field(
        default=None, description="Only admin and service may name one; others are the author."
    )
    status: StatusWord | None = Field(default=None, description="Set after the message, in the same transaction.")
    assignee_id: Id | None = None
    attachment_ids: Annotated[list[Id], Field(max_length=20)] = Field(
        default=[], description="Uploaded to this ticket, and with no message yet: they become as visible as it is."
    )


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


class MessageVersionOut(Out):
    """What a message said before it was edited or deleted."""

    version: int
    body: str
    replaced_at: datetime
    replaced_by: AuthorOut


class MessageVersionPage(Page[MessageVersionOut]): ...


class TicketWithOut(TicketOut):
    """A ticket with what `include` asked for; the rest is null."""

    clocks: list[SlaClockOut] | None
    messages: list[MessageOut] | None = Field(description="The first 200, oldest first.")
    customer: CustomerOut | None


class AttachmentOut(Out):
    id: UUID
    ticket_id: UUID
    message_id: UUID | None = Field(description="The message that it goes with.")
    name: str = Field(description="Empty once deleted.")
    content_type: str = Field(description="Told by the content.")
    size_bytes: int
    sha256: str
    visibility: Visibility
    author: AuthorOut
    created_at: datetime
    deleted_at: datetime | None


class AttachmentPage(Page[AttachmentOut]): ...


class LinkIn(In):
    kind: Annotated[LinkKind, FROM_TEXT]
    ticket_id: Id = Field(description="The other ticket.")


class LinkOut(Out):
    """`kind` reads from the source to the target: the source is the `parent_of` the target."""

    id: UUID
    kind: LinkKind
    source_id: UUID
    target_id: UUID
    created_at: datetime
    made_by: AuthorOut


class LinkPage(Page[LinkOut]): ...


class FollowerOut(Out):
    agent_id: UUID
    created_at: datetime


class FollowerPage(Page[FollowerOut]): ...


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


class CustomerMergeIn(In):
    into: Id = Field(description="The customer who stands for both.")


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


class GreetingIn(In):
    channel: ChannelWord
    language: Annotated[Language, AfterValidator(str.lower)] | None = Field(
        default=None, description="For customers with this language; left out, for all who have no greeting in theirs."
    )
    body: Prose = Field(
        description="Filled in: {{customer_name}}, {{ticket_number}}, {{ticket_subject}}.", max_length=5000
    )
    active: bool = True


class GreetingPatch(In):
    body: Prose | MISSING = Field(default=MISSING, max_length=5000)
    active: bool | MISSING = MISSING


class GreetingOut(Out):
    id: UUID
    channel: Channel
    language: str | None
    body: str
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class GreetingPage(Page[GreetingOut]): ...

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.customers.schemas import CustomerOut
from app.events.catalogue import AuditEntry
from app.knowledge.schemas import SuggestionOut
from app.outlook.schemas import OutlookOut
from app.sla.core.enums import AuthorKind, Channel, Priority, Status, TicketType
from app.sla.schemas.clocks import SlaClockOut
from app.sla.schemas.types import ChannelWord, Product
from app.tickets.lifecycle import LinkKind, Visibility
from app.web.paging import PageQuery
from app.web.problems import Problem
from app.web.schemas import (
    FROM_TEXT,
    Email,
    ExternalId,
    Fields,
    Id,
    In,
    Instant,
    Item,
    Line,
    Name,
    Out,
    Page,
    Prose,
    Tags,
)

StatusWord = Annotated[Status, FROM_TEXT]
PriorityWord = Annotated[Priority, FROM_TEXT]
TypeWord = Annotated[TicketType, FROM_TEXT]
VisibilityWord = Annotated[Visibility, FROM_TEXT]
AuthorKindWord = Annotated[AuthorKind, FROM_TEXT]


# A week.
_LONGEST_HANDLING = 604_800
NO_ROOM = "Null where it is refused, and past 2 MiB of the answer: read it by itself."
FROM_MERGED = "The ticket that it came with, where that was merged into this one."


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


class PromiseKind(StrEnum):
    auto = "auto"


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
        default=None,
        description="When the customer is to be reminded who has not confirmed: a promise. The ticket is open again "
        "then, and `ticket.reminder_due` says so.",
    )
    promise: Annotated[PromiseKind, FROM_TEXT] | None = Field(
        default=None,
        description="`auto`: a first answer is promised by the p95 of `outlook`, which is sent along; where too little "
        "is known nothing is. The answer keeps it.",
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
    at_risk_at: datetime | None = Field(description="When the first warning of these is due. Null to customers.")
    waiting_since: datetime | None = Field(
        description="Since when its customer waits for an answer, where they do. Null to customers."
    )
    needs_human: bool = Field(description="A person was asked for, and none has answered since.")
    greeted_at: datetime | None = Field(description="When the automatic greeting was sent; it is no response.")
    self_service: SelfService | None = Field(description="What came of the answers that were sent to it, if any were.")
    asks_confirmation: bool
    confirmed_at: datetime | None
    merged_into: UUID | None = Field(description="Null to customers.")
    merged_from: list[UUID] = Field(description="Every ticket that went into it. Empty to customers.")
    spam_at: datetime | None = Field(description="When it was marked as spam. Null to customers.")
    snoozed_until: datetime | None = Field(
        description="When it is back in the queue, if its customer does not write before. Null to customers."
    )
    snooze_reason: str | None = Field(description="Null to customers.")
    handling_seconds: float | None = Field(
        description="How long the staff worked on it, as far as its messages say. Null to customers."
    )
    old_number: str | None = Field(description="What the system that it was imported from called it.")
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
    ticket: TicketOut | None = Field(description=NO_ROOM)
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
    external_id: ExternalId | None = Field(
        default=None,
        description="What its channel calls it, such as a Message-ID: a repeat is answered with the first one.",
    )
    in_reply_to: ExternalId | None = Field(
        default=None, description="What its channel calls the message that it answers."
    )
    sent_at: Instant | None = Field(
        default=None, description="When its channel says that it was sent; clocks go by `created_at`."
    )
    handling_seconds: Annotated[float, Field(ge=0, le=_LONGEST_HANDLING, allow_inf_nan=False)] | None = Field(
        default=None,
        description="How long the staff worked on it. Left out, the assignee's first answer since the ticket was "
        "assigned to them takes the time since then.",
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
    from_ticket_id: UUID | None = Field(description=FROM_MERGED)
    external_id: str | None = Field(description="What its channel calls it.")
    in_reply_to: str | None = Field(description="What its channel calls the message that it answers.")
    sent_at: datetime | None = Field(description="When its channel says that it was sent.")
    handling_seconds: float | None = Field(
        description="How long the staff worked on it, given or measured. Null to customers."
    )
    version: int


class MessageOrder(StrEnum):
    oldest = "created_at"
    newest = "-created_at"


class MessageQuery(PageQuery):
    sort: Annotated[MessageOrder, FROM_TEXT] = MessageOrder.oldest


class SnoozeIn(In):
    until: Instant | None = Field(description="When it is back in the queue; null: at once.")
    reason: Name | None = None


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


class AssigneeOut(Out):
    """The agent who has a ticket."""

    id: UUID
    name: str


class TicketTeamOut(Out):
    """The team that has a ticket."""

    id: UUID
    key: str
    name: str


class ListedTicketOut(TicketOut):
    """A ticket with what `include` asked for; the rest is null."""

    customer: CustomerOut | None
    assignee: AssigneeOut | None
    team: TicketTeamOut | None
    last_message: MessageOut | None = Field(
        description="The newest that the caller may see; of its body the first 1,000 characters."
    )
    clocks: list[Item[SlaClockOut]] | None = Field(description="In a list those that run; of one ticket all.")


class TicketWithOut(ListedTicketOut):
    """A ticket with what `include` asked for; the rest is null."""

    messages: list[Item[MessageOut]] | None = Field(description="The newest 200, oldest first.")


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
    from_ticket_id: UUID | None = Field(description=FROM_MERGED)


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
    from_ticket_id: UUID | None = Field(description=FROM_MERGED)


class LinkPage(Page[LinkOut]): ...


class FollowerOut(Out):
    agent_id: UUID
    created_at: datetime
    from_ticket_id: UUID | None = Field(description=FROM_MERGED)


class FollowerPage(Page[FollowerOut]): ...


class EventPage(Page[AuditEntry]):
    """The audit: each event as the feed, the stream and the webhooks have it."""


class MergeIn(In):
    into: Id = Field(description="The ticket that goes on.")


class OpenedTicketOut(TicketOut):
    suggestions: list[SuggestionOut] | MISSING = Field(
        default=MISSING, description="With `?suggest=true`: articles that may answer it."
    )
    outlook: OutlookOut | MISSING = Field(
        default=MISSING, description="Where it was asked for, and where an `offer` is made."
    )


class OfferedChoice(StrEnum):
    call_back = "call_back"
    wait = "wait"


class OverloadChoiceIn(In):
    choice: Annotated[OfferedChoice, FROM_TEXT] = Field(description="What its customer chooses.")


class SolvedIn(In):
    article_id: Id = Field(description="The article that helped.")

"""What an imported ticket looks like. A batch holds anything: each ticket is read by itself, so that a wrong one is
rejected alone."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, PlainValidator, TypeAdapter
from typing_extensions import TypeAliasType

from app.sla.core.words import AuthorKind, Priority, Status
from app.tickets.lifecycle import Channel, TicketType, Visibility
from app.tickets.schemas import (
    AuthorKindWord,
    ChannelWord,
    PriorityWord,
    Product,
    StatusWord,
    Tags,
    TypeWord,
    VisibilityWord,
)
from app.web.problems import Problem
from app.web.schemas import FROM_TEXT, ExternalId, Fields, In, Instant, Line, Name, Out, Prose

MAX_TICKETS = 1000


class ImportedCustomer(In):
    external_id: ExternalId
    name: Name | None = None


class ImportedAgent(In):
    external_id: ExternalId


class ImportedMessage(In):
    at: Instant
    kind: Literal["message"]
    author: AuthorKindWord
    visibility: VisibilityWord = Visibility.public
    body: Prose


class ImportedStatus(In):
    at: Instant
    kind: Literal["status"]
    status: StatusWord
    by: AuthorKindWord = AuthorKind.agent


class ImportedPriority(In):
    at: Instant
    kind: Literal["priority"]
    priority: PriorityWord


class ImportedAssignee(In):
    at: Instant
    kind: Literal["assignee"]
    assignee: ImportedAgent | None


class ImportedTags(In):
    at: Instant
    kind: Literal["tags"]
    tags: Tags


ImportedEntry = TypeAliasType(
    "ImportedEntry",
    Annotated[
        ImportedMessage | ImportedStatus | ImportedPriority | ImportedAssignee | ImportedTags,
        Field(discriminator="kind"),
    ],
)


class OpenedBy(StrEnum):
    customer = "customer"
    agent = "agent"


class ImportedTicket(In):
    external_id: ExternalId
    subject: Line
    priority: PriorityWord = Priority.normal
    type: TypeWord = TicketType.question
    channel: ChannelWord = Channel.api
    tags: Tags = []
    custom_fields: Fields = {}
    product: Product | None = None
    customer: ImportedCustomer
    opened_by: Annotated[OpenedBy, FROM_TEXT] = Field(
        default=OpenedBy.customer, description="`agent`: towards the customer."
    )
    created_at: Instant
    status: StatusWord = Field(default=Status.new, description="The status at creation.")
    timeline: Annotated[list[ImportedEntry], Field(max_length=10_000)] = []


READER: TypeAdapter[ImportedTicket] = TypeAdapter(ImportedTicket)


def _as_sent(value: object) -> object:
    return value


TicketToImport = TypeAliasType(
    "TicketToImport", Annotated[object, PlainValidator(_as_sent, json_schema_input_type=ImportedTicket)]
)


class TicketImportIn(In):
    tickets: Annotated[list[TicketToImport], Field(max_length=MAX_TICKETS)]


class ImportOutcome(StrEnum):
    created = "created"
    duplicate = "duplicate"
    rejected = "rejected"


class ImportItem(Out):
    external_id: str | None
    ticket_id: UUID | None
    outcome: ImportOutcome
    problem: Problem | None


class TicketImportOut(Out):
    """What became of each ticket, in the order in which they were sent."""

    created: int
    duplicate: int
    rejected: int
    items: list[ImportItem]

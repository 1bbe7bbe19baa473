"""What an imported ticket looks like. A batch holds anything: each ticket is read by itself, so that a wrong one is
rejected alone."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, model_validator
from typing_extensions import TypeAliasType

from app.customers.schemas import Language, Region
from app.sla.core.enums import AuthorKind, Channel, Priority, Status, TicketType
from app.sla.schemas.types import ChannelWord, Product
from app.tickets.lifecycle import Visibility
from app.tickets.schemas import AuthorKindWord, PriorityWord, StatusWord, TypeWord, VisibilityWord
from app.web.problems import Problem
from app.web.schemas import FROM_TEXT, Email, ExternalId, Fields, In, Instant, Key, Line, Name, Out, Prose, Tags

MAX_TICKETS = 1000


class ImportedOrganization(In):
    external_id: ExternalId
    name: Name | None = Field(default=None, description="Left out: its external id.")


class ImportedCustomer(In):
    """Known by `external_id`, or else by an address that nobody else has; made where neither is. The rest is taken of
    whoever is made."""

    external_id: ExternalId
    name: Name | None = None
    email: Email | None = None
    region: Region | None = None
    language: Language | None = None
    organization: ImportedOrganization | None = None


class ImportedAgent(In):
    external_id: ExternalId


class ImportedMessage(In):
    at: Instant
    kind: Literal["message"]
    author: AuthorKindWord
    agent: ImportedAgent | None = Field(default=None, description="Who wrote it, where `author` is `agent`.")
    visibility: VisibilityWord = Visibility.public
    body: Prose
    external_id: ExternalId | None = Field(default=None, description="What the ticket's channel calls it.")

    @model_validator(mode="after")
    def _check_agent(self) -> "ImportedMessage":
        if self.agent and self.author is not AuthorKind.agent:
            raise ValueError("`agent` is for a message whose `author` is `agent`")
        return self


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


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class ImportedTicket(In):
    external_id: ExternalId
    old_number: Annotated[ExternalId, BeforeValidator(_number_as_text)] | None = Field(
        default=None, description="The number that people know it by in the old system."
    )
    subject: Line
    priority: PriorityWord = Priority.normal
    type: TypeWord = TicketType.question
    channel: ChannelWord = Channel.api
    tags: Tags = []
    custom_fields: Fields = {}
    product: Product | None = None
    team: Key | None = Field(default=None, description="The key of a team that is there.")
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
    new_agents: list[str] = Field(
        description="External ids, in this ticket, of agents nobody had heard of: they were added as inactive ones."
    )


class TicketImportOut(Out):
    """What became of each ticket, in the order in which they were sent."""

    created: int
    duplicate: int
    rejected: int
    items: list[ImportItem]

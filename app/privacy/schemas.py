from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.customers.schemas import CustomerOut, OrganizationOut
from app.events.catalogue import DATA_VERSION, EventBase
from app.keys.schemas import ApiKeyOut
from app.segments.schemas import MembershipOut, OverrideOut
from app.sla.schemas.clocks import SlaClockOut
from app.sla.schemas.exceptions import SlaExceptionOut
from app.tickets.lifecycle import LinkKind
from app.tickets.promise_schemas import PromiseOut
from app.tickets.satisfaction_schemas import SatisfactionOut
from app.tickets.schemas import AttachmentOut, MessageOut, MessageVersionOut, TicketOut
from app.web.schemas import Out


class ExportedMessage(MessageOut):
    versions: list[MessageVersionOut]


class ExportedLink(Out):
    id: UUID
    kind: LinkKind
    source_id: UUID
    target_id: UUID
    created_at: datetime


class ExportedEvent(EventBase):
    """An event as the feed has it, with everything that the log holds of it."""

    type: str
    dataversion: int = Field(description=DATA_VERSION)
    data: Annotated[dict[str, object], Field(description="By type: `changes`, `after`, ids and figures.")]


class ExportedTicket(Out):
    """A ticket with all that hangs on it. Contents of attachments are downloaded one by one."""

    ticket: TicketOut
    messages: list[ExportedMessage]
    clocks: list[SlaClockOut]
    promises: list[PromiseOut]
    satisfaction: list[SatisfactionOut] = Field(description="Of each resolution.")
    exceptions: list[SlaExceptionOut]
    attachments: list[AttachmentOut]
    links: list[ExportedLink]
    events: list[ExportedEvent]


class Participation(Out):
    ticket_id: UUID
    customer_id: UUID = Field(description="They, or one who was merged into them.")
    created_at: datetime


class CustomerExport(Out):
    """All that is held of one customer; `next_cursor` leads to their other tickets."""

    customer: CustomerOut
    organization: OrganizationOut | None
    merged_customers: list[CustomerOut]
    api_keys: list[ApiKeyOut] | None = Field(description="Null without `keys:read`.")
    segments: list[MembershipOut] = Field(description="Where they belong and belonged.")
    overrides: list[OverrideOut]
    exceptions: list[SlaExceptionOut] = Field(description="Granted to them, and not to a single ticket.")
    tickets: list[ExportedTicket]
    participations: list[Participation] = Field(
        description="The tickets of others that they take part in. All of it with the first page."
    )
    messages_elsewhere: list[MessageOut] = Field(
        description="What they wrote on tickets of others. All of it with the first page."
    )
    next_cursor: str | None

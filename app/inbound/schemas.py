from enum import StrEnum
from uuid import UUID

from pydantic import Field

from app.inbound.mail import NothingMade
from app.web.schemas import Out


class InboundOutcome(StrEnum):
    ticket = "ticket"
    message = "message"
    none = "none"


class InboundOut(Out):
    """What became of an e-mail."""

    outcome: InboundOutcome
    reason: NothingMade | None = Field(description="Why it became neither a ticket nor a message.")
    ticket_id: UUID | None = Field(description="The ticket that it is on.")
    message_id: UUID | None

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.tickets.schemas import FROM_MERGED
from app.web.schemas import Id, In, Out, Page


class ParticipantIn(In):
    customer_id: Id = Field(description="Another customer than the one who asked.")


class ParticipantOut(Out):
    customer_id: UUID
    created_at: datetime
    from_ticket_id: UUID | None = Field(description=FROM_MERGED)


class ParticipantPage(Page[ParticipantOut]): ...

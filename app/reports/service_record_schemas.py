"""What a customer or an organization got of the service, as callers ask for it and get it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.reports.quality_schemas import ExpectationFigures
from app.tickets.promise_schemas import PromiseState
from app.web.schemas import Out


class ServiceRecordQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    days: Annotated[int, Field(ge=1, le=3660, description="How far back: tickets opened since.")] = 365
    within_days: Annotated[int, Field(ge=1, le=90, description="For repeat contacts.")] = 7


class RecordedPromise(Out):
    """One that is not kept."""

    id: UUID
    ticket_id: UUID
    text: str
    due_at: datetime
    state: PromiseState


class RecordedPromises(Out):
    """Promises, by how they stand."""

    open: int
    kept: int = Field(description="In time.")
    broken: int = Field(description="Not kept in time.")
    withdrawn: int
    unkept: list[RecordedPromise] = Field(description="Open and broken ones, the latest due first: twenty at most.")


class RecordedComplaints(Out):
    """Tickets of type `complaint`."""

    total: int = Field(description="All of them.")
    open: int = Field(description="Neither resolved nor closed.")
    last_at: datetime | None = Field(description="When the last one was opened.")


class RecordedSatisfaction(Out):
    """What customers said of resolutions."""

    given: int = Field(description="Resolutions that customers rated.")
    mean_score: float | None = Field(description="1 to 5.")
    last_score: int | None = Field(description="What was said last.")
    last_given_at: datetime | None = Field(description="When that was.")
    expectations: list[ExpectationFigures] = Field(description="All four.")


class RecordedContacts(Out):
    """How often they had to come."""

    contacts: int = Field(description="Tickets that customers opened.")
    repeated: int = Field(
        description="Of these, those within `within_days` after another one of the same customer and product."
    )


class RecordedFirstResponse(Out):
    """Waits for a first answer."""

    answered: int
    mean_seconds: float | None = Field(description="Of answered waits, in the clock's own time.")
    waiting: int = Field(description="Without an answer yet.")


class ServiceRecord(Out):
    """Of the tickets of a customer or an organization that were opened in the span, spam and what was merged into
    another one left out."""

    customer_id: UUID | None = Field(description="Who stands for the one asked for, where they were merged.")
    organization_id: UUID | None
    since: datetime
    until: datetime
    complete: bool = Field(description="False where these are of the newest 5,000 tickets, and there may be more.")
    tickets: int
    open: int
    promises: RecordedPromises
    complaints: RecordedComplaints
    satisfaction: RecordedSatisfaction
    contacts: RecordedContacts
    first_response: RecordedFirstResponse

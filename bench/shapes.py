"""What the ceiling and the naive service take and give: as wide as the real thing, for the same work with JSON."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class CustomerRef(BaseModel):
    id: UUID


class TicketIn(BaseModel):
    subject: str
    description: str | None = None
    priority: str = "normal"
    channel: str = "web"
    customer: CustomerRef


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: int
    subject: str
    status: str
    priority: str
    type: str | None
    channel: str
    customer_id: UUID
    assignee_id: UUID | None
    team_id: UUID | None
    tags: list[str]
    custom_fields: dict[str, Any]
    external_id: str | None
    product: str | None
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    version: int


class MessageIn(BaseModel):
    body: str
    visibility: str = "public"


class MessageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    ticket_id: UUID
    author_kind: str
    visibility: str
    body: str
    created_at: datetime

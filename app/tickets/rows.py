"""Rows as types: what a statement returns of a table."""

from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID


class TicketRow(TypedDict):
    """A whole row of `tickets`, as statements return it. A test holds it to the table."""

    id: UUID
    number: int
    external_id: str | None
    subject: str
    status: str
    priority: str
    type: str
    channel: str
    customer_id: UUID
    organization_id: UUID | None
    opened_by: str
    assignee_id: UUID | None
    team_id: UUID | None
    product: str | None
    segment: str | None
    tags: list[str]
    custom_fields: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    policy_id: UUID | None
    policy_version: int | None
    calendar_version: int | None
    exceptions: dict[str, Any] | None
    merged_into: UUID | None
    merged_from: list[UUID]
    spam_at: datetime | None
    status_before_spam: str | None
    snoozed_until: datetime | None
    snooze_reason: str | None
    assigned_at: datetime | None
    handling_seconds: float
    old_number: str | None
    due_at: datetime | None
    at_risk_at: datetime | None
    waiting_since: datetime | None
    needs_human: bool
    greeted_at: datetime | None
    asks_confirmation: bool
    confirmed_at: datetime | None
    self_service: str | None
    imported: bool
    version: int
    hidden_changes: int
    seen_updated_at: datetime | None

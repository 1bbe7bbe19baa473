from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.web.schemas import FROM_TEXT, FieldName, In, Key, Name, Out, Page


class Subject(StrEnum):
    ticket = "ticket"
    customer = "customer"
    organization = "organization"


class FieldKind(StrEnum):
    """`date` is a calendar date, 2026-12-24; `choice` one of the words in `choices`."""

    text = "text"
    number = "number"
    boolean = "boolean"
    date = "date"
    choice = "choice"


Choices = Annotated[list[Key], Field(min_length=1, max_length=200)]
TicketTypes = Annotated[list[Key], Field(min_length=1, max_length=20)]
_OF_TYPES = "The `type`s of tickets that have the field; null is any. Only with subject `ticket`."
_VISIBLE = "Whether customers read it, of tickets that they see and of themselves."
_WRITABLE = "Whether they set it. Only with `visible_to_customers`."
_REQUIRED = "On opening, and whenever custom fields, attributes or a ticket's type are written."


class CustomFieldIn(In):
    subject: Annotated[Subject, FROM_TEXT]
    key: FieldName
    name: Name
    type: Annotated[FieldKind, FROM_TEXT]
    choices: Choices | None = Field(default=None, description="With type `choice`, and only there.")
    ticket_types: TicketTypes | None = Field(default=None, description=_OF_TYPES)
    required: bool = Field(default=False, description=_REQUIRED)
    visible_to_customers: bool = Field(default=False, description=_VISIBLE)
    writable_by_customers: bool = Field(default=False, description=_WRITABLE)


class CustomFieldPatch(In):
    name: Name | MISSING = MISSING
    choices: Choices | MISSING = MISSING
    ticket_types: TicketTypes | None | MISSING = MISSING
    required: bool | MISSING = MISSING
    visible_to_customers: bool | MISSING = MISSING
    writable_by_customers: bool | MISSING = MISSING


class CustomFieldOut(Out):
    id: UUID
    subject: Subject
    key: str
    name: str
    type: FieldKind
    choices: list[str] | None
    ticket_types: list[str] | None
    required: bool
    visible_to_customers: bool
    writable_by_customers: bool
    archived_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class CustomFieldPage(Page[CustomFieldOut]): ...

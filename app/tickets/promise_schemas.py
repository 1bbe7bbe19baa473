"""What is promised to a customer on a ticket, as callers send and get it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.tickets.schemas import AuthorOut
from app.web.schemas import In, Instant, Name, Out, Page, Prose


class PromiseIn(In):
    text: Annotated[Prose, Field(max_length=2000)]
    due_at: Instant | None = Field(default=None, description="Left out: what the policy has for promises.")


class WithdrawIn(In):
    reason: Name


class PromiseState(StrEnum):
    open = "open"
    kept = "kept"
    broken = "broken"
    withdrawn = "withdrawn"


class PromiseOut(Out):
    """What was promised by when; broken once the instant has passed unkept."""

    id: UUID
    ticket_id: UUID
    text: str
    due_at: datetime
    state: PromiseState
    made_by: AuthorOut
    created_at: datetime
    kept_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_reason: str | None


class PromisePage(Page[PromiseOut]): ...

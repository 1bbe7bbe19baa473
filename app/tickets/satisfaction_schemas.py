"""What a customer says of how their ticket was resolved, as callers send and get it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.web.schemas import FROM_TEXT, In, Out, Page, Prose


class Expectation(StrEnum):
    """What customers expect of a service: that what it says is right, that it is there, that it is on their side, and
    that it helps them further."""

    accuracy = "accuracy"
    availability = "availability"
    partnership = "partnership"
    advice = "advice"


_Expectations = Annotated[list[Annotated[Expectation, FROM_TEXT]], Field(max_length=len(Expectation))]


class SatisfactionIn(In):
    score: int = Field(ge=1, le=5, description="5 is best.")
    comment: Annotated[Prose, Field(max_length=2000)] | None = Field(
        default=None, description="In the customer's words."
    )
    met: _Expectations = Field(default=[], description="Which were met.")
    missed: _Expectations = Field(default=[], description="None that was met.")


class SatisfactionOut(Out):
    id: UUID = Field(description="Of the resolution.")
    ticket_id: UUID
    resolved_at: datetime
    given_at: datetime = Field(description="When it was said.")
    score: int = Field(description="5 is best.")
    comment: str | None = Field(description="In the words of the customer.")
    met: list[Expectation] = Field(description="Which were met.")
    missed: list[Expectation] = Field(description="Which were not.")


class SatisfactionPage(Page[SatisfactionOut]): ...

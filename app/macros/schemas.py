from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, Field

from app.macros.places import WORDS
from app.sla.schemas.types import Product
from app.tickets.lifecycle import Visibility
from app.tickets.schemas import NO_ROOM, PriorityWord, StatusWord, TicketOut, TypeWord, VisibilityWord
from app.web.problems import Problem
from app.web.query import Oneself
from app.web.schemas import FROM_TEXT, Fields, Id, In, Name, Out, Page, Prose, Tags

_BODY = f"The message; left out, none is written. Filled in: {WORDS}."
MacroBody = Annotated[Prose, Field(max_length=20_000, description=_BODY)]


class MacroChanges(In):
    """What is left out stays as it is."""

    status: StatusWord | MISSING = MISSING
    priority: PriorityWord | MISSING = MISSING
    type: TypeWord | MISSING = MISSING
    assignee_id: Id | Annotated[Oneself, FROM_TEXT] | None | MISSING = Field(
        default=MISSING, description="`me` is the agent who applies it."
    )
    team_id: Id | None | MISSING = MISSING
    product: Product | None | MISSING = MISSING
    custom_fields: Fields | MISSING = MISSING
    add_tags: Tags | MISSING = MISSING
    remove_tags: Tags | MISSING = MISSING


class MacroIn(In):
    name: Name
    body: MacroBody | None = None
    visibility: VisibilityWord = Field(default=Visibility.public, description="Of the message.")
    changes: MacroChanges = MacroChanges()


class MacroPatch(In):
    name: Name | MISSING = MISSING
    body: MacroBody | None | MISSING = MISSING
    visibility: VisibilityWord | MISSING = MISSING
    changes: MacroChanges | MISSING = Field(default=MISSING, description="Replaces all of them.")


class MacroOut(Out):
    id: UUID
    name: str
    body: str | None
    visibility: Visibility
    changes: MacroChanges
    version: int
    created_at: datetime
    updated_at: datetime


class MacroPage(Page[MacroOut]): ...


class MacroApplied(Out):
    """What a macro did, or with `preview=true` would have done."""

    ticket: TicketOut
    body: str | None = Field(description="The message, filled in.")
    visibility: Visibility
    message_id: UUID | None = Field(description="Null where none was written.")


class MacroTickets(In):
    ticket_ids: Annotated[list[Id], Field(min_length=1, max_length=200)]


class MacroItemOut(Out):
    ticket_id: UUID
    status: int = Field(description="What the macro on this ticket alone would have been answered with.")
    applied: MacroApplied | None = Field(description=NO_ROOM)
    problem: Problem | None


class MacroResults(Out):
    """What became of each ticket, in the order in which they were named."""

    items: list[MacroItemOut]

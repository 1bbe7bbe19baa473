"""What the ticket list can be asked for, and such questions saved as views."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field

from app.tickets.lifecycle import SlaState
from app.tickets.schemas import ChannelWord, PriorityWord, Product, StatusWord, TicketOut, TypeWord
from app.web.paging import PageQuery
from app.web.query import AnyOf, Ids
from app.web.schemas import FROM_TEXT, ExternalId, In, Instant, Key, Name, Out, Page

Words = Annotated[str, Field(min_length=1, max_length=200)]


class TicketOrder(StrEnum):
    """`due_at`: by the earliest running deadline, those without one last. `priority`: the most urgent first, what is
    resolved or closed last. `relevance`: of the newest 1,000 that `q` finds."""

    oldest = "created_at"
    newest = "-created_at"
    least_recent = "updated_at"
    most_recent = "-updated_at"
    due = "due_at"
    urgent = "priority"
    relevant = "relevance"


class TicketFilter(BaseModel):
    """Any of the values of each; all of the filters together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: AnyOf[StatusWord] = None
    priority: AnyOf[PriorityWord] = None
    type: AnyOf[TypeWord] = None
    channel: AnyOf[ChannelWord] = None
    customer_id: Ids = None
    organization_id: Ids = None
    assignee_id: Ids = None
    team_id: Ids = None
    follower_id: Ids = None
    external_id: AnyOf[ExternalId] = None
    tag: AnyOf[Key] = None
    product: AnyOf[Product] = None
    segment: AnyOf[Key] = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    updated_after: Instant | None = None
    needs_human: bool | None = None
    sla: AnyOf[Annotated[SlaState, FROM_TEXT]] = None
    q: Words | None = Field(
        default=None,
        description='Words, all of them: `card or cash`, `-cash`, `"credit card"`; the last one is a beginning.',
    )


class Count(StrEnum):
    estimate = "estimate"


class TicketQuery(TicketFilter, PageQuery):
    sort: Annotated[TicketOrder, FROM_TEXT] = TicketOrder.newest
    count: Annotated[Count, FROM_TEXT] | None = Field(
        default=None, description="`estimate` fills `estimated_count`: exact up to 10,000."
    )


class TicketPage(Page[TicketOut]):
    estimated_count: int | None = Field(description="Null unless asked for with `count=estimate`.")


class ViewIn(In):
    name: Name
    filter: TicketFilter = TicketFilter()
    sort: Annotated[TicketOrder, FROM_TEXT] = TicketOrder.newest
    shared: bool = Field(default=False, description="For all staff; a lead or an administrator shares.")


class ViewPatch(In):
    name: Name | MISSING = MISSING
    filter: TicketFilter | MISSING = Field(default=MISSING, description="A filter that is null is taken away.")
    sort: Annotated[TicketOrder, FROM_TEXT] | MISSING = MISSING
    shared: bool | MISSING = MISSING


class ViewOut(Out):
    id: UUID
    name: str
    agent_id: UUID | None = Field(description="Whose it is.")
    filter: TicketFilter = Field(description="What was not given is null.")
    sort: TicketOrder
    shared: bool
    version: int
    created_at: datetime
    updated_at: datetime


class ViewPage(Page[ViewOut]): ...

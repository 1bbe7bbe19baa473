"""What the ticket list can be asked for, and such questions saved as views."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import MISSING, BaseModel, ConfigDict, Field, model_validator

from app.search.schemas import Words
from app.sla.schemas.types import ChannelWord, Product
from app.tickets.lifecycle import SlaState
from app.tickets.schemas import ListedTicketOut, PriorityWord, StatusWord, TypeWord
from app.tickets.side_loading import Beside
from app.web.paging import PageQuery
from app.web.query import NONE, NONE_OR_ME, AnyOf, ManyIds, MyIds, MyIdsOrNone, OrNone
from app.web.schemas import FROM_TEXT, ExternalId, FieldName, FieldText, In, Instant, Key, Name, Out, Page

WITH_EACH = "What to send with each ticket."
FIELDS_PREFIX = "custom_fields."


class TicketOrder(StrEnum):
    """`due_at`: by the earliest running deadline, those without one last. `priority`: the most urgent first, what is
    resolved or closed last. `waiting_since`: whose customer waits longest first, where none waits last. `relevance`: of
    the newest 1,000 that `q` finds."""

    oldest = "created_at"
    newest = "-created_at"
    least_recent = "updated_at"
    most_recent = "-updated_at"
    due = "due_at"
    latest_due = "-due_at"
    urgent = "priority"
    waiting = "waiting_since"
    relevant = "relevance"


class TicketFilter(BaseModel):
    """Any of the values of each; all of the filters together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: AnyOf[StatusWord] = None
    priority: AnyOf[PriorityWord] = None
    type: AnyOf[TypeWord] = None
    channel: AnyOf[ChannelWord] = None
    ids: ManyIds = None
    customer_id: MyIds = Field(default=None, description="`me` is a calling customer.")
    organization_id: OrNone[UUID] = Field(default=None, description=NONE)
    assignee_id: MyIdsOrNone = Field(default=None, description=NONE_OR_ME)
    team_id: OrNone[UUID] = Field(default=None, description=NONE)
    follower_id: MyIds = Field(default=None, description="`me` is the caller.")
    external_id: OrNone[ExternalId] = Field(default=None, description=NONE)
    tag: OrNone[Key] = Field(default=None, description=NONE)
    product: OrNone[Product] = Field(default=None, description=NONE)
    segment: OrNone[Key] = Field(default=None, description=NONE)
    custom_fields: dict[FieldName, OrNone[FieldText]] | None = Field(
        default=None, description="In a query `custom_fields.<key>=`; `none` is a field without a value."
    )
    created_after: Instant | None = None
    created_before: Instant | None = None
    updated_after: Instant | None = None
    needs_human: bool | None = None
    snoozed: bool | None = Field(default=None, description="`false` hides what is snoozed.")
    spam: bool | None = Field(default=None, description="`true` finds what was marked as spam, which is closed.")
    sla: AnyOf[Annotated[SlaState, FROM_TEXT]] = None
    q: Words | None = Field(
        default=None,
        description='Words, all of them: `card or cash`, `-cash`, `"credit card"`; the last one is a beginning.',
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_fields(cls, data: Any) -> Any:
        """In a query each field is a parameter of its own."""
        names = data if isinstance(data, dict) else ()
        named = {name: data[name] for name in names if name.startswith(FIELDS_PREFIX)}
        if not named:
            return data
        fields = {name.removeprefix(FIELDS_PREFIX): value for name, value in named.items()}
        return {**{name: value for name, value in data.items() if name not in named}, "custom_fields": fields}


class Count(StrEnum):
    estimate = "estimate"


class ViewTicketsQuery(PageQuery):
    include: AnyOf[Annotated[Beside, FROM_TEXT]] = Field(default=None, description=WITH_EACH)
    excel: bool = Field(default=False, description="As CSV, with the mark by which Excel knows UTF-8.")


class TicketQuery(TicketFilter, ViewTicketsQuery):
    sort: Annotated[TicketOrder, FROM_TEXT] = TicketOrder.newest
    count: Annotated[Count, FROM_TEXT] | None = Field(
        default=None, description="`estimate` fills `estimated_count`: exact up to 10,000."
    )


class TicketPage(Page[ListedTicketOut]):
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

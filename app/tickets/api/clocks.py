from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field

from app.auth.dependencies import Actor, may
from app.auth.oneself import filter_value
from app.sla import clocks
from app.sla.core.clock import ClockState
from app.sla.core.enums import Metric
from app.sla.schemas.clocks import SlaClockPage
from app.tickets.clock_lists import CLOCKS, OF_TICKETS, prepared
from app.web.paging import PageQuery, page
from app.web.query import NONE, NONE_OR_ME, AnyOf, Ids, MyIdsOrNone, OrNone
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT, Instant, Key

routes = router("/v1/sla-clocks", "sla")
Reader = Annotated[Actor, may("sla:read")]


class ClockOrder(StrEnum):
    """By deadline, or by who waits longest."""

    due_at = "due_at"
    minus_due_at = "-due_at"
    started_at = "started_at"


_BOUNDS = ("due_before", "due_after", "breached_after", "breached_before")


class ClockQuery(PageQuery):
    metric: AnyOf[Annotated[Metric, FROM_TEXT]] = None
    state: AnyOf[Annotated[ClockState, FROM_TEXT]] = None
    open: bool | None = Field(default=None, description="Running, late ones included; or ended.")
    team_id: OrNone[UUID] = Field(default=None, description=NONE)
    assignee_id: MyIdsOrNone = Field(default=None, description=NONE_OR_ME)
    customer_id: Ids = None
    segment: OrNone[Key] = Field(default=None, description=NONE)
    due_before: Instant | None = None
    due_after: Instant | None = Field(default=None, description="Inclusive.")
    breached_after: Instant | None = Field(default=None, description="Inclusive; of clocks that broke.")
    breached_before: Instant | None = None
    sort: Annotated[ClockOrder, FROM_TEXT] = ClockOrder.due_at


@routes.get("", response_model=SlaClockPage, summary="List clocks")
async def list_sla_clocks(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ClockQuery, Query()]
) -> Any:
    """By deadline, the clocks that have a target: what a pause holds up comes last. By `started_at`, who waits longest:
    the clocks that run, with a target or not (`open=false` asks for those that have ended). `open=true&state=breached`
    is what is late now. A page may be shorter than asked where few of many match: it has a cursor then."""
    where = {name: filter_value(actor, name, getattr(query, name)) for name in ("metric", *OF_TICKETS, *_BOUNDS)}
    given = prepared(where, query.sort, query.state, query.open)
    answer = await page(request, response, tx, CLOCKS, query, given, query.sort)
    return {**answer, "items": await clocks.all_shown(tx, answer["items"])}

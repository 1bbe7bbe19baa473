from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.auth.guard import Actor, may
from app.sla import clocks
from app.sla.core.clock import State
from app.sla.core.words import Metric
from app.sla.schemas.clocks import SlaClockPage
from app.tickets import queries
from app.web.paging import PageQuery, page
from app.web.query import AnyOf, Ids
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT, Instant, Key

routes = router("/v1/sla-clocks", "sla")
Reader = Annotated[Actor, may("sla:read")]


class ClockOrder(StrEnum):
    due_at = "due_at"


class ClockQuery(PageQuery):
    metric: AnyOf[Annotated[Metric, FROM_TEXT]] = None
    state: AnyOf[Annotated[State, FROM_TEXT]] = None
    team_id: Ids = None
    assignee_id: Ids = None
    segment: AnyOf[Key] = None
    due_before: Instant | None = None
    sort: Annotated[ClockOrder, FROM_TEXT] = ClockOrder.due_at


@routes.get("", response_model=SlaClockPage, summary="List clocks, what is due first on top")
async def list_sla_clocks(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ClockQuery, Query()]
) -> Any:
    """The queue: clocks that have a target, by their deadline; what a pause holds up comes last. `state=running` is
    what can still be kept."""
    where: dict[str, object] = {
        name: getattr(query, name) for name in ("metric", "team_id", "assignee_id", "segment", "due_before")
    }
    where["has_target"] = True
    if query.state:
        where[queries.state_filter(query.state)] = True
    answer = await page(request, response, tx, queries.CLOCKS, query, where, query.sort)
    return {**answer, "items": await clocks.all_shown(tx, answer["items"])}

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from app.auth.dependencies import Actor, may
from app.auth.oneself import filter_value
from app.errors import Forbidden
from app.tickets.promise_lists import PROMISES, state_filter, to_response
from app.tickets.promise_schemas import PromisePage, PromiseState
from app.web.paging import PageQuery, page
from app.web.query import AnyOf, MyIds
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT, Instant

routes = router("/v1/promises", "tickets")
Reader = Annotated[Actor, may("tickets:read")]


class PromiseOrder(StrEnum):
    due_at = "due_at"
    minus_due_at = "-due_at"


class PromisesQuery(PageQuery):
    state: AnyOf[Annotated[PromiseState, FROM_TEXT]] = None
    agent_id: MyIds = Field(default=None, description="Whoever promised; `me` is the caller.")
    due_before: Instant | None = None
    due_after: Instant | None = Field(default=None, description="Inclusive.")
    sort: Annotated[PromiseOrder, FROM_TEXT] = PromiseOrder.due_at


@routes.get("", response_model=PromisePage, summary="List the promises of all tickets")
async def list_all_promises(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PromisesQuery, Query()]
) -> Any:
    """What is due first comes first: `state=open&agent_id=me` is what the caller still has to do. A page may be shorter
    than asked where few of many match: it has a cursor then. A customer reads their promises on the ticket."""
    if actor.is_customer:
        raise Forbidden("the promises to all customers are the staff's to list")
    where: dict[str, object] = {"due_before": query.due_before, "due_after": query.due_after}
    where["agent_id"] = filter_value(actor, "agent_id", query.agent_id)
    if query.state:
        where[state_filter(query.state)] = True
    answer = await page(request, response, tx, PROMISES, query, where, query.sort)
    return {**answer, "items": [to_response(row) for row in answer["items"]]}

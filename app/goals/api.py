from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from app.auth.dependencies import Actor, may
from app.goals import judging, service
from app.goals.history import history
from app.goals.schemas import (
    GoalHistory,
    GoalHistoryQuery,
    ServiceGoalIn,
    ServiceGoalOut,
    ServiceGoalPage,
    ServiceGoalPatch,
    ServiceGoalStatus,
)
from app.goals.why import why
from app.goals.why_schemas import GoalWhy, GoalWhyQuery
from app.web.admission import BULK, REPORT, costs
from app.web.etag import IfMatch, tag
from app.web.paging import PageQuery, page
from app.web.route import Tx, router
from app.web.schemas import Key

routes = router("/v1/service-goals", "goals")
Reader = Annotated[Actor, may("goals:read")]
Writer = Annotated[Actor, may("goals:write")]


@routes.get("", response_model=ServiceGoalPage, summary="List goals")
async def list_service_goals(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[PageQuery, Query()]
) -> Any:
    """In the order they were set."""
    answer = await page(request, response, tx, service.LISTING, query, {}, "created_at")
    return {**answer, "items": [service.to_response(row) for row in answer["items"]]}


@routes.post("", status_code=201, response_model=ServiceGoalOut, summary="Set a goal")
async def create_service_goal(body: ServiceGoalIn, response: Response, tx: Tx, actor: Writer) -> Any:
    """A mean, a percentile or an attainment ("80 % within 20 s") of the waits that began in the window, judged with
    those who still wait."""
    goal = await service.create_goal(tx, actor, body)
    response.headers["Location"] = f"/v1/service-goals/{goal['id']}"
    return tag(response, goal)


@routes.get("/by-key/{key:path}", response_model=ServiceGoalOut, summary="Read a goal by its key")
async def get_service_goal_by_key(key: Annotated[Key, Path()], response: Response, tx: Tx, actor: Reader) -> Any:
    """Percent-encoded, slashes and all."""
    return tag(response, service.to_response(await service.GOALS.get_called(tx, key)))


@routes.get("/{goal_id}", response_model=ServiceGoalOut, summary="Read a goal")
async def get_service_goal(goal_id: UUID, response: Response, tx: Tx, actor: Reader) -> Any:
    return tag(response, service.to_response(await service.GOALS.get(tx, goal_id)))


@routes.patch("/{goal_id}", response_model=ServiceGoalOut, summary="Change a goal")
async def update_service_goal(
    goal_id: UUID, patch: ServiceGoalPatch, response: Response, tx: Tx, actor: Writer, if_match: IfMatch = None
) -> Any:
    """JSON merge patch."""
    return tag(response, await service.change_goal(tx, actor, goal_id, patch, if_match))


@routes.delete("/{goal_id}", status_code=204, summary="Remove a goal")
async def delete_service_goal(goal_id: UUID, tx: Tx, actor: Writer, if_match: IfMatch = None) -> None:
    await service.GOALS.delete(tx, actor, goal_id, if_match)


@routes.get("/{goal_id}/status", response_model=ServiceGoalStatus, summary="Judge a goal now")
@costs(BULK)
async def get_service_goal_status(goal_id: UUID, tx: Tx, actor: Reader) -> Any:
    """Over the clocks that started in the window: the answered ones with their waits, the running ones with what they
    have waited so far. `crosses_at` is the instant at which the goal is missed if nothing more is answered."""
    await tx.snapshot()
    return await judging.judge(tx, goal_id)


@routes.get("/{goal_id}/history", response_model=GoalHistory, summary="Read how a goal stood")
@costs(REPORT)
async def get_service_goal_history(
    goal_id: UUID, tx: Tx, actor: Reader, query: Annotated[GoalHistoryQuery, Query()]
) -> Any:
    """By day or hour of its time zone, the last 30 days unless told otherwise; at most 100 intervals. Each is judged by
    what the goal asked for then, over the clocks that started in it."""
    await tx.snapshot()
    return await history(tx, goal_id, query)


@routes.get("/{goal_id}/why", response_model=GoalWhy, summary="Explain a goal's mean")
@costs(REPORT)
async def explain_service_goal(goal_id: UUID, tx: Tx, actor: Reader, query: Annotated[GoalWhyQuery, Query()]) -> Any:
    """Of the waits that began in a span of 31 days at most, or in the window of the last miss, against as long a span
    before: where the seconds went, what comes of other shares and other means by dimension, and what each cause did,
    each with the tickets behind it."""
    await tx.snapshot()
    return await why(tx, goal_id, query)

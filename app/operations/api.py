"""Whether it lives, whether it is ready, its figures, and what its problem codes mean. No credentials, no secrets."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from app.errors import NotFound, every_error
from app.operations.health import NotReady, Readiness
from app.web.admission import VITAL, costs
from app.web.openapi import PROBLEM_RESPONSES

routes = APIRouter(
    tags=["operations"], generate_unique_id_function=lambda route: route.name, responses=PROBLEM_RESPONSES
)


class Liveness(StrEnum):
    alive = "alive"


class Live(BaseModel):
    status: Liveness


class ProblemExplained(BaseModel):
    code: str
    title: str
    status: int
    explanation: str


@routes.get("/livez", response_model=Live, summary="Is the process alive?")
@costs(VITAL)
async def get_liveness() -> Any:
    """Says nothing of the database: a process is not to be killed because the database is away."""
    return {"status": Liveness.alive}


@routes.get("/readyz", response_model=Readiness, summary="Can it take work?")
@costs(VITAL)
async def get_readiness(request: Request) -> Any:
    """The database answers, the schema is this release's, a worker has been seen. 503 where one of these is not so.
    `degraded`: it takes work, but a reader of the log has stood still for a minute while the log grew."""
    found = await request.app.state.health.readiness()
    missing = [check.name for check in found.checks if not check.ok]
    if missing:
        raise NotReady(f"not in order: {', '.join(missing)}")
    return found


@routes.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
@costs(VITAL)
async def get_metrics(request: Request) -> Response:
    """Of this process, or of all processes of this service where there are several. They are at most a second old.
    Where they have a port of their own, they are not here."""
    state = request.app.state
    if state.settings.metrics_port:
        raise NotFound("the figures have a port of their own")
    async with state.figures_asked:
        text = await asyncio.to_thread(state.figures.text)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@routes.get("/problems/{code}", response_model=ProblemExplained, summary="What a problem code means")
@costs(VITAL)
async def get_problem(code: Annotated[str, Path(max_length=64)]) -> Any:
    """What the `type` of a problem leads to."""
    for error in every_error():
        if error.code == code:
            explanation = " ".join((error.__doc__ or error.title).split())
            return {"code": code, "title": error.title, "status": error.status, "explanation": explanation}
    raise NotFound("there is no such problem code")

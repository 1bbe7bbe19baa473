from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app.auth.dependencies import Actor, may
from app.auth.oneself import filters_of
from app.sla.core.policy import Scope
from app.sla.schemas.exceptions import (
    ExceptionKind,
    ExceptionReach,
    SlaExceptionIn,
    SlaExceptionOut,
    SlaExceptionPage,
)
from app.sla_exceptions import service as exceptions
from app.web import absence
from app.web.paging import PageQuery, page
from app.web.query import NONE, AnyOf, OrNone
from app.web.route import Tx, router
from app.web.schemas import FROM_TEXT

Reader = Annotated[Actor, may("sla:read")]
Writer = Annotated[Actor, may("sla:write")]


routes = router("/v1/sla-exceptions", "sla")


class GrantQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: Annotated[bool, Field(description="Grant nothing: answer (200) what it would reach at once.")] = False


class ExceptionQuery(PageQuery):
    kind: AnyOf[Annotated[ExceptionKind, FROM_TEXT]] = None
    scope: AnyOf[Annotated[Scope, FROM_TEXT]] = None
    ticket_id: OrNone[UUID] = Field(default=None, description=NONE)
    customer_id: OrNone[UUID] = Field(default=None, description=NONE)
    segment_id: OrNone[UUID] = Field(default=None, description=NONE)


@routes.get("", response_model=SlaExceptionPage, summary="List exceptions")
async def list_sla_exceptions(
    request: Request, response: Response, tx: Tx, actor: Reader, query: Annotated[ExceptionQuery, Query()]
) -> Any:
    """Newest first, with those that are over."""
    where = filters_of(actor, query, ("kind", "scope", *exceptions.SUBJECTS))
    absence.part(where, exceptions.SUBJECTS)
    answer = await page(request, response, tx, exceptions.LISTING, query, where, "-created_at")
    return {**answer, "items": [exceptions.to_response(row) for row in answer["items"]]}


@routes.post(
    "",
    status_code=201,
    response_model=SlaExceptionOut,
    responses={200: {"model": ExceptionReach, "description": "What it would reach."}},
    summary="Grant an exception",
)
async def create_sla_exception(
    body: SlaExceptionIn, response: Response, tx: Tx, actor: Writer, query: Annotated[GrantQuery, Query()]
) -> Any:
    """Leads and above. It reaches the clocks that start while it is in force and, where it `applies_to` running ones,
    those that run when it begins; it stays with each until that one ends. For more than a ticket, those that run take
    it by a job. A breach that has happened stays one, out of judgement."""
    if query.dry_run:
        reach = ExceptionReach(**await exceptions.preview(tx, actor, body))
        return JSONResponse(reach.model_dump(mode="json"))
    granted = await exceptions.grant(tx, actor, body)
    response.headers["Location"] = f"/v1/sla-exceptions/{granted['id']}"
    return granted


@routes.get("/{exception_id}", response_model=SlaExceptionOut, summary="Read an exception")
async def get_sla_exception(exception_id: UUID, tx: Tx, actor: Reader) -> Any:
    return exceptions.to_response(await exceptions.get_exception(tx, exception_id))


@routes.delete("/{exception_id}", status_code=204, summary="Revoke an exception")
async def delete_sla_exception(exception_id: UUID, tx: Tx, actor: Writer) -> None:
    """Running clocks are judged without it again; what has ended keeps it, and the exception stays readable."""
    await exceptions.revoke(tx, actor, exception_id)

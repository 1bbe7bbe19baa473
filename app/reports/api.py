"""Reports: figures over clocks and tickets, as JSON or as CSV."""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.auth.dependencies import Actor, may
from app.auth.oneself import filters_of
from app.outlook.scoring import score
from app.reports import overload_offers
from app.reports.availability import availability
from app.reports.backlog import backlog
from app.reports.handling_times import handling_times
from app.reports.quality import quality
from app.reports.quality_csv import quality_cells, quality_columns
from app.reports.quality_schemas import QualityFigures, QualityQuery, QualityReport
from app.reports.response_times import response_times
from app.reports.schemas import (
    AvailabilityReport,
    AvailabilityReportQuery,
    Backlog,
    BacklogQuery,
    BacklogReport,
    Cohort,
    GroupBy,
    HandlingTimes,
    HandlingTimesQuery,
    HandlingTimesReport,
    OverloadFigures,
    OverloadQuery,
    OverloadReport,
    ReportGroup,
    ReportQuery,
    ResponseTimes,
    ResponseTimesReport,
    SelfServiceQuery,
    SelfServiceReport,
    Unanswered,
)
from app.reports.self_service import self_service
from app.sla.core.outlook import SAID
from app.web.admission import REPORT, costs
from app.web.csv_rows import AS_CSV, header, lines, wants_csv
from app.web.route import Tx, router
from app.web.slices import in_slices, items_as_json

routes = router("/v1/reports", "reports")
Reader = Annotated[Actor, may("reports:read")]
Q = TypeVar("Q", bound=BaseModel)
_AS_CSV: dict[int | str, dict[str, Any]] = {200: {"content": AS_CSV}}


@routes.get("/response-times", response_model=ResponseTimesReport, summary="Report response times", responses=_AS_CSV)
@costs(REPORT)
async def report_response_times(request: Request, tx: Tx, actor: Reader, query: Annotated[ReportQuery, Query()]) -> Any:
    """Over the clocks that started in the span, grouped and filtered by what they were about when they ended. Days,
    weeks and months are those of the `timezone`. Over more than 10,000 clocks percentiles are those of buckets, at most
    1 % off. Who was never answered is counted beside the means, by reason. At most
    10,000 items. With `Accept: text/csv`, the items as CSV."""
    await tx.snapshot()
    items, percentiles = await response_times(tx, _resolved(actor, query), actor.scopes)
    if wants_csv(request):
        ends = [f"up_to_{end:g}" for end in sorted(set(query.buckets or ()))]
        return await _csv(map(_flat, items), [*_COLUMNS, *([*ends, "longer"] if ends else [])], excel=query.excel)
    return await items_as_json(ResponseTimes, items, cohort=Cohort.started, percentiles=percentiles)


@routes.get("/backlog", response_model=BacklogReport, summary="Report what is open", responses=_AS_CSV)
@costs(REPORT)
async def report_backlog(request: Request, tx: Tx, actor: Reader, query: Annotated[BacklogQuery, Query()]) -> Any:
    """The tickets that are neither resolved nor closed, now: who waits, for how long, and what is at risk or broken.
    By agent or by team alone, those who have none are there with zeros. With `Accept: text/csv`, the items as CSV."""
    items = await backlog(tx, _resolved(actor, query), actor.scopes)
    if wants_csv(request):
        return await _csv((item | item["group"] for item in items), _BACKLOG_COLUMNS, excel=query.excel)
    return await items_as_json(Backlog, items)


@routes.get("/handling-times", response_model=HandlingTimesReport, summary="Report handling times", responses=_AS_CSV)
@costs(REPORT)
async def report_handling_times(
    request: Request, tx: Tx, actor: Reader, query: Annotated[HandlingTimesQuery, Query()]
) -> Any:
    """How long the staff worked, over the messages of the span that say so, those of spam left out. By who wrote them
    (`agent`), and by what their tickets were then. With `Accept: text/csv`, the items as CSV."""
    items = await handling_times(tx, _resolved(actor, query), actor.scopes)
    if wants_csv(request):
        return await _csv((item | item["group"] for item in items), _HANDLING_COLUMNS, excel=query.excel)
    return await items_as_json(HandlingTimes, items)


@routes.get("/availability", response_model=AvailabilityReport, summary="Report who was online")
@costs(REPORT)
async def report_availability(tx: Tx, actor: Reader, query: Annotated[AvailabilityReportQuery, Query()]) -> Any:
    """How long agents were online and away in the span, and how much they answered, in all and while online. By agent,
    those without any are there with zeros; by team, as teams are now, who is in several counts with each."""
    await tx.snapshot()
    return {"items": await availability(tx, _resolved(actor, query), actor.scopes)}


@routes.get("/self-service", response_model=SelfServiceReport, summary="Report what self-service came to")
@costs(REPORT)
async def report_self_service(tx: Tx, actor: Reader, query: Annotated[SelfServiceQuery, Query()]) -> Any:
    """Over the tickets that opened in the span. By article, a ticket counts with each one that it was answered with."""
    return {"items": await self_service(tx, *query.span(), query.group_by or ())}


@routes.get(
    "/overload-offers", response_model=OverloadReport, summary="Report what was offered at overload", responses=_AS_CSV
)
@costs(REPORT)
async def report_overload_offers(
    request: Request, tx: Tx, actor: Reader, query: Annotated[OverloadQuery, Query()]
) -> Any:
    """Over the offers made in the span to customers who wrote while a goal was about to be missed, those of spam left
    out. By segment, that of the opening. With `Accept: text/csv`, the items as CSV."""
    items = await overload_offers.report(tx, *query.span(), query.group_by or ())
    if wants_csv(request):
        return await _csv(items, list(OverloadFigures.model_fields), excel=False)
    return {"items": items}


@routes.get("/quality", response_model=QualityReport, summary="Report quality", responses=_AS_CSV)
@costs(REPORT)
async def report_quality(request: Request, tx: Tx, actor: Reader, query: Annotated[QualityQuery, Query()]) -> Any:
    """How well the service does, beside how fast: each figure is of what happened in the span, and belongs to who and
    what it was about then. `outlook`, over all groups: what was said when somebody began to wait for a first answer,
    against what came, by when the waits ended; who gave up counts for as long as they waited. With `Accept: text/csv`,
    the items as CSV."""
    await tx.snapshot()
    items = await quality(tx, _resolved(actor, query), actor.scopes)
    if wants_csv(request):
        columns = ["interval_start", *ReportGroup.model_fields, *quality_columns(query)]
        return await _csv((item | item["group"] | quality_cells(item) for item in items), columns, excel=query.excel)
    found = await score(tx, *query.span())
    said = [{"said": said, "came": found.came[place] if found.came else None} for place, said in enumerate(SAID)]
    outlook = {"told": found.told, "said": said, "pinball_loss_seconds": found.loss_seconds}
    return await items_as_json(QualityFigures, items, outlook=outlook)


def _resolved(actor: Actor, query: Q) -> Q:
    """With `me` as who calls and `none` as None. Raises Invalid."""
    names = [group.value for group in GroupBy if group in type(query).model_fields]
    return query.model_copy(update=filters_of(actor, query, names))


_FIGURES = [
    name for name in ResponseTimes.model_fields if name not in {"interval_start", "group", "unanswered", "histogram"}
]
_COLUMNS = ["interval_start", *ReportGroup.model_fields, *_FIGURES, *Unanswered.model_fields]
_BACKLOG_COLUMNS = [*ReportGroup.model_fields, *(name for name in Backlog.model_fields if name != "group")]

_HANDLING_COLUMNS = [*ReportGroup.model_fields, *(name for name in HandlingTimes.model_fields if name != "group")]


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    ends = (
        ("longer" if each["up_to_seconds"] is None else f"up_to_{each['up_to_seconds']:g}", each["count"])
        for each in item["histogram"] or ()
    )
    return {**item, **item["group"], **item["unanswered"], **dict(ends)}


async def _csv(items: Iterable[dict[str, Any]], columns: list[str], *, excel: bool) -> Response:
    text = [lines([item], columns) async for item in in_slices(items)]
    return Response(header(columns, excel=excel) + "".join(text), media_type="text/csv")

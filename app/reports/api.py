import csv
import io
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from app.auth.guard import Actor, may
from app.reports import queries
from app.reports.schemas import (
    BacklogQuery,
    BacklogReport,
    Cohort,
    Percentiles,
    ReportGroup,
    ReportQuery,
    ResponseTimes,
    ResponseTimesReport,
    SelfServiceQuery,
    SelfServiceReport,
    Unanswered,
)
from app.web.route import Tx, router

routes = router("/v1/reports", "reports")
Reader = Annotated[Actor, may("reports:read")]


@routes.get(
    "/response-times",
    response_model=ResponseTimesReport,
    summary="Report response times",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def report_response_times(request: Request, tx: Tx, actor: Reader, query: Annotated[ReportQuery, Query()]) -> Any:
    """Over the clocks that started in the span; percentiles are nearest-rank, from the rows themselves. Who was never
    answered is counted beside the means, by reason. With `Accept: text/csv`, the items as CSV."""
    items = await queries.response_times(
        tx, query.metric, query.from_, query.to, query.interval, query.group_by or (), query.exceptions
    )
    if "text/csv" in request.headers.get("accept", ""):
        return Response(_csv(items), media_type="text/csv")
    return {"items": items, "cohort": Cohort.started, "percentiles": Percentiles.nearest_rank}


@routes.get("/backlog", response_model=BacklogReport, summary="Report what is open")
async def report_backlog(tx: Tx, actor: Reader, query: Annotated[BacklogQuery, Query()]) -> Any:
    """The tickets that are neither resolved nor closed, now: who waits, for how long, and what is at risk or broken."""
    return {"items": await queries.backlog(tx, query.group_by or ())}


@routes.get("/self-service", response_model=SelfServiceReport, summary="Report what self-service came to")
async def report_self_service(tx: Tx, actor: Reader, query: Annotated[SelfServiceQuery, Query()]) -> Any:
    """Over the tickets that opened in the span. By article, a ticket counts with each one that it was answered with."""
    return {"items": await queries.self_service(tx, query.from_, query.to, query.group_by or ())}


_FIGURES = [name for name in ResponseTimes.model_fields if name not in {"interval_start", "group", "unanswered"}]
_COLUMNS = ["interval_start", *ReportGroup.model_fields, *_FIGURES, *Unanswered.model_fields]


def _csv(items: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for item in items:
        flat = item | item["group"] | item["unanswered"]
        writer.writerow({name: _cell(value) for name, value in flat.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    """A product called `=cmd()` must stay text when a spreadsheet opens the file."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value

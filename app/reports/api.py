import csv
import io
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from app.auth.guard import Actor, may
from app.reports import queries
from app.reports.schemas import Cohort, Percentiles, ReportQuery, ResponseTimesReport
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
    items = await queries.response_times(tx, query.metric, query.from_, query.to, query.interval, query.group_by or ())
    if "text/csv" in request.headers.get("accept", ""):
        return Response(_csv(items), media_type="text/csv")
    return {"items": items, "cohort": Cohort.started, "percentiles": Percentiles.nearest_rank}


def _csv(items: list[dict[str, Any]]) -> str:
    flat = [
        {
            name: value
            for name, value in item.items()
            if name not in {"group", "unanswered"} and not name.startswith("by_")
        }
        | {name: _inert(value) for name, value in item["group"].items()}
        for item in items
    ]
    text = io.StringIO()
    if flat:
        writer = csv.DictWriter(text, flat[0])
        writer.writeheader()
        writer.writerows(flat)
    return text.getvalue()


def _inert(value: object) -> object:
    """A product called `=cmd()` must stay text when a spreadsheet opens the file."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value

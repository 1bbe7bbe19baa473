"""What becomes known of a statement when it ends: a span of it where it is traced, and a line in the log where it took
long. By the name that it has in the source; what it was given is not told."""

import time
from collections.abc import Iterable

import structlog

from app.statements import Query
from app.tracing import TRACE

log = structlog.get_logger("ninety.statements")


def tell(
    queries: Iterable[Query], began: float, limit: float, failed: BaseException | None = None, *, found: bool = True
) -> None:
    """`began` by `time.perf_counter`; `found`: whether it hit a row. The line carries the id of the request, if
    one asks."""
    seconds = time.perf_counter() - began
    if trace := TRACE.get():
        trace.statement(queries, seconds, failed, found=found)
    if seconds > limit:
        log.warning("slow_statement", statement=" + ".join(query.name for query in queries), ms=round(seconds * 1000))

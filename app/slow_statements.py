"""Statements that take long, by the name that they have in the source. What they were given is not told."""

import time
from collections.abc import Iterable

import structlog

from app.statements import Query

log = structlog.get_logger("ninety.statements")


def tell_if_slow(queries: Iterable[Query], began: float, limit: float) -> None:
    """`began` by `time.perf_counter`. The line carries the id of the request, where it is one that asks."""
    seconds = time.perf_counter() - began
    if seconds > limit:
        log.warning("slow_statement", statement=" + ".join(query.name for query in queries), ms=round(seconds * 1000))
